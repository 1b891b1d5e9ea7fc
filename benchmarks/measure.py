"""CPU time of two ways to compute the same thing, in interleaved repetitions."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["Clock", "Comparison", "compare", "interval", "seconds"]

Clock: TypeAlias = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Medians over repetitions; each repetition times all variants one after another.

    Attributes:
        hand, fuse: seconds of CPU time per call.
        ratio: fuse / hand, the median of the ratios within one repetition.
        between: the 95 % confidence interval of that median.
        over: fuse - hand in seconds per call, the median likewise.
        same: the ratio of hand-written code to itself, measured in the same way: what noise alone does.
    """

    hand: float
    fuse: float
    ratio: float
    between: tuple[float, float]
    over: float
    same: float
    same_over: float


def seconds(call: Callable[[], object], calls: int, clock: Clock = time.thread_time) -> float:
    """CPU seconds of one call, the mean of `calls`."""
    start = clock()
    for _ in range(calls):
        call()
    return (clock() - start) / calls


def compare(
    hand: Callable[[], object],
    fuse: Callable[[], object],
    *,
    calls: int,
    repetitions: int = 31,
    clock: Clock = time.thread_time,
) -> Comparison:
    """Interleave hand-written code, Fuse, and the hand-written code once more.

    Args:
        calls: in one measurement, which takes their mean.
        clock: CPU time of this thread; of the process where a framework computes in threads of its own.
    """
    variants = [hand, fuse, hand]
    for variant in variants:
        seconds(variant, calls, clock)  # warm caches, lazy set-up and the allocator
    samples: list[list[float]] = [[], [], []]
    for repetition in range(repetitions):
        # Another one goes first each time, so that drift within a repetition favours none.
        for k in range(3):
            place = (repetition + k) % 3
            samples[place].append(seconds(variants[place], calls, clock))
    first, other, again = samples
    ratios = [b / a for a, b in zip(first, other, strict=True)]
    return Comparison(
        hand=statistics.median(first),
        fuse=statistics.median(other),
        ratio=statistics.median(ratios),
        between=interval(ratios),
        over=statistics.median(b - a for a, b in zip(first, other, strict=True)),
        same=statistics.median(b / a for a, b in zip(first, again, strict=True)),
        same_over=statistics.median(b - a for a, b in zip(first, again, strict=True)),
    )


def interval(values: Sequence[float]) -> tuple[float, float]:
    """A 95 % confidence interval of the median, from order statistics: no shape of distribution is assumed.

    The number of values below the median is binomial with n trials of one half (Conover, Practical
    Nonparametric Statistics, section 3.2).
    """
    ordered = sorted(values)
    n = len(ordered)
    below, outside = 0.0, 0
    for k in range(n // 2):
        below += math.comb(n, k) / 2**n
        if below > 0.025:
            break
        outside = k + 1
    # Fewer than six values reach no 95 %: then it is all of them.
    low = max(0, outside - 1)
    return ordered[low], ordered[n - 1 - low]
