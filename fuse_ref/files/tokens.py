"""Cells of text as arrays: whole numbers read, and strings numbered, eight bytes at a time, without a loop over cells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

import numpy as np

__all__ = ["PADDING", "Collision", "TokenTable", "padded", "whole_numbers"]

PADDING: Final = 32  # bytes before and after a text, so that words may begin or end outside it

_WORD: Final = 8  # bytes
_MOST_DIGITS: Final = 18  # that surely fit 64 bits
_LEAST_SLOTS: Final = 1 << 12
_MASKS: Final = np.array([(1 << (8 * count)) - 1 for count in range(_WORD + 1)], np.uint64)
_ZEROS: Final = np.uint64(0x3030303030303030)  # eight times "0"
_HIGH_BITS: Final = np.uint64(0x8080808080808080)
_SIX: Final = np.uint64(0x7676767676767676)  # takes what is more than 9 into the high bit
_PAIRS: Final = np.uint64(0x000000FF000000FF)
_FACTOR: Final = np.uint64(0x9E3779B97F4A7C15)  # odd, 2**64 by the golden ratio

_Part: TypeAlias = tuple[int, "np.ndarray | slice", np.ndarray]  # of `_by_word`


class Collision(Exception):
    """Two strings share a hash of 64 bits; the table cannot tell them apart."""


def padded(text: bytes) -> np.ndarray:
    """`text` as uint8 with `PADDING` zeros before and after it."""
    buffer = np.zeros(len(text) + 2 * PADDING, np.uint8)
    buffer[PADDING : PADDING + len(text)] = np.frombuffer(text, np.uint8)
    return buffer


def _words(buffer: np.ndarray) -> np.ndarray:
    """At each byte of `buffer` the little-endian number that begins there; a view."""
    return np.ndarray((len(buffer) - _WORD + 1,), "<u8", buffer, 0, (1,))


def whole_numbers(buffer: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray | None:
    """The cells between `starts` and `ends` as int64; None where one is no whole number, or has more than 18 digits.

    Args:
        buffer: of `padded`.
        starts, ends: places in `buffer`; no cell is empty.
    """
    first = buffer[starts]
    negative = first == ord("-")
    signed = negative | (first == ord("+"))
    lengths = ends - starts
    if signed.any():
        lengths -= signed
    most = int(lengths.max(initial=0))
    if most > _MOST_DIGITS or int(lengths.min(initial=1)) < 1:
        return None
    words = _words(buffer)
    values = _eight_digits(words, ends, np.minimum(lengths, _WORD))
    if values is None:
        return None
    for place in range(_WORD, most, _WORD):
        longer = np.flatnonzero(lengths > place)
        more = _eight_digits(words, ends[longer] - place, np.minimum(lengths[longer] - place, _WORD))
        if more is None:
            return None
        values[longer] += more * np.uint64(10**place)
    found = values.view(np.int64)
    if negative.any():
        np.negative(found, out=found, where=negative)
    return found


def _eight_digits(words: np.ndarray, ends: np.ndarray, counts: np.ndarray) -> np.ndarray | None:
    """The numbers that the `counts` (1 to 8) bytes before `ends` are; None where one is no digit.

    The last digit is in a word's highest byte. Neighbours are joined to numbers of two digits, these to four, to eight.
    """
    found = words[ends - _WORD] ^ _ZEROS
    unused = ((_WORD - counts) * 8).astype(np.uint64)
    found >>= unused
    found <<= unused
    if (((found + _SIX) | found) & _HIGH_BITS).any():
        return None
    found = found * np.uint64(10) + (found >> np.uint64(8))
    high = (found & _PAIRS) * np.uint64(100 + (1_000_000 << 32))
    low = ((found >> np.uint64(16)) & _PAIRS) * np.uint64(1 + (10_000 << 32))
    result: np.ndarray = (high + low) >> np.uint64(32)
    return result


class TokenTable:
    """Numbers for strings, without a zero byte, in no particular order: a hash table whose steps are array operations."""

    def __init__(self) -> None:
        self._slots = np.full(_LEAST_SLOTS, -1, np.int32)  # open addressing: the string's number, or -1
        self._count = 0
        self._hashes = np.empty(0, np.uint64)
        self._lengths = np.empty(0, np.int64)
        # Each string's bytes, zeros behind it: at least one, so that zeros part them.
        self._places = np.empty(0, np.int64)  # where its words begin
        self._stored = np.empty(0, np.uint64)
        self._used = 0

    def numbers(self, buffer: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """The number (int32) of each string between `starts` and `ends`; the same string has the same one for ever.

        Args:
            buffer: of `padded`.
            starts, ends: places in `buffer`; no string is empty.

        Raises:
            Collision: strings that this table cannot tell apart.
        """
        words = _words(buffer)
        lengths = ends - starts
        parts = list(_by_word(words, starts, lengths))
        hashes = _hashes(parts, len(starts))
        numbers = self._find(hashes)
        missing = np.flatnonzero(numbers < 0)
        if missing.size:
            order = missing[np.argsort(hashes[missing])]
            ordered = hashes[order]
            new = np.ones(len(order), np.bool_)
            np.not_equal(ordered[1:], ordered[:-1], out=new[1:])
            numbers[order] = self._count - 1 + np.cumsum(new)
            chosen = order[new]
            self._insert(words, starts[chosen], lengths[chosen], hashes[chosen])
        self._check(parts, lengths, numbers)
        return numbers

    def names(self) -> list[str]:
        """The strings by number.

        Raises:
            UnicodeDecodeError: one is no UTF-8 text.
        """
        text = self._stored[: self._used].view(np.uint8)
        kept = text != 0
        kept[1:] |= kept[:-1]  # one zero behind each
        names: list[str] = text[kept].tobytes().decode().split("\0")
        return names[:-1]

    def _find(self, hashes: np.ndarray) -> np.ndarray:
        slots = self._slot(hashes)
        numbers: np.ndarray = self._slots[slots]
        if not self._count:
            return numbers
        others = np.flatnonzero((numbers >= 0) & (self._hashes[numbers] != hashes))
        while others.size:
            places = (slots[others] + 1) & (len(self._slots) - 1)
            slots[others] = places
            found = self._slots[places]
            numbers[others] = found
            others = others[(found >= 0) & (self._hashes[found] != hashes[others])]
        return numbers

    def _slot(self, hashes: np.ndarray) -> np.ndarray:
        bits = len(self._slots).bit_length() - 1
        slots: np.ndarray = (hashes >> np.uint64(64 - bits)).astype(np.int64)
        return slots

    def _insert(self, words: np.ndarray, starts: np.ndarray, lengths: np.ndarray, hashes: np.ndarray) -> None:
        first, count = self._count, self._count + len(hashes)
        sizes = lengths // _WORD + 1
        places = self._used + np.cumsum(sizes) - sizes
        used = self._used + int(sizes.sum())
        self._hashes = _grown(self._hashes, count)
        self._lengths = _grown(self._lengths, count)
        self._places = _grown(self._places, count)
        self._stored = _grown(self._stored, used)
        self._hashes[first:count] = hashes
        self._lengths[first:count] = lengths
        self._places[first:count] = places
        self._stored[self._used : used] = 0
        for k, rows, word in _by_word(words, starts, lengths):
            self._stored[places[rows] + k] = word
        self._count, self._used = count, used
        if 2 * count > len(self._slots):
            self._slots = np.full(1 << (4 * count - 1).bit_length(), -1, np.int32)
            first = 0
        self._claim(np.arange(first, count, dtype=np.int32))

    def _claim(self, numbers: np.ndarray) -> None:
        slots = self._slot(self._hashes[numbers])
        while numbers.size:
            free = self._slots[slots] < 0
            # Of those that want one slot, one is left in it; the others go on.
            self._slots[slots[free]] = numbers[free]
            waiting = self._slots[slots] != numbers
            numbers, slots = numbers[waiting], (slots[waiting] + 1) & (len(self._slots) - 1)

    def _check(self, parts: Sequence[_Part], lengths: np.ndarray, numbers: np.ndarray) -> None:
        """Equal hashes may come from different strings."""
        if not np.array_equal(self._lengths[numbers], lengths):
            raise Collision
        places = self._places[numbers]
        for k, rows, word in parts:
            if not np.array_equal(self._stored[places[rows] + k], word):
                raise Collision


def _by_word(words: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> Iterator[_Part]:
    """For k = 0, 1, …: k, which strings have a byte in word k, and the word, zero behind the string."""
    rows: np.ndarray | slice = slice(None)
    for k in range(-(-int(lengths.max(initial=0)) // _WORD)):
        if k:
            rows = np.flatnonzero(lengths > k * _WORD) if isinstance(rows, slice) else rows[lengths[rows] > k * _WORD]
        left = np.minimum(lengths[rows] - k * _WORD, _WORD)
        yield k, rows, words[starts[rows] + k * _WORD] & _MASKS[left]


def _hashes(parts: Sequence[_Part], count: int) -> np.ndarray:
    found = np.zeros(count, np.uint64)
    for _, rows, word in parts:
        mixed = (found[rows] ^ word) * _FACTOR
        mixed ^= mixed >> np.uint64(29)
        mixed *= _FACTOR
        mixed ^= mixed >> np.uint64(32)
        found[rows] = mixed
    return found * _FACTOR


def _grown(array: np.ndarray, size: int) -> np.ndarray:
    """`array`, or a copy with room for more than `size`."""
    if size <= len(array):
        return array
    found = np.empty(max(size, 2 * len(array)), array.dtype)
    found[: len(array)] = array
    return found
