"""Thread-CPU time of two ways to compute the same thing, in interleaved repetitions."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Comparison", "compare", "seconds"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Medians over repetitions; each repetition times all variants one after another.

    Attributes:
        hand, fuse: seconds of thread-CPU time per call.
        ratio: fuse / hand, the median of the ratios within one repetition.
        over: fuse - hand in seconds per call, the median likewise.
        same: the ratio of hand-written code to itself, measured in the same way: what noise alone does.
    """

    hand: float
    fuse: float
    ratio: float
    over: float
    same: float
    same_over: float


def seconds(call: Callable[[], object], calls: int) -> float:
    """Thread-CPU seconds of one call, the mean of `calls`."""
    start = time.thread_time()
    for _ in range(calls):
        call()
    return (time.thread_time() - start) / calls


def compare(hand: Callable[[], object], fuse: Callable[[], object], *, calls: int, repetitions: int = 31) -> Comparison:
    """Interleave hand-written code, Fuse, and the hand-written code once more."""
    variants = [hand, fuse, hand]
    for variant in variants:
        seconds(variant, calls)  # warm caches, lazy set-up and the allocator
    samples: list[list[float]] = [[], [], []]
    for repetition in range(repetitions):
        # Another one goes first each time, so that drift within a repetition favours none.
        for k in range(3):
            place = (repetition + k) % 3
            samples[place].append(seconds(variants[place], calls))
    first, other, again = samples
    return Comparison(
        hand=statistics.median(first),
        fuse=statistics.median(other),
        ratio=statistics.median(b / a for a, b in zip(first, other, strict=True)),
        over=statistics.median(b - a for a, b in zip(first, other, strict=True)),
        same=statistics.median(b / a for a, b in zip(first, again, strict=True)),
        same_over=statistics.median(b - a for a, b in zip(first, again, strict=True)),
    )
