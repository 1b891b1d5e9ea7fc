"""Reads and writes at computed positions against plain loops, with random positions of every form."""

from __future__ import annotations

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fuse_jax import indexing
from fuse_jax.indexing import Position, read, write

NEUTRAL = {"sum": 0.0, "prod": 1.0, "max": -math.inf, "min": math.inf}
COMBINE = {"sum": lambda a, b: a + b, "prod": lambda a, b: a * b, "max": max, "min": min}


def place(position: Position, at: dict[str, int]) -> int:
    return (sum(c * at[label] for label, c in position.terms) + position.offset) // position.divisor


def walk(lengths: dict[str, int]):
    for values in itertools.product(*(range(n) for n in lengths.values())):
        yield dict(zip(lengths, values, strict=True))


def labels_of(positions: list[Position]) -> list[str]:
    return list(dict.fromkeys(label for position in positions for label, _ in position.terms))


def read_by_loops(source: np.ndarray, positions: list[Position], lengths: dict[str, int]) -> np.ndarray:
    order = {label: lengths[label] for label in labels_of(positions)}
    result = np.zeros(tuple(order.values()), source.dtype)
    for at in walk(order):
        where = tuple(place(position, at) for position in positions)
        if all(0 <= p < size for p, size in zip(where, source.shape, strict=True)):
            result[tuple(at.values())] = source[where]
    return result


def write_by_loops(value, labels, operator, positions, sizes) -> np.ndarray:
    result = np.full(sizes, NEUTRAL[operator])
    for at in walk(dict(zip(labels, value.shape, strict=True))):
        where = tuple(place(position, at) for position in positions)
        if all(0 <= p < size for p, size in zip(where, sizes, strict=True)):
            result[where] = COMBINE[operator](result[where], value[tuple(at.values())])
    return result


def random_positions(rng, dimensions: int, labels: str, *, divisors: bool) -> list[Position]:
    made = []
    for _ in range(dimensions):
        chosen = rng.permutation(list(labels))[: rng.integers(0, 3)]
        terms = tuple((str(label), int(rng.choice([-2, -1, 1, 1, 1, 2, 3]))) for label in chosen)
        divisor = int(rng.choice([1, 1, 2, 3])) if divisors else 1
        made.append(Position(terms, int(rng.integers(-3, 6)), divisor))
    return made


READS = [
    ("shift", (6,), [Position((("i", 1),), 2)], {"i": 6}),
    ("before the start", (6,), [Position((("i", 1),), -2)], {"i": 5}),
    ("reversal", (5,), [Position((("i", -1),), 4)], {"i": 5}),
    ("stride", (9,), [Position((("i", 2),), 1)], {"i": 4}),
    ("constant", (4, 3), [Position((), 2), Position((("j", 1),), 0)], {"j": 3}),
    ("constant outside", (4, 3), [Position((), 4), Position((("j", 1),), 0)], {"j": 3}),
    ("scalar", (4,), [Position((), 1)], {}),
    ("diagonal", (4, 5), [Position((("i", 1),), 0), Position((("i", 1),), 0)], {"i": 4}),
    ("antidiagonal", (4, 4), [Position((("i", 1),), 0), Position((("i", -1),), 3)], {"i": 4}),
    ("window", (7,), [Position((("x", 1), ("d", 1)), 0)], {"x": 5, "d": 3}),
    ("same window", (7,), [Position((("d", 1), ("x", 1)), -1)], {"x": 7, "d": 3}),
    ("strided window", (9,), [Position((("x", 2), ("d", 1)), 0)], {"x": 4, "d": 3}),
    ("three terms", (8,), [Position((("x", 1), ("d", 2), ("e", -1)), 1)], {"x": 3, "d": 2, "e": 2}),
    ("sheared", (6, 4), [Position((("i", 1), ("j", 1)), 0), Position((("j", 1),), 0)], {"i": 4, "j": 3}),
    ("swapped", (3, 4), [Position((("j", 1),), 0), Position((("i", 1),), 0)], {"i": 4, "j": 3}),
    ("empty range", (3,), [Position((("i", 1),), 0)], {"i": 0}),
    ("empty source", (0,), [Position((("i", 1),), 0)], {"i": 2}),
]


@pytest.mark.parametrize("limit", [64, 0], ids=["slices", "gather"])
@pytest.mark.parametrize(("shape", "positions", "lengths"), [case[1:] for case in READS], ids=[c[0] for c in READS])
def test_read_forms(monkeypatch, limit, shape, positions, lengths) -> None:
    monkeypatch.setattr(indexing, "UNROLL_LIMIT", limit)
    source = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    result = jax.jit(lambda s: read(s, positions, lengths))(source)
    np.testing.assert_array_equal(result, read_by_loops(source, positions, lengths))


@pytest.mark.parametrize("limit", [64, 0], ids=["slices", "gather"])
@pytest.mark.parametrize("seed", range(16))
def test_random_reads_and_their_gradients(monkeypatch, limit, seed) -> None:
    monkeypatch.setattr(indexing, "UNROLL_LIMIT", limit)
    rng = np.random.default_rng(seed)
    positions = random_positions(rng, int(rng.integers(1, 4)), "abc", divisors=False)
    lengths = {label: int(rng.integers(1, 5)) for label in "abc"}
    shape = tuple(int(n) for n in rng.integers(1, 6, size=len(positions)))
    source = rng.normal(size=shape).astype(np.float32)
    expected = read_by_loops(source, positions, lengths)
    weights = rng.normal(size=expected.shape).astype(np.float32)

    def total(s):
        made = read(s, positions, lengths)
        return jnp.sum(made * weights), made

    gradient, result = jax.jit(jax.grad(total, has_aux=True))(source)
    np.testing.assert_array_equal(result, expected)
    # The adjoint of a read adds each weight to the element that was read.
    adjoint = write_by_loops(weights, labels_of(positions), "sum", positions, shape)
    np.testing.assert_allclose(gradient, adjoint, rtol=1e-5, atol=1e-6)


WRITES = [
    ("shift", "i", (4,), [Position((("i", 1),), 1)], (5,)),
    ("shift off both ends", "i", (6,), [Position((("i", 1),), -2)], (3,)),
    ("stride", "i", (3,), [Position((("i", 2),), 1)], (7,)),
    ("reversal", "i", (4,), [Position((("i", -1),), 3)], (4,)),
    ("constant", "j", (3,), [Position((), 1), Position((("j", 1),), 0)], (3, 3)),
    ("constant outside", "j", (3,), [Position((), 7), Position((("j", 1),), 0)], (3, 3)),
    ("pooling", "x", (6,), [Position((("x", 1),), 0, 2)], (3,)),
    ("ragged pooling", "x", (7,), [Position((("x", 1),), 0, 3)], (3,)),
    ("shifted pooling", "x", (7,), [Position((("x", 1),), 2, 3)], (3,)),
    ("diagonal", "i", (3,), [Position((("i", 1),), 0), Position((("i", 1),), 0)], (3, 4)),
    ("dropped label", "ij", (3, 4), [Position((("i", 1),), 0)], (3,)),
    ("overlap", "xd", (4, 3), [Position((("x", 1), ("d", 1)), 0)], (6,)),
    ("pooled overlap", "xd", (4, 3), [Position((("x", 1), ("d", 1)), 0, 2)], (3,)),
    ("scalar into one place", "", (), [Position((), 2)], (4,)),
    ("nothing to write", "i", (0,), [Position((("i", 1),), 0)], (3,)),
    ("nowhere to write", "i", (3,), [Position((("i", 1),), 0)], (0,)),
]


@pytest.mark.parametrize("limit", [64, 0], ids=["pads", "scatter"])
@pytest.mark.parametrize(
    ("labels", "shape", "positions", "sizes"), [case[1:] for case in WRITES], ids=[c[0] for c in WRITES]
)
def test_write_forms(monkeypatch, limit, labels, shape, positions, sizes) -> None:
    monkeypatch.setattr(indexing, "UNROLL_LIMIT", limit)
    value = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    results = jax.jit(lambda v: {op: write(v, labels, op, positions, sizes) for op in NEUTRAL})(value)
    for operator, result in results.items():
        assert result.dtype == np.float32
        np.testing.assert_allclose(result, write_by_loops(value, labels, operator, positions, sizes), rtol=1e-6)


@pytest.mark.parametrize("limit", [64, 0], ids=["pads", "scatter"])
@pytest.mark.parametrize("seed", range(8))
def test_random_writes_and_their_gradients(monkeypatch, limit, seed) -> None:
    monkeypatch.setattr(indexing, "UNROLL_LIMIT", limit)
    rng = np.random.default_rng(100 + seed)
    labels = "abc"[: rng.integers(1, 4)]
    positions = random_positions(rng, int(rng.integers(1, 4)), labels, divisors=True)
    shape = tuple(int(n) for n in rng.integers(1, 5, size=len(labels)))
    sizes = tuple(int(n) for n in rng.integers(1, 6, size=len(positions)))
    value, weights = rng.uniform(0.5, 1.5, size=shape), rng.normal(size=sizes)

    def total(v, operator):
        made = write(v, labels, operator, positions, sizes)
        return jnp.sum(jnp.where(jnp.isfinite(made), made, 0.0) * weights), made

    def all_of_them(v):
        return {op: jax.grad(total, has_aux=True)(v, op) for op in NEUTRAL}

    with jax.enable_x64(True):
        results = jax.jit(all_of_them)(value)
    for operator, (gradient, result) in results.items():
        expected = write_by_loops(value, labels, operator, positions, sizes)
        np.testing.assert_allclose(result, expected, rtol=1e-12)
        kept = np.isfinite(expected)
        for at in np.ndindex(shape):
            step = np.zeros(shape)
            step[at] = 1e-6
            above = write_by_loops(value + step, labels, operator, positions, sizes)
            below = write_by_loops(value - step, labels, operator, positions, sizes)
            difference = np.sum((above[kept] - below[kept]) * weights[kept]) / 2e-6
            assert gradient[at] == pytest.approx(difference, abs=1e-6)


def test_ties_of_a_pooled_maximum_share_the_gradient() -> None:
    value = jnp.array([2.0, 2.0, 1.0, 3.0, 3.0])
    positions = [Position((("x", 1),), 0, 2)]
    gradient = jax.grad(lambda v: jnp.sum(write(v, "x", "max", positions, (3,))))(value)
    np.testing.assert_array_equal(gradient, [0.5, 0.5, 0.0, 1.0, 1.0])


def test_integers_and_truth_values_are_read_as_they_are() -> None:
    positions = [Position((("i", 1),), 1)]
    assert read(jnp.array([5, 6, 7]), positions, {"i": 3}).tolist() == [6, 7, 0]
    flags = read(jnp.array([True, False, True]), positions, {"i": 3})
    assert flags.dtype == bool
    assert flags.tolist() == [False, True, False]


@pytest.mark.parametrize("limit", [64, 0])
def test_no_index_array_is_a_constant(monkeypatch, limit) -> None:
    """A window over 100,000 elements must not put 300,000 numbers into the compiled function."""
    monkeypatch.setattr(indexing, "UNROLL_LIMIT", limit)
    positions = [Position((("x", 1), ("d", 1)), 0)]
    lengths = {"x": 99_998, "d": 3}
    jaxpr = jax.make_jaxpr(lambda s: read(s, positions, lengths))(jnp.zeros(100_000))
    assert sum(np.size(constant) for constant in jaxpr.consts) == 0
    text = jax.jit(lambda s: read(s, positions, lengths)).lower(jnp.zeros(100_000)).as_text()
    assert len(text) < 20_000
