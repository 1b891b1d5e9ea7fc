"""What a check on sizes says: data alone."""

from __future__ import annotations

from typing import Literal

from fuse_ref.analysis.lengths import Length
from fuse_ref.records import dataclass
from fuse_ref.source import Span

__all__ = ["Finding"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`actual` must equal or reach `expected`; otherwise the row `code` tells of it."""

    actual: Length
    relation: Literal["==", ">="]
    expected: Length
    code: str
    words: tuple[tuple[str, str], ...]
    values: tuple[tuple[str, Length], ...]  # words that are sizes
    reason: str  # where `expected` comes from
    span: Span | None
    # The tensor whose own extent `actual` is, with its position and axis; None for a computed length.
    given: tuple[str, int, str] | None = None
    candidates: tuple[tuple[str, Length], ...] = ()  # `expected` is the longest of them, less the reach
    variable: str = ""
