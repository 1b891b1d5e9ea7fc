"""Samples in NumPy."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from fuse_ref.evaluate.permutation import Integers, combinations, keys_needed, round_keys

__all__ = ["ratio", "sample"]


def _low(number: Any) -> Any:
    return number  # 32 bits without a sign wrap by themselves


_INTEGERS: Final = Integers(_low, np.maximum, np.where)


def sample(words: Sequence[int], stream: int, sizes: Sequence[int], count: int) -> np.ndarray:
    """Positions (variables, count) of `count` different combinations of `sizes` positions.

    Args:
        words: of the seed, as `seed_words` makes them.
        stream: which of the samples with that seed.
    """
    sizes = [max(1, size) for size in sizes]
    counter = np.arange(keys_needed(len(sizes)), dtype=np.uint32)
    keys = round_keys(_INTEGERS, counter, (int(words[0]), int(words[1])), stream, len(sizes))
    first = np.arange(count, dtype=np.uint32)
    return np.stack(combinations(_INTEGERS, first, sizes, keys, _repeat)).astype(np.int64)


def _repeat(
    turn: Callable[[Any, tuple[Any, ...]], tuple[Any, ...]], keys: Any, positions: tuple[Any, ...]
) -> tuple[Any, ...]:
    for key in keys:
        positions = turn(key, positions)
    return positions


def ratio(numerator: Sequence[int], denominator: int) -> float:
    """A product of lengths, divided by another length; 0 where both are 0."""
    return math.prod(numerator) / max(1, denominator)
