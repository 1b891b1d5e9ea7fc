"""docs/language.md says what the catalogue says: one line per function."""

from __future__ import annotations

import re

import pytest

from fuse_ref import Program, RouteError
from fuse_ref.ir.operations import ALIASES, CATALOGUE, Operation
from fuse_ref.ir.operations import signature as written
from tests.boundaries.sources import ROOT

PAGE = (ROOT / "docs" / "language.md").read_text(encoding="utf-8")
KINDS = {
    "elementwise": "",
    "along_axis": "keeps it",
    "reduce_axis": "it leaves",
    "whole": "along all",
    "new_axis": "makes it",
    "concat": "makes it",
}


def call(row: Operation) -> str:
    words = [written(item) for item in row.arguments]
    for option in row.options:
        words.append(option.name if option.default is None else f'{option.name}="{option.default}"')
    return f"`{row.name}({', '.join(words)})`"


def catalogue_line(row: Operation) -> str:
    return f"| {call(row)} | {KINDS[row.kind]} | {row.meaning} |"


def test_every_function_has_its_line() -> None:
    assert [line for row in CATALOGUE.values() if (line := catalogue_line(row)) not in PAGE] == []


def test_the_page_names_no_other_function() -> None:
    section = PAGE.partition("## 11.")[2].partition("## 12.")[0]
    named = set(re.findall(r"^\| `(\w+)\(", section, flags=re.MULTILINE))
    assert named == set(CATALOGUE)


def test_other_spellings_are_named() -> None:
    assert [name for name in ALIASES if f"`{name}`" not in PAGE] == []


def test_every_reserved_word_and_initialiser_is_named() -> None:
    words = "not and or case default axis export input param fn import as sum max min avg prod"
    assert f"`{words}`" in PAGE
    for name in ("zeros()", "ones()", "normal(mean, std)", "uniform(lo, hi)", "xavier()", "kaiming()", "orthogonal()"):
        assert f"`{name}`" in PAGE


def test_links_of_the_contents_lead_to_headings() -> None:
    headings = {re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in re.findall(r"^## (.+)$", PAGE, re.M)}
    assert set(re.findall(r"\(#([\w-]+)\)", PAGE)) <= headings


def test_what_does_not_run_yet_says_so() -> None:
    """Each `no` of the table of section 12, on a program that shows it."""
    programs = {
        "relations": "A(x, t+1) <- A(x, t), not D(x, t); D(x, t) <- A(x, t), Old(x, t); export A",
    }
    for what, text in programs.items():
        program = Program(text)
        assert any(step.unsupported for step in program.plan().steps), what
        with pytest.raises(RouteError):
            program.compile("numpy")()


def test_what_runs_has_nothing_against_it() -> None:
    programs = (
        "Y[i] = X[2:4] A[i]",
        "Y[i] = concat(A[i], B[i])",
        "Y[i] = case { X[i] > 0 -> 1; default -> 2 }",
        "Agg[n, d] = Neig(n, m) Z[m, d]",
        "L = mse(A[i], B[i])",
        "Anc(x, z) <- Par(x, z); Anc(x, z) <- Anc(x, y), Par(y, z)",
        "P(Ann, Bob); P(Ann, x)?",
        "P[x/2] max= F[x]",
        "R[i] = 0.5 A[i, j] R[j] + B[i]",
        "input Edge(x, y); D[0] = 0; D[y] min= Edge(x, y), D[x] + W[x, y]",
        "Y[p, d] = E[X[p]+1, d]",
        "axis n = 5; Y[X[p], d] = Z[p, d]; Y[n, d] += 0",
        "Y[x] = P[(x+1)/2]",
        "Anc(x, z) <- Par(x, z); Anc(x, z) <- Anc(x, y), Par(y, z)",
        "P(Ann, Bob); P(Ann, x)?",
    )
    for text in programs:
        assert all(not step.unsupported for step in Program(text).plan().steps), text
