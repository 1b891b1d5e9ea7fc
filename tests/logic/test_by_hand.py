"""Sixty and more programs by hand against clingo, DuckDB and Python sets: twice with new data, empty, and of one element."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fuse_ref import ExecutionConfig, Program
from fuse_ref.evaluate.relation import Relation
from tests.logic.case import Case, given, reference, text_of, values_of
from tests.logic.cases_numbers import CASES as NUMBERS
from tests.logic.cases_rules import CASES as RULES

CASES = {case.name: case for case in (*RULES, *NUMBERS)}
WAYS = ("input", "facts", ".tsv", ".csv")


def test_there_are_many() -> None:
    assert len(CASES) == len(RULES) + len(NUMBERS) >= 60
    assert sum(bool(case.clingo or case.sql) for case in CASES.values()) >= 50


def _rows(program: Program, name: str, value: Any, symbols: dict[str, tuple[str, ...]], neutral: float) -> set[Any]:
    """A relation's rows; of a number its places and value, where it is not what stands where nothing is given."""
    if isinstance(value, Relation):
        assert len(value) == len(set(value.rows))
        return set(value.rows)
    tables = [symbols.get(axis) for axis in program.tensors[name].axes]
    array = np.asarray(value)
    return {
        (*(k if table is None else table[k] for k, table in zip(place, tables, strict=True)), array[place].item())
        for place in np.ndindex(array.shape)
        if not array.shape or array[place] != neutral
    }


def _check(case: Case, backend: str, mode: str, seed: int, size: int, way: str, folder: Path) -> None:
    data = given(case, seed, size)
    text = text_of(case, data, way, folder, size)
    program = Program(text, path=folder / "case.fuse")
    config = ExecutionConfig(mode=mode, precision="float64")  # type: ignore[arg-type]
    runner = program.compile(backend, config=config)  # type: ignore[arg-type]
    results = runner(values_of(case, data, text, size))
    for name, expected in reference(case, data, size).items():
        neutral = case.neutral.get(name, 0)
        got = _rows(program, name, results[name], runner.symbols, neutral)
        if not isinstance(results[name], Relation):
            expected = {row for row in expected if row[-1] != neutral or len(row) == 1}
            assert all(not math.isnan(row[-1]) for row in got)
            got = {(*row[:-1], round(row[-1], 9)) for row in got}
            expected = {(*row[:-1], round(float(row[-1]), 9)) for row in expected}
        assert got == expected, f"{name} of\n{text}"


@pytest.mark.parametrize("mode", ["auto", "demand"])
@pytest.mark.parametrize("name", CASES)
def test_by_hand(name: str, mode: str, tmp_path: Path) -> None:
    case = CASES[name]
    first = sum(map(ord, name)) % len(WAYS)
    sizes = (6, 6) if case.positions else (5, 4)
    for seed, size in enumerate(sizes):
        _check(case, "numpy", mode, seed, size, WAYS[(first + seed + 2 * (mode == "demand")) % len(WAYS)], tmp_path)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not re.search(r"\+1\)|\(1,", case.rules)])
def test_one_element_domains(name: str, tmp_path: Path) -> None:
    for seed in (1, 2):
        _check(CASES[name], "numpy", "auto", seed, 1, "input", tmp_path)
