"""What is wrong with rules and facts, in words that say where and what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fuse_ref import (
    AxisError,
    DtypeError,
    ExecutionConfig,
    FuseError,
    LimitError,
    ManifestError,
    Program,
    SafetyError,
    StratificationError,
    SyntaxFuseError,
    UnboundTensorError,
)

CLOSURE = "input Edge(x, y)\nPath(x, z) <- Edge(x, z)\nPath(x, z) <- Path(x, y), Edge(y, z), x != z"
CHAIN = np.stack([np.arange(400), np.arange(1, 401)], axis=1)


def _raises(text: str, kind: type[FuseError], line: int, words: str, given: dict[str, Any], folder: Path) -> FuseError:
    with pytest.raises(kind) as caught:
        Program(text, path=folder / "p.fuse").compile("numpy")(given)
    error = caught.value
    assert words in str(error)
    assert error.span is not None
    assert error.span.line == line
    assert "^" in str(error)  # the place in the text
    return error


IN_THE_TEXT: dict[str, tuple[str, type[FuseError], int, str]] = {
    "a denied head": ("Move(A, B)\nWin(x) <- Move(x, y), not Win(y)", StratificationError, 2, "Win <- not Win"),
    "a long way round": (
        "P(A)\nA(x) <- P(x), not B(x)\nB(x) <- C(x)\nC(x) <- D(x), P(x)\nD(x) <- A(x)",
        StratificationError,
        2,
        "A depends on its own negation: A <- not B <- C <- D <- A",
    ),
    "round below a wildcard": ("P(A, B)\nQ(x) <- P(x, _), not Q(_)", StratificationError, 2, "Q <- not Q"),
    "a free head": ("P(A)\nQ(x, y) <- P(x)", SafetyError, 2, "variable 'y' of the head stands in no positive atom"),
    "a free variable below not": ("P(A)\nR(A, B)\nQ(x) <- P(x), not R(x, y)", SafetyError, 3, "'y' below `not`"),
    "a free comparison": ("P(A)\nQ(x) <- P(x), x != y", SafetyError, 2, "'y' of a comparison"),
    "or binds in one branch": ("P(A)\nR(B)\nQ(x) <- P(x) or R(y)", SafetyError, 3, "'x' of the head"),
    "a variable in a fact": ("P(A, x)", FuseError, 1, "x"),
    "fewer arguments": ("P(A, B)\nQ(x) <- P(x)", AxisError, 2, "P is read with 1 index but has 2 indices (line 1)"),
    "a fact with more": ("P(A)\nQ(x) <- P(x)\nP(A, B)", AxisError, 3, "2 indices but has 1 index (line 1)"),
    "a query with more": ("P(A)\nP(x, y)?", AxisError, 2, "P is read with 2 indices but has 1 index (line 1)"),
    "positions beside symbols": (
        "P(1, 2)\nP(Ann, 3)",
        AxisError,
        1,
        "symbols such as 'Ann' (line 2), so 1 is no place",
    ),
    "a symbol among positions": ("P(1)\nQ(x) <- P(x), x == Ann", AxisError, 1, "has symbols such as 'Ann' (line 2)"),
    "an order of symbols": ("P(Ann, Bob)\nQ(x) <- P(x, y), x < y", DtypeError, 2, "x stands for symbols such as 'Ann'"),
    "a sum of symbols": ("P(Ann, Bob)\nQ(x) <- P(x, y), x + 1 >= y", DtypeError, 2, "`>=` compares positions"),
    "symbols and a number": ("P(Ann)\nQ(x) <- P(x), x > 1", DtypeError, 2, "`>` compares positions"),
    "a misspelt relation": ("Parent(A, B)\nQ(x) <- Prent(x, y)", UnboundTensorError, 2, "did you mean 'Parent'?"),
    "a relation from nowhere": ("Q(x) <- Nothing(x)", UnboundTensorError, 1, "Nothing is used, but neither defined"),
    "a question about two": ("P(A)\nP(x), P(y)?", SyntaxFuseError, 2, "a question asks for one tensor or relation"),
}


@pytest.mark.parametrize("name", IN_THE_TEXT)
def test_in_the_text(name: str, tmp_path: Path) -> None:
    text, kind, line, words = IN_THE_TEXT[name]
    _raises(text, kind, line, words, {}, tmp_path)


IN_INPUTS: dict[str, tuple[str, dict[str, Any], type[FuseError], int, str]] = {
    "longer tuples": (
        "input P(x, y)\nQ(x) <- P(x, y)",
        {"P": [("A", "B", "C")]},
        AxisError,
        1,
        "a tuple of 3 was given",
    ),
    "one short tuple": ("input P(x, y)\nQ(x) <- P(x, y)", {"P": [("A", "B"), ("C",)]}, AxisError, 1, "tuple of 1"),
    "a symbol where facts are positions": (
        "S(1)\ninput P(x)\nQ(x) <- P(x), S(x)",
        {"P": [("Ann",)]},
        AxisError,
        2,
        "P gives symbols on axis x, but the program gives positions there",
    ),
    "symbols beside positions": (
        "input P(x)\ninput S(x)\nQ(x) <- P(x), S(x)",
        {"P": ["Ann"], "S": [3]},
        AxisError,
        2,
        "S gives positions on axis x, but P gives symbols there",
    ),
    "more symbols than places": (
        "axis x = 2\ninput P(x)\nQ(x) <- P(x)",
        {"P": ["Ann", "Bob", "Cid"]},
        AxisError,
        2,
        "'Cid' in P is not on axis x, which has 'Ann', 'Bob'",
    ),
    "a symbol that is nearly there": (
        "axis x = {Ann, Bob}\ninput P(x)\nQ(x) <- P(x)",
        {"P": ["Anne"]},
        AxisError,
        2,
        "did you mean 'Ann'?",
    ),
    "an order of given symbols": (
        "input P(x, y)\nQ(x) <- P(x, y), not (y < x)",
        {"P": [("Ann", "Bob")]},
        DtypeError,
        2,
        "`<` compares positions, and y stands for symbols such as 'Ann'",
    ),
    "a negative position": ("input P(x)\nQ(x) <- P(x)", {"P": [(-1,)]}, AxisError, 1, "-1 in P is not on axis x"),
}


@pytest.mark.parametrize("name", IN_INPUTS)
def test_in_inputs(name: str, tmp_path: Path) -> None:
    text, given, kind, line, words = IN_INPUTS[name]
    _raises(text, kind, line, words, given, tmp_path)


IN_FILES: dict[str, tuple[str, str, type[FuseError], str]] = {
    "a short line": ("p.tsv", "A\tB\n\nC\tD\nE\n", ManifestError, "p.tsv, line 4: it has 1 cells, and line 1 has 2"),
    "a long line": ("p.csv", "1,2\n3,4,5\n", ManifestError, "p.csv, line 2: it has 3 cells, and line 1 has 2"),
    "an open quote": ("p.csv", 'A,B\nC,"D\n', ManifestError, "p.csv, line 2: "),
    "too many columns": ("p.tsv", "A\tB\tC\n", AxisError, "p.tsv"),
    "a negative position": ("p.csv", "1,2\n3,4\n-4,5\n", AxisError, "-4 in P (p.csv, line 3) is not on axis x"),
    "a short row": ("p.jsonl", '["A", "B"]\n["C"]\n', ManifestError, "p.jsonl, line 2: it has 1 cells"),
}


@pytest.mark.parametrize("name", IN_FILES)
def test_in_files(name: str, tmp_path: Path) -> None:
    file, content, kind, words = IN_FILES[name]
    (tmp_path / file).write_text(content, encoding="utf-8")
    _raises(f'P(x, y) = "{file}"\nQ(x) <- P(x, _)', kind, 1, words, {}, tmp_path)


def test_positions_of_a_file_where_the_program_has_symbols(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("1,2\n3,4\n")
    text = 'S(Ann)\nP(x, y) = "p.csv"\nQ(x) <- P(x, _), S(x)'
    _raises(text, AxisError, 2, "column 1 of p.csv holds positions, but axis x has symbols", {}, tmp_path)


def test_symbols_of_a_file_have_no_order(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("Ann,Bob\n")
    _raises('P(x, y) = "p.csv"\nQ(x) <- P(x, y), x <= y', DtypeError, 2, "symbols such as 'Ann'", {}, tmp_path)


def test_a_fixpoint_beyond_the_memory_limit_keeps_what_it_has() -> None:
    runner = Program(CLOSURE + "\nFirst(x) <- Edge(x, _)").compile(
        "numpy", config=ExecutionConfig(memory_limit=300_000)
    )
    with pytest.raises(LimitError) as caught:
        runner(Edge=CHAIN)
    assert "more than memory_limit=300000: Path, with" in str(caught.value)
    assert "grew by the rule Path(x, z) <- Path(x, y), Edge(y, z), x != z" in str(caught.value)
    assert caught.value.span is not None
    assert caught.value.span.line == 3
    partial = caught.value.partial
    assert partial is not None
    found = partial["Path"].positions
    # The shortest ways, all of them right.
    assert len(found) > 10_000
    assert (found[:, 0] < found[:, 1]).all()
    assert runner(Edge=CHAIN[:20])["Path"].positions.shape == (210, 2)  # the next call is none the worse
