"""Tables of facts, as `.csv`, `.tsv`, `.json`, `.jsonl`, `.parquet` and `.txt` files give them to relations."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

__all__ = ["WHOLE", "Cell", "Column", "LineProblem", "Table", "columns_of", "named_columns"]

Cell: TypeAlias = str | int
Column: TypeAlias = tuple[str, ...] | tuple[int, ...]  # symbols, or positions

WHOLE: Final = re.compile(r"[+-]?[0-9]+\Z")


class LineProblem(ValueError):
    """Something wrong in one line of a file."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(problem)
        self.line = line  # counted from 1
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Table:
    """Facts by column. Positions count from 0; duplicate rows count once when they become a relation."""

    columns: tuple[Column, ...]
    lines: tuple[int, ...]  # of each row, for messages

    def __len__(self) -> int:
        return len(self.lines)


def columns_of(rows: Sequence[Sequence[Cell]], width: int) -> tuple[Column, ...]:
    """The columns of rows of `width`: whole numbers throughout are positions, all else symbols."""
    return tuple(_column([row[k] for row in rows]) for k in range(width))


def _column(cells: list[Cell]) -> Column:
    if all(isinstance(cell, int) or WHOLE.match(cell) for cell in cells):
        return tuple(int(cell) for cell in cells)
    return tuple(str(cell) for cell in cells)


def named_columns(names: Sequence[str], letters: Sequence[str]) -> tuple[int, ...] | None:
    """Where the columns called by `letters` are, in the letters' order; None when they are not all there, once each."""
    if len(set(names)) != len(names) or not set(letters) <= set(names) or len(set(letters)) != len(letters):
        return None
    return tuple(names.index(letter) for letter in letters)
