"""Facts of delimited text as columns: whole numbers or numbered symbols, block by block."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from fuse_ref.files.scan import Block, blocks
from fuse_ref.files.table import WHOLE, Column, LineProblem, Lines, Table, column_of, named_columns
from fuse_ref.files.tokens import TokenTable, whole_numbers
from fuse_ref.records import dataclass
from fuse_ref.relations.symbols import Coded

__all__ = ["FactReader", "FoundFacts"]

_BLANK: Final = -1  # the code of a cell that only Unicode calls blank


@dataclass(frozen=True, slots=True)
class FoundFacts:
    table: Table
    heading: list[str]  # the first line, where its cells are words above numbers; else []


class _Again(Exception):
    """A column that began with whole numbers goes on with something else: it holds symbols from its first row on."""


class FactReader:
    """Reads one file. Columns are taken for whole numbers until a cell is none."""

    def __init__(self, path: Path, delimiter: str, letters: Sequence[str]) -> None:
        self._path = path
        self._delimiter = delimiter
        self._letters = letters
        self._symbolic: set[int] = set()  # columns that hold symbols

    def read(self) -> FoundFacts:
        """The facts of the file; `fuse_ref.files.delimited.read_facts` says which line is a heading.

        Raises:
            LineProblem: a line of another width, an empty cell, a whole number beyond 64 bits.
            Irregular, Collision: another reader must be asked.
        """
        while True:
            try:
                return self._pass()
            except _Again:
                pass

    def _pass(self) -> FoundFacts:
        first: list[str] | None = None  # the cells of the first row, unless they are the letters
        first_line = 0
        places: tuple[int, ...] | None = None
        self._tokens = TokenTable()
        self._parts: list[list[np.ndarray]] = []
        lines: list[Lines] = []
        for block in blocks(self._path, self._delimiter):
            begin = 0
            if not self._parts:
                cells, begin = block.cells(0), 1
                named = named_columns(cells, self._letters)
                if named is None:
                    first, first_line = cells, int(block.lines[0])
                places = tuple(range(len(cells))) if named is None else named
                self._parts = [[] for _ in places]
            assert places is not None
            if len(block.starts) > begin:
                self._add(block, begin, places)
                lines.append(_compact(block.lines[begin:]))
        if places is None:
            return FoundFacts(Table(tuple(np.empty(0, np.int64) for _ in self._letters), ()), [])
        return self._finish(first, first_line, lines)

    def _add(self, block: Block, begin: int, places: Sequence[int]) -> None:
        """The rows of a block, column by column."""
        columns = [(block.starts[begin:, place].copy(), block.ends[begin:, place].copy()) for place in places]
        empty = [np.flatnonzero(starts == ends)[:1] for starts, ends in columns]
        rows = [int(row[0]) for row in empty if row.size]
        if rows:
            row = min(rows)
            number = next(k for k, found in enumerate(empty) if found.size and found[0] == row)
            raise LineProblem(int(block.lines[begin + row]), f"column {number + 1} is empty")
        for k, (starts, ends) in enumerate(columns):
            if k not in self._symbolic:
                values = whole_numbers(block.buffer, starts, ends)
                if values is not None:
                    self._parts[k].append(values)
                    continue
                self._symbolic.add(k)
                if self._parts[k]:
                    raise _Again
            self._parts[k].append(self._tokens.numbers(block.buffer, starts, ends))

    def _finish(self, first: list[str] | None, first_line: int, parts: Sequence[Lines]) -> FoundFacts:
        """The columns in one piece, the first row above them unless it is a heading."""
        lines = _joined(parts)
        if not len(lines):
            return self._at_most_one(first, first_line)
        heading = first or []
        if first and any(k not in self._symbolic and not WHOLE.match(cell) for k, cell in enumerate(first)):
            first = None
        names, renumbered = _cleaned(self._tokens.names(), [first[k] for k in self._symbolic] if first else ())
        columns: list[Column] = []
        dropped = np.zeros(len(lines), np.bool_)
        for k in range(len(self._parts)):
            pieces, self._parts[k] = self._parts[k], []  # the parts go when the column is made
            if k not in self._symbolic:
                above = [] if first is None else [column_of([first[k]], [first_line], k)]
                columns.append(np.concatenate([*above, *pieces]))
                continue
            if renumbered is not None:
                pieces = [renumbered[piece] for piece in pieces]
                dropped |= np.concatenate(pieces) == _BLANK
            above = [] if first is None else [np.array([names.index(first[k])], np.int32)]
            columns.append(Coded(np.concatenate([*above, *pieces]), names))
        if dropped.any():
            if len(columns) > 1:
                self._raise_empty(columns, lines, 0 if first is None else 1)
            # A line of one blank cell is an empty line.
            lines = np.asarray(lines)[~dropped]
            if not len(lines):
                return self._at_most_one(first, first_line)
            rows = np.concatenate([np.ones(int(first is not None), np.bool_), ~dropped])
            columns = [_picked(column, rows) for column in columns]
        if first is None:
            columns = [_numbers_after_all(column, lines, k) for k, column in enumerate(columns)]
            return FoundFacts(Table(tuple(columns), lines), heading)
        below = [_numbers_after_all(_picked(column, slice(1, None)), lines, k) for k, column in enumerate(columns)]
        changed = [
            k for k, column in enumerate(columns) if isinstance(column, Coded) and not isinstance(below[k], Coded)
        ]
        if any(not WHOLE.match(first[k]) for k in changed):
            return FoundFacts(Table(tuple(below), lines), heading)
        if "" in first:
            raise LineProblem(first_line, f"column {first.index('') + 1} is empty")
        for k in changed:
            columns[k] = np.concatenate([column_of([first[k]], [first_line], k), below[k]])
        return FoundFacts(Table(tuple(columns), _joined([range(first_line, first_line + 1), lines])), [])

    def _at_most_one(self, first: list[str] | None, line: int) -> FoundFacts:
        """The first row alone, or nothing."""
        if first is None:
            return FoundFacts(Table(tuple(np.empty(0, np.int64) for _ in self._parts), ()), [])
        if "" in first:
            raise LineProblem(line, f"column {first.index('') + 1} is empty")
        return FoundFacts(Table(tuple(column_of([cell], (line,), k) for k, cell in enumerate(first)), (line,)), [])

    @staticmethod
    def _raise_empty(columns: Sequence[Column], lines: Lines, begin: int) -> None:
        codes = [column.codes if isinstance(column, Coded) else np.zeros(len(column)) for column in columns]
        blank = np.stack(codes)[:, begin:] == _BLANK
        row = int(np.flatnonzero(blank.any(axis=0))[0])
        raise LineProblem(int(lines[row]), f"column {int(np.flatnonzero(blank[:, row])[0]) + 1} is empty")


def _cleaned(names: list[str], more: Sequence[str]) -> tuple[tuple[str, ...], np.ndarray | None]:
    """Names with `more`, without doubled quotes and without blanks beyond ASCII around them.

    Also the new number of each old one, None when all stay.
    """
    text = "".join(names)
    if text.isascii() and '"' not in text:
        return (*names, *(name for name in dict.fromkeys(more) if name not in names)), None
    clean = [name.replace('""', '"').strip() for name in names]
    distinct = dict.fromkeys(clean)
    distinct.pop("", None)
    numbers = {name: k for k, name in enumerate(distinct)} | {"": _BLANK}
    changed = len(distinct) < len(clean)
    found = np.fromiter(map(numbers.__getitem__, clean), np.int32, len(clean)) if changed else None
    return tuple(dict.fromkeys((*distinct, *more))), found


def _picked(column: Column, rows: np.ndarray | slice) -> Column:
    return Coded(column.codes[rows], column.names) if isinstance(column, Coded) else column[rows]


def _numbers_after_all(column: Column, lines: Lines, number: int) -> Column:
    """Symbols that are whole numbers throughout, of a form that is not read fast: with many digits or Unicode's blanks."""
    if not isinstance(column, Coded):
        return column
    if len(column) and not WHOLE.match(column.cell(0)):
        return column  # as nearly always
    used = np.zeros(len(column.names), np.bool_)
    used[column.codes] = True
    chosen = np.flatnonzero(used).tolist()
    if not all(WHOLE.match(column.names[place]) for place in chosen):
        return column
    rows = np.full(len(column.names), len(column), np.int64)
    rows[column.codes[::-1]] = np.arange(len(column) - 1, -1, -1)
    chosen.sort(key=lambda place: int(rows[place]))
    values = np.zeros(len(column.names), np.int64)
    where = [int(lines[row]) for row in rows[chosen].tolist()]
    numbers = column_of([column.names[place] for place in chosen], where, number)
    assert isinstance(numbers, np.ndarray)
    values[chosen] = numbers
    return np.asarray(values[column.codes])


def _compact(lines: np.ndarray) -> Lines:
    """Line numbers; a range where none is left out, which takes no memory."""
    first, last = int(lines[0]), int(lines[-1])
    return range(first, last + 1) if last - first + 1 == len(lines) else lines


def _joined(parts: Sequence[Lines]) -> Lines:
    parts = [part for part in parts if len(part)]
    if not parts:
        return ()
    first, last = int(parts[0][0]), int(parts[-1][-1])
    if last - first + 1 == sum(map(len, parts)):
        return range(first, last + 1)
    return np.concatenate([np.arange(p.start, p.stop) if isinstance(p, range) else p for p in parts])
