"""`.csv` and `.tsv`: facts for a relation, a table of numbers for a numeric tensor."""

from __future__ import annotations

import csv
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from fuse_ref.files.facts import FactReader
from fuse_ref.files.plain import read_plain
from fuse_ref.files.scan import Irregular
from fuse_ref.files.table import WHOLE, LineProblem, Table, named_columns, table_of
from fuse_ref.files.tokens import Collision

__all__ = ["DELIMITERS", "read_facts", "read_line_by_line", "read_numbers"]

DELIMITERS: Final = {".csv": ",", ".tsv": "\t"}

_NUMBER: Final = re.compile(
    r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\Z|[+-]?(inf|infinity|nan)\Z", re.IGNORECASE
)
_log = logging.getLogger("fuse.files")

_Row = tuple[int, list[str]]  # the line that it begins in, its cells without blanks around them


def read_facts(path: Path, letters: Sequence[str]) -> Table:
    """The rows of a file as facts.

    The first line is a heading, and no fact, when its cells are the letters of the left-hand side (then
    they also say which column is which), or when a column holds whole numbers in all lines but the first.
    The file is read in blocks of some megabytes by array operations; only where it uses quotes in a way of its own
    (inside a cell, say) the csv module reads it line by line.

    Args:
        letters: the indices of the relation, as its left-hand side names them.

    Raises:
        LineProblem: a line of another width, an empty cell, or quotes that do not match.
        UnicodeDecodeError: no UTF-8 text.
    """
    delimiter = DELIMITERS[path.suffix.lower()]
    plain = read_plain(path, delimiter)
    if plain is not None:
        return plain
    try:
        found = FactReader(path, delimiter, letters).read()
    except (Irregular, Collision):
        return read_line_by_line(path, letters)
    if found.heading:
        _log_heading(path, found.heading)
    return found.table


def read_line_by_line(path: Path, letters: Sequence[str]) -> Table:
    """`read_facts`, by the csv module."""
    rows = _rows(path)
    places = None
    if rows and (places := named_columns(rows[0][1], letters)) is not None:
        rows = rows[1:]
    elif len(rows) > 1 and _is_heading(rows, WHOLE):
        _log_heading(path, rows[0][1])
        rows = rows[1:]
    cells = [row if places is None else [row[k] for k in places] for _, row in rows]
    width = len(letters) if not rows or places is not None else len(rows[0][1])
    for (line, _), row in zip(rows, cells, strict=True):
        if "" in row:
            raise LineProblem(line, f"column {row.index('') + 1} is empty")
    return table_of(cells, width, tuple(line for line, _ in rows))


def _log_heading(path: Path, cells: Sequence[str]) -> None:
    _log.info("%s: line 1 is taken for a heading: %s", path.name, ", ".join(cells))


def read_numbers(path: Path) -> np.ndarray:
    """The numbers of a file: (lines, columns), int64 when all are whole, else float64. A first line of words is a heading.

    Raises:
        LineProblem: a line of another width, or a cell that is no number.
        UnicodeDecodeError: no UTF-8 text.
    """
    rows = _rows(path)
    if rows and not any(_NUMBER.match(cell) for cell in rows[0][1]):
        _log_heading(path, rows[0][1])
        rows = rows[1:]
    whole = True
    for line, row in rows:
        for k, cell in enumerate(row):
            if not _NUMBER.match(cell):
                raise LineProblem(line, f"column {k + 1} is no number: {cell!r}")
            whole = whole and WHOLE.match(cell) is not None
    width = len(rows[0][1]) if rows else 0
    if whole and rows:
        values = [[int(cell) for cell in row] for _, row in rows]
        if all(-(2**63) <= value < 2**63 for row in values for value in row):
            return np.array(values, np.int64).reshape(len(rows), width)
    return np.array([[float(cell) for cell in row] for _, row in rows], np.float64).reshape(len(rows), width)


def _is_heading(rows: Sequence[_Row], kind: re.Pattern[str]) -> bool:
    """Whether some column is of `kind` in all lines but the first."""
    first = rows[0][1]
    return any(not kind.match(first[k]) and all(kind.match(row[k]) for _, row in rows[1:]) for k in range(len(first)))


def _rows(path: Path) -> list[_Row]:
    """Every line that is not empty; all have as many cells as the first."""
    rows: list[_Row] = []
    # A byte order mark, as spreadsheets write it, belongs to no cell.
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=DELIMITERS[path.suffix.lower()], strict=True)
        while True:
            line = reader.line_num + 1
            try:
                row = next(reader)
            except StopIteration:
                return rows
            except csv.Error as error:
                raise LineProblem(line, str(error)) from error
            if not row or (len(row) == 1 and not row[0].strip()):
                continue
            if rows and len(row) != len(rows[0][1]):
                first_line, first = rows[0]
                raise LineProblem(line, f"it has {len(row)} cells, and line {first_line} has {len(first)}")
            rows.append((line, [cell.strip() for cell in row]))
