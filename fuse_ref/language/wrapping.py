"""Lines of bounded width: where the text of a statement may be broken, and where it is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

__all__ = [
    "INDENT",
    "WIDTH",
    "Piece",
    "Pieces",
    "chained",
    "enclosed",
    "joined",
    "listed",
    "prefixed",
    "suffixed",
    "wrapped",
]

WIDTH = 100  # columns; a longer statement goes on in indented lines
INDENT = "    "


class Piece(NamedTuple):
    """A stretch of text that stays on one line."""

    text: str
    depth: int = 0  # of the gap before it: gaps of small depth are broken first


# Between two pieces stands a space, or a line end where the statement is too long. Never empty.
Pieces: TypeAlias = list[Piece]


def prefixed(prefix: str, pieces: Pieces) -> Pieces:
    first = pieces[0]
    return [Piece(prefix + first.text, first.depth), *pieces[1:]]


def suffixed(pieces: Pieces, suffix: str) -> Pieces:
    last = pieces[-1]
    return [*pieces[:-1], Piece(last.text + suffix, last.depth)]


def enclosed(opening: str, pieces: Pieces, closing: str) -> Pieces:
    return suffixed(prefixed(opening, pieces), closing)


def chained(first: Pieces, others: Iterable[tuple[str, Pieces]], depth: int) -> Pieces:
    """The pieces one after the other; each separator ends the item before its own.

    Args:
        depth: of the gaps between items.
    """
    pieces = list(first)
    for separator, item in others:
        last = pieces[-1]
        pieces[-1] = Piece(last.text + separator, last.depth)
        pieces.append(Piece(item[0].text, depth))
        pieces.extend(item[1:])
    return pieces


def listed(items: Iterable[Pieces], separator: str, depth: int) -> Pieces:
    """`chained` with one separator for all; at least one item."""
    first, *others = items
    return chained(first, ((separator, item) for item in others), depth)


def joined(pieces: Pieces) -> str:
    return " ".join(piece.text for piece in pieces)


def wrapped(pieces: Pieces) -> str:
    """The text on one line where that is short enough, else on several, all but the first indented."""
    lines: list[str] = []
    _fill(lines, "", pieces)
    return "\n".join(lines)


def _fill(lines: list[str], separator: str, pieces: Pieces) -> None:
    """Adds `pieces` to the last line after `separator`, and to new lines where it is full."""
    text = joined(pieces)
    line = lines.pop() if lines else ""
    if len(line) + len(separator) + len(text) <= WIDTH:
        lines.append(line + separator + text)
        return
    if separator and (len(pieces) == 1 or len(INDENT) + len(text) <= WIDTH):
        lines.extend([line, INDENT + text])
        return
    if len(pieces) == 1:
        lines.append(line + separator + text)
        return
    lines.append(line)
    outermost = min(piece.depth for piece in pieces[1:])
    start = 0
    for at in range(1, len(pieces) + 1):
        if at == len(pieces) or pieces[at].depth == outermost:
            _fill(lines, separator, pieces[start:at])
            start, separator = at, " "
