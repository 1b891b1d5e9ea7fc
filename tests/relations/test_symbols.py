"""Tables of symbols: numbered as they appear, looked up by whole columns."""

from __future__ import annotations

import numpy as np
import pytest

from fuse_ref.relations.symbols import Coded, SymbolTable, coded, in_order_of_appearance, named_column


def test_columns_of_strings() -> None:
    for cells in ([], ["b"], ["b", "a", "b", "", "ä", "a"]):
        column = coded(cells)
        assert column.cells() == cells
        assert list(column.names) == list(dict.fromkeys(cells))
        assert len(column) == len(cells)


@pytest.mark.parametrize("seed", range(20))
def test_in_order_of_appearance(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, width = int(rng.integers(0, 12)), int(rng.integers(1, 4))
    shared = tuple(f"n{k}" for k in rng.permutation(8))
    columns = []
    for _ in range(width):
        # Some columns have names of their own, in another order, with some that no row has.
        names = shared if rng.random() < 0.6 else tuple(f"n{k}" for k in rng.permutation(9))
        columns.append(Coded(rng.integers(0, len(names), rows).astype(np.int32), names))
    expected: dict[str, None] = {}
    for row in range(rows):
        for column in columns:
            expected.setdefault(column.cell(row))
    found = in_order_of_appearance(columns)
    assert found.names == list(expected)
    if found.places is not None:
        assert [columns[0].names[place] for place in found.places.tolist()] == found.names
    # A table that has learned the columns says the same as one that looks each name up.
    for begin in ([], ["n3", "z"]):
        table = SymbolTable(begin)
        table.extend(found.names)
        plain = SymbolTable(table.names)
        table.learn(columns, found, not begin)
        for column in columns:
            for known in (table, table.child()):
                assert known.positions(column).tolist() == plain.positions(column).tolist()
        other = Coded(np.arange(len(shared)), shared)
        assert table.positions(other).tolist() == plain.positions(other).tolist()


def test_tables_grow_and_have_children() -> None:
    table = SymbolTable(["b", "a", "b"])
    assert (table.names, len(table), list(table)) == (("b", "a"), 2, ["b", "a"])
    child = table.child()
    assert child.names is table.names
    child.extend(["a", "c", "b", "c"])
    grandchild = child.child()
    grandchild.extend(["d"])
    assert (table.names, child.names, grandchild.names) == (("b", "a"), ("b", "a", "c"), ("b", "a", "c", "d"))
    for known in (table, child, grandchild):
        for place, name in enumerate(known.names):
            assert (known.position(name), known.index(name), name in known) == (place, place, True)
        assert (known.position("z"), "z" in known) == (None, False)
        with pytest.raises(ValueError, match="z"):
            known.index("z")
        column = Coded(np.array([3, 0, 1, 4, 0]), ("c", "a", "q", "b", "d"))
        assert known.positions(column).tolist() == [
            known.position(cell) if cell in known else -1 for cell in column.cells()
        ]
    assert not SymbolTable()
    assert SymbolTable().positions(Coded(np.empty(0, np.int32), ())).tolist() == []
    table = SymbolTable()
    table.extend(iter(["a"]))
    assert table.names == ("a",)
    table.extend(["b"])
    assert table.names == ("a", "b")


def test_names_of_positions() -> None:
    names = tuple(f"n{k}" for k in range(50))
    for positions in ([], [3, 0, 49], [3, 50, 0], list(range(60)) * 2):
        found = named_column(np.array(positions, np.int32), names)
        assert found.dtype == object
        assert found.tolist() == [names[k] if k < 50 else k for k in positions]
        assert all(type(cell) in (str, int) for cell in found.tolist())
