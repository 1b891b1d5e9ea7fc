"""docs/logic.md: every block runs in order and prints what it says, and both sides of what stands side by side agree."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import clingo
import duckdb
import pytest

from fuse_ref import FuseError, Program
from tests.boundaries.sources import ROOT

PAGE = (ROOT / "docs" / "logic.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(fuse|python)\n(.*?)```(?:\n\n((?:    [^\n]*\n)+))?", PAGE, flags=re.DOTALL)
FAMILY, CITES = (text for language, text, _ in BLOCKS if language == "fuse")


def rows(title: str) -> list[list[str]]:
    """The cells of the table of a section."""
    section = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return [re.split(r" \| ", line.strip("| ")) for line in section.splitlines() if line.startswith("| `")]


def test_blocks_print_what_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "family.fuse").write_text(FAMILY, encoding="utf-8")
    (tmp_path / "cites.fuse").write_text(CITES, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for language, code, shown in BLOCKS:
        if language != "python":
            continue
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(code, "docs/logic.md", "exec"), names)
        printed = out.getvalue()
        promised = re.findall(r"# → (.*)", code)
        if promised:
            assert printed.splitlines() == promised
        for line in shown.splitlines():
            # An ellipsis stands for the rest of a line.
            assert line.strip().partition("…")[0] in printed


# What a statement of the table needs around it.
AROUND = {
    "P(x)": "input P(x); input Q(x)",
    "Leaf": "input Person(x); input Parent(x, y)",
    "Sibling": "input Parent(x, y)",
    "T(x, y)": "input E(x)",
    "Even": "axis x = 10; Even(0)",
    "Ancestor(x, y)": "input Parent(x, y)",
    "Ancestor(Alice": "input Parent(x, y); Ancestor(x, y) <- Parent(x, y)",
    "Children": "input Parent(x, y)",
    "Eldest": "input Parent(x, y)",
    "Mean": "input Parent(x, y)",
    "Many": "input Parent(x, y); Children[x] = Parent(x, y)",
    "D[y]": "input Edge(x, y); D[A] = 0",
    "D[A]": "",
    '"ancestor.tsv"': "input Parent(x, y); Ancestor(x, y) <- Parent(x, y)",
    "export Ancestor": "input Parent(x, y); Ancestor(x, y) <- Parent(x, y)",
}


def statements() -> list[str]:
    cells = [cell for row in rows("Side by side") for cell in row[1:]]
    spans = [span for cell in cells for span in re.findall(r"`([^`]+)`", cell)]
    return [
        span for span in spans if re.search(r"<-|[\]\)] (=|min=|max=|avg=) |\?$|^export |^\"\w+\.|^Parent\(A", span)
    ]


@pytest.mark.parametrize("statement", statements())
def test_every_statement_of_the_table_is_planned(statement: str, tmp_path: Path) -> None:
    (tmp_path / "parent.tsv").write_text("Ann\tBob\n", encoding="utf-8")
    around = next((text for start, text in AROUND.items() if statement.startswith(start)), "")
    around = next((AROUND[key] for key in AROUND if key == statement.partition(" <-")[0].partition(" =")[0]), around)
    program = Program(f"{around}\n{statement}\n", path=tmp_path / "page.fuse")
    assert all(not step.unsupported for step in program.plan().steps)


def test_the_table_is_there() -> None:
    assert len(rows("Side by side")) > 12
    assert len(statements()) > 12


@pytest.mark.parametrize("row", rows("What is an error"), ids=range(len(rows("What is an error"))))
def test_errors(row: list[str]) -> None:
    with pytest.raises(FuseError) as found:
        Program(row[0].strip("`").replace("; ", "\n")).compile("numpy")()
    assert found.value.code == row[1].partition(":")[0]


def test_capital_variables_are_symbols() -> None:
    assert "`Q(X) <- P(X)`" in PAGE
    assert Program("P(Ann)\nQ(X) <- P(X)\nexport Q").compile("numpy")()["Q"].rows == ()


def test_datalog_and_sql_say_the_same() -> None:
    expected = set(Program(FAMILY).compile("numpy")()["Ancestor"].rows)
    facts = re.findall(r"Parent\(([A-Z]\w*), ([A-Z]\w*)\)", FAMILY)
    control = clingo.Control(["--warn=none"])
    text = "".join(f'parent("{a}","{b}"). ' for a, b in facts)
    control.add("base", [], f"{text} ancestor(X, Y) :- parent(X, Y). ancestor(X, Z) :- ancestor(X, Y), parent(Y, Z).")
    control.ground([("base", [])])
    found = {
        tuple(argument.string for argument in atom.symbol.arguments)
        for atom in control.symbolic_atoms.by_signature("ancestor", 2)
    }
    assert found == expected
    values = ", ".join(f"('{a}', '{b}')" for a, b in facts)
    query = f"""WITH RECURSIVE parent(x, y) AS (VALUES {values}), a(x, y) AS (
        SELECT x, y FROM parent UNION SELECT a.x, parent.y FROM a JOIN parent ON a.y = parent.x) SELECT * FROM a"""
    assert set(duckdb.sql(query).fetchall()) == expected


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
