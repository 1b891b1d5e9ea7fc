"""Arrays in `.npy` and `.npz` files: memory-mapped where their bytes lie as they are, checked before they are read."""

from __future__ import annotations

import math
import os
import tokenize
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, TypeAlias, cast

import numpy as np

from fuse_ref.records import dataclass

if TYPE_CHECKING:
    import zipfile

__all__ = [
    "FileMap",
    "Found",
    "Header",
    "archive_header",
    "archive_names",
    "npy_header",
    "own_to_write",
    "read_archive",
    "read_npy",
    "why_copied",
]

_HEADER_LIMIT: Final = 1 << 16  # bytes; a header of numbers has about a hundred
_MOST_DEFLATED: Final = 1032  # deflate never makes more bytes of one

_HeaderReader: TypeAlias = Callable[..., "tuple[tuple[int, ...], bool, np.dtype]"]


class FileMap(np.memmap):
    """An array over the bytes of a file, mapped by this package alone.

    Copy on write: torch takes no memory that cannot be written, and what is written stays out of the file.
    An engine may keep such memory instead of copying it, since nobody writes to it later.
    """

    @property
    def over_file(self) -> bool:
        """Whether these are the file's bytes; what NumPy computes from a map is of this class too."""
        return bool(self.mode == "c")


def own_to_write(array: np.ndarray) -> np.ndarray:
    """`array`; of a map of its owner alone a view that may be written to, since torch asks for that."""
    if not isinstance(array, FileMap) or not array.over_file:
        return array
    view = array.view()
    view.flags.writeable = True
    return view


def why_copied(array: np.ndarray, dtype: str, address: int, elsewhere: str) -> str:
    """Why what an engine holds of `array` is not the file itself, a clause; "" where it is, or where none is mapped.

    Args:
        dtype, address: of the numbers that the engine holds.
        elsewhere: why they may lie elsewhere, a clause.
    """
    if not isinstance(array, FileMap) or not array.over_file:
        return ""
    if dtype != array.dtype.name:
        return f"the run takes it as {dtype}, its file has {array.dtype.name}"
    return "" if address == array.ctypes.data else elsewhere


@dataclass(frozen=True, slots=True)
class Found:
    """An array in a file."""

    array: np.ndarray
    copied: str  # why it is no memory map, a clause; "" where it is one


@dataclass(frozen=True, slots=True)
class Header:
    """What a .npy header says; checked against the bytes that follow."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def npy_header(path: Path) -> tuple[Header, int]:
    """What a .npy file holds, and where its numbers begin.

    Raises:
        ValueError: no .npy file, one that holds no numbers, or one of another length than its header says.
    """
    with path.open("rb") as file:
        header = _header(file)
        start = file.tell()
        size = os.fstat(file.fileno()).st_size
    if size - start != header.nbytes:
        raise ValueError(f"its header speaks of {header.nbytes} bytes of numbers, and {size - start} follow")
    return header, start


def read_npy(path: Path) -> Found:
    """The array of a .npy file, memory-mapped and read-only.

    Raises:
        ValueError: as `npy_header`.
    """
    return _mapped(path, *npy_header(path))


def archive_names(path: Path) -> tuple[str, ...]:
    """The arrays of a .npz archive, in its order.

    Raises:
        ValueError, zipfile.BadZipFile: it is no archive.
    """
    import zipfile  # most programs read no archive

    with zipfile.ZipFile(path) as archive:
        return tuple(name.removesuffix(".npy") for name in archive.namelist())


def archive_header(path: Path, key: str) -> Header:
    """What one array of a .npz archive is.

    Raises:
        ValueError, zipfile.BadZipFile: as `read_archive`.
    """
    import zipfile  # most programs read no archive

    with zipfile.ZipFile(path) as archive:
        entry = _entry(archive, key)
        with archive.open(entry) as file:
            return _checked_header(cast(BinaryIO, file), entry, key)


def read_archive(path: Path, key: str) -> Found:
    """One array of a .npz archive: memory-mapped when it is stored unpacked and aligned, else loaded.

    Raises:
        ValueError, zipfile.BadZipFile: the entry is no .npy file of numbers, or its sizes do not fit.
    """
    import zipfile  # most programs read no archive

    with zipfile.ZipFile(path) as archive:
        entry = _entry(archive, key)
        with archive.open(entry) as file:
            header = _checked_header(cast(BinaryIO, file), entry, key)
            copied = "it is compressed"
            if entry.compress_type == zipfile.ZIP_STORED:
                begin = _data_start(path, entry) + file.tell()
                if begin % header.dtype.alignment == 0:
                    return _mapped(path, header, begin)
                copied = "it does not lie at a multiple of its numbers' size"
            data = np.frombuffer(file.read(), header.dtype)
    array = data.reshape(header.shape, order="F" if header.fortran else "C")
    return _native(array, copied)


def _entry(archive: zipfile.ZipFile, key: str) -> zipfile.ZipInfo:
    names = set(archive.namelist())
    return archive.getinfo(f"{key}.npy" if f"{key}.npy" in names else key)


def _checked_header(file: BinaryIO, entry: zipfile.ZipInfo, key: str) -> Header:
    header = _header(file)
    follow = entry.file_size - file.tell()
    if follow != header.nbytes:
        raise ValueError(f"{key}: its header speaks of {header.nbytes} bytes of numbers, and {follow} follow")
    if entry.file_size > _MOST_DEFLATED * entry.compress_size + _HEADER_LIMIT:
        raise ValueError(f"{key}: {entry.compress_size} bytes cannot hold {entry.file_size}")
    return header


def _data_start(path: Path, entry: zipfile.ZipInfo) -> int:
    """Where an entry's bytes begin: behind its local header, whose names may differ in length from the directory's."""
    with path.open("rb") as file:
        file.seek(entry.header_offset)
        local = file.read(30)
    return entry.header_offset + 30 + int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little")


def _header(file: BinaryIO) -> Header:
    begin = file.read(6)
    if begin != b"\x93NUMPY":
        raise ValueError("it does not begin as a .npy file does")
    major, minor = file.read(1), file.read(1)
    readers: dict[tuple[bytes, bytes], _HeaderReader] = {
        (b"\x01", b"\x00"): np.lib.format.read_array_header_1_0,
        (b"\x02", b"\x00"): np.lib.format.read_array_header_2_0,
    }
    if (major, minor) not in readers:
        raise ValueError("its .npy version is none for arrays of numbers")
    try:
        shape, fortran, dtype = readers[major, minor](file, max_header_size=_HEADER_LIMIT)
    except (SyntaxError, tokenize.TokenError) as error:  # NumPy reads its headers as Python's literals
        raise ValueError("its header is no description of an array") from error
    if dtype.hasobject or dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise ValueError(f"it is not an array of numbers but of {dtype}")
    if any(size < 0 for size in shape):
        raise ValueError(f"its shape {shape} has a negative size")
    return Header(shape, fortran, dtype)


def _mapped(path: Path, header: Header, start: int) -> Found:
    if header.nbytes == 0:
        return Found(_locked(np.zeros(header.shape, header.dtype.newbyteorder("="))), "")  # nothing can be mapped
    order = "F" if header.fortran else "C"
    return _native(FileMap(path, header.dtype, "c", start, header.shape, order), "")  # type: ignore[call-overload]


def _native(array: np.ndarray, copied: str) -> Found:
    """The array in this machine's byte order, which the frameworks ask for."""
    if not array.dtype.isnative:
        return Found(_locked(array.astype(array.dtype.newbyteorder("="))), "its byte order is another machine's")
    return Found(_locked(array), copied)


def _locked(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array
