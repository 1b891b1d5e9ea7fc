"""Symbols and their positions: columns of names as numbers, one table for each axis, each name looked at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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


Column: TypeAlias = np.ndarray | Coded  # positions (int64), or symbols


def coded(cells: Sequence[str]) -> Coded:
    """A list of symbols as a column."""
    numbers = {name: k for k, name in enumerate(dict.fromkeys(cells))}
    return Coded(np.fromiter(map(numbers.__getitem__, cells), np.int32, len(cells)), tuple(numbers))


class SymbolTable:
    """The symbols of one axis in position order. Looking one up takes the same time however many there are."""

    __slots__ = ("_numbers",)

    def __init__(self, names: Iterable[str] = ()) -> None:
        # A dict keeps the order.
        self._numbers: dict[str, int] = {}
        self.extend(names)

    def extend(self, names: Iterable[str]) -> None:
        """Add those of `names` that are new, at the end."""
        numbers = self._numbers
        if not numbers:
            numbers.update({name: k for k, name in enumerate(dict.fromkeys(names))})
            return
        for name in names:
            numbers.setdefault(name, len(numbers))

    def position(self, name: str) -> int | None:
        """The position of `name`; None where there is none."""
        return self._numbers.get(name)

    def positions(self, column: Coded) -> np.ndarray:
        """Of each row of `column` the position (int64), -1 where its name is unknown."""
        get = self._numbers.get
        found = np.fromiter((get(name, -1) for name in column.names), np.int64, len(column.names))
        return found[column.codes] if len(found) else np.empty(0, np.int64)

    @property
    def names(self) -> tuple[str, ...]:
        """The symbols in position order."""
        return tuple(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    def __contains__(self, name: object) -> bool:
        return name in self._numbers


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
