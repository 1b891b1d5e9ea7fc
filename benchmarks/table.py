"""Rows of figures, each with its target and whether it was met."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from benchmarks.measure import Comparison

__all__ = ["Row", "compared_row", "duration", "print_rows", "ratio_row"]


@dataclass(frozen=True, slots=True)
class Row:
    what: str
    hand: str  # hand-written code; "" where there is none
    fuse: str
    figure: str  # what the target is about
    same: str  # the figure of hand-written code against itself (A/A)
    target: str  # "" for a row that is only told
    met: bool | None = None


def duration(value: float) -> str:
    """`12.3 µs`, `4.56 ms`, `0.78 s`."""
    for limit, factor, unit in ((1e-3, 1e6, "µs"), (1.0, 1e3, "ms")):
        if value < limit:
            return f"{value * factor:.3g} {unit}"
    return f"{value:.3g} s"


def ratio_row(what: str, hand: float, fuse: float, ratio: float, same: float, most: float | None) -> Row:
    """A row whose target is a ratio of at most `most`."""
    target = "" if most is None else f"≤ {most:g}×"
    met = None if most is None else ratio <= most
    return Row(what, duration(hand), duration(fuse), f"{ratio:.3f}×", f"{same:.3f}×", target, met)


def compared_row(what: str, found: Comparison, most: float | None) -> Row:
    """`ratio_row` of a comparison, with the confidence interval of its ratio."""
    row = ratio_row(what, found.hand, found.fuse, found.ratio, found.same, most)
    low, high = found.between
    return replace(row, figure=f"{row.figure} [{low:.2f}, {high:.2f}]")


_HEADER = Row("", "hand-written", "Fuse", "figure", "A/A", "target")


def print_rows(title: str, rows: Iterable[Row]) -> int:
    """Print a table; the number of missed targets."""
    rows = list(rows)
    lines = [
        (row.what, row.hand, row.fuse, row.figure, row.same, row.target, verdict)
        for row in (_HEADER, *rows)
        for verdict in ("" if row.met is None else "met" if row.met else "missed",)
    ]
    widths = [max(len(line[k]) for line in lines) for k in range(7)]
    print(f"\n{title}")
    for line in lines:
        cells = [
            line[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(line[1:6], widths[1:6], strict=True)),
        ]
        print("  ".join([*cells, line[6]]).rstrip())
    return sum(row.met is False for row in rows)
