"""Which file a path in a program means, and whether the program may touch it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal, TypeAlias

from fuse_ref.mistakes import mistake
from fuse_ref.records import dataclass
from fuse_ref.source import Span

__all__ = ["KEYED_ENDINGS", "READ_ENDINGS", "WRITE_ENDINGS", "Folders", "Place", "split_key"]

READ_ENDINGS: tuple[str, ...] = (
    ".npy",
    ".npz",
    ".safetensors",
    ".csv",
    ".tsv",
    ".parquet",
    ".json",
    ".jsonl",
    ".txt",
)
WRITE_ENDINGS: tuple[str, ...] = (".npy", ".npz", ".safetensors", ".csv", ".tsv", ".parquet", ".json", ".jsonl")
# Formats in which `FILE:key` names one array or field. Elsewhere a colon belongs to the file's name.
KEYED_ENDINGS: tuple[str, ...] = (".npz", ".safetensors", ".json", ".jsonl")
Action: TypeAlias = Literal["read", "written"]


def split_key(written: str) -> tuple[str, str | None]:
    """`FILE:key` as file and key, where the file's format has keys."""
    head, colon, key = written.rpartition(":")
    if colon and head.lower().endswith(KEYED_ENDINGS):
        return head, key
    return written, None


@dataclass(frozen=True, slots=True)
class Place:
    """A file, and the array inside it when it is an archive."""

    path: Path  # absolute, links resolved
    key: str | None
    written: str  # as the program has it, for messages
    span: Span | None = None

    @property
    def ending(self) -> str:
        """The format: ".npy", in small letters."""
        return self.path.suffix.lower()


@dataclass(frozen=True, slots=True)
class Folders:
    """Where a program's relative paths start, and the folders that its files must lie in."""

    start: Path  # absolute
    roots: tuple[Path, ...]  # absolute, each once; the start is among them

    def __post_init__(self) -> None:
        object.__setattr__(self, "roots", tuple(dict.fromkeys(self.roots)))

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
        path = self.resolved(written, span)
        endings = READ_ENDINGS if action == "read" else WRITE_ENDINGS
        if path.suffix.lower() not in endings:
            ending = repr(path.suffix) if path.suffix else "missing"
            raise mistake("FUSE321", span, path=written, action=action, ending=ending, endings=", ".join(endings))
        return Place(path, key, written, span)

    def resolved(self, written: str, span: Span | None = None) -> Path:
        """The absolute path that `written` names, links followed.

        Raises:
            ManifestError: it lies outside the allowed folders.
        """
        try:
            path = (self.start / written).resolve()
        except (ValueError, OSError, RuntimeError) as error:  # a zero byte, a name too long, links in a circle
            raise mistake("FUSE323", span, path=written, problem=str(error) or type(error).__name__) from error
        if not any(path.is_relative_to(root) for root in self.roots):
            roots = ", ".join(str(root) for root in self.roots)
            raise mistake("FUSE322", span, path=written, roots=roots)
        return path
