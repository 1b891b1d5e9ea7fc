"""Facts of files as tuples, and relations written without their dense form."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from fuse_ref.errors import CapacityError, FuseError
from fuse_ref.files.content import read_content
from fuse_ref.files.paths import Folders, Place
from fuse_ref.files.relations import Facts, dense_facts, sparse_facts, with_symbols
from fuse_ref.files.sinks import Result, write_results
from fuse_ref.files.table import Table
from fuse_ref.ir.nodes import ProgramIR
from fuse_ref.program import Program
from fuse_ref.relations.symbols import Coded
from fuse_ref.relations.tuples import Tuples

NAMES = ("Ann", "New York", 'O"Neil', "Ω, α", "a\nb", " e", "7")


def facts_of(text: str, folder: Path) -> tuple[ProgramIR, list[Facts]]:
    """Of `R(x, y) = "file"` lines, read."""
    ir = Program(text, path=folder / "p.fuse").ir
    found = []
    for equation in ir.equations:
        if equation.kind == "source":
            tensor = ir.tensor(equation.target.tensor)
            path = equation.body.path  # type: ignore[union-attr]
            place = Place(folder / path, None, path)
            letters = tuple(index.variable for index in equation.target.indices)  # type: ignore[union-attr]
            table = read_content(place, Folders.of(folder / "p.fuse"), letters, boolean=True)
            assert isinstance(table, Table)
            found.append(Facts(tensor, table, place))
    return with_symbols(ir, found), found


@pytest.mark.parametrize("seed", range(12))
def test_tuples_and_truth_values_are_the_same(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows: dict[str, list[list[object]]] = {}
    for name, width in (("a.csv", 2), ("b.csv", 2), ("c.csv", 1)):
        count = int(rng.integers(0, 9))
        if seed % 2:
            rows[name] = rng.integers(0, 6, (count, width)).tolist()
        else:
            rows[name] = [[f"n{k}" for k in row] for row in rng.integers(0, 6, (count, width))]
        with (tmp_path / name).open("w", newline="") as file:
            csv.writer(file).writerows(rows[name])
    # One axis for all but the second argument of B.
    text = 'A(x, y) = "a.csv"\nB(x, z) = "b.csv"\nC(x) = "c.csv"\nR(x) <- A(x, y), A(y, x), B(x, z), C(x)\nexport R'
    ir, facts = facts_of(text, tmp_path)
    sizes = {axis.name: 4 for axis in ir.axes}
    tuples = sparse_facts(ir, facts, sizes)
    arrays = dense_facts(ir, facts, sizes, 10_000)
    assert set(tuples) == set(arrays) == {"A", "B", "C"}
    symbols = {axis.name: axis.symbols for axis in ir.axes}
    tables: dict[str, dict[str, None]] = {}
    for item in facts:
        found = tuples[item.tensor.name]
        assert found.shape == arrays[item.tensor.name].shape
        assert np.array_equal(found.dense(), arrays[item.tensor.name])
        expected = set()
        for row in rows[item.place.written]:
            for cell, axis in zip(row, item.tensor.axes, strict=True):
                if isinstance(cell, str):
                    tables.setdefault(axis, {}).setdefault(cell)
            expected.add(tuple(row))
        named = (
            tuple(
                k if (table := symbols[axis]) is None else table[k]
                for k, axis in zip(row, item.tensor.axes, strict=True)
            )
            for row in found.positions.tolist()
        )
        assert set(named) == expected
        assert len(found) == len(expected)
    for axis, names in tables.items():
        assert symbols[axis] == tuple(names)
    for item in facts:
        for size, axis in zip(tuples[item.tensor.name].shape, item.tensor.axes, strict=True):
            assert size >= max(4, len(symbols[axis] or ()))


def test_far_positions_need_no_memory(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"0,{10**12}\n{10**9},5\n")
    ir, facts = facts_of('A(x, y) = "a.csv"\nB(y, x) <- A(x, y)\nexport B', tmp_path)
    found = sparse_facts(ir, facts, {})["A"]
    assert found.shape == (10**9 + 1, 10**12 + 1)
    assert found.positions.tolist() == [[0, 10**12], [10**9, 5]]
    with pytest.raises(CapacityError):
        dense_facts(ir, facts, {}, 2**24)


def test_columns_of_parquet(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"

    def read(columns: dict[str, object], letters: tuple[str, ...] = ("x", "y")) -> list[list[object]]:
        pyarrow.parquet.write_table(pyarrow.table(columns), path)
        table = read_content(Place(path, None, "t.parquet"), Folders.of(path), letters, boolean=True)
        assert isinstance(table, Table)
        assert list(table.lines) == list(range(1, len(table) + 1))
        return [c.cells() if isinstance(c, Coded) else c.tolist() for c in table.columns]

    names = ["Ann", "Bob", "Ann"]
    for kind in (pyarrow.string(), pyarrow.large_string(), pyarrow.dictionary(pyarrow.int8(), pyarrow.string())):
        for whole in (pyarrow.int64(), pyarrow.uint8(), pyarrow.uint64()):
            columns = {"y": pyarrow.array([3, 0, 3], whole), "k": [0.5] * 3, "x": pyarrow.array(names, kind)}
            assert read(columns) == [names, [3, 0, 3]]
    assert read({"a": ["1", "2", "x"], "b": ["1", "02", "-3"]}) == [["1", "2", "x"], [1, 2, -3]]
    assert read({"a": pyarrow.array([], pyarrow.string()), "b": pyarrow.array([], pyarrow.int64())}) == [[], []]
    for wrong, words in (
        ({"a": ["x", None], "b": [1, 2]}, "line 2: None is neither a symbol nor a position"),
        ({"a": ["x", "y"], "b": [1, 2.5]}, "1.0 is neither a symbol nor a position"),
        (
            {"a": ["x", "9" * 20], "b": pyarrow.array([1, 2**63], pyarrow.uint64())},
            "line 2: column 2: 9223372036854775808 is beyond 64 bits",
        ),
    ):
        with pytest.raises(FuseError, match=words) as caught:
            read(wrong)
        assert caught.value.code == "FUSE327"


# Sinks -----------------------------------------------------------------------------------------


def written(folder: Path, name: str, array: np.ndarray | Tuples, symbols=(), **more: object) -> Path:  # type: ignore[no-untyped-def]
    place = Place(folder / name, None, name)
    write_results([Result(place, "R", array, symbols, **more)])  # type: ignore[arg-type]
    return folder / name


@pytest.mark.parametrize("seed", range(8))
def test_tuples_are_written_as_truth_values_are(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(0 if seed == 3 else 1, 9, size=seed % 4).tolist())
    dense = rng.random(shape) < 0.5
    places = np.argwhere(dense)[::-1]
    tuples = Tuples(list(places.T), shape, count=bool(dense.any()))
    symbols = tuple(NAMES[: rng.integers(1, 8)] if rng.random() < 0.6 else None for _ in shape)
    for ending in (".csv", ".tsv", ".json", ".jsonl", ".npy", ".npz", ".safetensors", ".parquet"):
        if not shape and ending in (".jsonl", ".parquet"):
            continue
        first = written(tmp_path, f"a{ending}", np.asarray(dense), symbols).read_bytes()
        assert written(tmp_path, f"b{ending}", tuples, symbols).read_bytes() == first
    if shape:
        expected = [
            [table[k] if table is not None and k < len(table) else k for k, table in zip(row, symbols, strict=True)]
            for row in np.argwhere(dense).tolist()
        ]
        assert json.loads((tmp_path / "b.json").read_text()) == expected
        assert [json.loads(line) for line in (tmp_path / "b.jsonl").read_text().splitlines()] == expected
        for ending, delimiter in ((".csv", ","), (".tsv", "\t")):
            with (tmp_path / f"b{ending}").open(newline="") as file:
                assert list(csv.reader(file, delimiter=delimiter)) == [[str(cell) for cell in row] for row in expected]
        found = pyarrow.parquet.read_table(tmp_path / "b.parquet")
        assert found.column_names == [str(k) for k in range(len(shape))]
        strings = [[str(c) if table else c for c, table in zip(row, symbols, strict=True)] for row in expected]
        assert [list(row.values()) for row in found.to_pylist()] == strings
    assert np.array_equal(np.load(tmp_path / "b.npy"), dense)


def test_sinks_of_large_relations(tmp_path: Path) -> None:
    tuples = Tuples([np.array([9_999_999, 3]), np.array([0, 2])], (10_000_000, 10_000_000))
    assert written(tmp_path, "r.tsv", tuples).read_text() == "3\t2\n9999999\t0\n"
    assert json.loads(written(tmp_path, "r.json", tuples).read_text()) == [[3, 2], [9_999_999, 0]]
    table = pyarrow.parquet.read_table(written(tmp_path, "r.parquet", tuples, letters=("x", "y")))
    assert table.to_pydict() == {"x": [3, 9_999_999], "y": [2, 0]}
    for name in ("r.npy", "r.npz", "r.safetensors"):
        with pytest.raises(CapacityError, match="10000000 × 10000000 = 100000000000000 of them") as caught:
            written(tmp_path, name, tuples)
        assert caught.value.code == "FUSE347"
        assert not (tmp_path / name).exists()
    small = Tuples([np.array([1])], (9,))
    assert np.load(written(tmp_path, "s.npy", small, limit=9)).sum() == 1
    with pytest.raises(CapacityError):
        written(tmp_path, "s.npy", small, limit=8)


def test_numbers_in_parquet(tmp_path: Path) -> None:
    for array in (np.arange(6.0, dtype=np.float32).reshape(3, 2), np.arange(3), np.float64(1.5)):
        path = written(tmp_path, "n.parquet", np.asarray(array))
        rank = np.ndim(array)
        text = f'W[{", ".join("ij"[:rank])}] = "n.parquet"\nY[{", ".join("ij"[:rank])}] = W[{", ".join("ij"[:rank])}]'
        if not rank:
            text = 'W = "n.parquet"\nY = W\nexport Y'
        assert Program(text, path=path).compile()()["Y"].tolist() == np.asarray(array).tolist()
    with pytest.raises(FuseError, match="at most two axes"):
        written(tmp_path, "n.parquet", np.zeros((2, 2, 2)))


def test_many_facts_are_written_in_parts(tmp_path: Path) -> None:
    count = 150_000
    tuples = Tuples([np.arange(count), np.arange(count)[::-1] % 3], (count, 3))
    lines = written(tmp_path, "r.csv", tuples, (None, ("a", "b", "c"))).read_text().splitlines()
    assert lines == [f"{k},{'abc'[(count - 1 - k) % 3]}" for k in range(count)]
