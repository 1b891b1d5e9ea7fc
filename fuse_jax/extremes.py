"""Maxima and minima whose gradients do not hang on two values being equal to the last bit.

JAX gives a gradient to the elements that equal the result. Under `jit` XLA may compute an element anew for that
comparison and round it otherwise, and then the gradient is lost without a word (jax issue 40564). Here the first
place of the extreme always has a share, and elements within some units in the last place tie with it.
"""

from __future__ import annotations

import functools
import math
from typing import Literal, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

__all__ = ["Extreme", "extreme", "ties"]

Extreme: TypeAlias = Literal["max", "min"]

_UNITS = 4  # in the last place: what two ways to round one expression may differ by


def ties(value: jax.Array, result: jax.Array) -> jax.Array:
    """Where `value` is `result`, as far as rounding can tell; the shapes broadcast."""
    if not np.issubdtype(result.dtype, np.floating):
        return value == result
    width = _UNITS * jnp.finfo(result.dtype).eps * jnp.abs(result)
    return (value == result) | (jnp.abs(value - result) <= jnp.where(jnp.isfinite(result), width, 0))


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def extreme(operator: Extreme, axes: tuple[int, ...], value: jax.Array) -> jax.Array:
    """The largest or smallest of `value` over `axes`, none of which is empty; ties share a gradient evenly."""
    return jnp.max(value, axis=axes) if operator == "max" else jnp.min(value, axis=axes)


@extreme.defjvp
def _extreme_jvp(
    operator: Extreme, axes: tuple[int, ...], primals: tuple[jax.Array], tangents: tuple[jax.Array]
) -> tuple[jax.Array, jax.Array]:
    (value,) = primals
    result = extreme(operator, axes, value)
    if not np.issubdtype(value.dtype, np.floating):
        return result, np.zeros(result.shape, jax.dtypes.float0)
    shares = ties(value, jnp.expand_dims(result, axes)) | _first(operator, axes, value)
    count = jnp.sum(shares, axis=axes, dtype=value.dtype)
    return result, jnp.sum(jnp.where(shares, tangents[0], 0), axis=axes) / count


def _first(operator: Extreme, axes: tuple[int, ...], value: jax.Array) -> jax.Array:
    """True at the first place of the extreme, whatever it is compared with."""
    kept = [axis for axis in range(value.ndim) if axis not in axes]
    order = [*kept, *axes]
    moved = lax.transpose(value, order)
    shape = moved.shape
    # Its size in full: -1 cannot be worked out where another axis is empty.
    flat = moved.reshape(*shape[: len(kept)], math.prod(shape[len(kept) :]))
    place = jnp.argmax(flat, axis=-1) if operator == "max" else jnp.argmin(flat, axis=-1)
    chosen = lax.broadcasted_iota(place.dtype, flat.shape, flat.ndim - 1) == place[..., None]
    return lax.transpose(chosen.reshape(shape), [order.index(axis) for axis in range(value.ndim)])
