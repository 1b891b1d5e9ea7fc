"""Symbols and their positions: columns of names as numbers, one table for each axis, each name looked at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final, TypeAlias

import numpy as np

__all__ = ["Coded", "Column", "SymbolTable", "coded", "in_order_of_appearance", "named_column"]

_NEVER: Final = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True, eq=False)
class Coded:
    """A column of symbols.

    Args:
        codes: for each row which of `names` it has, whole numbers.
        names: distinct; some may stand in no row. Columns of one table often share them.
    """

    codes: np.ndarray
    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.codes)

    def cell(self, row: int) -> str:
        return self.names[int(self.codes[row])]

    def cells(self) -> list[str]:
        names = self.names
        return [names[code] for code in self.codes.tolist()]


Column: TypeAlias = np.ndarray | Coded  # positions (int64), or symbols


def coded(cells: Sequence[str]) -> Coded:
    """A list of symbols as a column."""
    numbers = {name: k for k, name in enumerate(dict.fromkeys(cells))}
    return Coded(np.fromiter(map(numbers.__getitem__, cells), np.int32, len(cells)), tuple(numbers))


class SymbolTable:
    """The symbols of one axis in position order. Looking one up takes the same time however many there are.

    Args:
        names: in position order; one that stands there twice counts once.
    """

    __slots__ = ("_base", "_names", "_numbers")

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._base: SymbolTable | None = None  # what a child began with, never changed
        # A dict keeps the order.
        self._numbers: dict[str, int] = {name: k for k, name in enumerate(dict.fromkeys(names))}
        self._names: tuple[str, ...] | None = None

    def child(self) -> SymbolTable:
        """A table that begins with these symbols and grows by itself. This one must not grow any more."""
        found = SymbolTable()
        found._base = self if self._base is None else self._base
        found._numbers = {} if self._base is None else dict(self._numbers)
        return found

    def extend(self, names: Iterable[str]) -> None:
        """Add those of `names` that are new, at the end."""
        self._names = None
        begin = 0 if self._base is None else len(self._base)
        for name in names:
            if self._base is None or name not in self._base:
                self._numbers.setdefault(name, begin + len(self._numbers))

    def position(self, name: str) -> int | None:
        """The position of `name`; None where there is none."""
        found = None if self._base is None else self._base.position(name)
        return self._numbers.get(name) if found is None else found

    def positions(self, column: Coded) -> np.ndarray:
        """Of each row of `column` the position (int64), -1 where its name is unknown."""
        found = self.positions_of(column.names)
        return found[column.codes] if len(found) else np.empty(0, np.int64)

    def positions_of(self, names: Sequence[str]) -> np.ndarray:
        """The position (int64) of each of `names`, -1 where it is unknown."""
        first = self if self._base is None else self._base
        get = first._numbers.get
        found = np.fromiter((get(name, -1) for name in names), np.int64, len(names))
        if first is not self and self._numbers:
            for place in np.flatnonzero(found < 0).tolist():
                found[place] = self._numbers.get(names[place], -1)
        return found

    @property
    def names(self) -> tuple[str, ...]:
        """The symbols in position order; the same object as long as none is added."""
        if self._names is None:
            first = () if self._base is None else self._base.names
            self._names = (*first, *self._numbers) if self._numbers else first
        return self._names

    def __len__(self) -> int:
        return len(self._numbers) + (0 if self._base is None else len(self._base))

    def __contains__(self, name: object) -> bool:
        return name in self._numbers or (self._base is not None and name in self._base)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def index(self, name: str) -> int:
        """The position of a symbol that there is."""
        found = self.position(name)
        if found is None:
            raise ValueError(name)
        return found


def in_order_of_appearance(columns: Sequence[Coded]) -> list[str]:
    """The names that stand in `columns`, which are equally long: row by row, in each row column by column."""
    groups: dict[int, list[int]] = {}  # by the identity of their names
    for k, column in enumerate(columns):
        groups.setdefault(id(column.names), []).append(k)
    firsts: list[np.ndarray] = []
    names: list[list[str]] = []
    for places in groups.values():
        known = columns[places[0]].names
        first = np.full(len(known), _NEVER, np.int64)
        for k in places:
            codes = columns[k].codes
            mine = np.full(len(known), _NEVER, np.int64)
            # Of several values for one place NumPy keeps the last: from the end on, that is the first row.
            mine[codes[::-1]] = np.arange(len(codes) - 1, -1, -1, dtype=np.int64) * len(columns) + k
            np.minimum(first, mine, out=first)
        present = np.flatnonzero(first != _NEVER)
        firsts.append(first[present])
        names.append([known[place] for place in present.tolist()])
    if not firsts:
        return []
    order = np.argsort(np.concatenate(firsts), kind="stable").tolist()
    every = list(chain.from_iterable(names))
    return list(dict.fromkeys(every[place] for place in order))


def named_column(positions: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Of each position its name, an array of objects; positions beyond the names stay numbers."""
    if 8 * len(positions) < len(names):
        # Few rows and a large table, which is not worth being copied.
        count = len(names)
        return _objects([names[k] if k < count else k for k in positions.tolist()])
    table = _objects(names)
    if int(positions.max(initial=-1)) < len(table):
        return np.asarray(table[positions])
    found = positions.astype(object)
    known = positions < len(table)
    found[known] = table[positions[known]]
    return found


def _objects(items: Sequence[object]) -> np.ndarray:
    found = np.empty(len(items), object)
    found[:] = items
    return found
