"""docs/architecture.md names files that exist, and the newcomer's path stays short."""

from __future__ import annotations

import re

from tests.boundaries.sources import ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")

# What someone reads to know the whole way, in this order.
NEWCOMERS_PATH = (
    "README.md",
    "examples/perceptron.fuse",
    "fuse_ref/language/fuse.lark",
    "fuse_ref/ir/nodes.py",
    "fuse_ref/plan/steps.py",
    "fuse_ref/evaluate/runner.py",
    "fuse_torch/lowering/lower.py",
)


def test_every_named_file_exists() -> None:
    named = set(re.findall(r"`((?:fuse_\w+|tests|docs|examples|benchmarks)/[\w/.]+)`", PAGE))
    assert len(named) > 15
    assert sorted(path for path in named if not (ROOT / path).exists()) == []


def test_the_way_to_add_an_operation_names_every_table() -> None:
    section = PAGE.partition("## How to add an operation")[2].partition("## How to add other")[0]
    tables = re.findall(r"^\| `([\w/.]+)` \|", section, flags=re.MULTILINE)
    # Each table of engines, oracle, tests and page has a row for `relu`, as it will have for the next operation.
    assert len(tables) == 8
    assert [path for path in tables if "relu" not in (ROOT / path).read_text(encoding="utf-8")] == []


def test_the_newcomers_path_is_short() -> None:
    texts = {path: (ROOT / path).read_text(encoding="utf-8") for path in NEWCOMERS_PATH}
    lengths = {path: sum(bool(line.strip()) for line in text.splitlines()) for path, text in texts.items()}
    assert sum(lengths.values()) < 1500, lengths
