"""Every place that reports a mistake fills in what the mistake's words need, and every row is used."""

from __future__ import annotations

import ast
import string
from pathlib import Path

import pytest

from fuse_ref.mistakes import MISTAKES

ROOT = Path(__file__).parents[2]
FILES = sorted(path for package in ("fuse_ref", "fuse_torch", "fuse_jax") for path in (ROOT / package).rglob("*.py"))


def fields(template: str) -> set[str]:
    return {name.split(".")[0] for _, name, _, _ in string.Formatter().parse(template) if name}


def wrong_calls(text: str) -> list[str]:
    """Calls `mistake("FUSE…", …)` that leave a field of the sentence, or of the row's own cure, empty."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "mistake"):
            continue
        code, given = node.args[0], {keyword.arg for keyword in node.keywords}
        if not isinstance(code, ast.Constant) or None in given:
            continue  # codes and values that are computed are met by the rows' examples
        row = MISTAKES[str(code.value)]
        needed = fields(row.sentence) | (set() if "cure" in given else fields(row.cure))
        if not needed <= given:
            found.append(f"line {node.lineno}: {row.code} lacks {', '.join(sorted(needed - given))}")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_calls_fill_in_the_words(path: Path) -> None:
    assert wrong_calls(path.read_text()) == []


def test_a_wrong_call_is_found() -> None:
    row = next(row for row in MISTAKES.values() if fields(row.sentence))
    assert wrong_calls(f'raise mistake("{row.code}", None)')


def test_every_row_is_used() -> None:
    texts = [path.read_text() for path in FILES if path.parent.name != "mistakes"]
    assert [code for code in MISTAKES if not any(f'"{code}"' in text for text in texts)] == []
