"""Every test that is written is also run."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.boundaries.sources import ROOT, tree

TESTS = sorted(path for path in (ROOT / "tests").rglob("*.py") if "__pycache__" not in path.parts)
TEST_FILES = [path for path in TESTS if path.name.startswith("test_")]


def written_tests(path: Path) -> set[str]:
    """`name` or `Class::name` of every test that the text of a file has."""
    names: set[str] = set()
    for node in tree(path).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            inner = (item.name for item in node.body if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef))
            names |= {f"{node.name}::{name}" for name in inner if name.startswith("test")}
    return names


def test_files_with_tests_are_named_test() -> None:
    hidden = [path.relative_to(ROOT).as_posix() for path in TESTS if path not in TEST_FILES and written_tests(path)]
    assert hidden == []


def test_no_test_hides_another_of_the_same_name() -> None:
    doubled = []
    for path in TEST_FILES:
        for scope in (tree(path), *(node for node in tree(path).body if isinstance(node, ast.ClassDef))):
            names = [node.name for node in scope.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
            doubled += [f"{path.name}: {name}" for name in set(names) if names.count(name) > 1]
    assert doubled == []


def test_functions_that_look_like_tests_have_the_prefix() -> None:
    """`softmax_test` or `tests_softmax` at the top of a test file would never run."""
    odd = []
    for path in TEST_FILES:
        for node in tree(path).body:
            if isinstance(node, ast.FunctionDef) and re.match(r"_?test[^_]|_test_|(?!test_).*_test$", node.name):
                fixture = any("fixture" in ast.dump(decorator) for decorator in node.decorator_list)
                odd += [] if fixture else [f"{path.name}: {node.name}"]
    assert odd == []


def collected_apart(*words: str) -> set[tuple[str, str]]:
    """(file, test) of all that a pytest of its own would run."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *words]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
    lines = (line.partition("::") for line in result.stdout.splitlines() if "::" in line)
    return {(file, name.partition("[")[0]) for file, _, name in lines}


def collected(request: pytest.FixtureRequest) -> set[tuple[str, str]]:
    config = request.config
    whole = not config.option.keyword and not config.option.markexpr and not config.option.deselect
    if whole and [Path(word).resolve() for word in config.args] == [ROOT / "tests"]:
        # This run has collected them already, and collecting takes a while.
        found = {item.nodeid.partition("[")[0].partition("::") for item in request.session.items}
        return {(file, name) for file, _, name in found} | collected_apart("tests/long")
    return collected_apart() | collected_apart("tests/long")


def test_every_test_is_collected(request: pytest.FixtureRequest) -> None:
    written = {(path.relative_to(ROOT).as_posix(), name) for path in TEST_FILES for name in written_tests(path)}
    found = collected(request)
    assert sorted(written - found) == []
    assert {path.relative_to(ROOT).as_posix() for path in TEST_FILES} == {file for file, _ in found}
