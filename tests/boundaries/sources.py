"""The project's Python files and what they import, read from their text."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["PACKAGES", "ROOT", "Import", "imports", "module_name", "package_files", "project_files", "tree"]

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("fuse_ref", "fuse_torch", "fuse_jax")


@dataclass(frozen=True, slots=True)
class Import:
    module: str  # who imports
    target: str  # what: a module of the project where there is one of that name, else the dotted name
    line: int
    lazy: bool  # inside a function
    typing_only: bool  # under `if TYPE_CHECKING`


def _python_files(*folders: str) -> tuple[Path, ...]:
    found = [path for folder in folders for path in (ROOT / folder).rglob("*.py") if "__pycache__" not in path.parts]
    return tuple(sorted(found))


def package_files() -> tuple[Path, ...]:
    return _python_files(*PACKAGES)


def project_files() -> tuple[Path, ...]:
    return _python_files(*PACKAGES, "tests", "benchmarks", "examples")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def module_name(path: Path) -> str:
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts)


@cache
def _modules() -> frozenset[str]:
    return frozenset(module_name(path) for path in package_files())


def _targets(node: ast.Import | ast.ImportFrom, package: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    base = node.module or ""
    if node.level:
        parents = package.split(".")
        parents = parents[: len(parents) - node.level + 1]
        base = ".".join([*parents, base] if base else parents)
    for alias in node.names:
        # `from package import module` means the module, `from module import name` the module it is in.
        longer = f"{base}.{alias.name}"
        yield longer if longer in _modules() else base


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def _walk(node: ast.AST, lazy: bool, typing_only: bool) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool, bool]]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield node, lazy, typing_only
    elif isinstance(node, ast.If) and _is_type_checking(node.test):
        for child in node.body:
            yield from _walk(child, lazy, True)
        for child in node.orelse:
            yield from _walk(child, lazy, typing_only)
    else:
        inner = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from _walk(child, inner, typing_only)


def imports(path: Path) -> tuple[Import, ...]:
    """Every import statement of a file of the three packages, lazy ones too."""
    module = module_name(path)
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    return tuple(
        Import(module, target, node.lineno, lazy, typing_only)
        for node, lazy, typing_only in _walk(tree(path), False, False)
        for target in _targets(node, package)
        if target != "__future__"
    )
