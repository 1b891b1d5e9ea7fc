"""Arrays written to files: `"runs/out.npz:y" = Y[i]`. A crash leaves the old file whole."""

from __future__ import annotations

import contextlib
import math
import os
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from fuse_ref.files.paths import Place
from fuse_ref.files.sources import DENSE_LIMIT
from fuse_ref.files.writers import SEVERAL, TRUTH_VALUES, Content, Symbols, write_content
from fuse_ref.mistakes import mistake
from fuse_ref.records import dataclass
from fuse_ref.relations.tuples import Tuples

__all__ = ["Result", "write_results", "write_whole"]


@dataclass(frozen=True, slots=True)
class Result:
    """An array, or the tuples of a relation, and where it goes."""

    place: Place
    default: str  # the array's name in a file that has names, when the place has no key
    array: np.ndarray | Tuples
    symbols: Symbols = ()  # per axis the names of its positions, or None; () when no axis has any
    letters: tuple[str, ...] = ()  # names of the axes, for formats whose columns have names
    limit: int = DENSE_LIMIT  # elements that tuples may become in formats that hold dense arrays

    def check(self) -> None:
        """
        Raises:
            CapacityError: tuples that would be a dense array beyond `limit`.
        """
        if not isinstance(self.array, Tuples) or self.place.ending not in TRUTH_VALUES:
            return
        elements = math.prod(self.array.shape)
        if elements > self.limit:
            raise mistake(
                "FUSE347",
                self.place.span,
                path=self.place.written,
                shape=" × ".join(map(str, self.array.shape)),
                elements=elements,
                limit=self.limit,
            )


def write_results(results: Iterable[Result]) -> None:
    """Write every result. Those for one `.npz`, `.safetensors` or `.json` go into it together.

    A file is written anew: it holds what the program writes and nothing of before. It is written beside
    its place, brought to the disk and renamed; folders are made.

    Raises:
        ManifestError: the file system refuses, two arrays would be one in the file, or its format cannot
            hold what is written.
        CapacityError: a relation too large for a format of dense arrays. Nothing is written then.
    """
    files: dict[Path, dict[str, Result]] = {}
    for result in results:
        content = files.setdefault(result.place.path, {})
        key = result.place.key or result.default
        if key in content or (content and result.place.ending not in SEVERAL):
            raise _refused(result.place, "two sinks write the same array of it")
        result.check()
        content[key] = result
    for path, content in files.items():
        place = next(iter(content.values())).place
        try:
            _write(path, content)
        except ValueError as error:
            raise _refused(place, str(error)) from error
        except ImportError as error:
            raise mistake("FUSE330", place.span, name="pyarrow", path=place.written) from error
        except OSError as error:
            raise _refused(place, error.strerror or type(error).__name__) from error


def _refused(place: Place, problem: str) -> Exception:
    return mistake("FUSE326", place.span, path=place.written, problem=problem)


def _write(path: Path, content: dict[str, Result]) -> None:
    contents = {key: Content(result.array, result.symbols, result.letters) for key, result in content.items()}
    named = len(content) > 1 or any(result.place.key is not None for result in content.values())
    write_whole(path, lambda file: write_content(file, path.suffix.lower(), contents, named=named))


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file beside its place, bring it to the disk and rename it: nobody sees half of it.

    Args:
        write: puts the content into the file that it is given.

    Raises:
        OSError: the file system refuses.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}-{uuid.uuid4().hex}{path.suffix}")
    try:
        with temporary.open("xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        # Ctrl-C included: what is half written goes, the old file stays.
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
