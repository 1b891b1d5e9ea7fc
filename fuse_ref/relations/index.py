"""Indexes: from the positions in some columns of a relation to the tuples that have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from fuse_ref.relations.keys import KeySet, Packing, distinct

__all__ = ["Index", "Presence", "grouped", "without_repeats"]

_SMALL: Final = 2048  # below it a comparison sort is quicker than a counting sort


def grouped(groups: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """`(order, bounds)`: the places of group g are `order[bounds[g]:bounds[g + 1]]`, as they came.

    Args:
        groups: (n,) numbers below `count`.
    """
    n = len(groups)
    kind = np.dtype(np.int32 if max(n, count) < 1 << 31 else np.int64)
    if n < _SMALL:
        bounds = np.zeros(count + 1, kind)
        np.cumsum(np.bincount(groups, minlength=count), out=bounds[1:])
        return np.argsort(groups, kind="stable").astype(kind), bounds
    from scipy import sparse

    # From rows to columns of a matrix is a counting sort.
    line = sparse.csr_array((np.arange(n, dtype=kind), groups.astype(kind), np.array([0, n], kind)), shape=(1, count))
    turned = line.tocsc()
    return turned.data, turned.indptr


class Index:
    """Tuples grouped by the positions in their key columns.

    Args:
        keys: the key columns, none or more.
        sizes: of their axes.
        payload: the columns that a lookup is to give.
        count: of the tuples.

    Groups are numbered by the key itself where there are not many more possible keys than tuples, else in the
    order in which keys come.
    """

    __slots__ = ("_bounds", "_numbers", "_packing", "count", "most", "payload")

    def __init__(
        self, keys: Sequence[np.ndarray], sizes: Sequence[int], payload: Sequence[np.ndarray], count: int
    ) -> None:
        self.count = count
        self._packing = Packing(sizes)
        self._numbers: KeySet | None = None
        if not keys:
            self.payload = tuple(payload)
            self.most = count
            self._bounds = np.array([0, count, count], np.int64)
            return
        packed = self._packing.pack(keys, count)
        space = self._packing.space
        if space > max(1 << 12, 8 * count):
            self._numbers = KeySet(space, numbered=True)
            self._numbers.add(packed)
            packed = self._numbers.find(packed)
            space = self._numbers.count
        if bool((packed[1:] >= packed[:-1]).all()):
            bounds = np.zeros(space + 1, np.int64)
            np.cumsum(np.bincount(packed, minlength=space), out=bounds[1:])
            self.payload = tuple(payload)
        else:
            order, bounds = grouped(packed, space)
            self.payload = tuple(column.take(order) for column in payload)
        self.most = int((bounds[1:] - bounds[:-1]).max(initial=0))  # tuples of one group
        # One empty group more, for keys that are not there.
        self._bounds = np.append(bounds, bounds[-1:])

    @property
    def nbytes(self) -> int:
        numbers = 0 if self._numbers is None else self._numbers.nbytes
        return self._bounds.nbytes + numbers + sum(column.nbytes for column in self.payload)

    def find(self, keys: Sequence[np.ndarray], count: int) -> tuple[np.ndarray, np.ndarray]:
        """`(starts, ends)` of the tuples of each key in the payload; positions are inside of the sizes."""
        if not len(self._packing.shape):
            return np.zeros(count, np.int64), np.full(count, self.count, np.int64)
        places: np.ndarray
        if self._numbers is None:
            # One column without a copy.
            places = keys[0] if len(keys) == 1 else self._packing.pack(keys, count)
        else:
            places = self._numbers.find(self._packing.pack(keys, count))
            places[places < 0] = len(self._bounds) - 2
        return self._bounds.take(places), self._bounds[1:].take(places)


class Presence:
    """Whether there is a tuple with given positions in some columns.

    Args as for `Index`.
    """

    __slots__ = ("_found", "_packing", "count")

    def __init__(self, keys: Sequence[np.ndarray], sizes: Sequence[int], count: int) -> None:
        self._packing = Packing(sizes)
        packed = self._packing.pack(keys, count)
        space = self._packing.space
        self.count = count
        self._found: KeySet | np.ndarray
        if space <= max(1 << 16, 8 * count):
            self._found = np.zeros(space, np.bool_)
            self._found[packed] = True
        else:
            self._found = KeySet(space, numbered=True)
            self._found.add(packed)

    @property
    def nbytes(self) -> int:
        return self._found.nbytes

    def find(self, keys: Sequence[np.ndarray], count: int) -> np.ndarray:
        """(count,) bool; positions are inside of the sizes."""
        packed = keys[0] if len(keys) == 1 else self._packing.pack(keys, count)
        if isinstance(self._found, KeySet):
            return self._found.contains(packed.astype(np.int64, copy=False))
        return self._found.take(packed)


def without_repeats(columns: Sequence[np.ndarray], sizes: Sequence[int], count: int) -> list[np.ndarray]:
    """Distinct tuples of `columns`, as they first came or in any other order."""
    if not columns:
        return []
    places = distinct(Packing(sizes).pack(columns, count))
    return list(columns) if len(places) == count else [column.take(places) for column in columns]
