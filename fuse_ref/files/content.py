"""What a file holds, by its ending: an array of numbers, or a table of facts."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Sequence

import numpy as np

from fuse_ref.errors import FuseError
from fuse_ref.files.arrays import Found, archive_header, archive_names, npy_header, read_archive, read_npy
from fuse_ref.files.delimited import read_facts, read_numbers
from fuse_ref.files.paths import Folders, Place
from fuse_ref.files.records import facts_of, numbers_of, read_json, read_lines, read_parquet, rows_of
from fuse_ref.files.safetensors import DTYPE_NAMES, read_entries, read_entry
from fuse_ref.files.table import LineProblem, Table
from fuse_ref.mistakes import mistake
from fuse_ref.relations.symbols import coded

__all__ = ["array_header", "read_array", "read_content"]


def read_array(place: Place, folders: Folders) -> Found:
    """The array at `place`, of a format for arrays: `.npy`, `.npz`, `.safetensors`; read-only.

    Raises:
        ManifestError: no such file, no such key, or not an array of numbers.
    """
    found = _guarded(place, folders, lambda: _array(place))
    assert isinstance(found, Found)
    return found


def array_header(place: Place, folders: Folders) -> tuple[tuple[int, ...], str]:
    """Shape and type of the array at `place`, without its numbers.

    Raises:
        ManifestError: as `read_array`.
    """
    found: tuple[tuple[int, ...], str] = _guarded(place, folders, lambda: _array_header(place))
    return found


def read_content(
    place: Place, folders: Folders, letters: Sequence[str], *, boolean: bool, strict: bool = False
) -> np.ndarray | Table:
    """What the file at `place` gives a tensor.

    Args:
        letters: the indices of the tensor.
        boolean: the tensor is a relation: rows of text are facts, arrays hold where they are greater than 0.
        strict: formats that can be memory-mapped must be. What is text is read in any case.

    Raises:
        ManifestError: no such file, no such key, content that the format or the tensor does not take, or a copy
            under `strict`.
    """
    found = _guarded(place, folders, lambda: _content(place, letters, boolean))
    if isinstance(found, Found):
        copied = found.copied
        if boolean and found.array.dtype != np.bool_:
            copied = f"a relation is taken as truth values, its file has {found.array.dtype.name}"
        if strict and copied:
            raise mistake("FUSE333", place.span, holder=place.written, reason=copied)
        found = found.array
    return found > 0 if boolean and isinstance(found, np.ndarray) and found.dtype != np.bool_ else found


def _guarded(place: Place, folders: Folders, read):  # type: ignore[no-untyped-def]
    """`read()`, its errors said as ours."""
    if not place.path.is_file():
        raise mistake("FUSE320", place.span, path=place.written, start=folders.start)
    try:
        return read()
    except FuseError:
        raise
    except LineProblem as error:
        raise mistake("FUSE327", place.span, path=place.written, line=error.line, problem=error.problem) from error
    except UnicodeDecodeError as error:
        problem = f"it is no UTF-8 text: {error.reason} at byte {error.start}"
        raise mistake("FUSE323", place.span, path=place.written, problem=problem) from error
    except (ValueError, EOFError, OSError, RuntimeError, zipfile.BadZipFile, zlib.error, struct.error) as error:
        # RuntimeError is zipfile's: an encrypted entry, a kind of compression that it does not know.
        raise mistake("FUSE323", place.span, path=place.written, problem=_short(error)) from error


def _content(place: Place, letters: Sequence[str], boolean: bool) -> Found | np.ndarray | Table:
    path, key = place.path, place.key
    match place.ending:
        case ".csv" | ".tsv":
            return read_facts(path, letters) if boolean else _line_or_matrix(read_numbers(path), len(letters))
        case ".json":
            value = read_json(path, key)
            return facts_of(value, letters) if boolean else numbers_of(value)
        case ".jsonl":
            records, lines = read_lines(path, key)
            if boolean:
                return facts_of(records, letters, lines)
            return numbers_of(rows_of(records, lines))
        case ".parquet":
            try:
                array = read_parquet(path, letters, boolean=boolean)
            except ImportError as error:
                raise mistake("FUSE330", place.span, name="pyarrow", path=place.written) from error
            return array if isinstance(array, Table) else _line_or_matrix(array, len(letters))
        case ".txt" if not boolean:
            raise ValueError("a text file lists tokens, so it is read by a relation of positions and tokens: X(p, t)")
        case ".txt":
            words = path.read_text(encoding="utf-8-sig").split()
            return Table((np.arange(len(words)), coded(words)), range(1, len(words) + 1))
        case _:
            return _array(place)


def _array(place: Place) -> Found:
    path = place.path
    if place.ending == ".npy":
        return read_npy(path)
    if place.ending == ".npz":
        return read_archive(path, _chosen(place, archive_names(path)))
    entries = read_entries(path)
    return read_entry(path, entries[_chosen(place, tuple(entries))])


def _array_header(place: Place) -> tuple[tuple[int, ...], str]:
    path = place.path
    if place.ending == ".safetensors":
        entries = read_entries(path)
        entry = entries[_chosen(place, tuple(entries))]
        return entry.shape, DTYPE_NAMES[entry.dtype]
    if place.ending == ".npy":
        header, _ = npy_header(path)
    else:
        header = archive_header(path, _chosen(place, archive_names(path)))
    return header.shape, header.dtype.name


def _chosen(place: Place, names: Sequence[str]) -> str:
    """The key in the program, or the only one there is."""
    key = place.key
    if key is None and len(names) == 1:
        return names[0]
    if key is None or key not in names:
        shown = [*map(repr, names[:8]), *(["…"] if len(names) > 8 else [])]
        problem = "and the program does not say which" if key is None else f"but no {key!r}"
        cure_path = f'"{place.path.name}:{names[0] if names else "name"}"'
        raise mistake(
            "FUSE324",
            place.span,
            path=place.written,
            holds=", ".join(shown) or "nothing",
            problem=problem,
            cure_path=cure_path,
        )
    return key


def _line_or_matrix(array: np.ndarray, rank: int) -> np.ndarray:
    """A table as a tensor of `rank` takes it: one column or one line is a vector, one cell a scalar."""
    if rank == 1 and 1 in array.shape:
        return array.reshape(-1)
    if rank == 1 and array.size == 0:
        return array.reshape(0)
    if rank == 0 and array.shape == (1, 1):
        return array.reshape(())
    return array


def _short(error: Exception) -> str:
    return str(error).split("\n", 1)[0] or type(error).__name__
