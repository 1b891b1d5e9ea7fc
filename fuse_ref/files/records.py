"""`.json`, `.jsonl` and `.parquet`: arrays as nested lists, facts as lists or as records with fields."""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fuse_ref.files.arrow import arrow_column
from fuse_ref.files.table import WHOLE, Cell, Column, LineProblem, Lines, Table, column_of, named_columns, table_of
from fuse_ref.relations.symbols import Coded

__all__ = ["facts_of", "numbers_of", "read_json", "read_lines", "read_parquet", "rows_of"]


def read_json(path: Path, key: str | None) -> object:
    """The value of a .json file, or of its field `key`.

    Raises:
        ValueError: no JSON, or no such field.
    """
    value = _parsed(path.read_text(encoding="utf-8-sig"))
    return value if key is None else _field(value, key)


def read_lines(path: Path, key: str | None) -> tuple[list[object], tuple[int, ...]]:
    """The records of a .jsonl file, or the field `key` of each, with the lines they stand in. Empty lines do not count.

    Raises:
        LineProblem: a line that is no JSON, or lacks the field.
    """
    records: list[object] = []
    lines: list[int] = []
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                record = _parsed(line)
                records.append(record if key is None else _field(record, key))
            except ValueError as error:
                raise LineProblem(number, str(error)) from error
            lines.append(number)
    return records, tuple(lines)


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"no JSON: {error.msg} (line {error.lineno}, column {error.colno})") from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _field(value: object, key: str) -> object:
    if not isinstance(value, dict):
        raise ValueError(f"it has no field {key!r}, for it is no object")
    if key not in value:
        raise ValueError(f"it has the fields {', '.join(map(repr, value)) or 'none'}, but no {key!r}")
    return value[key]


def numbers_of(value: object) -> np.ndarray:
    """Nested lists of numbers or truth values as an array.

    Raises:
        ValueError: rows of different lengths, or something that is no number.
    """
    if isinstance(value, dict):
        fields = ", ".join(map(repr, value)) or "none"
        raise ValueError(f"it is an object with the fields {fields}, and the program does not say which")
    _check_numbers(value)
    try:
        array = np.array(value)
    except ValueError as error:
        raise ValueError("its rows differ in length") from error
    if array.size == 0 and array.dtype == np.float64:
        return array
    if array.dtype.kind not in "biuf":
        raise ValueError("it holds something that is no number")
    return array


def _check_numbers(value: object) -> None:
    stack: list[object] = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, list):
            stack.extend(item)
        elif not isinstance(item, bool | int | float):
            raise ValueError(f"{item!r} is no number")
        elif isinstance(item, int) and not -(2**63) <= item < 2**63:
            raise ValueError(f"{item} is beyond 64 bits")


def facts_of(value: object, letters: Sequence[str], lines: Lines | None = None) -> Table | np.ndarray:
    """Facts from a list of rows, of records, or of single symbols; nested truth values give an array instead.

    Args:
        letters: the indices of the relation. A record's fields are taken by these names when it has them,
            else in the order of the first record.
        lines: of each row, when the file has one a line.

    Raises:
        LineProblem: a row of another width, or something that is neither symbol nor position.
        ValueError: no list.
    """
    if not isinstance(value, list):
        raise ValueError("facts are a list of rows, and it is none")
    places = tuple(range(1, len(value) + 1)) if lines is None else lines
    if isinstance(_first_leaf(value), bool):
        return numbers_of(value)
    rows: list[tuple[Cell, ...]] = []
    for place, item in zip(places, rows_of(value, places, letters), strict=True):
        row = tuple(item) if isinstance(item, list) else (item,)
        for cell in row:
            if isinstance(cell, bool) or not isinstance(cell, str | int):
                raise LineProblem(place, f"{cell!r} is neither a symbol nor a position")
        if rows and len(row) != len(rows[0]):
            raise LineProblem(place, f"it has {len(row)} cells, and the first row has {len(rows[0])}")
        rows.append(row)
    width = len(rows[0]) if rows else len(letters)
    return table_of(rows, width, places)


def rows_of(records: Sequence[object], lines: Lines, letters: Sequence[str] = ()) -> list[object]:
    """Records with fields as rows: the fields called by `letters`, else all, in the first record's order.

    Raises:
        LineProblem: a record with other fields.
    """
    names: tuple[str, ...] | None = None
    rows: list[object] = []
    for line, record in zip(lines, records, strict=True):
        if isinstance(record, dict):
            named = bool(letters) and named_columns(tuple(record), letters) is not None
            names = names or (tuple(letters) if named else tuple(record))
            if not set(names) <= set(record) or (set(names) != set(letters) and len(record) != len(names)):
                shown = ", ".join(map(repr, record))
                raise LineProblem(line, f"its fields are {shown or 'none'}, and not {', '.join(map(repr, names))}")
            record = [record[name] for name in names]
        rows.append(record)
    return rows


def _first_leaf(value: object) -> object:
    while isinstance(value, list):
        if not value:
            return None
        value = value[0]
    return value


def read_parquet(path: Path, letters: Sequence[str], *, boolean: bool) -> Table | np.ndarray:
    """The columns of a .parquet file: facts for a relation, else a matrix of numbers, lines by columns.

    Columns called by the letters of the left-hand side are taken by name, else all in their order.

    Raises:
        ImportError: pyarrow is not installed.
        LineProblem: a cell that is neither a symbol nor a position, or a whole number beyond 64 bits.
        ValueError: no parquet file, or columns that are no numbers.
    """
    arrow: Any = importlib.import_module("pyarrow")
    parquet: Any = importlib.import_module("pyarrow.parquet")
    table = parquet.read_table(path)
    names = list(table.column_names)
    found = named_columns(names, letters) if boolean else None
    parts = [table.column(k) for k in (range(len(names)) if found is None else found)]
    if boolean and len(table) and parts:
        columns = [arrow_column(arrow, part) for part in parts]
        if all(column is not None for column in columns):
            lines = range(1, len(table) + 1)
            return Table(tuple(_whole_after_all(c, lines, k) for k, c in enumerate(columns) if c is not None), lines)
    # One by one, for truth values, for columns of numbers, and for what is wrong with a cell.
    rows = [list(row) for row in zip(*(part.to_pylist() for part in parts), strict=True)]
    return facts_of(rows, letters) if boolean else numbers_of(rows)


def _whole_after_all(column: Column, lines: Lines, number: int) -> Column:
    """Strings that are whole numbers throughout are positions, as in every other file of facts."""
    if not isinstance(column, Coded) or not WHOLE.match(column.cell(0)):
        return column
    cells = column_of(column.cells(), lines, number)
    return column if isinstance(cells, Coded) else cells
