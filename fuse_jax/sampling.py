"""Samples in JAX: which terms of a sum are computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import jax
import jax.numpy as jnp
from jax import lax

from fuse_ref.evaluate.permutation import Integers, combinations, keys_needed, round_keys

__all__ = ["sample", "seeds_from"]

_FOLD: Final = 0x53616D70  # apart from what dropout makes of the same key


def _low(number: Any) -> Any:
    return number  # 32 bits without a sign wrap by themselves


_INTEGERS: Final = Integers(_low, jnp.maximum, jnp.where)


def sample(words: jax.Array, stream: int, sizes: Sequence[int], count: int) -> jax.Array:
    """Positions (variables, count) of `count` different combinations of `sizes` positions.

    A loop over the rounds, so that a compiler neither unrolls it nor computes it beforehand.

    Args:
        words: (2,) whole numbers, of the seed.
        stream: which of the samples with that seed.
    """
    sizes = [max(1, size) for size in sizes]
    words = words.astype(jnp.uint32)
    counter = jnp.arange(keys_needed(len(sizes)), dtype=jnp.uint32)
    keys = round_keys(_INTEGERS, counter, (words[0], words[1]), stream, len(sizes))
    first = jnp.arange(count, dtype=jnp.uint32)
    return jnp.stack(combinations(_INTEGERS, first, sizes, keys, _repeat))


def seeds_from(key: jax.Array | None, names: Sequence[str]) -> dict[str, jax.Array]:
    """What a call draws with instead of the plan's seed: a new sample for each key; nothing without a key.

    Args:
        names: the plan's seeds.
    """
    if key is None or not names:
        return {}
    words = jax.random.bits(jax.random.fold_in(key, _FOLD), (2,), jnp.uint32) >> 1
    return dict.fromkeys(names, words)


def _repeat(
    turn: Callable[[Any, tuple[Any, ...]], tuple[Any, ...]], keys: jax.Array, positions: tuple[Any, ...]
) -> tuple[Any, ...]:
    made: tuple[Any, ...] = lax.fori_loop(0, keys.shape[0], lambda k, state: turn(keys[k], state), positions)
    return made
