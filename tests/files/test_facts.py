"""Facts of delimited text: what array operations read equals what the csv module reads line by line."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from fuse_ref.files import scan, tokens
from fuse_ref.files.delimited import read_facts, read_line_by_line
from fuse_ref.files.facts import FactReader
from fuse_ref.files.scan import Irregular
from fuse_ref.files.table import LineProblem, Table
from fuse_ref.relations.symbols import Coded

SYMBOLS = (
    "Ann",
    "Bob",
    "New York",
    "ä",
    "日本語",
    "12a",
    "-",
    "+",
    "1_0",
    "1.5",
    "\u00a0b\u00a0",
    *("x" * n for n in range(6, 27)),
)
NUMBERS = (
    "0",
    "7",
    "12",
    "-3",
    "+4",
    "007",
    "12345678",
    "123456789012",
    "-999999999999999999",
    str(2**62),
    str(-(2**63)),
)


def content(table: Table) -> tuple[list[list[object]], list[int]]:
    columns: list[list[object]] = []
    for column in table.columns:
        if isinstance(column, Coded):
            assert len(set(column.names)) == len(column.names)
            columns.append([column.cell(row) for row in range(len(column))])
        else:
            assert column.dtype == np.int64
            columns.append(column.tolist())
    return columns, [int(line) for line in table.lines]


def random_cell(rng: random.Random, kind: str, delimiter: str, odd: bool) -> str:
    number = kind == "numbers" or (kind == "mixed" and rng.random() < 0.8)
    cell = rng.choice(NUMBERS if number else SYMBOLS)
    if rng.random() < 0.1:
        cell = rng.choice([" ", "  ", "\x0b", "\u3000", "\x1f"]) + cell + rng.choice(["", " ", "\u00a0"])
    if rng.random() < 0.15:
        inside = "" if number else rng.choice(["", '"', "\n", delimiter, "\r\n", "  "])
        cell = '"' + (cell + inside).replace('"', '""') + '"'
    if odd and rng.random() < 0.03:
        cell = rng.choice([cell + '"x', '"' + cell, "", " ", '""', '"a"b', '""""', cell + "\r" + cell, "\0", "9" * 20])
    return cell


def random_text(rng: random.Random, delimiter: str, width: int) -> str:
    kinds = [rng.choice(["numbers", "numbers", "symbols", "mixed"]) for _ in range(width)]
    odd = rng.random() < 0.2
    rows: list[list[str]] = []
    if rng.random() < 0.25:
        rows.append(rng.sample(["x", "y", "z"], width) if rng.random() < 0.5 else ["from", "to", "Ann"][:width])
    for _ in range(rng.choice([0, 1, 2, 5, 20])):
        if rng.random() < 0.1:
            rows.append([rng.choice(["", " ", "\u00a0", "\u3000 "])])
        more = rng.choice([-1, 1]) if odd and rng.random() < 0.03 else 0
        rows.append([random_cell(rng, kinds[k % width], delimiter, odd) for k in range(max(width + more, 1))])
    end = rng.choice(["\n", "\r\n"])
    return rng.choice(["", "", "\ufeff"]) + end.join(map(delimiter.join, rows)) + rng.choice(["", end])


@pytest.mark.parametrize("block", [1, 7, 50, scan.BLOCK])
def test_equal_to_the_csv_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(scan, "BLOCK", block)
    monkeypatch.setattr(tokens, "_LEAST_SLOTS", 2)
    fast = wrong = 0
    for seed in range(250):
        rng = random.Random(1000 * block + seed)
        delimiter, width = rng.choice([",", "\t"]), rng.choice([1, 2, 2, 3])
        path = tmp_path / ("e.csv" if delimiter == "," else "e.tsv")
        path.write_bytes(random_text(rng, delimiter, width).encode())
        letters = ["x", "y", "z"][: rng.choice([width, 2])]
        try:
            expected = content(read_line_by_line(path, letters))
        except LineProblem:
            # Where a file has several mistakes, either may be the one that is told.
            with pytest.raises(LineProblem):
                read_facts(path, letters)
            wrong += 1
            continue
        try:
            found = content(FactReader(path, delimiter, letters).read().table)
            fast += 1
        except Irregular:
            found = content(read_facts(path, letters))
        assert found == expected, (seed, path.read_bytes())
    assert fast > 150
    assert wrong > 3


def reader(path: Path, letters: tuple[str, ...] = ("x", "y")) -> Table:
    """Without falling back on the csv module."""
    return FactReader(path, ",", letters).read().table


@pytest.mark.parametrize(
    ("text", "columns", "lines"),
    [
        ("", [[], []], []),
        ("\n \n", [[], []], []),
        ("x,y\n", [[], []], []),
        ("1,a\n", [[1], ["a"]], [1]),
        ("a,1\nb,2\n", [["a", "b"], [1, 2]], [1, 2]),
        ("from,1\n7,2\n", [[7], [2]], [2]),  # a heading, for a column is of numbers below it
        ("from,to\n7,a\n", [[7], ["a"]], [2]),
        ("7,to\n8,a\n", [[7, 8], ["to", "a"]], [1, 2]),
        ("y,k,x\nb,9,a\n\nd,9,c\n", [["a", "c"], ["b", "d"]], [2, 4]),
        ('"a,b","c\nd"\n"say ""hi""",e\n', [["a,b", 'say "hi"'], ["c\nd", "e"]], [1, 3]),
        ("1,2\r\n\r\n3,4", [[1, 3], [2, 4]], [1, 3]),
        ("1,2\n3,4\n5,b\n", [[1, 3, 5], ["2", "4", "b"]], [1, 2, 3]),  # "2" is a symbol, although it came first
        ("1,007\n3,7\n5,b\n", [[1, 3, 5], ["007", "7", "b"]], [1, 2, 3]),
        (f"{2**63 - 1},{-(2**63)}\n+3,-0\n", [[2**63 - 1, 3], [-(2**63), 0]], [1, 2]),
        ("\u00a07 ,a\n\u3000\n8,\u00a0a\n", [[7, 8], ["a", "a"]], [1, 3]),
        ("a" * 7 + ",b\n" + "a" * 8 + ",b\n" + "a" * 9 + ",b\n", [["a" * n for n in (7, 8, 9)], ["b"] * 3], [1, 2, 3]),
    ],
)
@pytest.mark.parametrize("block", [3, scan.BLOCK])
def test_examples(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    block: int,
    text: str,
    columns: list[list[object]],
    lines: list[int],
) -> None:
    monkeypatch.setattr(scan, "BLOCK", block)
    path = tmp_path / "e.csv"
    path.write_bytes(text.encode())
    assert content(reader(path)) == (columns, lines)
    assert content(read_line_by_line(path, ("x", "y"))) == (columns, lines)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("1,2\n\n3\n", 3, "it has 1 cells, and line 1 has 2"),
        ("\n1,2\n3,4,5\n", 3, "it has 3 cells, and line 2 has 2"),
        ("1,2\n3,\n", 2, "column 2 is empty"),
        ("1,2\n3,\u00a0\n", 2, "column 2 is empty"),
        ("1,2\n ,4\n", 2, "column 1 is empty"),
        (",2\n3,4\nb,5\n", 1, "column 1 is empty"),
        (f"1,2\n3,{2**63}\n", 2, "column 2: 9223372036854775808 is beyond 64 bits"),
        ('1,2\n3,"4\n', 2, "unexpected end of data"),
        ('1,2\n3,"4"5\n', 2, "',' expected after '\"'"),
    ],
)
@pytest.mark.parametrize("block", [3, scan.BLOCK])
def test_lines_that_are_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, text: str, line: int, words: str
) -> None:
    monkeypatch.setattr(scan, "BLOCK", block)
    path = tmp_path / "e.csv"
    path.write_bytes(text.encode())
    with pytest.raises(LineProblem) as caught:
        read_facts(path, ("x", "y"))
    assert (caught.value.line, words in caught.value.problem) == (line, True), caught.value


def test_no_text(tmp_path: Path) -> None:
    path = tmp_path / "e.csv"
    path.write_bytes(b"a,b\nc,\xff\n")
    with pytest.raises(UnicodeDecodeError):
        read_facts(path, ("x", "y"))


def test_equal_hashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hash that tells little apart makes the csv module read the file."""
    path = tmp_path / "e.csv"
    path.write_text("a,b\nb,a\nabcdefghi,a\n")
    monkeypatch.setattr(tokens, "_hashes", lambda parts, count: np.zeros(count, np.uint64))
    with pytest.raises(tokens.Collision):
        reader(path)
    assert content(read_facts(path, ("x", "y"))) == ([["a", "b", "abcdefghi"], ["b", "a", "a"]], [1, 2, 3])


def test_many_rows(tmp_path: Path) -> None:
    """More than a block, more symbols than a new table has room for; line numbers take no memory."""
    path = tmp_path / "e.csv"
    numbers = np.random.default_rng(0).integers(-50_000, 50_000, (250_000, 2))
    path.write_text("".join(f"{a},city {b}\n" for a, b in numbers.tolist()))
    table = reader(path)
    assert path.stat().st_size > scan.BLOCK
    first, second = table.columns
    assert isinstance(first, np.ndarray)
    assert np.array_equal(first, numbers[:, 0])
    assert isinstance(second, Coded)
    assert len(second.names) == len(np.unique(numbers[:, 1]))
    assert [second.names[code] for code in second.codes.tolist()] == [f"city {b}" for b in numbers[:, 1].tolist()]
    assert table.lines == range(1, 250_001)
