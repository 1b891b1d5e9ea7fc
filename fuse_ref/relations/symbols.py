"""Symbols and their positions: columns of names as numbers, one table for each axis, each name looked at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, repeat
from typing import Final, TypeAlias

import numpy as np

from fuse_ref.records import dataclass

__all__ = ["Appearance", "Coded", "Column", "Names", "SymbolTable", "coded", "in_order_of_appearance", "named_column"]

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
    # One look at each cell: the row in which its name stood first.
    rows: dict[str, int] = {}
    first = np.fromiter(map(rows.setdefault, cells, range(len(cells))), np.int64, len(cells))
    numbers = np.cumsum(first == np.arange(len(cells)), dtype=np.int32) - np.int32(1)
    return Coded(numbers[first], tuple(rows))


class Names(tuple[str, ...]):
    """Symbols in position order, as any tuple of them, and the table that they are in."""

    table: SymbolTable


class SymbolTable:
    """The symbols of one axis in position order. Looking one up takes the same time however many there are.

    Args:
        names: in position order; one that stands there twice counts once.
    """

    __slots__ = ("_base", "_looked_up", "_names", "_numbers")

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._base: SymbolTable | None = None  # what a child began with, never changed
        self._numbers = _numbered(names, 0)  # a dict keeps the order
        self._names: Names | None = None
        self._looked_up: list[tuple[Sequence[str], np.ndarray]] = []  # names of columns, with their positions

    @classmethod
    def of(cls, names: Iterable[str]) -> SymbolTable:
        """A table that begins with `names`. Where these come from a table, nothing is looked at again."""
        if isinstance(names, Names) and len(names.table) == len(names):
            return names.table.child()
        return cls(names)

    def child(self) -> SymbolTable:
        """A table that begins with these symbols and grows by itself. This one must not grow any more."""
        found = SymbolTable()
        found._base = self if self._base is None else self._base
        found._numbers = {} if self._base is None else dict(self._numbers)
        found._names = self._names
        return found

    def extend(self, names: Iterable[str]) -> None:
        """Add those of `names` that are new, at the end."""
        new = [name for name in names if name not in self] if len(self) else names
        added = _numbered(new, len(self))
        if added:
            self._numbers.update(added)
            self._names = None

    def learn(self, columns: Sequence[Coded], found: Appearance, new: bool) -> None:
        """Keep the positions of `found`, what appears in `columns`, for the next time these columns are looked up.

        Args:
            new: the table has nothing else.
        """
        if found.places is None:
            return
        positions = np.arange(len(found.names)) if new else self.positions_of(found.names)
        every = np.full(len(columns[0].names), -1, np.int64)
        every[found.places] = positions
        self._looked_up.append((columns[0].names, every))

    def position(self, name: str) -> int | None:
        """The position of `name`; None where there is none."""
        found = None if self._base is None else self._base.position(name)
        return self._numbers.get(name) if found is None else found

    def positions(self, column: Coded) -> np.ndarray:
        """Of each row of `column` the position (int64), -1 where its name is unknown."""
        for table in (self,) if self._base is None else (self, self._base):
            for names, every in table._looked_up:
                if names is column.names and len(every):
                    found = every[column.codes]
                    if int(found.min(initial=0)) >= 0:
                        return np.asarray(found)
        found = self.positions_of(column.names)
        return found[column.codes] if len(found) else np.empty(0, np.int64)

    def positions_of(self, names: Sequence[str]) -> np.ndarray:
        """The position (int64) of each of `names`, -1 where it is unknown."""
        first = self if self._base is None else self._base
        found = np.fromiter(map(first._numbers.get, names, repeat(-1)), np.int64, len(names))
        if first is not self and self._numbers:
            for place in np.flatnonzero(found < 0).tolist():
                found[place] = self._numbers.get(names[place], -1)
        return found

    @property
    def names(self) -> Names:
        """The symbols in position order; the same object as long as none is added."""
        if self._names is None:
            first = () if self._base is None else self._base.names
            self._names = Names((*first, *self._numbers)) if self._numbers or self._base is None else self._base.names
            self._names.table = self
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


def _numbered(names: Iterable[str], begin: int) -> dict[str, int]:
    distinct = dict.fromkeys(names)
    return dict(zip(distinct, range(begin, begin + len(distinct)), strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class Appearance:
    """Names in the order in which they appear."""

    names: list[str]
    places: np.ndarray | None  # where they stand among the names that all columns share; None where they share none


def in_order_of_appearance(columns: Sequence[Coded]) -> Appearance:
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
        return Appearance([], None)
    order = np.argsort(np.concatenate(firsts), kind="stable")
    every = list(chain.from_iterable(names))
    found = [every[place] for place in order.tolist()]
    if len(groups) > 1:
        return Appearance(list(dict.fromkeys(found)), None)
    return Appearance(found, present[order])


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
