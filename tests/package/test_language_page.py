"""docs/language.md says what the catalogue says: one line per function."""

from __future__ import annotations

import re

from fuse_ref.ir.operations import ALIASES, CATALOGUE, PLANNED, Operation
from tests.boundaries.sources import ROOT

PAGE = (ROOT / "docs" / "language.md").read_text(encoding="utf-8")
KINDS = {"elementwise": "", "along_axis": "keeps it", "reduce_axis": "it leaves"}


def signature(row: Operation) -> str:
    words = [f"{item.name}" if item.default is None else f"{item.name}={item.default:g}" for item in row.arguments]
    for option in row.options:
        words.append(option.name if option.default is None else f'{option.name}="{option.default}"')
    return f"`{row.name}({', '.join(words)})`"


def catalogue_line(row: Operation) -> str:
    return f"| {signature(row)} | {KINDS[row.kind]} | {row.meaning} |"


def planned_line(row: Operation) -> str:
    return f"| {signature(row)} | {row.meaning} |"


def test_every_function_has_its_line() -> None:
    assert [line for row in CATALOGUE.values() if (line := catalogue_line(row)) not in PAGE] == []
    assert [line for row in PLANNED.values() if (line := planned_line(row)) not in PAGE] == []


def test_the_page_names_no_other_function() -> None:
    section = PAGE.partition("## 11.")[2].partition("Planned, parsed")[0]
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
