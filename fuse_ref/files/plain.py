"""Text of nothing but digits, delimiters and line ends, as tables of positions mostly are."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from fuse_ref.files.table import Table
from fuse_ref.files.tokens import PADDING, whole_numbers

__all__ = ["read_plain"]

_BLOCK: Final = 1 << 18  # bytes: what is made of them stays in the cache
_ZERO, _NINE, _NEWLINE = 48, 57, 10


def read_plain(path: Path, delimiter: str) -> Table | None:
    """The rows of a file of whole numbers without signs, blanks, quotes or empty lines; None where it has anything else."""
    parts: list[np.ndarray] = []
    width = 0
    rest = b""
    with path.open("rb") as file:
        while True:
            more = file.read(_BLOCK)
            text = rest + (more or (b"\n" if rest else b""))
            end = text.rfind(b"\n") + 1
            text, rest = text[:end], text[end:]
            if text:
                width = width or text.count(delimiter.encode(), 0, text.find(b"\n")) + 1
                values = _values(text, ord(delimiter), width)
                if values is None:
                    return None
                parts.append(values)
            elif not more or len(rest) > 4 * _BLOCK:
                break
    if not parts or rest:
        return None
    columns = tuple(np.concatenate([part[:, k] for part in parts], dtype=np.int64) for k in range(width))
    return Table(columns, range(1, len(columns[0]) + 1))


def _values(text: bytes, delimiter: int, width: int) -> np.ndarray | None:
    """The numbers of some lines, (lines, width) unsigned, or int64."""
    buffer = np.frombuffer(b"".join((bytes(PADDING), text)), np.uint8)
    ends = np.flatnonzero(buffer[PADDING:] < _ZERO)
    if len(ends) % width or int(buffer.max()) > _NINE:
        return None
    closes = buffer[PADDING:].take(ends).reshape(-1, width)
    if bool((closes[:, :-1] != delimiter).any()) or bool((closes[:, -1] != _NEWLINE).any()):
        return None
    lengths = np.diff(ends, prepend=-1)
    lengths -= 1
    most = int(lengths.max())
    if int(lengths.min()) < 1:
        return None
    ends += PADDING
    values: np.ndarray | None
    if most <= 4:
        values = _four_digits(buffer, ends, lengths)
    elif most <= 8:
        values = _eight_digits(buffer, ends, lengths)
    else:
        values = whole_numbers(buffer, ends - lengths, ends)
    return None if values is None else values.reshape(-1, width)


# The last digit is in a word's highest byte. Neighbours are joined to numbers of two digits, these to four, to eight.

_MASKS_4: Final = np.array([((1 << 8 * k) - 1) << (32 - 8 * k) & 0x0F0F0F0F for k in range(5)], np.uint32)
_MASKS_8: Final = np.array([((1 << 8 * k) - 1) << (64 - 8 * k) & 0x0F0F0F0F0F0F0F0F for k in range(9)], np.uint64)


def _four_digits(buffer: np.ndarray, ends: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    words = np.ndarray((len(buffer) - 3,), "<u4", buffer, 0, (1,))
    found = words.take(ends - 4)
    found &= _MASKS_4.take(lengths)
    found *= np.uint32(10 * 256 + 1)
    found >>= np.uint32(8)
    found &= np.uint32(0x00FF00FF)
    found *= np.uint32(100 * 65536 + 1)
    found >>= np.uint32(16)
    return found


def _eight_digits(buffer: np.ndarray, ends: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    words = np.ndarray((len(buffer) - 7,), "<u8", buffer, 0, (1,))
    found = words.take(ends - 8)
    found &= _MASKS_8.take(lengths)
    found *= np.uint64(10 * 256 + 1)
    found >>= np.uint64(8)
    found &= np.uint64(0x00FF00FF00FF00FF)
    found *= np.uint64(100 * 65536 + 1)
    found >>= np.uint64(16)
    found &= np.uint64(0x0000FFFF0000FFFF)
    found *= np.uint64(10000 * 4294967296 + 1)
    found >>= np.uint64(32)
    return found
