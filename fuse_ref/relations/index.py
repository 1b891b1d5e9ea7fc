"""Indexes: from the positions in some columns of a relation to the tuples that have them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeAlias

import numpy as np

from fuse_ref.relations.keys import BATCH, KeySet, Packing, distinct

__all__ = ["Index", "Presence", "grouped", "sparse_is_loaded", "without_repeats"]

_Part: TypeAlias = tuple[Sequence[np.ndarray], np.ndarray]
_FLAGS: Final = 1 << 26  # as many flags are quicker than a hash table where one in 64 is set
_WORTH_LOADING: Final = 1 << 20
_SMALL: Final = 2048  # below it a comparison sort is quicker than a counting sort


def grouped(groups: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """`(order, bounds)`: the places of group g are `order[bounds[g]:bounds[g + 1]]`, as they came.

    Args:
        groups: (n,) numbers below `count`.
    """
    return _grouped(groups, count, np.arange(len(groups), dtype=_kind(max(len(groups), count))))


def _grouped(groups: np.ndarray, count: int, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The values group by group, and where groups begin."""
    n = len(groups)
    kind = _kind(max(n, count))
    if n < (_SMALL if sparse_is_loaded() else _WORTH_LOADING):
        bounds = np.zeros(count + 1, kind)
        np.cumsum(np.bincount(groups, minlength=count), out=bounds[1:])
        if n < _SMALL:
            return values.take(np.argsort(groups, kind="stable")), bounds
        # NumPy counts where numbers have 16 bits, three times as quick as it sorts longer ones: digit by digit.
        order = np.argsort(groups.astype(np.uint16), kind="stable")
        for shift in range(16, count.bit_length(), 16):
            digit = (groups >> shift).astype(np.uint16).take(order)
            order = order.take(np.argsort(digit, kind="stable"))
        return values.take(order), bounds
    from scipy import sparse

    # From rows to columns of a matrix is a counting sort.
    row = sparse.csr_array((values, groups.astype(kind, copy=False), np.array([0, n], kind)), shape=(1, count))
    turned = row.tocsc()
    return turned.data, turned.indptr


def _ones(count: int) -> np.ndarray:
    """Truth values for a matrix: one buffer for all, which seldom gets longer."""
    ones = _KEPT[0]
    if len(ones) < count:
        ones = np.ones(1 << count.bit_length(), np.bool_)
        ones.flags.writeable = False
        _KEPT[0] = ones
    return ones[:count]


_KEPT: Final = [np.ones(0, np.bool_)]


def sparse_is_loaded() -> bool:
    """Whether SciPy's sparse arrays are there already: to import them takes longer than to sort 10**6 numbers."""
    return "scipy.sparse" in sys.modules


def _kind(most: int) -> np.dtype:
    return np.dtype(np.int32 if most < 1 << 31 else np.int64)


def _most_groups(count: int) -> int:
    """Groups that may be empty for the most part in an index of `count` tuples."""
    return max(1 << 12, 8 * count)


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

    __slots__ = ("_bounds", "_matrix", "_numbers", "_packing", "count", "most", "payload")

    def __init__(
        self, keys: Sequence[np.ndarray], sizes: Sequence[int], payload: Sequence[np.ndarray], count: int
    ) -> None:
        self.count = count
        self._packing = Packing(sizes)
        self._numbers: KeySet | None = None
        self._matrix: Any = None
        self.payload: tuple[np.ndarray, ...]
        kind = _kind(count)
        if not keys:
            self.payload = tuple(payload)
            self._finish(np.array([0, count], kind))
            return
        # One column is its own key.
        packed = keys[0] if len(keys) == 1 else self._packing.pack(keys, count)
        space = self._packing.space
        if space > _most_groups(count):
            packed = packed.astype(np.int64, copy=False)
            self._numbers = KeySet(space, numbered=True, low=self._packing.low)
            self._numbers.add(packed)
            packed = self._numbers.find(packed)
            space = self._numbers.count
        if bool((packed[1:] >= packed[:-1]).all()):
            if space > count > 0:
                # Most groups are empty: each begins where the next one that is not does.
                heads = np.flatnonzero(np.concatenate(([True], packed[1:] != packed[:-1])))
                gaps: np.ndarray = np.diff(packed.take(heads).astype(np.int64), prepend=-1, append=space)
                bounds = np.repeat(np.append(heads, count).astype(kind), gaps)
            else:
                bounds = np.zeros(space + 1, kind)
                np.cumsum(np.bincount(packed, minlength=space), out=bounds[1:])
            self.payload = tuple(payload)
        elif len(payload) == 1:
            (column, bounds) = _grouped(packed, space, payload[0])
            self.payload = (column,)
        else:
            order, bounds = grouped(packed, space)
            self.payload = tuple(column.take(order) for column in payload)
        self._finish(bounds)

    @classmethod
    def of_parts(cls, parts: Callable[[], Iterator[_Part]], sizes: Sequence[int], count: int) -> Index | None:
        """The same from parts of the tuples, with little memory beside the index; None where it must see all at once.

        Args:
            parts: gives the key columns and the one column of payload of each part, each time it is called.
        """
        found = cls.__new__(cls)
        found.count = count
        found._packing = Packing(sizes)
        found._numbers = found._matrix = None
        space = found._packing.space
        if not sizes or space > 8 * count:
            return None
        bounds = np.zeros(space + 1, _kind(count))
        payload: np.ndarray | None = None
        for keys, _ in parts():
            bounds[1:] += np.bincount(found._packing.pack(keys, len(keys[0])), minlength=space)
        np.cumsum(bounds, out=bounds)
        ahead = bounds[:-1].copy()  # where the next tuple of each group goes
        for keys, values in parts():
            line, starts = _grouped(found._packing.pack(keys, len(keys[0])), space, values)
            counts = starts[1:] - starts[:-1]
            if payload is None:
                payload = np.empty(count, values.dtype)
            payload[np.arange(len(line)) + np.repeat(ahead - starts[:-1], counts)] = line
            ahead += counts
        assert payload is not None
        found.payload = (payload,)
        found._finish(bounds)
        return found

    @classmethod
    def merged(cls, indexes: Sequence[Index]) -> Index | None:
        """One index of the tuples of several, which have the same columns; None where it must see the tuples.

        Nothing is sorted: where groups begin tells where the tuples of each index go.
        """
        packing = indexes[0]._packing
        count = sum(index.count for index in indexes)
        if not packing.plain or not packing.shape or packing.space > _most_groups(count):
            return None
        found = cls.__new__(cls)
        found.count = count
        found._packing = packing
        found._numbers = found._matrix = None
        bounds = np.zeros(packing.space + 1, _kind(max(count, packing.space)))
        for index in indexes:
            if index._numbers is None:
                bounds[1:] += index._sizes()
            else:
                bounds[1:][index._numbers.keys] += index._sizes()
        np.cumsum(bounds, out=bounds)
        ahead = bounds[:-1].copy()  # where the next tuple of each group goes
        found.payload = tuple(np.empty(count, column.dtype) for column in indexes[0].payload)
        for index in indexes:
            index._give(found.payload, ahead)
        found._finish(bounds)
        return found

    def _sizes(self) -> np.ndarray:
        """(groups,) how many tuples each group has."""
        sizes: np.ndarray = np.diff(self._bounds[:-1])
        return sizes

    def _give(self, payload: Sequence[np.ndarray], ahead: np.ndarray) -> None:
        """Writes the tuples into `payload`, those of a group from `ahead` on, and moves `ahead` behind them."""
        sizes = self._sizes()
        keys = slice(None) if self._numbers is None else self._numbers.keys
        offsets = ahead[keys] - self._bounds[:-2]
        ahead[keys] += sizes
        first = 0
        while first < len(sizes):
            # Groups whose tuples stay in the cache together.
            low = int(self._bounds[first])
            last = max(int(np.searchsorted(self._bounds[:-1], low + BATCH, "right")) - 1, first + 1)
            high = int(self._bounds[last])
            places = np.arange(low, high)
            places += np.repeat(offsets[first:last], sizes[first:last])
            for column, values in zip(payload, self.payload, strict=True):
                column[places] = values[low:high]
            first = last

    def _finish(self, bounds: np.ndarray) -> None:
        self.most = int((bounds[1:] - bounds[:-1]).max(initial=0))  # tuples of one group
        # One empty group more, for keys that are not there.
        self._bounds = np.append(bounds, bounds[-1:])

    @property
    def nbytes(self) -> int:
        numbers = 0 if self._numbers is None else self._numbers.nbytes
        return self._bounds.nbytes + numbers + sum(column.nbytes for column in self.payload)

    def places(self, keys: Sequence[np.ndarray], count: int) -> np.ndarray:
        """The group of each key, an empty one where it is not there; positions are inside of the sizes."""
        if not len(self._packing.shape):
            return np.zeros(count, np.int64)
        if self._numbers is None:
            # One column without a copy.
            places: np.ndarray = keys[0] if len(keys) == 1 else self._packing.pack(keys, count)
            return places
        places = self._numbers.find(self._packing.pack(keys, count))
        places[places < 0] = len(self._bounds) - 2
        return places

    def bounds(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`(starts, ends)` of groups in the payload."""
        return self._bounds.take(places), self._bounds[1:].take(places)

    def counts(self, places: np.ndarray) -> np.ndarray:
        """The tuples of groups."""
        starts, ends = self.bounds(places)
        counts: np.ndarray = ends - starts
        return counts

    def matrix(self, size: int) -> Any:
        """A SciPy CSR array: which group has which position in its one column of payload, of an axis of `size`."""
        if self._matrix is None:
            from scipy import sparse

            (column,) = self.payload
            self._matrix = sparse.csr_array(
                (_ones(self.count), column.astype(self._bounds.dtype, copy=False), self._bounds),
                shape=(len(self._bounds) - 1, size),
            )
        return self._matrix


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
        if space <= min(max(1 << 16, 64 * count), _FLAGS):
            self._found = np.zeros(space, np.bool_)
            self._found[packed] = True
        else:
            self._found = KeySet(space, numbered=True, low=self._packing.low)
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
