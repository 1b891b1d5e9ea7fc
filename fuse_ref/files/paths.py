"""Which file a path in a program means, and whether the program may touch it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from fuse_ref.mistakes import mistake
from fuse_ref.source import Span

__all__ = ["ARRAY_ENDINGS", "Folders", "Place"]

ARRAY_ENDINGS: tuple[str, ...] = (".npy", ".npz")
Action: TypeAlias = Literal["read", "written"]


@dataclass(frozen=True, slots=True)
class Place:
    """A file, and the array inside it when it is an archive."""

    path: Path  # absolute, links resolved
    key: str | None
    written: str  # as the program has it, for messages
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Folders:
    """Where a program's relative paths start, and the folders that its files must lie in."""

    start: Path  # absolute
    roots: tuple[Path, ...]  # absolute; the start is among them

    @classmethod
    def of(cls, program_path: str | Path | None, more: Iterable[Path] = ()) -> Folders:
        """The folder of the program's file, or the current one for text without a file, and `more`."""
        start = Path.cwd() if program_path is None else Path(program_path).resolve().parent
        return cls(start, (start, *(Path(root).resolve() for root in more)))

    def place(self, written: str, key: str | None, action: Action, span: Span | None = None) -> Place:
        """The file that `written` names.

        Raises:
            ManifestError: it lies outside the allowed folders, links followed, or its ending is not one that works.
        """
        path = (self.start / written).resolve()
        if not any(path.is_relative_to(root) for root in self.roots):
            roots = ", ".join(str(root) for root in self.roots)
            raise mistake("FUSE322", span, path=written, roots=roots)
        if path.suffix not in ARRAY_ENDINGS:
            ending = repr(path.suffix) if path.suffix else "missing"
            endings = ", ".join(ARRAY_ENDINGS)
            raise mistake("FUSE321", span, path=written, action=action, ending=ending, endings=endings)
        return Place(path, key, written, span)
