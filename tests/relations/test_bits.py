"""Rows of bits against arrays of truth values."""

from __future__ import annotations

import numpy as np
import pytest

from fuse_ref.relations import bits

SHAPES = [(0, 0), (0, 5), (3, 0), (1, 1), (2, 64), (3, 65), (70, 130), (200, 63)]


def truth(shape: tuple[int, int], density: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape) < density


@pytest.mark.parametrize("density", [0.0, 0.01, 0.5, 1.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_packed_rows_hold_what_they_were_made_of(shape: tuple[int, int], density: float) -> None:
    array = truth(shape, density)
    rows = bits.pack(array)
    assert rows.shape == (shape[0], bits.words(shape[1]))
    np.testing.assert_array_equal(bits.unpack(rows, shape[1]), array)
    np.testing.assert_array_equal(bits.counts(rows), array.sum(axis=1))
    number, columns = bits.nonzero(rows)
    expected = [[k for k in range(shape[1]) if row[k]] for row in array.tolist()]
    assert number.tolist() == [len(part) for part in expected]
    assert columns.tolist() == [k for part in expected for k in part]


@pytest.mark.parametrize("shape", SHAPES)
def test_rows_of_pairs(shape: tuple[int, int]) -> None:
    array = truth(shape, 0.3)
    rows, columns = np.nonzero(array)
    np.testing.assert_array_equal(bits.from_pairs(rows, columns, shape), bits.pack(array))
    # In any order, and some twice.
    order = np.random.default_rng(1).permutation(len(rows))
    twice = np.concatenate((order, order[::2]))
    found = bits.from_pairs(rows[twice].astype(np.int32), columns[twice].astype(np.int32), shape)
    np.testing.assert_array_equal(found, bits.pack(array))


@pytest.mark.parametrize("density", [0.0, 0.02, 0.5])
@pytest.mark.parametrize(
    ("n", "m", "k"), [(0, 3, 2), (3, 0, 2), (2, 3, 0), (1, 1, 1), (5, 9, 70), (70, 65, 3), (40, 200, 129)]
)
def test_products(n: int, m: int, k: int, density: float) -> None:
    left, right = truth((n, m), density), truth((m, k), density, 1)
    found = bits.product(bits.pack(left), bits.pack(right))
    expected = [[any(left[i, j] and right[j, c] for j in range(m)) for c in range(k)] for i in range(n)]
    np.testing.assert_array_equal(bits.unpack(found, k), np.array(expected, np.bool_).reshape(n, k))


@pytest.mark.parametrize("shape", SHAPES)
def test_transposed_rows(shape: tuple[int, int]) -> None:
    array = truth(shape, 0.4)
    np.testing.assert_array_equal(bits.transposed(bits.pack(array), shape[1]), bits.pack(array.T))


def test_blocks_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = bits.pack(truth((50, 100), 0.2))
    expected = bits.nonzero(rows)
    monkeypatch.setattr(bits, "_BLOCK", 300)
    np.testing.assert_array_equal(bits.nonzero(rows)[1], expected[1])
