"""DuckDB: recursive common table expressions, and a loop of statements where rules are not linear. Two threads."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import duckdb

from benchmarks.rivals.logic_report import report

__all__ = ["FAMILIES"]


def _load(base: duckdb.DuckDBPyConnection, folder: Path) -> None:
    for path in sorted(folder.glob("*.tsv")):
        with path.open(encoding="utf-8") as lines:
            width = lines.readline().count("\t") + 1
        columns = ", ".join(f"'{name}': 'INTEGER'" for name in "abc"[:width])
        base.execute(
            f"create table {path.stem} as "
            f"select * from read_csv('{path}', delim='\t', header=false, columns={{{columns}}})"
        )


def _count(base: duckdb.DuckDBPyConnection, query: str) -> int:
    row = base.execute(query).fetchone()
    assert row is not None
    return int(row[0])


def _closure(base: duckdb.DuckDBPyConnection) -> int:
    return _count(
        base,
        "with recursive path(a, b) as (select a, b from Edge union "
        "select path.a, Edge.b from path join Edge on Edge.a = path.b) select count(*) from path",
    )


def _generation(base: duckdb.DuckDBPyConnection) -> int:
    return _count(
        base,
        "with recursive same(a, b) as (select x.a, y.a from Parent x join Parent y on x.b = y.b union "
        "select x.a, y.a from same join Parent x on x.b = same.a join Parent y on y.b = same.b) "
        "select count(*) from same",
    )


def _andersen(base: duckdb.DuckDBPyConnection) -> int:
    # A recursive expression sees only the tuples of the last round, so rules that are not linear need a loop.
    base.execute("create table Points as select distinct a, b from Addr")
    base.execute("create table Delta as select * from Points")
    while _count(base, "select count(*) from Delta"):
        base.execute(
            """create or replace table Fresh as
            select distinct a, b from (
                select s.a, d.b from Assign s join Delta d on s.b = d.a
                union all select l.a, p.b from Load l join Delta d on l.b = d.a join Points p on p.a = d.b
                union all select l.a, d.b from Load l join Points p on l.b = p.a join Delta d on d.a = p.b
                union all select d.b, p.b from Store s join Delta d on s.a = d.a join Points p on p.a = s.b
                union all select p.b, d.b from Store s join Delta d on s.b = d.a join Points p on p.a = s.a
            ) as n where not exists (select 1 from Points p where p.a = n.a and p.b = n.b)"""
        )
        base.execute("insert into Points select * from Fresh")
        base.execute("create or replace table Delta as select * from Fresh")
    return _count(base, "select count(*) from Points")


def _triangles(base: duckdb.DuckDBPyConnection) -> int:
    return _count(base, "select count(*) from Edge x join Edge y on x.b = y.a join Edge z on z.a = x.a and z.b = y.b")


def _join(base: duckdb.DuckDBPyConnection) -> int:
    return _count(
        base,
        "select count(*) from (select distinct R.a, S.c from R join S on R.c = S.a join T on T.a = S.b and T.c = R.a "
        "where R.b = 7 and T.b = 3)",
    )


def _reach(base: duckdb.DuckDBPyConnection) -> int:
    return _count(
        base,
        "with recursive reach(a) as (select b from Edge where a = 0 union "
        "select Edge.b from reach join Edge on Edge.a = reach.a) select count(*) from reach",
    )


FAMILIES: dict[str, Callable[[duckdb.DuckDBPyConnection], int]] = {
    "closure": _closure,
    "generation": _generation,
    "andersen": _andersen,
    "triangles": _triangles,
    "join": _join,
    "reach": _reach,
}

if __name__ == "__main__":
    _family, _folder = sys.argv[1:]
    _base = duckdb.connect()
    _base.execute("set threads = 2")
    _load(_base, Path(_folder))
    report(FAMILIES[_family](_base))
