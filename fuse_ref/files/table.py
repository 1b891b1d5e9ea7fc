"""Tables of facts, as `.csv`, `.tsv`, `.json`, `.jsonl`, `.parquet` and `.txt` files give them to relations."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np

from fuse_ref.records import dataclass
from fuse_ref.relations.symbols import Column, coded

__all__ = ["WHOLE", "Cell", "Column", "LineProblem", "Lines", "Table", "column_of", "named_columns", "table_of"]

Cell: TypeAlias = str | int
Lines: TypeAlias = Sequence[int] | np.ndarray

WHOLE: Final = re.compile(r"[+-]?[0-9]+\Z")


class LineProblem(ValueError):
    """Something wrong in one line of a file."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(problem)
        self.line = line  # counted from 1
        self.problem = problem


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Facts by column. Positions count from 0; duplicate rows count once when they become a relation."""

    columns: tuple[Column, ...]  # positions (int64), or symbols
    lines: Lines  # of each row, for messages

    def __len__(self) -> int:
        return len(self.lines)

    def without_positions(self) -> Table:
        """The same with empty columns for those of positions: symbols are all that is asked for once tuples are made."""
        none = np.empty(0, np.int64)
        return Table(tuple(none if isinstance(column, np.ndarray) else column for column in self.columns), self.lines)


def table_of(rows: Sequence[Sequence[Cell]], width: int, lines: Lines) -> Table:
    """Rows of `width` by column: whole numbers throughout are positions, all else symbols.

    Raises:
        LineProblem: a whole number beyond 64 bits.
    """
    return Table(tuple(column_of([row[k] for row in rows], lines, k) for k in range(width)), lines)


def column_of(cells: Sequence[Cell], lines: Lines, number: int) -> Column:
    """One column of `table_of`."""
    if not all(isinstance(cell, int) or WHOLE.match(cell) for cell in cells):
        return coded(list(map(str, cells)))
    values = list(map(int, cells))
    try:
        return np.array(values, np.int64)
    except OverflowError as error:
        row = next(row for row, value in enumerate(values) if not -(2**63) <= value < 2**63)
        raise LineProblem(int(lines[row]), f"column {number + 1}: {values[row]} is beyond 64 bits") from error


def named_columns(names: Sequence[str], letters: Sequence[str]) -> tuple[int, ...] | None:
    """Where the columns called by `letters` are, in the letters' order; None when they are not all there, once each."""
    if len(set(names)) != len(names) or not set(letters) <= set(names) or len(set(letters)) != len(letters):
        return None
    return tuple(names.index(letter) for letter in letters)
