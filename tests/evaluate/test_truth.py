"""Boolean inputs in every form: symbols numbered as they appear, shapes, what is refused."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np
import pandas
import pyarrow
import pytest
import torch
from scipy import sparse

from fuse_ref.errors import AxisError, DtypeError, FuseError, MissingFrameworkError
from fuse_ref.evaluate.relation import Relation
from fuse_ref.evaluate.truth import SymbolTables, dense_relations, sparse_relations
from fuse_ref.files.table import Table, table_of
from fuse_ref.ir.nodes import ProgramIR
from fuse_ref.program import Program
from fuse_ref.relations.tuples import Tuples

Rows = list[tuple[Any, ...]]

# x and y are one axis in E, another in F; the axis of F's first argument has two symbols of its own.
TEXT = """
input E(x, y)
input F(k, y)
input P(x)
axis k = {Ann, Bob}
Same(x, y) <- E(x, y), E(y, x)
Out(x, k) <- E(x, y), F(k, y), P(x)
export Same, Out
"""
SYMBOLS = ("Ann", "Bob", "Cid", "New York", "Ω", '"', "1")


def program(text: str = TEXT) -> ProgramIR:
    return Program(text).ir


def bound(
    values: dict[str, object], ir: ProgramIR | None = None, extents: dict[str, int] | None = None
) -> tuple[dict[str, Tuples], dict[str, tuple[str, ...] | None]]:
    """The sparse form, after the dense one was found to be the same."""
    ir = program() if ir is None else ir
    tensors = [tensor for tensor in ir.tensors if tensor.name in values]
    both = []
    for function in (sparse_relations, dense_relations):
        tables = SymbolTables.of(ir).fresh()
        both.append((function(values, tensors, tables, extents or {}), tables.symbols()))
    (tuples, symbols), (arrays, others) = both
    assert symbols == others
    for name, array in arrays.items():
        assert array.dtype == np.bool_
        assert tuples[name].shape == array.shape
        assert np.array_equal(tuples[name].dense(), array)
    return tuples, symbols


def by_loops(values: dict[str, Rows], ir: ProgramIR) -> tuple[dict[str, set[tuple[int, ...]]], dict[str, list[str]]]:
    """The contract, cell by cell."""
    tables = {axis.name: list(axis.symbols) for axis in ir.axes if axis.symbols is not None}
    found: dict[str, set[tuple[int, ...]]] = {}
    for tensor in ir.tensors:
        for row in values.get(tensor.name, []):
            places = []
            for cell, axis in zip(row, tensor.axes, strict=True):
                if isinstance(cell, str):
                    table = tables.setdefault(axis, [])
                    if cell not in table:
                        table.append(cell)
                    cell = table.index(cell)
                places.append(cell)
            found.setdefault(tensor.name, set()).add(tuple(places))
    return found, tables


def frame(rows: Rows, width: int) -> pandas.DataFrame:
    return pandas.DataFrame({f"c{k}": [row[k] for row in rows] for k in range(width)})


def categories(rows: Rows, width: int) -> pandas.DataFrame:
    return frame(rows, width).astype({f"c{k}": "category" for k in range(width)})


def arrow(rows: Rows, width: int) -> pyarrow.Table:
    return pyarrow.table({f"c{k}": [row[k] for row in rows] for k in range(width)})


def chunked(rows: Rows, width: int) -> pyarrow.Table:
    """Of several pieces, each with a dictionary of its own."""
    parts = [arrow(rows[:1], width), arrow(rows[1:], width)]
    coded = [
        pyarrow.table(
            [c.dictionary_encode() if pyarrow.types.is_string(c.type) else c for c in part.columns],
            names=part.column_names,
        )
        for part in parts
    ]
    return pyarrow.concat_tables(coded)


def file_table(rows: Rows, width: int) -> Table:
    return table_of(rows, width, range(1, len(rows) + 1))


FORMS: dict[str, Callable[[Rows, int], object]] = {
    "list": lambda rows, width: rows,
    "lists": lambda rows, width: [list(row) for row in rows],
    "generator": lambda rows, width: iter(rows),
    "rows of NumPy cells": lambda rows, width: [tuple(np.array([c])[0] for c in row) for row in rows],
    "pandas": frame,
    "categories": categories,
    "arrow": arrow,
    "record batch": lambda rows, width: arrow(rows, width).to_batches()[0],
    "chunked": chunked,
    "table": file_table,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("seed", range(4))
def test_every_form_by_loops(form: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    ir = program()
    numbers = seed % 2 == 1
    symbols = SYMBOLS[:-1] if form == "table" else SYMBOLS

    def rows(width: int, count: int, positions: bool) -> Rows:
        if positions:
            return [tuple(row) for row in rng.integers(0, 5, (count, width)).tolist()]
        return [tuple(symbols[k] for k in row) for row in rng.integers(0, len(symbols), (count, width))]

    values: dict[str, Rows] = {
        "E": rows(2, 7, numbers),
        "F": [("Bob" if rng.random() < 0.5 else "Ann", *row) for row in rows(1, 5, numbers)],
        "P": rows(1, 4, numbers),
    }
    widths = {"E": 2, "F": 2, "P": 1}
    found, tables = (
        bound({name: FORMS[form](item, widths[name]) for name, item in values.items()} | {}, ir)
        if form != "generator"
        else _of_generators(values, ir)
    )
    expected, expected_tables = by_loops(values, ir)
    assert {axis: list(table or ()) for axis, table in tables.items() if table} == {
        a: t for a, t in expected_tables.items() if t
    }
    for name, places in expected.items():
        assert set(map(tuple, found[name].positions.tolist())) == places
        assert len(found[name]) == len(places)


def _of_generators(values: dict[str, Rows], ir: ProgramIR):  # type: ignore[no-untyped-def]
    """A generator can be read once."""
    tables = SymbolTables.of(ir)
    tensors = [tensor for tensor in ir.tensors if tensor.name in values]
    found = sparse_relations({name: iter(rows) for name, rows in values.items()}, tensors, tables, {})
    return found, tables.symbols()


DENSE = np.array([[True, False, False], [False, False, True], [False, True, False]])


def compressed() -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says once that it is in beta
        return torch.from_numpy(DENSE * 0.5).to_sparse_csr()


@pytest.mark.parametrize(
    "value",
    [
        DENSE,
        torch.from_numpy(DENSE),
        torch.from_numpy(DENSE).to_sparse(),
        compressed(),
        torch.sparse_coo_tensor(
            [[0, 1, 2, 1, 1], [0, 2, 1, 1, 1]], [1.0, 2.0, 3.0, 1.0, -1.0], (3, 3), check_invariants=True
        ),
        sparse.coo_array((np.array([1, 1, 1, 1, -1]), ([0, 1, 2, 1, 1], [0, 2, 1, 1, 1])), shape=(3, 3)),
        sparse.csr_matrix(DENSE),
        sparse.dok_array(DENSE),
        Tuples.from_dense(DENSE),
    ],
    ids=lambda value: type(value).__name__,
)
def test_truth_values_keep_their_shape(value: object) -> None:
    for extents in ({}, {"x": 9}):
        found, _ = bound({"E": value, "P": [1]}, extents=extents)
        assert found["E"].shape == (3, 3)
        assert found["E"].positions.tolist() == [[0, 0], [1, 2], [2, 1]]
        # What is listed is as long as what it joins.
        assert found["P"].shape == (9 if extents else 3,)


def test_positions() -> None:
    for value in (
        np.array([[0, 3], [2, 1], [0, 3]]),
        np.array([[0, 3], [2, 1]], np.uint8),
        np.array([[0, 3], [2, 1]], np.uint64),
        torch.tensor([[0, 3], [2, 1]], dtype=torch.int32),
        [(np.uint64(0), 3), (2, np.int8(1))],
        Relation(Tuples([np.array([0, 2]), np.array([3, 1])], (7, 7)), (None, None)),
    ):
        found, symbols = bound({"E": value})
        assert found["E"].positions.tolist() == [[0, 3], [2, 1]]
        assert found["E"].shape == (4, 4)
        assert symbols == {"k": ("Ann", "Bob")}
    for value in (
        np.array([3, 0]),
        np.array([[3], [0]]),
        [3, 0],
        [(3,), [0]],
        pandas.Series([3, 0]),
        pyarrow.array([3, 0]),
    ):
        assert bound({"P": value})[0]["P"].positions.tolist() == [[0], [3]]
    for value in ([], np.empty((0, 2), np.int64), np.zeros(0), frame([], 2), arrow([], 2), Tuples.empty((0, 0))):
        found, _ = bound({"E": value})
        assert (len(found["E"]), found["E"].shape) == (0, (0, 0))


def test_without_arguments() -> None:
    ir = program("input R()\nS(x) <- R(), T(x)\nexport S")
    for value, truth in (
        ([()], 1),
        ([], 0),
        (np.array(True), 1),
        (np.zeros((2, 0), int), 1),
        (np.zeros((0, 0), int), 0),
    ):
        assert len(bound({"R": value}, ir)[0]["R"]) == truth
    assert len(bound({"R": Relation(np.array(True), ())}, ir)[0]["R"]) == 1


def test_relations_of_other_programs_go_by_symbol() -> None:
    ann, bob = Relation(DENSE[:2, :2], (("Ann", "Bob"), ("x", "Ann"))), [("Bob", "Ann")]
    found, symbols = bound({"P": ["Bob"], "E": ann})
    names = next(table for table in symbols.values() if table and "x" in table)
    assert sorted(names[k] for k in found["E"].columns[1]) == ["x"]
    assert names[found["E"].columns[0][0]] == "Ann"
    # A position beyond the symbols stays one.
    longer = Relation(np.array([True, False, True]), (("Ann", "Bob"),))
    ir = program("input P(x)\nY[x] = P(x) + S[x]\nS[Ann] = 1")
    assert bound({"P": longer}, ir)[0]["P"].positions.tolist() == [[0], [2]]
    assert bound({"E": bob})[0]["E"].positions.tolist() == [[0, 1]]


def test_symbols_and_positions_on_one_axis() -> None:
    for values in ({"E": [("Ann", "Bob")], "P": [0]}, {"E": [(0, 1)], "P": ["Ann"]}, {"P": ["Ann", 0]}):
        with pytest.raises(AxisError) as caught:
            bound(values)
        assert caught.value.code == "FUSE345"
    # Where the program has symbols, positions stand for them; truth values go by position in any case.
    assert bound({"F": [("Bob", 0), (0, 1)]})[0]["F"].positions.tolist() == [[0, 1], [1, 0]]
    assert bound({"E": DENSE, "P": ["Ann"]})[0]["P"].positions.tolist() == [[0]]
    assert bound({"E": [], "P": ["Ann"]})[0]["P"].positions.tolist() == [[0]]


@pytest.mark.parametrize(
    ("values", "code", "words"),
    [
        ({"F": [("Anne", 0)]}, "FUSE306", "'Anne' in F is not on axis k, which has 'Ann', 'Bob'"),
        ({"F": [(2, 0)]}, "FUSE306", "2 in F is not on axis k, which has the positions 0 to 1"),
        ({"E": [(0, -1), (3, 4)]}, "FUSE306", "-1 in E is not on axis"),
        ({"E": [(2**63, 0)]}, "FUSE306", "9223372036854775808 in E is not on axis"),
        ({"E": np.array([[2**63, 0]], np.uint64)}, "FUSE306", "9223372036854775808 in E"),
        ({"E": [(1, 2), (3,)]}, "FUSE305", "a tuple of 1"),
        ({"E": ["ab"]}, "FUSE305", "a tuple of 1"),
        ({"E": np.zeros((1, 3), int)}, "FUSE305", "an array of 1 × 3 positions"),
        ({"E": frame([(1, 2, 3)], 3)}, "FUSE305", "a table of 3 columns"),
        ({"E": Relation(DENSE[0], (None,))}, "FUSE305", "a table of 1 column was"),
        ({"E": [(1.5, 2)]}, "FUSE303", "but float was given"),
        ({"E": [(None, 2)]}, "FUSE303", "but NoneType was given"),
        ({"E": [(True, 2)]}, "FUSE303", "but bool was given"),
        ({"P": [b"a"]}, "FUSE303", "but bytes was given"),
        ({"P": {"a": 1}}, "FUSE303", "but dict was given"),
        ({"E": DENSE * 1.0}, "FUSE303", "but float64 was given"),
        ({"E": np.array([[b"a", b"b"]])}, "FUSE303", "but bytes was given"),
        ({"E": frame([(1, 2.5)], 2)}, "FUSE303", "a column 'c1' of float64"),
        ({"E": frame([("a", None)], 2)}, "FUSE303", "a column 'c1' with missing values"),
        ({"E": pandas.DataFrame({"a": [1], "b": [(2,)]})}, "FUSE303", "a column 'b' with tuple"),
        ({"E": pandas.DataFrame({"a": [True], "b": [1]})}, "FUSE303", "a column 'a' of bool"),
        ({"E": arrow([(1, 2.5)], 2)}, "FUSE303", "a column 'c1' of double"),
        ({"E": arrow([(1, 2), (None, 3)], 2)}, "FUSE303", "a column 'c0' with missing values"),
    ],
)
def test_what_is_refused(values: dict[str, object], code: str, words: str) -> None:
    with pytest.raises(FuseError) as caught:
        bound(values)
    assert caught.value.code == code
    assert words in str(caught.value)
    assert isinstance(caught.value, AxisError | DtypeError)


def test_long_tables_in_messages() -> None:
    names = ", ".join(f"N{k}" for k in range(30))
    ir = program(f"axis x = {{{names}}}\ninput P(x)\nY[x] = P(x)")
    with pytest.raises(AxisError, match=r"has 'N0', .*'N19', …\n.*") as caught:
        bound({"P": ["N299"]}, ir)
    assert "did you mean 'N29'?" in str(caught.value)


def test_arrow_without_pyarrow() -> None:
    class Frame:
        """Like a DataFrame of polars."""

        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            return arrow([("Ann", "Bob")], 2).__arrow_c_stream__(requested_schema)

    assert bound({"E": Frame()})[1]["k"] == ("Ann", "Bob")
    with mock.patch.dict(sys.modules, {"pyarrow": None}), pytest.raises(MissingFrameworkError, match="pyarrow"):
        bound({"E": Frame()})


def test_tables_of_a_call_leave_those_of_the_program_alone() -> None:
    whole = SymbolTables.of(program("axis x = 9\ninput P(x)\nY[x] = P(x) + S[x]\nS[Ann] = 1"))
    for names in (["Bob", "Cid"], ["Dan"], []):
        tables = whole.fresh()
        tensor = next(iter(program("axis x = 9\ninput P(x)\nY[x] = P(x)").tensors))
        sparse_relations({"P": names}, [tensor], tables, {})
        assert tables.symbols()["x"] == ("Ann", *names)
    assert whole.symbols()["x"] == ("Ann",)
    assert tables.symbols()["x"] is whole.symbols()["x"]
