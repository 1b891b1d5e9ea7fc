"""The `.safetensors` format: eight bytes with the length of a JSON header, the header, then the arrays' bytes."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np

from fuse_ref.files.arrays import FileMap, Found
from fuse_ref.records import dataclass

__all__ = ["DTYPE_NAMES", "Entry", "read_entries", "read_entry", "write_entries"]

_HEADER_LIMIT: Final = 100_000_000  # bytes; the format's own limit
_ALIGNMENT: Final = 8
_METADATA: Final = "__metadata__"

# bfloat16 has no NumPy type: its bytes are the upper half of a float32's.
_BFLOAT16: Final = "BF16"
_TYPES: Final[dict[str, np.dtype]] = {
    "BOOL": np.dtype("?"),
    "U8": np.dtype("u1"),
    "I8": np.dtype("i1"),
    "U16": np.dtype("<u2"),
    "I16": np.dtype("<i2"),
    "F16": np.dtype("<f2"),
    _BFLOAT16: np.dtype("<u2"),
    "U32": np.dtype("<u4"),
    "I32": np.dtype("<i4"),
    "F32": np.dtype("<f4"),
    "U64": np.dtype("<u8"),
    "I64": np.dtype("<i8"),
    "F64": np.dtype("<f8"),
}
DTYPE_NAMES: Final = {name: "bfloat16" if name == _BFLOAT16 else dtype.name for name, dtype in _TYPES.items()}
_NAMES: Final = {dtype.newbyteorder("="): name for name, dtype in _TYPES.items() if name != _BFLOAT16}


@dataclass(frozen=True, slots=True)
class Entry:
    """One array of a file."""

    dtype: str  # the format's name: "F32"
    shape: tuple[int, ...]
    begin: int  # in the file
    end: int


def read_entries(path: Path) -> dict[str, Entry]:
    """The arrays of a file by name, in the header's order. Every length is checked against the file's.

    Raises:
        ValueError: the file is not as the format says it is.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < 8:
            raise ValueError("it is too short to be a .safetensors file")
        length = int.from_bytes(file.read(8), "little")
        if length > min(_HEADER_LIMIT, size - 8):
            raise ValueError(f"its header is said to have {length} bytes, and the file has {size}")
        text = file.read(length)
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=_without_duplicates)
    except RecursionError as error:
        raise ValueError("its header is nested too deeply") from error
    if not text.startswith(b"{") or not isinstance(header, dict):
        raise ValueError("its header is no JSON object")
    start = 8 + length
    entries = {name: _entry(name, value, start) for name, value in header.items() if name != _METADATA}
    # The arrays fill what follows the header, one after the other.
    place = start
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.begin != place:
            raise ValueError(f"{name} begins at byte {entry.begin - start} and not at {place - start}")
        place = entry.end
    if place != size:
        raise ValueError(f"its arrays end at byte {place}, and the file has {size}")
    return entries


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"its header has {name!r} twice")
        found[name] = value
    return found


def _entry(name: str, value: object, start: int) -> Entry:
    match value:
        case {"dtype": str(dtype), "shape": [*sizes], "data_offsets": [int(begin), int(end)]} if all(
            type(size) is int and size >= 0 for size in sizes
        ):
            pass
        case _:
            raise ValueError(f"what its header says of {name} is no type, shape and place")
    if dtype not in _TYPES:
        raise ValueError(f"{name} is of type {dtype}, which cannot be read")
    shape = tuple(int(size) for size in sizes)
    nbytes = math.prod(shape) * _TYPES[dtype].itemsize
    if begin < 0 or end - begin != nbytes:
        raise ValueError(f"{name} of shape {shape} needs {nbytes} bytes and has {end - begin}")
    return Entry(dtype, shape, start + begin, start + end)


def read_entry(path: Path, entry: Entry) -> Found:
    """One array, memory-mapped and read-only; bfloat16 and float16 as float32."""
    dtype = _TYPES[entry.dtype]
    if entry.begin == entry.end:
        return _locked(np.zeros(entry.shape, np.float32 if entry.dtype in ("F16", _BFLOAT16) else dtype), "")
    array = FileMap(path, dtype, "c", entry.begin, entry.shape)
    if entry.dtype == _BFLOAT16:
        return _locked((array.astype(np.uint32) << 16).view(np.float32), "bfloat16 is widened to float32")
    if entry.dtype == "F16":
        return _locked(array.astype(np.float32), "float16 is widened to float32")
    if not dtype.isnative:
        return _locked(array.astype(dtype.newbyteorder("=")), "its byte order is another machine's")
    if entry.begin % dtype.alignment:
        return _locked(np.array(array), "it does not lie at a multiple of its numbers' size")
    return _locked(array, "")


def _locked(array: np.ndarray, copied: str) -> Found:
    array.flags.writeable = False
    return Found(array, copied)


def write_entries(file: BinaryIO, arrays: Mapping[str, np.ndarray]) -> None:
    """A whole file with `arrays`, those of wide numbers first, so that all lie aligned.

    Raises:
        ValueError: a type that the format lacks, or an array called as its metadata is.
    """
    header: dict[str, object] = {}
    place = 0
    ordered = sorted(arrays.items(), key=lambda item: (-item[1].dtype.itemsize, item[0]))
    for name, array in ordered:
        kind = _NAMES.get(array.dtype.newbyteorder("="))
        if kind is None or name == _METADATA:
            raise ValueError(f"{name} of type {array.dtype} has no place in a .safetensors file")
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [place, place + array.nbytes]}
        place += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % _ALIGNMENT)
    file.write(len(text).to_bytes(8, "little"))
    file.write(text)
    for _, array in ordered:
        file.write(np.ascontiguousarray(array, _TYPES[_NAMES[array.dtype.newbyteorder("=")]]).tobytes())
