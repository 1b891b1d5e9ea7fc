"""Rows of truth values, 64 to a word: what dense relations over small domains are stored and joined as."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

__all__ = ["WORD", "counts", "from_pairs", "nonzero", "pack", "product", "transposed", "unpack", "words"]

WORD: Final = 64
_TYPE: Final = np.dtype("<u8")  # bit b of word w is column 64 w + b, whatever the machine's byte order
_BLOCK: Final = 1 << 22  # truth values that are unpacked at once: they stay in the cache


def words(columns: int) -> int:
    """How many words hold `columns` truth values."""
    return -(-columns // WORD)


def pack(array: np.ndarray) -> np.ndarray:
    """(n, columns) truth values as (n, words(columns)) words; bits beyond the columns are 0."""
    n, columns = array.shape
    found = np.zeros((n, words(columns) * 8), np.uint8)
    packed = np.packbits(array, axis=1, bitorder="little")
    found[:, : packed.shape[1]] = packed
    return found.view(_TYPE)


def unpack(rows: np.ndarray, columns: int) -> np.ndarray:
    """(n, words) words as (n, columns) truth values."""
    bits = np.unpackbits(_bytes(rows), axis=1, count=columns, bitorder="little")
    return bits.view(np.bool_)


def from_pairs(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Words in which the bit (rows[k], columns[k]) is 1 for every k; pairs may stand twice and in any order."""
    n, width = shape[0], words(shape[1])
    found = np.zeros(n * width, _TYPE)
    if not len(rows):
        return found.reshape(n, width)
    place = rows.astype(np.int64)
    place *= width
    place += columns >> 6
    bit = np.left_shift(np.uint64(1), (columns & 63).astype(np.uint64))
    if (place[1:] < place[:-1]).any():
        order = np.argsort(place, kind="stable")
        place, bit = place[order], bit[order]
    first = np.flatnonzero(np.concatenate(([True], place[1:] != place[:-1])))
    found[place[first]] = np.bitwise_or.reduceat(bit, first)
    return found.reshape(n, width)


def counts(rows: np.ndarray) -> np.ndarray:
    """(n,) int64: how many bits of each row are 1."""
    found: np.ndarray = np.bitwise_count(rows).sum(axis=1, dtype=np.int64)
    return found


def nonzero(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where bits are 1: (n,) int64 counts of the rows, and the columns int32, row by row, ascending."""
    number = counts(rows)
    found = np.empty(int(number.sum()), np.int32)
    start = 0
    for block in _blocks(rows):
        columns = _columns(rows[block], number[block])
        found[start : start + len(columns)] = columns
        start += len(columns)
    return number, found


def _blocks(rows: np.ndarray) -> Iterator[slice]:
    height = max(1, _BLOCK // max(1, rows.shape[1] * WORD))
    for start in range(0, len(rows), height):
        yield slice(start, start + height)


def _columns(rows: np.ndarray, number: np.ndarray) -> np.ndarray:
    n, width = rows.shape
    size = width * WORD
    data = _bytes(rows)
    total = int(number.sum())
    if total * 16 < n * size:  # most bytes are 0: look at the others only
        filled = np.flatnonzero(data.ravel() != 0)
        bits = np.unpackbits(data.ravel()[filled], bitorder="little").view(np.bool_)
        place = np.flatnonzero(bits)
        columns = filled[place >> 3]
        columns <<= 3
        columns += place & 7
    else:
        columns = np.flatnonzero(np.unpackbits(data, axis=1, bitorder="little").view(np.bool_))
    columns -= np.repeat(np.arange(n) * size, number)
    found: np.ndarray = columns
    return found


def product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The Boolean product: row i of the result is the OR of the rows of `right` that the bits of left[i] name.

    Args:
        left: (n, w) words with w * 64 >= m; bits from m on are 0.
        right: (m, words) words.

    Returns:
        (n, words) words.

    The method of the four Russians (Arlazarov, Dinic, Kronrod, Faradzhev 1970): the ORs of any of eight rows
    are tabled, so that each byte of `left` costs one look-up.
    """
    m, width = right.shape
    found = np.zeros((len(left), width), _TYPE)
    data = _bytes(left)
    for start in range(0, m, 8):
        byte = data[:, start >> 3]
        if not byte.any():
            continue
        table = np.zeros((256, width), _TYPE)
        for bit, row in enumerate(right[start : start + 8]):
            np.bitwise_or(table[: 1 << bit], row, out=table[1 << bit : 2 << bit])
        found |= table[byte]
    return found


def transposed(rows: np.ndarray, columns: int) -> np.ndarray:
    """(n, words(columns)) words as (columns, words(n)) words."""
    n = len(rows)
    found = np.zeros((columns, words(n) * 8), np.uint8)
    data = _bytes(rows)
    for start in range(0, columns, WORD):  # 64 columns at once: no more than one word of each row is unpacked
        bits = np.unpackbits(data[:, start >> 3 : (start + WORD) >> 3], axis=1, bitorder="little")
        packed = np.packbits(bits.T, axis=1, bitorder="little")
        found[start : start + WORD, : packed.shape[1]] = packed[: columns - start]
    return found.view(_TYPE)


def _bytes(rows: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(rows).view(np.uint8)
