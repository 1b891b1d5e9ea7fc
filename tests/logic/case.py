"""A logic program by hand, what it gets, and what clingo, DuckDB or Python sets make of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import duckdb
import numpy as np

from tests.logic.compare import by_clingo
from tests.logic.sketch import Cell, clingo_cell, fuse_cell

__all__ = ["NAMES", "Case", "Given", "Rows", "given", "reference", "text_of", "values_of"]

Rows: TypeAlias = set[tuple[Cell, ...]]
Given: TypeAlias = dict[str, Rows]

_TABLES = {"On": "On_"}  # what is a word of SQL
NAMES = ("Ann", "Bob", "New York", 'a "b" c', "äöü", "東京", "tab\tin", "two\nlines", "Zoë", "not", "1st", "b\\s")


@dataclass(frozen=True)
class Case:
    """A program.

    Attributes:
        reads: the relations that it is given: name -> the letters of its arguments.
        rules: its text without what is given.
        results: names of relations and numbers to look at.
        clingo: the same rules for clingo, relations in lower case.
        sql: for DuckDB, by result: the rows of a relation; of a number its places and the value.
        sets: by result, from the given sets.
        positions: whether arguments are positions 0 to 5, not symbols.
        numbers: tensors that it is given, by name the number of axes; they hold whole numbers.
        neutral: by numeric result, the value where nothing gives any.
        dense: how many of all possible tuples the data has.
    """

    name: str
    reads: Mapping[str, str]
    rules: str
    results: tuple[str, ...]
    clingo: str = ""
    sql: Mapping[str, str] = field(default_factory=dict)
    sets: Mapping[str, Callable[[Given], Rows]] = field(default_factory=dict)
    positions: bool = False
    numbers: Mapping[str, int] = field(default_factory=dict)
    neutral: Mapping[str, float] = field(default_factory=dict)
    dense: float = 0.25


def given(case: Case, seed: int, size: int) -> Given:
    """Relations over a domain of `size`, and the elements of tensors as rows that end in the value."""
    draw = random.Random(f"{case.name} {seed}")
    domain: Sequence[Cell] = range(size) if case.positions else draw.sample(NAMES, size)
    found: Given = {}
    for name, letters in case.reads.items():
        rows: list[tuple[Cell, ...]] = [()]
        for _ in letters:
            rows = [(*row, cell) for row in rows for cell in domain]
        chance = case.dense if len(letters) > 1 else 0.6
        found[name] = {row for row in rows if draw.random() < chance}
    for name, rank in case.numbers.items():
        places: list[tuple[Cell, ...]] = [()]
        for _ in range(rank):
            places = [(*place, k) for place in places for k in range(size)]
        found[name] = {(*place, draw.randrange(-2, 5)) for place in places}
    return found


def text_of(case: Case, data: Given, way: str, folder: Path, size: int) -> str:
    """The program, with relations as "input"s, "facts" or files; what has no tuples is an input."""
    lines = []
    for name, letters in case.reads.items():
        head = f"{name}({', '.join(letters)})"
        rows = sorted(data[name], key=str)
        if way == "input" or not rows or not letters:
            lines.append(f"input {head}")
        elif way == "facts":
            lines += [f"{name}({', '.join(map(fuse_cell, row))})" for row in rows]
        else:
            separator = "\t" if way == ".tsv" else ","
            lines.append(f'{head} = "{name}{way}"')
            written = "\n".join(separator.join(_file_cell(cell) for cell in row) for row in rows)
            (folder / f"{name}{way}").write_text(written + "\n", encoding="utf-8")
    for name, rank in case.numbers.items():
        lines.append(f"input {name}[{', '.join('xyz'[:rank])}]")
    if case.positions:
        lines.append(f"axis x = {size}, y = {size}, z = {size}, t = {size}")
    return "\n".join([*lines, case.rules.strip(), f"export {', '.join(case.results)}"])


def values_of(case: Case, data: Given, text: str, size: int) -> dict[str, Any]:
    """What a call gets."""
    values: dict[str, Any] = {}
    for name in case.reads:
        if f"input {name}(" in text:
            rows = sorted(data[name], key=str)
            values[name] = rows if case.reads[name] else np.array(bool(rows))
    for name, rank in case.numbers.items():
        array = np.zeros((size,) * rank)
        for *place, value in data[name]:
            array[tuple(place)] = value
        values[name] = array
    return values


def reference(case: Case, data: Given, size: int) -> dict[str, Rows]:
    """What each result is by another engine."""
    found: dict[str, Rows] = {}
    if case.clingo:
        facts = [f"{name.lower()}({', '.join(map(clingo_cell, row))})." for name, rows in data.items() for row in rows]
        atoms = by_clingo("\n".join([*facts, case.clingo.replace("{size}", str(size))]))
        found |= {name: atoms.get(name.lower(), set()) for name in case.results if name not in case.sql}
    if case.sql:
        with duckdb.connect() as connection:
            _tables(connection, case, data)
            for name, query in case.sql.items():
                found[name] = set(connection.sql(query).fetchall())
    found |= {name: rule(data) for name, rule in case.sets.items()}
    assert set(found) == set(case.results), "every result has a reference"
    return found


def _tables(connection: duckdb.DuckDBPyConnection, case: Case, data: Given) -> None:
    for name, rows in data.items():
        width = len(case.reads[name]) if name in case.reads else case.numbers[name] + 1
        kind = "INTEGER" if case.positions else "VARCHAR"
        if not width:
            continue
        columns = ", ".join(f"{'abcd'[k]} {kind}" for k in range(width))
        connection.execute(f"create table {_TABLES.get(name, name)} ({columns})")
        if rows:
            connection.executemany(
                f"insert into {_TABLES.get(name, name)} values ({', '.join('?' * width)})", [list(row) for row in rows]
            )


def _file_cell(cell: Cell) -> str:
    text = str(cell)
    if any(mark in text for mark in '\t,"\n'):
        text = '"' + text.replace('"', '""') + '"'
    return text
