"""`fuse query`."""

from __future__ import annotations

import json

import pytest

FAMILY = """\
Parent(Bob, Charlie)
Parent(Alice, Bob)
Ancestor(x, y) <- Parent(x, y)
Ancestor(x, z) <- Ancestor(x, y), Parent(y, z)
Kids[x] = Parent(x, y)
"""


@pytest.fixture
def family(write):
    return write("family.fuse", FAMILY)


def test_answers(fuse, family) -> None:
    result = fuse("query", family, "Ancestor(Alice, x)?", "Ancestor(Charlie, x)", "Ancestor(Alice, Charlie)?")
    assert (result.code, result.err) == (0, "")
    assert result.out == (
        "Ancestor(Alice, x)?\n  Bob\n  Charlie\nAncestor(Charlie, x)?\n  no\nAncestor(Alice, Charlie)?\n  yes\n"
    )


def test_on_demand(fuse, family) -> None:
    words = ("query", family, "Ancestor(Alice, x)?")
    assert fuse(*words, "--demand") == fuse(*words)


def test_inputs(fuse, write, tmp_path) -> None:
    program = write("p.fuse", "input Edge(x, y)\nPath(x, y) <- Edge(x, y)\nPath(x, z) <- Path(x, y), Edge(y, z)\n")
    for rows, wanted in (("A\tB\nB\tC\n", "  B\n  C\n"), ("A\tC\n", "  C\n")):
        (tmp_path / "edges.tsv").write_text(rows)
        result = fuse("query", program, "Path(A, y)?", "--input", "Edge=edges.tsv")
        assert (result.code, result.out) == (0, "Path(A, y)?\n" + wanted)


def test_json(fuse, family) -> None:
    result = fuse("query", family, "Ancestor(Alice, x)?", "Kids[x]?", "--json")
    answers = json.loads(result.out)["answers"]
    assert [answer["query"] for answer in answers] == ["Ancestor(Alice, x)?", "Kids[x]?"]
    assert answers[0]["rows"] == [["Bob"], ["Charlie"]]
    assert sorted(answers[1]["rows"]) == [["Alice", 1.0], ["Bob", 1.0], ["Charlie", 0.0]]


def test_mistakes(fuse, family, write) -> None:
    assert fuse("query", family, "Ancestor(Alice").code == 2
    assert "did you mean" in fuse("query", family, "Ancester(Alice, x)?").err
    assert fuse("query", family, "Ancester(Alice, x)?").code == 3
    assert fuse("query", write("bad.fuse", "P(x) <- not Q(x)\n"), "P(x)?").code == 1
    assert fuse("query", family).code == 2
    assert fuse("query", "missing.fuse", "P(x)?").code == 2
