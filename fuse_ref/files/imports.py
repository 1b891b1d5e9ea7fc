"""`import "layers.fuse" as nn`: the statements of other files in place of the lines that name them."""

from __future__ import annotations

import os.path
from collections.abc import Sequence
from dataclasses import field, replace
from pathlib import Path

from fuse_ref.errors import FuseError
from fuse_ref.files.paths import Folders
from fuse_ref.ir.prefix import prefixed
from fuse_ref.language import syntax_tree as tree
from fuse_ref.language.parser import parse
from fuse_ref.mistakes import mistake
from fuse_ref.records import dataclass
from fuse_ref.source import Source, Span

__all__ = ["with_imports"]


def with_imports(
    module: tree.Module, source: Source, path: Path | None, roots: Sequence[Path], errors: list[FuseError]
) -> tree.Module:
    """`module` with every import line replaced by the statements of its file.

    Args:
        source: the program's text.
        path: its file, or None: then relative paths start at the current folder.
        roots: folders that imports may lie in beside the program's own.
        errors: takes every mistake; what cannot be read is left out.
    """
    if not any(isinstance(statement, tree.Import) for statement in module.statements):
        return module
    folders = Folders.of(path, roots)
    reader = _Reader(folders, errors)
    own = folders.start / "<program>" if path is None else path.resolve()
    return tree.Module(tuple(reader.statements(module, _File(own, source.name, ()), "")))


@dataclass(frozen=True, slots=True)
class _File:
    path: Path  # absolute, links resolved
    name: str  # as messages show it
    chain: tuple[_File, ...]  # the files that led here, the program first


@dataclass(slots=True)
class _Reader:
    folders: Folders
    errors: list[FuseError]
    # Files whose statements are there already, each with the prefix that its names got.
    done: set[tuple[Path, str]] = field(default_factory=set)

    def statements(self, module: tree.Module, file: _File, prefix: str) -> list[tree.Statement]:
        """The statements of one file, those that it imports in their places."""
        found: list[tree.Statement] = []
        for statement in module.statements:
            if not isinstance(statement, tree.Import):
                found.append(statement)
                continue
            try:
                found.extend(self._imported(statement, file, prefix))
            except FuseError as error:
                self.errors.append(error)
        return found

    def _imported(self, line: tree.Import, file: _File, prefix: str) -> tuple[tree.Statement, ...]:
        path = self._path(line, file)
        chain = (*file.chain, file)
        if any(other.path == path for other in chain):
            first = next(k for k, other in enumerate(chain) if other.path == path)
            names = (*(other.path.name for other in chain[first:]), path.name)
            raise mistake("FUSE142", line.span, path=line.path, cycle=" -> ".join(names))
        full = f"{prefix}.{line.alias}" if prefix and line.alias else line.alias or prefix
        if (path, full) in self.done:
            return ()
        self.done.add((path, full))
        name = line.path if file.name.startswith("<") else os.path.join(os.path.dirname(file.name), line.path)
        text = _text(path, line.path, line.span)
        module = parse(Source(text, name), self.errors)
        kept = (s for s in module.statements if not isinstance(s, tree.Query | tree.Sink | tree.Export))
        moved = tree.Module(tuple(self._moved(statement, path) for statement in kept))
        whole = tree.Module(tuple(self.statements(moved, _File(path, name, chain), full)))
        return (prefixed(whole, line.alias) if line.alias else whole).statements

    def _path(self, line: tree.Import, file: _File) -> Path:
        folders = replace(self.folders, start=file.path.parent)
        try:
            return folders.resolved(line.path, line.span)
        except FuseError as error:
            if error.code != "FUSE322":
                raise
            roots = ", ".join(str(root) for root in folders.roots)
            raise mistake("FUSE144", line.span, path=line.path, roots=roots) from error

    def _moved(self, statement: tree.Statement, path: Path) -> tree.Statement:
        """A file that an imported one reads is named from the program's folder: it lies beside the imported one."""
        match statement:
            case tree.Equation(body=tree.String(written, span)) if not os.path.isabs(written):
                start = os.path.relpath(path.parent, self.folders.start)
                if start != ".":
                    moved = os.path.normpath(os.path.join(start, written)).replace(os.sep, "/")
                    return replace(statement, body=tree.String(moved, span))
            case _:
                pass
        return statement


def _text(path: Path, written: str, span: Span) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise mistake("FUSE143", span, path=written, problem=error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise mistake("FUSE143", span, path=written, problem="it is no UTF-8 text") from error
