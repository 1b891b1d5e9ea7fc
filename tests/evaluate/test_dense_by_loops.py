"""Single operations with drawn labels, lengths, orders and memory layouts, against plain loops."""

from __future__ import annotations

import numpy as np
import pytest

from fuse_ref.analysis.lengths import Fixed
from fuse_ref.plan.steps import Contract, Expand, Index, Operand, Permute, ReadIndex, Reduce, Write, WriteIndex
from tests.evaluate.by_loops import run_by_loops
from tests.evaluate.plans import lengths_of, out, run

SEEDS = range(60)
TOLERANCE = {"float32": 2e-5, "float64": 1e-12}


def drawn_array(random: np.random.Generator, shape: tuple[int, ...], precision: str) -> np.ndarray:
    """Values in one of the layouts that users bring: C order, Fortran order, every other row, read-only."""
    array = random.uniform(-2, 2, shape).astype(precision)
    layout = random.integers(4)
    if layout == 1 and array.ndim:
        array = np.asfortranarray(array)
    elif layout == 2 and array.ndim:
        array = np.repeat(array, 2, axis=-1)[..., ::2]
    elif layout == 3:
        array.flags.writeable = False
    return array


def check(operation, values: dict[str, np.ndarray], precision: str) -> None:
    before = {name: array.copy() for name, array in values.items()}
    result = run(operation, values, precision)
    expected = run_by_loops(operation, values, lengths_of(values))
    assert result.dtype == np.dtype({"float": precision, "int64": "int64", "bool": "bool"}[operation.output.dtype])
    assert result.shape == expected.shape
    np.testing.assert_allclose(result, expected, rtol=TOLERANCE[precision], atol=TOLERANCE[precision])
    for name, array in before.items():
        np.testing.assert_array_equal(values[name], array)
        assert not np.shares_memory(result, values[name])


def drawn_labels(random: np.random.Generator, letters: str, most: int) -> tuple[str, ...]:
    return tuple(random.permutation(list(letters))[: random.integers(0, most + 1)].tolist())


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("seed", SEEDS)
def test_contract(seed: int, precision: str) -> None:
    random = np.random.default_rng(seed)
    sizes = {letter: int(random.integers(0 if seed % 7 == 0 else 1, 5)) for letter in "abcde"}
    left, right = drawn_labels(random, "abcde", 4), drawn_labels(random, "abcde", 4)
    used = sorted({*left, *right})
    kept = tuple(label for label in random.permutation(used).tolist() if random.random() < 0.6) if used else ()
    operation = Contract(out("Y", kept, [sizes[k] for k in kept]), Operand("A", left), Operand("B", right))
    for _ in range(2):
        values = {
            "A": drawn_array(random, tuple(sizes[k] for k in left), precision),
            "B": drawn_array(random, tuple(sizes[k] for k in right), precision),
        }
        check(operation, values, precision)


@pytest.mark.parametrize("operator", ["sum", "max", "min", "avg", "prod"])
@pytest.mark.parametrize("seed", range(12))
def test_reduce(seed: int, operator: str) -> None:
    random = np.random.default_rng(seed)
    sizes = {letter: int(random.integers(0 if seed % 3 == 0 else 1, 5)) for letter in "abcd"}
    labels = drawn_labels(random, "abcd", 4)
    kept = tuple(label for label in random.permutation(list(labels)).tolist() if random.random() < 0.5)
    operation = Reduce(out("Y", kept, [sizes[k] for k in kept]), operator, Operand("A", labels))  # type: ignore[arg-type]
    check(operation, {"A": drawn_array(random, tuple(sizes[k] for k in labels), "float32")}, "float32")


@pytest.mark.parametrize("shape", [(2, 3), (2, 0), (0, 3)])
def test_any(shape: tuple[int, int]) -> None:
    values = {"A": np.random.default_rng(0).random(shape) > 0.7}
    operation = Reduce(out("Y", "i", [shape[0]], "bool"), "any", Operand("A", ("i", "j")))
    check(operation, values, "float64")


@pytest.mark.parametrize("seed", range(10))
def test_permute_and_expand(seed: int) -> None:
    random = np.random.default_rng(seed)
    sizes = {"a": 2, "b": 3, "c": 4}
    labels = drawn_labels(random, "abc", 3)
    values = {"A": drawn_array(random, tuple(sizes[k] for k in labels), "float32")}
    order = tuple(random.permutation(list(labels)).tolist()) if labels else ()
    check(Permute(out("Y", order, [sizes[k] for k in order]), Operand("A", labels)), values, "float32")
    whole = tuple(random.permutation(list("abc")).tolist())
    check(Expand(out("Y", whole, [sizes[k] for k in whole]), Operand("A", labels)), values, "float32")


def drawn_terms(random: np.random.Generator, letters: str) -> tuple[tuple[str, int], ...]:
    labels = drawn_labels(random, letters, 3 if random.random() < 0.3 else 2)
    return tuple((label, int(random.choice([1, 1, 1, 2, -1, 3, -2]))) for label in labels)


@pytest.mark.parametrize("seed", range(150))
def test_index(seed: int) -> None:
    random = np.random.default_rng(seed)
    rank = int(random.integers(1, 4))
    indices = [
        ReadIndex(drawn_terms(random, "abcd"), Fixed(int(random.integers(-2, 4))), inside=False) for _ in range(rank)
    ]
    labels = tuple(dict.fromkeys(label for index in indices for label, _ in index.terms))
    lengths = [int(random.integers(0 if seed % 11 == 0 else 1, 5)) for _ in labels]
    shape = tuple(int(random.integers(0 if seed % 13 == 0 else 1, 7)) for _ in range(rank))
    operation = Index(out("Y", labels, lengths), "X", tuple(indices))
    for _ in range(2):
        check(operation, {"X": drawn_array(random, shape, "float32")}, "float32")


@pytest.mark.parametrize("seed", range(60))
def test_index_inside(seed: int) -> None:
    """Reads whose positions all lie inside: windows, strides, reversals, diagonals, as views."""
    random = np.random.default_rng(seed)
    rank = int(random.integers(1, 4))
    terms = [drawn_terms(random, "abcd") for _ in range(rank)]
    labels = tuple(dict.fromkeys(label for item in terms for label, _ in item))
    sizes = {label: int(random.integers(1, 4)) for label in labels}
    shape, indices = [], []
    for item in terms:
        low = sum(min(0, c * (sizes[label] - 1)) for label, c in item)
        high = sum(max(0, c * (sizes[label] - 1)) for label, c in item)
        before = int(random.integers(0, 3))
        indices.append(ReadIndex(item, Fixed(before - low), inside=True))
        shape.append(before - low + high + 1 + int(random.integers(0, 3)))
    operation = Index(out("Y", labels, [sizes[k] for k in labels]), "X", tuple(indices))
    for _ in range(2):
        check(operation, {"X": drawn_array(random, tuple(shape), "float64")}, "float64")


def test_index_far_outside_is_gathered() -> None:
    values = {"X": np.arange(5.0)}
    operation = Index(out("Y", "ab", [3, 4]), "X", (ReadIndex((("a", 1000), ("b", -300)), Fixed(-100), False),))
    check(operation, values, "float64")
    operation = Index(out("Y", "ab", [3, 2]), "X", (ReadIndex((("a", 1000), ("b", -1000)), Fixed(2), False),))
    check(operation, values, "float64")


@pytest.mark.parametrize("operator", ["sum", "max", "min", "prod"])
@pytest.mark.parametrize("seed", range(60))
def test_write(seed: int, operator: str) -> None:
    random = np.random.default_rng(seed)
    labels = drawn_labels(random, "abc", 3)
    lengths = [int(random.integers(0 if seed % 11 == 0 else 1, 6)) for _ in labels]
    rank = int(random.integers(0, 4))
    indices = []
    for _ in range(rank):
        terms = drawn_terms(random, "".join(labels)) if labels else ()
        divisor = int(random.choice([1, 1, 2, 3]))
        indices.append(WriteIndex(terms, Fixed(int(random.integers(-2, 4))), divisor))
    shape = [int(random.integers(1, 6)) for _ in range(rank)]
    names = [f"t{k}" for k in range(rank)]
    operation = Write(out("Y", names, shape), operator, Operand("X", labels), tuple(indices))  # type: ignore[arg-type]
    for _ in range(2):
        check(operation, {"X": drawn_array(random, tuple(lengths), "float32")}, "float32")


@pytest.mark.parametrize("operator", ["sum", "max", "min", "prod"])
@pytest.mark.parametrize("size", [1, 5, 6, 7, 40])
@pytest.mark.parametrize("divisor", [2, 3, 17])
@pytest.mark.parametrize("offset", [0, 1, -4])
@pytest.mark.parametrize("more", [0, 2, -1])
def test_pooling(operator: str, size: int, divisor: int, offset: int, more: int) -> None:
    """Blocks of a ragged, shifted axis; `more` blocks than values fill, or fewer."""
    random = np.random.default_rng(size)
    blocks = max(0, (size - 1 + offset) // divisor + 1 + more)
    index = WriteIndex((("x", 1),), Fixed(offset), divisor)
    plain = WriteIndex((("b", 1),), Fixed(0), 1)
    values = {"X": drawn_array(random, (2, size), "float64")}
    operation = Write(out("Y", ["b", "p"], [2, blocks]), operator, Operand("X", ("b", "x")), (plain, index))  # type: ignore[arg-type]
    check(operation, values, "float64")
    values = {"X": drawn_array(random, (size, 2), "float64")}
    operation = Write(out("Y", ["b", "p"], [2, blocks]), operator, Operand("X", ("x", "b")), (plain, index))  # type: ignore[arg-type]
    check(operation, values, "float64")


@pytest.mark.parametrize("operator", ["sum", "max", "min", "prod"])
def test_many_overlapping_writes(operator: str) -> None:
    """More passes than are worth it: the compiled scatter takes over."""
    random = np.random.default_rng(0)
    operation = Write(
        out("Y", "t", [40]),
        operator,  # type: ignore[arg-type]
        Operand("X", ("a", "b", "c")),
        (WriteIndex((("a", 1), ("b", 1), ("c", -1)), Fixed(3), 1),),
    )
    check(operation, {"X": drawn_array(random, (20, 18, 17), "float64")}, "float64")
