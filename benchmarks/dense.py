"""Fuse programs against the best hand-written code of each framework."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

import numpy as np

from benchmarks.measure import Clock, Comparison, compare, seconds
from benchmarks.table import Row, compared_row
from benchmarks.workloads import WORKLOADS, Workload, draw

__all__ = ["MOST_MEAN", "MOST_RATIO", "Pair", "Ways", "rows_of"]

MOST_RATIO: Final = 1.1
MOST_MEAN: Final = 1.0

# Ways to run what is written by hand, and ways to run the Fuse program, by what they are called.
Ways: TypeAlias = dict[str, Callable[[], object]]
Pair: TypeAlias = tuple[Ways, Ways]


def rows_of(
    prepare: Callable[[Workload, dict[str, np.ndarray]], Pair | None],
    *,
    most: float = MOST_RATIO,
    most_mean: float | None = MOST_MEAN,
    clock: Clock = time.thread_time,
) -> Iterator[Row]:
    """A row for each workload, the fastest way to run either side, and the geometric mean of the ratios.

    Args:
        prepare: both sides ready to call; None where the framework has no such workload.
    """
    found: list[Comparison] = []
    for workload in WORKLOADS:
        pair = prepare(workload, draw(workload))
        if pair is None:
            continue
        (by_hand, hand), (by_fuse, fuse) = (_fastest(ways, workload.calls, clock) for ways in pair)
        item = compare(hand, fuse, calls=workload.calls, clock=clock)
        found.append(item)
        what = workload.what if len(pair[0]) == 1 else f"{workload.what} ({by_hand}, {by_fuse})"
        yield compared_row(what, item, most)
    mean, same = (math.exp(sum(map(math.log, values)) / len(found)) for values in _columns(found))
    # The mean of ratios near 1 is told to three digits: what noise does is in the A/A column.
    met = None if most_mean is None else round(mean, 2) <= most_mean
    target = "" if most_mean is None else f"≤ {most_mean:g}×"
    yield Row("geometric mean", "", "", f"{mean:.3f}×", f"{same:.3f}×", target, met)


def _columns(found: list[Comparison]) -> tuple[list[float], list[float]]:
    return [item.ratio for item in found], [item.same for item in found]


def _fastest(hands: dict[str, Callable[[], object]], calls: int, clock: Clock) -> tuple[str, Callable[[], object]]:
    """The quickest of the hand-written versions, each warmed and tried in turns."""
    for hand in hands.values():
        seconds(hand, calls, clock)
    best = dict.fromkeys(hands, math.inf)
    for _ in range(5):
        for name, hand in hands.items():
            best[name] = min(best[name], seconds(hand, calls, clock))
    name = min(best, key=best.__getitem__)
    return name, hands[name]
