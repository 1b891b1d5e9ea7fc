"""The text of a program's file."""

from __future__ import annotations

import os
from pathlib import Path

from fuse_ref.errors import FuseError, ProgramFileError
from fuse_ref.mistakes import mistake
from fuse_ref.mistakes.suggest import did_you_mean

__all__ = ["program_text"]


def program_text(path: str | os.PathLike[str]) -> str:
    """What the file at `path` says, as UTF-8.

    Raises:
        ProgramFileError: it is not there, or cannot be read.
    """
    place = Path(path)
    try:
        return place.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise _unreadable(place, f"it is not UTF-8 text: {error.reason} at byte {error.start}", None) from error
    except OSError as error:
        raise _unreadable(place, error.strerror or str(error), error.errno) from error
    except ValueError as error:  # a zero byte in the name
        raise _unreadable(place, str(error), None) from error


def _unreadable(path: Path, problem: str, number: int | None) -> FuseError:
    beside = path.parent.glob("*.fuse") if path.parent.is_dir() else ()
    cure = did_you_mean(path.name, sorted(other.name for other in beside)) or None
    error = mistake("FUSE227", None, cure=cure, path=path, problem=problem, folder=Path.cwd())
    assert isinstance(error, ProgramFileError)
    error.errno, error.filename = number, str(path)
    return error
