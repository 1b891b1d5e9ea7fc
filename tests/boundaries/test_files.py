"""What every file of the project keeps to: length, opening sentence, public names, words."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.boundaries.sources import ROOT, package_files, project_files, tree

LONGEST = 400

# A longer file and why it is one file.
TABLE = "one table of rows: nothing flows in it that could be split by step"
LONG_FILES: dict[str, str] = {
    "fuse_ref/mistakes/syntax.py": TABLE,
}

# Left over from a machine or from unfinished work. Written in two parts so that this file has none of them.
WORDS: dict[str, str] = {
    "a path of one machine": r"/(?:" + "work|root|home)/",
    "an unfinished place": r"\b(?:TO" + "DO|FIX" + "ME|XX" + r"X)\b|NotImplemented" + "Error",
    "a test that does not count": r"mark\.(?:sk" + r"ip|xf" + r"ail)|pytest\.(?:sk" + r"ip|xf" + r"ail)\(",
    "code hidden from coverage": "pragma: no " + "cover",
}
BROAD = {"Exception", "BaseException"}
HUNT = "what an engine may not raise is what it looks for: anything but a FuseError is told as a finding"
CATCHES_ALL: dict[str, str] = {
    "tests/fuzz/gradients.py": HUNT,
    "tests/fuzz/judge.py": HUNT,
    "tests/logic/compare.py": HUNT,
}
TEXT_FILES = ("*.md", "Makefile", "pyproject.toml", "constraints.txt", ".ci/*", "docs/**/*.md", "examples/**/*.fuse")


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def found_words(text: str) -> list[str]:
    return [
        f"line {number}: {what}"
        for number, line in enumerate(text.splitlines(), 1)
        for what, pattern in WORDS.items()
        if re.search(pattern, line)
    ]


def is_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


def broad_handlers(module: ast.Module) -> list[int]:
    """Lines of `except` clauses that catch everything and do not end by raising it again."""
    found = []
    for node in ast.walk(module):
        if isinstance(node, ast.ExceptHandler):
            kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            broad = any(kind is None or (isinstance(kind, ast.Name) and kind.id in BROAD) for kind in kinds)
            again = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
            if broad and not again:
                found.append(node.lineno)
        suppressed = isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute)
        if suppressed and ast.unparse(node.func).endswith("suppress"):
            found += [node.lineno for item in node.args if isinstance(item, ast.Name) and item.id in BROAD]
    return found


def test_files_are_short_or_say_why_not() -> None:
    lengths = {relative(path): len(path.read_text(encoding="utf-8").splitlines()) for path in project_files()}
    assert {name: length for name, length in lengths.items() if length > LONGEST and name not in LONG_FILES} == {}
    # A reason for a file that became short, or went away, goes too.
    assert {name for name in LONG_FILES if lengths.get(name, 0) <= LONGEST} == set()


def test_modules_open_with_a_sentence_and_list_their_names() -> None:
    silent, unlisted = [], []
    for path in package_files():
        module = tree(path)
        if not module.body:
            continue  # an empty __init__.py
        if not ast.get_docstring(module):
            silent.append(relative(path))
        body = [node for node in module.body if not isinstance(node, ast.Expr) and not is_future(node)]
        names = {name.id for node in body for name in ast.walk(node) if isinstance(name, ast.Name)}
        if body and "__all__" not in names and path.name != "__main__.py":
            unlisted.append(relative(path))
    assert silent == []
    assert unlisted == []


def test_nothing_is_called_utils() -> None:
    vague = {"util", "utils", "helpers", "misc", "common", "torch", "jax", "numpy"}
    assert [relative(path) for path in package_files() if {path.stem, path.parent.name} & vague] == []


def test_no_forbidden_words() -> None:
    paths = {*project_files(), *(path for pattern in TEXT_FILES for path in ROOT.glob(pattern))}
    found = {relative(path): found_words(path.read_text(encoding="utf-8")) for path in sorted(paths)}
    assert {name: words for name, words in found.items() if words} == {}


@pytest.mark.parametrize(
    "line",
    [
        "DATA = '/ro" + "ot/data'",
        "# TO" + "DO later",
        "raise NotImplemented" + "Error",
        "@pytest.mark.sk" + "ip",
    ],
)
def test_the_search_for_words_can_fail(line: str) -> None:
    assert len(found_words(f"fine\n{line}\n")) == 1


def test_nothing_is_caught_broadly() -> None:
    found = {relative(path): broad_handlers(tree(path)) for path in project_files()}
    assert {name for name, lines in found.items() if lines} == set(CATCHES_ALL)


@pytest.mark.parametrize(
    "code",
    [
        "try:\n    f()\nexcept:\n    pass",
        "try:\n    f()\nexcept Exception as error:\n    print(error)",
        "try:\n    f()\nexcept (ValueError, BaseException):\n    raise ValueError from None",
        "with contextlib.suppress(Exception):\n    f()",
    ],
)
def test_the_search_for_broad_handlers_can_fail(code: str) -> None:
    assert len(broad_handlers(ast.parse(code))) == 1


def test_cleaning_up_and_raising_again_is_fine() -> None:
    assert broad_handlers(ast.parse("try:\n    f()\nexcept BaseException:\n    g()\n    raise")) == []


def test_packages_are_typed() -> None:
    assert all((ROOT / package / "py.typed").is_file() for package in ("fuse_ref", "fuse_torch", "fuse_jax"))
