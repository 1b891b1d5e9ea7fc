"""Relations as results: rows, columns, tables, the dense form and its limit."""

from __future__ import annotations

import itertools
import sys
from unittest import mock

import numpy as np
import pytest

from fuse_ref.errors import CapacityError, MissingFrameworkError
from fuse_ref.evaluate.relation import Relation, Symbols
from fuse_ref.relations.tuples import Tuples

NAMES: tuple[str, ...] = ("Ann", "New York", 'O"Neil', "Ω", "e")


def random_case(seed: int) -> tuple[np.ndarray, tuple[Symbols, ...]]:
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(0 if seed % 5 == 0 else 1, 7, size=seed % 4).tolist())
    # No symbols, fewer than positions, or as many.
    tables = tuple(None if rng.random() < 0.4 else NAMES[: rng.integers(0, min(size, 5) + 1)] for size in shape)
    return rng.random(shape) < 0.4, tables


def expected_rows(dense: np.ndarray, symbols: tuple[Symbols, ...]) -> list[tuple[object, ...]]:
    rows = []
    for cell in itertools.product(*map(range, dense.shape)):
        if dense[cell]:
            rows.append(tuple(t[k] if t is not None and k < len(t) else k for k, t in zip(cell, symbols, strict=True)))
    return rows


@pytest.mark.parametrize("seed", range(24))
def test_both_forms_tell_the_same(seed: int) -> None:
    dense, symbols = random_case(seed)
    rows = expected_rows(dense, symbols)
    places = np.argwhere(dense)
    shuffled = places[np.random.default_rng(seed).permutation(len(places))]
    tuples = Tuples(list(shuffled.T), dense.shape, count=bool(dense.any()))
    for relation in (Relation(dense, symbols), Relation(tuples, symbols)):
        assert list(relation.rows) == rows == list(relation)
        assert [type(cell) for row in relation.rows for cell in row] == [type(cell) for row in rows for cell in row]
        assert len(relation) == len(rows)
        assert relation.shape == dense.shape
        assert relation.positions.dtype == np.int64
        assert relation.positions.tolist() == places.tolist()
        assert relation.positions.shape == (len(rows), dense.ndim)
        assert [column.tolist() for column in relation.columns] == [[row[k] for row in rows] for k in range(dense.ndim)]
        assert all(
            column.dtype == (object if table else np.int64)
            for column, table in zip(relation.columns, symbols, strict=True)
        )
        assert np.array_equal(relation.dense(), dense)
        assert relation.dense().dtype == np.bool_
        assert np.array_equal(np.asarray(relation, np.float32), dense.astype(np.float32))
        every = [[*range(-1, size + 1), *NAMES, "Zed"] for size in dense.shape]
        assert [row for row in itertools.product(*every) if row in relation] == sorted(
            rows, key=lambda row: [every[k].index(cell) for k, cell in enumerate(row)]
        )
        assert repr(relation).startswith(f"Relation({len(rows)} of ")
        assert all(str(row) in repr(relation) for row in rows[:5])


def test_membership() -> None:
    relation = Relation(Tuples([np.array([0, 2]), np.array([1, 1])], (3, 2)), (("Ann", "Bob"), None))
    assert ("Ann", 1) in relation
    assert ["Ann", np.int64(1)] in relation
    assert (2, 1) in relation  # a position without a name
    assert (0, 1) not in relation  # which is called Ann
    assert ("Ann", True) not in relation
    assert ("Ann", 1, 1) not in relation
    assert "Ann" not in relation
    assert ("Ann", 2**70) not in relation
    people = Relation(np.array([True, False]), (("Ann", "Bob"),))
    assert "Ann" in people
    assert ("Ann",) in people
    assert "Bob" not in people
    assert 0 not in people


def test_without_arguments() -> None:
    for truth in (True, False):
        for values in (np.array(truth), Tuples((), (), count=truth)):
            relation = Relation(values, ())
            assert relation.rows == ((),) * truth
            assert (() in relation) == truth
            assert relation.dense().tolist() is truth
            assert relation.positions.shape == (int(truth), 0)
            assert len(relation.to_pandas()) == truth
            assert repr(relation) == ("Relation(1 of 1: ())" if truth else "Relation(0 of 1: )")


def test_the_dense_limit() -> None:
    tuples = Tuples([np.array([5]), np.array([70_000])], (100_000, 100_000))
    relation = Relation(tuples, (None, None))
    assert relation.rows == ((5, 70_000),)
    assert (5, 70_000) in relation
    for dense in (relation.dense, lambda: np.asarray(relation)):
        with pytest.raises(CapacityError, match=r"1 tuple would .* 100000 × 100000 = 10000000000 elements") as caught:
            dense()
        assert caught.value.code == "FUSE344"
    assert Relation(Tuples.empty((3, 3)), (None, None), limit=9).dense().sum() == 0
    with pytest.raises(CapacityError):
        Relation(Tuples.empty((3, 3)), (None, None), limit=8).dense()
    with pytest.raises(ValueError, match="copy=False"):
        np.asarray(Relation(Tuples.empty((3, 3)), (None, None)), copy=False)


def test_results_are_not_the_relation_itself() -> None:
    truth = np.array([True, False])
    relation = Relation(truth, (None,))
    relation.dense()[:] = False
    np.array(relation)[:] = False
    assert truth.tolist() == [True, False]


def test_tables() -> None:
    dense = np.array([[True, False, True], [False, True, False]])
    relation = Relation(dense, (("Ann", "Bob"), None), letters=("x", "y"))
    frame = relation.to_pandas()
    assert list(frame.columns) == ["x", "y"]
    assert frame.to_numpy().tolist() == [["Ann", 0], ["Ann", 2], ["Bob", 1]]
    assert frame["y"].dtype == np.int64
    table = relation.to_arrow()
    assert table.column_names == ["x", "y"]
    assert table.to_pydict() == {"x": ["Ann", "Ann", "Bob"], "y": [0, 2, 1]}
    # Letters that do not tell the columns apart, and positions beyond the names.
    other = Relation(dense, (("Ann",), ("a", "b")), letters=("x", "x"))
    assert other.to_arrow().to_pydict() == {"0": ["Ann", "Ann", "1"], "1": ["a", "2", "b"]}
    assert other.to_pandas()["1"].tolist() == ["a", 2, "b"]
    assert Relation(np.zeros((0, 2), bool), (("a",), None)).to_arrow().num_rows == 0


@pytest.mark.parametrize(("package", "call"), [("pandas", "to_pandas"), ("pyarrow", "to_arrow")])
def test_packages_that_are_missing(package: str, call: str) -> None:
    relation = Relation(np.array([True]), (None,))
    with mock.patch.dict(sys.modules, {package: None}), pytest.raises(MissingFrameworkError) as caught:
        getattr(relation, call)()
    assert caught.value.name == package
    assert "pip install" in caught.value.cure
