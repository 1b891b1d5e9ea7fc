"""Numbers looked up at the tuples of relations and combined: values, gradients, ties, empty and single axes."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fuse_jax
from fuse_jax import ExecutionConfig
from fuse_jax.aggregate import aggregate
from fuse_jax.relations import Padded, host, in_rows, padded_rows, room, traced_positions
from fuse_ref.plan.operations import Aggregate, Operand, Output
from fuse_ref.relations.tuples import Tuples

# Each with the loop that says what it means: at one tuple (x, y), of Z[y, d], W[x, y] and V[d].
PROGRAMS: dict[str, tuple[str, Callable[..., float], str]] = {
    "sum": ("Out[x, d] = R(x, y) Z[y, d]", lambda x, y, d, z, w, v: z[y, d], "sum"),
    "product": ("Out[x, d] = R(x, y) Z[x, d] Z[y, d] W[x, y] V[d]", lambda x, y, d, z, w, v: z[x, d] * z[y, d] * w[x, y] * v[d], "sum"),
    "max": ("Out[x, d] max= R(x, y) Z[y, d]", lambda x, y, d, z, w, v: z[y, d], "max"),
    "min": ("Out[x, d] min= R(x, y), Z[y, d] + W[x, y]", lambda x, y, d, z, w, v: z[y, d] + w[x, y], "min"),
    "prod": ("Out[x, d] prod= R(x, y), Z[y, d]", lambda x, y, d, z, w, v: z[y, d], "prod"),
    "inner": ("Out[x, d] max= R(x, y), log(Z[y, d]**2) * V[d]", lambda x, y, d, z, w, v: np.log(z[y, d] ** 2) * v[d], "max"),
}  # fmt: skip
START = {"sum": 0.0, "max": -np.inf, "min": np.inf, "prod": 1.0}
WAY: dict[str, Callable[[float, float], float]] = {
    "sum": lambda a, b: a + b,
    "max": max,
    "min": min,
    "prod": lambda a, b: a * b,
}


def by_loops(name: str, tuples: set[tuple[int, int]], z: np.ndarray, w: np.ndarray, v: np.ndarray) -> np.ndarray:
    _, value, operator = PROGRAMS[name]
    found = np.full((w.shape[0], z.shape[1]), START[operator])
    for x, y in tuples:
        for d in range(z.shape[1]):
            found[x, d] = WAY[operator](found[x, d], value(x, y, d, z, w, v))
    return found


def given(seed: int, n: int, d: int, count: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, n, (count if n else 0, 2)), {
        "Z": rng.normal(size=(n, d)),
        "W": rng.normal(size=(n, n)),
        "V": rng.normal(size=d),
    }


@pytest.mark.parametrize("capacity", [None, 30], ids=["truth", "rows"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_values_and_gradients(name, capacity) -> None:
    text = (
        f"input E(x, y); input Z[x, d]; input W[x, y]; input V[d]; R(x, y) <- E(x, y); {PROGRAMS[name][0]}; export Out"
    )
    with jax.enable_x64(True):
        config = ExecutionConfig(precision="float64", route="reference", capacity=capacity)
        functions = {n: fuse_jax.compile(text, config=config, sizes={"x": n, "y": n}) for n in (4, 3, 1)}
        names = functions[4].program.inputs

        def call(e: jax.Array, dense: dict[str, jax.Array]) -> jax.Array:
            own = {name: dense[name] for name in names if name in dense}
            return functions[len(dense["W"])]({}, {"E": e, **own})["Out"]

        for seed, n, d, count in [(0, 4, 2, 9), (1, 4, 2, 0), (2, 1, 1, 3)]:
            fn, (tuples, dense) = jax.jit(call), given(seed, n, d, count)
            rows = np.concatenate([tuples, np.full((12 - count, 2), -1)])
            expected = by_loops(name, set(map(tuple, tuples.tolist())), dense["Z"], dense["W"], dense["V"])
            np.testing.assert_allclose(fn(rows, dense), expected, rtol=1e-10)
            np.testing.assert_allclose(call(tuples, dense), expected, rtol=1e-10)
        tuples, dense = given(3, 3, 2, 5)
        loss = jax.jit(lambda dense, e: jnp.sum(jnp.where(jnp.isfinite(out := call(e, dense)), out, 0) ** 2))
        rows = np.concatenate([tuples, np.full((7, 2), -1)])
        found = jax.jit(jax.grad(loss))(dense, rows)
        for key, array in dense.items():
            for place in np.ndindex(array.shape):
                up, down = (loss({**dense, key: array + _at(array, place, s * 1e-6)}, rows) for s in (1, -1))
                np.testing.assert_allclose(found[key][place], (up - down) / 2e-6, rtol=1e-5, atol=1e-6)


def _at(array: np.ndarray, place: tuple[int, ...], step: float) -> np.ndarray:
    found = np.zeros_like(array)
    found[place] = step
    return found


@pytest.mark.parametrize("capacity", [None, 9], ids=["truth", "rows"])
def test_ties_share_evenly_and_what_holds_no_tuple_has_no_slope(capacity) -> None:
    text = "input E(x, y); axis x = 3; input Z[x]; R(x, y) <- E(x, y); Out[x] max= R(x, y), Z[y]; Low = sum(x: Out[x]); export Out"
    fn = fuse_jax.compile(text, config=ExecutionConfig(route="reference", capacity=capacity))
    rows = np.array([[0, 1], [0, 2], [0, 1], [1, 0], [-1, -1]])
    slope = jax.jit(jax.grad(lambda z, e: fn({}, E=e, Z=z)["Out"][:2].sum()))(jnp.array([5.0, 2.0, 2.0]), rows)
    assert slope.tolist() == [1, 0.5, 0.5]
    assert fn({}, E=rows[:4], Z=np.ones(3))["Out"].tolist() == [1, 1, -np.inf]


def test_many_rows_come_in_chunks_that_give_the_same() -> None:
    rng = np.random.default_rng(0)
    n, d, count = 300, 80, 60_000
    tuples = Tuples.of(list(rng.integers(0, n, (2, count))), (n, n))
    z = rng.normal(size=(n, d)).astype(np.float32)
    operation = Aggregate(Output("Out", ("x", "d"), (), "float"), "sum", "R", ("x", "y"), (Operand("Z", ("y", "d")),))
    add = lambda rows, z: aggregate(operation, rows, [z], (n, d), np.dtype(np.float32), None)  # noqa: E731
    rows = padded_rows(tuples, room(len(tuples)))
    assert rows.capacity * d > 1 << 21
    dense = tuples.dense().astype(np.float32)
    np.testing.assert_allclose(jax.jit(add)(rows, z), dense @ z, rtol=1e-4, atol=1e-3)
    slope = jax.jit(jax.grad(lambda z: jnp.sum(add(rows, z) * z)))(z)
    np.testing.assert_allclose(slope, dense @ z + dense.T @ z, rtol=1e-4, atol=1e-3)


def test_room_has_few_sizes_and_little_waste() -> None:
    sizes = {room(count) for count in range(1, 100_000, 7)}
    assert len(sizes) < 60
    assert all(
        count <= room(count) <= max(count + 16, 1.26 * count) for count in (*range(2000), 65_536, 65_537, 99_999)
    )


@pytest.mark.parametrize("shape", [(5,), (4, 3), (2, 1, 3), (70_000, 80_000), (0, 3), (2000, 2000, 2000)], ids=str)
def test_traced_rows_are_told_apart_whatever_their_sizes(shape) -> None:
    rng = np.random.default_rng(len(shape))
    rows = np.stack([rng.integers(-1, min(size, 4) + 1, 40) for size in shape], axis=1)
    rows[::5] = [size - 1 for size in shape]
    found = jax.jit(lambda rows: in_rows(traced_positions(rows, shape), traced=True))(rows)
    assert isinstance(found, Padded)
    assert found.distinct
    expected = {tuple(row) for row in rows.tolist() if all(0 <= k < size for k, size in zip(row, shape, strict=True))}
    assert list(map(tuple, host(found).positions.tolist())) == sorted(expected)
    held = np.asarray(found.columns[0]) < shape[0]
    assert held.sum() == len(expected)
    assert held[0] or not expected
