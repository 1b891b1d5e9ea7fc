"""The tuples of a relation: distinct positions, stored column by column."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

import numpy as np

__all__ = ["Tuples", "position_type"]

Made = TypeVar("Made")


def position_type(size: int) -> np.dtype:
    """The integers that hold the positions of an axis of `size`."""
    return np.dtype(np.int32 if size <= np.iinfo(np.int32).max else np.int64)


class Tuples:
    """A set of tuples of positions.

    Args:
        columns: one array per argument, all as long as there are tuples; distinct as tuples.
        shape: the number of positions of each axis; every position of `columns[k]` is below `shape[k]`.
        count: of a relation without arguments: 1 where it holds, else 0.
        ordered: whether the tuples are in lexicographic order.

    Columns are read-only, of `position_type(shape[k])`.
    """

    __slots__ = ("_columns", "_count", "_kept", "_ordered", "shape")

    def __init__(
        self, columns: Sequence[np.ndarray], shape: Sequence[int], *, count: int | None = None, ordered: bool = False
    ) -> None:
        self.shape = tuple(shape)
        self._columns = tuple(
            np.ascontiguousarray(column, position_type(size)) for column, size in zip(columns, shape, strict=True)
        )
        for column in self._columns:
            column.flags.writeable = False
        self._count = len(self._columns[0]) if self._columns else int(bool(count))
        self._ordered = ordered or self._count < 2
        self._kept: dict[Hashable, object] = {}

    @classmethod
    def empty(cls, shape: Sequence[int]) -> Tuples:
        """No tuples."""
        return cls([np.empty(0, np.int32) for _ in shape], shape, ordered=True)

    @classmethod
    def of(cls, columns: Sequence[np.ndarray], shape: Sequence[int], *, count: int | None = None) -> Tuples:
        """Tuples of which some may stand twice."""
        if not columns:
            return cls((), (), count=count)
        first, *others = _sorted(columns, shape)
        different = np.zeros(len(first), np.bool_)
        different[:1] = True
        for column in (first, *others):
            different[1:] |= column[1:] != column[:-1]
        if different.all():
            return cls((first, *others), shape, ordered=True)
        return cls([column[different] for column in (first, *others)], shape, ordered=True)

    @classmethod
    def from_dense(cls, array: np.ndarray) -> Tuples:
        """Where `array` is true, or greater than 0."""
        truth = array if array.dtype == np.bool_ else array > 0
        columns = np.nonzero(truth) if truth.ndim else ()
        return cls(columns, truth.shape, count=int(truth.any()), ordered=True)

    @property
    def columns(self) -> tuple[np.ndarray, ...]:
        return self._columns

    @property
    def arity(self) -> int:
        return len(self.shape)

    @property
    def ordered(self) -> bool:
        """Whether the tuples are known to be in lexicographic order."""
        return self._ordered

    def kept(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """What `make` makes of the tuples, made once for each key: an index, a matrix."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]  # type: ignore[return-value]

    def sorted(self) -> Tuples:
        """The same tuples in lexicographic order."""
        if self._ordered:
            return self
        return Tuples(_sorted(self._columns, self.shape), self.shape, ordered=True)

    def with_shape(self, shape: Sequence[int]) -> Tuples:
        """The same tuples on longer axes."""
        return (
            self if tuple(shape) == self.shape else Tuples(self._columns, shape, count=len(self), ordered=self._ordered)
        )

    def dense(self) -> np.ndarray:
        """Truth values, one dimension per argument."""
        array = np.zeros(self.shape, np.bool_)
        if len(self):
            array[self._columns] = True
        return array

    @property
    def positions(self) -> np.ndarray:
        """(count, arity) int64, in lexicographic order."""
        found = np.empty((len(self), self.arity), np.int64)
        for k, column in enumerate(self.sorted().columns):
            found[:, k] = column
        return found

    @property
    def nbytes(self) -> int:
        return sum(column.nbytes for column in self._columns)

    def __len__(self) -> int:
        return self._count

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tuples):
            return NotImplemented
        return (
            self.arity == other.arity
            and len(self) == len(other)
            and all(map(np.array_equal, self.sorted().columns, other.sorted().columns))
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Tuples({len(self)} of {' × '.join(map(str, self.shape)) or '1'})"


def _sorted(columns: Sequence[np.ndarray], shape: Sequence[int]) -> list[np.ndarray]:
    """The columns in lexicographic order; as one whole number each where these fit in 63 bits, since those sort faster."""
    if len(columns) == 1:
        return [np.sort(columns[0])]
    space = math.prod(shape)
    if space < 2**63:
        # Short numbers sort faster, and unsigned ones are divided faster.
        kind: Any = np.uint32 if space < 2**32 else np.uint64
        keys: np.ndarray = columns[0].astype(kind)
        for column, size in zip(columns[1:], shape[1:], strict=True):
            keys *= kind(size)
            keys += column.astype(kind)
        keys.sort()
        found: list[np.ndarray] = []
        for size in reversed(shape[1:]):
            rest: np.ndarray = keys // kind(max(size, 1))
            keys -= rest * kind(size)
            found.append(keys.astype(position_type(size)))
            keys = rest
        return [keys.astype(position_type(shape[0])), *reversed(found)]
    order = np.lexsort(tuple(reversed(columns)))
    return [column[order] for column in columns]
