"""Delimited text cut into cells by array operations, a block of some megabytes at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np

from fuse_ref.files.table import LineProblem
from fuse_ref.files.tokens import PADDING, padded
from fuse_ref.records import dataclass

__all__ = ["Block", "Irregular", "blocks"]

BLOCK: Final = 1 << 22  # bytes

_NEWLINE, _RETURN, _QUOTE = 10, 13, 34
_MARK: Final = b"\xef\xbb\xbf"  # a byte order mark, as spreadsheets write it
# What str.strip takes off, of one byte.
_BLANKS: Final = bytes([*range(9, 14), *range(28, 33)])
_IS_BLANK: Final = np.isin(np.arange(256), np.frombuffer(_BLANKS, np.uint8))
_MOST_CELL: Final = 1 << 17  # bytes of one cell, as the csv module has it


class Irregular(Exception):
    """Text that is cut in a way, or wrong in a way, that only a reader of single characters can tell."""


@dataclass(frozen=True, slots=True)
class Block:
    """Some rows of a file.

    Args:
        buffer: of `padded`.
        starts, ends: (rows, width) places in `buffer`: cells without quotes and ASCII blanks around them.
            Two quotes inside a cell mean one.
        lines: in which each row begins, counted from 1.
        line_ends: how many the text has.
    """

    buffer: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    lines: np.ndarray
    line_ends: int

    def cells(self, row: int) -> list[str]:
        """The cells of one row."""
        return [self._text(start, end) for start, end in zip(self.starts[row], self.ends[row], strict=True)]

    def _text(self, start: int, end: int) -> str:
        return self.buffer[start:end].tobytes().decode().replace('""', '"').strip()


def blocks(path: Path, delimiter: str) -> Iterator[Block]:
    """The rows of a file that are not empty; all have as many cells as the first.

    Raises:
        LineProblem: a row of another width.
        Irregular: quotes inside cells or without an end, single carriage returns, zero bytes, or no UTF-8.
    """
    first: tuple[int, int] | None = None  # line and width of the first row
    line = 1
    with path.open("rb") as file:
        for text in _texts(file):
            # "in" is much faster than counting, and mostly finds none.
            if b"\0" in text or (b"\r" in text and text.count(b"\r") != text.count(b"\r\n")):
                raise Irregular
            if not text.isascii():
                try:
                    text.decode()
                except UnicodeDecodeError as error:
                    raise Irregular from error
            block = _block(text, ord(delimiter), line, first)
            line += block.line_ends
            if len(block.starts):
                first = first or (int(block.lines[0]), block.starts.shape[1])
                yield block


def _texts(file: BinaryIO) -> Iterator[bytes]:
    """The bytes of a file in pieces that end with a row."""
    rest = file.read(len(_MARK))
    if rest == _MARK:
        rest = b""
    # A row longer than a block is read in growing pieces.
    while more := file.read(max(BLOCK, len(rest))):
        rest += more
        end = _end_of_rows(rest)
        if end:
            yield rest[:end]
            rest = rest[end:]
    if b'"' in rest and rest.count(b'"') % 2:
        raise Irregular
    if rest:
        # What follows the last line end; or a file of no more than three bytes, which may end with one.
        yield rest if rest.endswith(b"\n") else rest + b"\n"


def _end_of_rows(text: bytes) -> int:
    """Behind the last line end that stands outside quotes; 0 where there is none."""
    if b'"' not in text:
        return text.rfind(b"\n") + 1
    array = np.frombuffer(text, np.uint8)
    quotes = np.flatnonzero(array == _QUOTE)
    ends = np.flatnonzero(array == _NEWLINE)
    outside = ends[np.searchsorted(quotes, ends) % 2 == 0]
    return int(outside[-1]) + 1 if outside.size else 0


def _block(text: bytes, delimiter: int, line: int, first: tuple[int, int] | None) -> Block:
    buffer = padded(text)
    body = buffer[PADDING : PADDING + len(text)]
    newline = body == _NEWLINE
    breaks = (body == delimiter) | newline
    quoted = b'"' in text
    if quoted:
        breaks &= _outside_quotes(body, delimiter)
    ends = np.flatnonzero(breaks)
    closes = newline[ends]  # cells that end their row
    ends += PADDING
    starts = np.empty_like(ends)
    starts[:1] = PADDING
    starts[1:] = ends[:-1] + 1
    last = np.flatnonzero(closes)
    opens = starts[np.concatenate([[0], last[:-1] + 1])] if len(last) else starts
    if b"\r" in text:
        final = ends[last]
        ends[last] -= (buffer[final - 1] == _RETURN) & (final > starts[last])
    if quoted:
        enclosed = (buffer[starts] == _QUOTE) & (starts < ends)
        starts += enclosed
        ends -= enclosed
    if any(blank in text for blank in _BLANKS if blank not in (_NEWLINE, _RETURN, delimiter)) or quoted:
        _trim(buffer, starts, ends)
    if int((ends - starts).max(initial=0)) > _MOST_CELL:
        raise Irregular
    numbers = np.searchsorted(np.flatnonzero(newline), opens - PADDING) if quoted else np.arange(len(opens))
    return Block(buffer, *_rows(buffer, starts, ends, last, line + numbers, first), int(np.count_nonzero(newline)))


def _outside_quotes(body: np.ndarray, delimiter: int) -> np.ndarray:
    """Which bytes stand outside quotes.

    Raises:
        Irregular: a quote that does not enclose a whole cell, which means itself, or is a mistake.
    """
    quotes = body == _QUOTE
    places = np.flatnonzero(quotes)
    opening, closing = places[::2], places[1::2]
    before = body[opening - 1]
    before[: int(opening[0] == 0)] = _NEWLINE
    after = body[closing + 1]  # the text ends with a line
    if not np.isin(before, [delimiter, _NEWLINE, _QUOTE]).all():
        raise Irregular
    if not np.isin(after, [delimiter, _NEWLINE, _RETURN, _QUOTE]).all():
        raise Irregular
    return np.asarray(~np.logical_xor.accumulate(quotes))


def _trim(buffer: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> None:
    """Take blanks off both ends, in place. Only cells that had one are looked at again."""
    rows = np.flatnonzero(_IS_BLANK[buffer[starts]] & (starts < ends))
    while rows.size:
        starts[rows] += 1
        rows = rows[_IS_BLANK[buffer[starts[rows]]] & (starts[rows] < ends[rows])]
    rows = np.flatnonzero(_IS_BLANK[buffer[ends - 1]] & (starts < ends))
    while rows.size:
        ends[rows] -= 1
        rows = rows[_IS_BLANK[buffer[ends[rows] - 1]] & (starts[rows] < ends[rows])]


def _rows(
    buffer: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
    last: np.ndarray,
    lines: np.ndarray,
    first: tuple[int, int] | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`starts` and `ends` by rows, without empty ones, and their lines. `last` are the places of cells that end a row."""
    counts = np.diff(last, prepend=-1)
    alone = counts == 1
    blank = np.zeros(len(counts), np.bool_)
    blank[alone] = starts[last[alone]] == ends[last[alone]]
    if first is None or (counts[~blank] != first[1]).any():
        _find_blanks(buffer, starts[last], ends[last], np.flatnonzero(alone & ~blank), blank)
    kept = np.flatnonzero(~blank)
    if first is None:
        if not kept.size:
            return starts[:0, None], ends[:0, None], lines[:0]
        first = (int(lines[kept[0]]), int(counts[kept[0]]))
    first_line, width = first
    wrong = kept[counts[kept] != width]
    if wrong.size:
        count = int(counts[wrong[0]])
        raise LineProblem(int(lines[wrong[0]]), f"it has {count} cells, and line {first_line} has {width}")
    if len(kept) != len(counts):
        cells = np.repeat(~blank, counts)
        starts, ends, lines = starts[cells], ends[cells], lines[kept]
    return starts.reshape(-1, width), ends.reshape(-1, width), lines


def _find_blanks(
    buffer: np.ndarray, starts: np.ndarray, ends: np.ndarray, lines: np.ndarray, blank: np.ndarray
) -> None:
    """Set `blank` for those of `lines`, of one cell each, that Unicode calls blank, up to the first that it does not."""
    for line in lines.tolist():
        if buffer[starts[line] : ends[line]].tobytes().decode().strip():
            return
        blank[line] = True
