"""Facts in and results out: files, arrays and tables as relations, relations as rows, columns and files.

Each figure is the CPU time of one process of its own, imports aside; beside it pyarrow's or pandas' for the same file.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.table import Row, duration

__all__ = ["TITLE", "rows"]

TITLE = "Facts in, results out (CPU seconds; peak memory beside what the file or the arrays take)"

MILLION = 10**6
TWO_COLUMNS = 'R(x, y) = "{name}"\nBack(y, x) <- R(x, y)\nexport Back'


def _numbers(count: int, below: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, below, (count, 2))


def _write(path: Path, rows: np.ndarray, form: str) -> None:
    with path.open("w") as file:
        for begin in range(0, len(rows), MILLION):
            part = rows[begin : begin + MILLION].tolist()
            file.write("\n".join(map(form.__mod__, map(tuple, part))) + "\n")


FILES: dict[str, Callable[[Path], object]] = {
    "positions.tsv": lambda path: _write(path, _numbers(10 * MILLION, 2 * MILLION), "%d\t%d"),
    "symbols.tsv": lambda path: _write(path, _numbers(10 * MILLION, 100_000), "n%d\tm%d"),
    "distinct.tsv": lambda path: _write(path, _numbers(MILLION, 2 * MILLION), "person %d\tthe city of %d"),
    "quoted.csv": lambda path: _write(path, _numbers(MILLION, 100_000), '"n, %d","m%d"'),
    "odd.csv": lambda path: _write(path, _numbers(MILLION, 100_000), 'n"%d,m%d'),
}


def _parquet(folder: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    rows = _numbers(10 * MILLION, 100_000)
    names = pyarrow.array([f"n{k}" for k in range(100_000)])
    columns = [pyarrow.DictionaryArray.from_arrays(pyarrow.array(rows[:, 0].astype(np.int32)), names), rows[:, 1]]
    pyarrow.parquet.write_table(pyarrow.table(columns, names=["x", "y"]), folder / "facts.parquet")


# What a process of its own measures. Each gives the seconds of processor time, and how many facts there were.


def _timed(call: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    found = call()
    return time.process_time() - start, found


def read(path: Path) -> tuple[float, int]:
    from fuse_ref.files.content import read_content
    from fuse_ref.files.paths import Folders, Place

    place = Place(path, None, path.name)
    spent, table = _timed(lambda: read_content(place, Folders.of(path), ("x", "y"), boolean=True))
    return spent, len(table)


def compiled(path: Path) -> tuple[float, int]:
    from fuse_ref import Program

    def run() -> Any:
        return Program(TWO_COLUMNS.format(name=path.name), path=path.parent / "p.fuse").compile()()["Back"]

    spent, relation = _timed(run)
    return spent, len(relation)


def by_arrow(path: Path) -> tuple[float, int]:
    from pyarrow import csv, parquet

    if path.suffix == ".parquet":
        spent, table = _timed(lambda: parquet.read_table(path, use_threads=False))
        return spent, len(table)
    delimiter = "\t" if path.suffix == ".tsv" else ","
    spent, table = _timed(
        lambda: csv.read_csv(
            path,
            csv.ReadOptions(use_threads=False, column_names=["x", "y"]),
            csv.ParseOptions(delimiter=delimiter),
            csv.ConvertOptions(auto_dict_encode=True),
        )
    )
    return spent, len(table)


def _given(value: object) -> tuple[float, int]:
    from fuse_ref.evaluate.truth import SymbolTables, sparse_relations
    from fuse_ref.program import Program

    ir = Program("input R(x, y)\nBack(y, x) <- R(x, y)\nexport Back").ir
    spent, found = _timed(lambda: sparse_relations({"R": value}, [ir.tensor("R")], SymbolTables.of(ir), {}))
    return spent, len(found["R"])


def given_array(_: Path) -> tuple[float, int]:
    return _given(_numbers(10 * MILLION, 2 * MILLION))


def given_tuples(_: Path) -> tuple[float, int]:
    return _given([(f"n{a}", f"m{b}") for a, b in _numbers(MILLION, 500_000).tolist()])


def given_frame(_: Path) -> tuple[float, int]:
    import pandas

    rows = _numbers(MILLION, 100_000)
    return _given(pandas.DataFrame({"x": [f"n{k}" for k in rows[:, 0].tolist()], "y": rows[:, 1]}))


def _relation(count: int) -> Any:
    from fuse_ref.evaluate.relation import Relation
    from fuse_ref.relations.tuples import Tuples

    tuples = Tuples.of(list(_numbers(count, 100_000).T), (100_000, 100_000))
    return Relation(tuples, (tuple(f"n{k}" for k in range(100_000)), None))


def as_rows(_: Path) -> tuple[float, int]:
    relation = _relation(MILLION)
    return _timed(lambda: relation.rows)[0], len(relation)


def as_columns(_: Path) -> tuple[float, int]:
    relation = _relation(10 * MILLION)
    return _timed(lambda: relation.columns)[0], len(relation)


def as_arrow(_: Path) -> tuple[float, int]:
    relation = _relation(10 * MILLION)
    return _timed(relation.to_arrow)[0], len(relation)


def asked(_: Path) -> tuple[float, int]:
    relation = _relation(10 * MILLION)
    rows = [(f"n{random.randrange(100_000)}", random.randrange(100_000)) for _ in range(1000)]
    return _timed(lambda: [row in relation for row in rows])[0], len(rows)


def _written(path: Path, count: int) -> tuple[float, int]:
    from fuse_ref.files.paths import Place
    from fuse_ref.files.sinks import Result, write_results

    relation = _relation(count)
    place = Place(path.resolve(), None, path.name)
    spent, _ = _timed(lambda: write_results([Result(place, "R", relation.tuples, relation.symbols)]))
    return spent, len(relation)


def written_tsv(folder: Path) -> tuple[float, int]:
    return _written(folder / "out.tsv", MILLION)


def written_parquet(folder: Path) -> tuple[float, int]:
    return _written(folder / "out.parquet", 10 * MILLION)


# Whether a task is given a file, and what is told beside it.
TASKS: tuple[tuple[str, Callable[[Path], tuple[float, int]], str, Callable[[Path], tuple[float, int]] | None], ...] = (
    ("read .tsv, two whole numbers", read, "positions.tsv", by_arrow),
    ("read .tsv, two symbols of 100,000", read, "symbols.tsv", by_arrow),
    ("read .tsv, symbols mostly distinct", read, "distinct.tsv", by_arrow),
    ("read .csv, quoted", read, "quoted.csv", by_arrow),
    ("read .csv, quotes inside cells (csv module)", read, "odd.csv", None),
    ("read .parquet, a symbol and a number", read, "facts.parquet", by_arrow),
    ("compile and run a rule on .tsv of numbers", compiled, "positions.tsv", None),
    ("compile and run a rule on .tsv of symbols", compiled, "distinct.tsv", None),
    ("input: array (count, 2)", given_array, "", None),
    ("input: list of tuples of strings", given_tuples, "", None),
    ("input: pandas.DataFrame, a symbol and a number", given_frame, "", None),
    ("result: .rows", as_rows, "", None),
    ("result: .columns", as_columns, "", None),
    ("result: .to_arrow()", as_arrow, "", None),
    ("result: 1,000 times `row in relation`", asked, "", None),
    ("sink: .tsv", written_tsv, "", None),
    ("sink: .parquet", written_parquet, "", None),
)


def _in_a_process(task: Callable[[Path], tuple[float, int]], path: Path) -> tuple[float, int, float]:
    """Seconds, facts, and MiB of peak memory."""
    command = [sys.executable, "-m", "benchmarks.facts", task.__name__, str(path)]
    done = subprocess.run(command, text=True, check=True, capture_output=True)
    spent, count, memory = json.loads(done.stdout)
    return float(spent), int(count), float(memory)


def rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for what, task, file, rival in TASKS:
            path = folder / file if file else folder
            if file in FILES and not path.exists():
                FILES[file](path)
            if file.endswith(".parquet"):
                _parquet(folder)
            spent, count, memory = _in_a_process(task, path)
            beside = "" if rival is None else duration(_in_a_process(rival, path)[0])
            size = f", file {path.stat().st_size / 2**20:.0f} MiB" if file else ""
            yield Row(f"{what} ({count:,})", beside, duration(spent), f"{memory:.0f} MiB{size}", "", "")


def _peak() -> int:
    """KiB. What `resource` tells begins with the peak of the process that started this one."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def main(name: str, path: str) -> None:
    import fuse_ref.program  # noqa: F401  # imports aside

    before = _peak()
    spent, count = globals()[name](Path(path))
    memory = (_peak() - before) / 1024
    print(json.dumps([spent, count, memory]))


if __name__ == "__main__":
    main(*sys.argv[1:])
