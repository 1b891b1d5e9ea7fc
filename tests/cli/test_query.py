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


def test_why(fuse, family) -> None:
    result = fuse("query", family, "Ancestor(Alice, x)?", "Ancestor(Bob, Alice)", "--why", "--demand")
    assert (result.code, result.err) == (0, "")
    assert result.out == (
        "Ancestor(Alice, x)?\n"
        "  Bob\n"
        "  Charlie\n"
        "\n"
        "Ancestor(Alice, Bob)   by Ancestor(x, y) <- Parent(x, y)\n"
        "└─ Parent(Alice, Bob)   fact\n"
        "\n"
        "Ancestor(Alice, Charlie)   by Ancestor(x, z) <- Ancestor(x, y), Parent(y, z)\n"
        "├─ Ancestor(Alice, Bob)   by Ancestor(x, y) <- Parent(x, y)\n"
        "│  └─ Parent(Alice, Bob)   fact\n"
        "└─ Parent(Bob, Charlie)   fact\n"
        "Ancestor(Bob, Alice)?\n"
        "  no\n"
        "\n"
        "Ancestor(Bob, Alice) does not hold\n"
        "├─ Ancestor(x, y) <- Parent(x, y)\n"
        "│  └─ Parent(Bob, Alice)   does not hold\n"
        "└─ Ancestor(x, z) <- Ancestor(x, y), Parent(y, z)\n"
        "   ├─ Ancestor(Bob, Charlie)   holds\n"
        "   └─ Parent(Charlie, Alice)   does not hold\n"
    )


def test_why_as_json(fuse, family) -> None:
    (answer,) = json.loads(fuse("query", family, "Ancestor(Bob, x)?", "--why", "--json").out)["answers"]
    (found,) = answer["why"]
    assert (found["fact"], found["holds"], found["height"]) == ("Ancestor(Bob, Charlie)", True, 1)
    assert [found["nodes"][k]["text"] for k in found["nodes"][0]["because"]] == ["Parent(Bob, Charlie)"]


def test_symbols_of_any_kind_are_asked_about(fuse, write) -> None:
    program = write("p.fuse", 'Near("New York", "a \\"b\\" c")\nNear(x, y) <- Near(y, x)\n')
    result = fuse("query", program, 'Near("New York", x)?', "--why")
    assert (result.code, result.err) == (0, "")
    assert 'Near("New York", "a \\"b\\" c")   fact' in result.out


def test_mistakes(fuse, family, write) -> None:
    assert fuse("query", family, "Ancestor(Alice").code == 2
    assert "did you mean" in fuse("query", family, "Ancester(Alice, x)?").err
    assert fuse("query", family, "Ancester(Alice, x)?").code == 3
    assert fuse("query", write("bad.fuse", "P(x) <- not Q(x)\n"), "P(x)?").code == 1
    assert fuse("query", family).code == 2
    assert fuse("query", "missing.fuse", "P(x)?").code == 2
