"""The formats that arrays are written in."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterable, Mapping
from typing import BinaryIO, Final, TypeAlias

import numpy as np

from fuse_ref.files.delimited import DELIMITERS
from fuse_ref.files.safetensors import write_entries

__all__ = ["SEVERAL", "Symbols", "json_value", "write_content"]

SEVERAL: Final = (".npz", ".safetensors", ".json")  # hold several arrays, by name
Symbols: TypeAlias = tuple[tuple[str, ...] | None, ...]

_ALIGNMENT: Final = 64  # bytes; where arrays in .npz files begin, so that they can be memory-mapped


def write_content(
    file: BinaryIO,
    ending: str,
    arrays: Mapping[str, np.ndarray],
    symbols: Mapping[str, Symbols],
    *,
    named: bool,
) -> None:
    """All of `arrays`, by name, in the format of `ending`.

    Truth values become rows of facts in formats of text, with symbols where the axes have them.

    Args:
        named: in `.json`, an object with a field for each array; else the one array itself.

    Raises:
        ValueError: the format cannot hold an array.
    """
    if ending == ".npz":
        _write_archive(file, arrays)
        return
    if ending == ".safetensors":
        write_entries(file, arrays)
        return
    if ending == ".json":
        values = {name: json_value(array, symbols[name]) for name, array in arrays.items()}
        value = values if named else next(iter(values.values()))
        file.write(_json(value).encode() + b"\n")
        return
    ((name, array),) = arrays.items()
    if ending == ".npy":
        np.save(file, array, allow_pickle=False)
    elif ending == ".jsonl":
        rows = json_value(array, symbols[name])
        if not isinstance(rows, list):
            raise ValueError("a .jsonl file holds a record in each line, and this is a single number")
        file.writelines(_json(row).encode() + b"\n" for row in rows)
    else:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        writer = csv.writer(text, delimiter=DELIMITERS[ending], lineterminator="\n")
        writer.writerows(_rows(array, symbols[name], ending))
        text.detach()  # flushed, and the file stays open


def json_value(array: np.ndarray, symbols: Symbols) -> object:
    """Nested lists of numbers; of truth values the list of facts."""
    if array.dtype == np.bool_ and array.ndim:
        return [list(row) for row in _facts(array, symbols)]
    # The shortest text that reads back as the same float32 is wanted, not the float64 beside it.
    return _shortest(array) if array.dtype == np.float32 else array.tolist()


def _shortest(array: np.ndarray) -> object:
    flat = np.array([float(str(item)) for item in array.reshape(-1)], np.float64)
    return flat.reshape(array.shape).tolist()


def _json(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise ValueError("JSON has no NaN and no infinity, and the array has") from error


def _facts(array: np.ndarray, symbols: Symbols) -> Iterable[tuple[str | int, ...]]:
    tables = symbols or (None,) * array.ndim
    for position in np.argwhere(array).tolist():
        yield tuple(
            table[k] if table is not None and k < len(table) else k for k, table in zip(position, tables, strict=True)
        )


def _rows(array: np.ndarray, symbols: Symbols, ending: str) -> Iterable[tuple[object, ...]]:
    if array.dtype == np.bool_ and array.ndim:
        yield from _facts(array, symbols)
        return
    if array.ndim > 2:
        raise ValueError(f"a {ending} file holds tables of at most two axes, and this array has {array.ndim}")
    table = array.reshape(-1, 1) if array.ndim < 2 else array
    for row in table:
        yield tuple(str(item) for item in row)


def _write_archive(file: BinaryIO, arrays: Mapping[str, np.ndarray]) -> None:
    # np.savez takes keys as keywords, so that an array could not be called "file".
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for key, array in arrays.items():
            entry = zipfile.ZipInfo(f"{key}.npy", (1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            entry.extra = _padding(file.tell(), len(entry.filename.encode("utf-8")))
            with archive.open(entry, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _padding(offset: int, name: int) -> bytes:
    """An extra field that makes the entry's bytes begin at a multiple of `_ALIGNMENT`.

    It stands behind the entry's header of 30 bytes, its name, and the 20 bytes of ZIP64 sizes.
    """
    empty = 4  # an extra field's own head: a number and a length
    begin = offset + 30 + name + 20 + empty
    length = -begin % _ALIGNMENT
    return b"\x46\x55" + length.to_bytes(2, "little") + b"\0" * length
