"""Program text and the places in it: every later stage points back here."""

from __future__ import annotations

import bisect
from dataclasses import field

from fuse_ref.records import dataclass

__all__ = ["Source", "Span", "excerpt"]


@dataclass(frozen=True, slots=True)
class Source:
    """One program text and the name it is known by.

    `name` is the file's path as the user gave it, or "<program>" for text without a file.
    """

    text: str
    name: str = "<program>"
    _line_starts: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        starts = [0]
        starts.extend(i + 1 for i, char in enumerate(self.text) if char == "\n")
        object.__setattr__(self, "_line_starts", tuple(starts))

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column, both from 1, of a character offset."""
        line = bisect.bisect_right(self._line_starts, offset)
        return line, offset - self._line_starts[line - 1] + 1

    def line(self, number: int) -> str:
        """The text of line `number` (from 1) without its line end."""
        start = self._line_starts[number - 1]
        end = self.text.find("\n", start)
        return self.text[start:] if end < 0 else self.text[start:end]


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a source: characters `start` to `end` (exclusive)."""

    source: Source
    start: int
    end: int

    @property
    def line(self) -> int:
        return self.source.position(self.start)[0]

    @property
    def column(self) -> int:
        return self.source.position(self.start)[1]

    @property
    def text(self) -> str:
        return self.source.text[self.start : self.end]

    def __str__(self) -> str:
        return f"{self.source.name}:{self.line}:{self.column}"

    def to(self, other: Span) -> Span:
        """The stretch from the start of this span to the end of `other`."""
        return Span(self.source, self.start, max(self.end, other.end))


def excerpt(span: Span) -> str:
    """The span's first line with a caret below the part that is meant."""
    line = span.source.line(span.line)
    width = max(1, min(span.end - span.start, len(line) - span.column + 1))
    # Tabs are kept in the padding so that the caret lands below its character in any terminal.
    padding = "".join("\t" if char == "\t" else " " for char in line[: span.column - 1])
    number = str(span.line)
    return f"{number} | {line}\n{' ' * len(number)} | {padding}{'^' * width}"
