"""Tables of what each function of the catalogue is in JAX: one row each, sizes and order of operands already aligned."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fuse_jax.noise import Noise

__all__ = ["ALONG", "ELEMENTWISE", "WHOLE", "Value"]

Value: TypeAlias = jax.Array | int | float

_ROUNDED_TO = {"float16": jnp.float16, "bfloat16": jnp.bfloat16, "float32": jnp.float32, "float64": jnp.float64}


def _cast(x: jax.Array, *, dtype: str) -> jax.Array:
    if dtype == "bool":
        return jnp.where(x == 0, 0.0, 1.0)
    if dtype == "int64":
        return jnp.trunc(x)
    narrow = jnp.dtype(_ROUNDED_TO[dtype])
    if narrow.itemsize >= x.dtype.itemsize:
        return x
    # Without the barrier XLA may drop a pair of conversions as "excess precision", and nothing would be rounded.
    return lax.optimization_barrier(x.astype(narrow)).astype(x.dtype)


def _step(x: jax.Array) -> jax.Array:
    return jnp.where(x > 0, 1.0, 0.0)


def _abs(x: jax.Array) -> jax.Array:
    # JAX's own gradient at 0 is 1; torch's, and the gradient program's, is sign(0).
    return jnp.where(x == 0, 0, jnp.abs(x))


def _leaky_relu(x: jax.Array, slope: Value) -> jax.Array:
    return jnp.where(x > 0, x, slope * x)


def _sig(x: jax.Array, temperature: Value) -> jax.Array:
    if isinstance(temperature, int | float):
        return _step(x) if temperature == 0 else jax.nn.sigmoid(x if temperature == 1 else x / temperature)
    # The inner `where` keeps x / 0 out of the gradient of the branch that is not taken.
    cold = temperature == 0
    return jnp.where(cold, _step(x), jax.nn.sigmoid(x / jnp.where(cold, 1.0, temperature)))


def _gelu(x: jax.Array, *, approximate: str) -> jax.Array:
    if approximate == "tanh":
        return jax.nn.gelu(x, approximate=True)
    # erfc, not 1 + erf: the lower tail keeps its digits.
    return 0.5 * x * lax.erfc(-x * (0.5**0.5))


def _clip(x: jax.Array, low: Value, high: Value) -> jax.Array:
    # At a bound the whole gradient goes to x, as torch.clamp does; minimum and maximum would halve it.
    # Two choices are also quicker than XLA's minimum, which looks after NaN, and one is where a bound is infinite.
    if not (isinstance(low, float) and low == -math.inf):
        x = jnp.where(x < low, low, x)
    return x if isinstance(high, float) and high == math.inf else jnp.where(x > high, high, x)


def _power(base: Value, exponent: Value) -> jax.Array:
    if isinstance(exponent, int | float) and float(exponent).is_integer() and abs(exponent) < 2**31:
        return lax.integer_pow(jnp.asarray(base), int(exponent))
    return jnp.power(base, exponent)


def _dropout(x: jax.Array, p: float, *, stream: str, noise: Noise | None = None) -> jax.Array:
    return x if noise is None else noise.drop(x, p, stream)


ELEMENTWISE: dict[str, Callable[..., jax.Array]] = {
    "cast": _cast,
    "step": _step,
    "relu": jax.nn.relu,
    "leaky_relu": _leaky_relu,
    "sig": _sig,
    "tanh": jnp.tanh,
    "gelu": _gelu,
    "silu": jax.nn.silu,
    "softplus": jax.nn.softplus,
    "exp": jnp.exp,
    "log": jnp.log,
    "sqrt": jnp.sqrt,
    "abs": _abs,
    "sign": jnp.sign,
    "sin": jnp.sin,
    "cos": jnp.cos,
    "floor": jnp.floor,
    "clip": _clip,
    "max": jnp.maximum,
    "min": jnp.minimum,
    "even": lambda x: jnp.where(jnp.remainder(x, 2) == 0, 1.0, 0.0),
    "odd": lambda x: jnp.where(jnp.remainder(x, 2) == 1, 1.0, 0.0),
    "dropout": _dropout,
    # Operators of expressions.
    "add": jnp.add,
    "subtract": jnp.subtract,
    "multiply": jnp.multiply,
    "divide": jnp.true_divide,
    "power": _power,
    "negate": jnp.negative,
    "less": jnp.less,
    "less_equal": jnp.less_equal,
    "greater": jnp.greater,
    "greater_equal": jnp.greater_equal,
    "equal": jnp.equal,
    "not_equal": jnp.not_equal,
    "and": jnp.logical_and,
    "or": jnp.logical_or,
    "not": jnp.logical_not,
    "where": jnp.where,
    # The operation's own dtype does the conversion: every result is brought to it.
    "to_number": jnp.asarray,
    "to_boolean": lambda x: x > 0,
}


def _softmax(x: jax.Array, *, axis: int) -> jax.Array:
    return jax.nn.softmax(x, axis=axis)


def _log_softmax(x: jax.Array, *, axis: int) -> jax.Array:
    return jax.nn.log_softmax(x, axis=axis)


def _lnorm(x: jax.Array, eps: Value, *, axis: int) -> jax.Array:
    centred = x - jnp.mean(x, axis=axis, keepdims=True)
    return centred / jnp.sqrt(jnp.mean(centred * centred, axis=axis, keepdims=True) + eps)


def _masked_softmax(x: jax.Array, mask: jax.Array, *, axis: int) -> jax.Array:
    some = jnp.any(mask, axis=axis, keepdims=True)
    masked = jnp.where(mask, x, -jnp.inf)
    # A row that keeps nothing is a constant: its -inf would be NaN, and its gradient too.
    return jnp.where(some, jax.nn.softmax(jnp.where(some, masked, 0.0), axis=axis), 0.0)


def _rmsnorm(x: jax.Array, eps: Value, *, axis: int) -> jax.Array:
    return x / jnp.sqrt(jnp.mean(x * x, axis=axis, keepdims=True) + eps)


def _cumsum(x: jax.Array, *, axis: int) -> jax.Array:
    return jnp.cumsum(x, axis=axis)


def _topk(x: jax.Array, k: int, *, axis: int) -> jax.Array:
    count = min(k, x.shape[axis])
    if count == 0:
        return jnp.zeros_like(x)
    fixed = lax.stop_gradient(jnp.moveaxis(x, axis, -1))
    lowest = lax.top_k(fixed, count)[0][..., -1:]
    above, equal = fixed > lowest, fixed == lowest
    room = count - jnp.sum(above, axis=-1, keepdims=True)
    kept = above | (equal & (jnp.cumsum(equal, axis=-1) <= room))
    return jnp.where(jnp.moveaxis(kept, -1, axis), x, 0.0)


def _rope(x: jax.Array, position: Value, base: float, *, axis: int) -> jax.Array:
    size = x.shape[axis]
    # In float64, since an error of an angle grows with the position.
    speeds = jnp.asarray(float(base) ** (-np.arange(0, size, 2) / max(size, 1)), x.dtype)
    place = jnp.asarray(position, x.dtype)
    place = jnp.moveaxis(place.reshape((1,) * (x.ndim - place.ndim) + place.shape), axis, -1)
    # A position that varies along the axis itself turns each of a pair by its own angle.
    first_angle = place[..., 0::2] * speeds
    second_angle = first_angle if place.shape[-1] == 1 else place[..., 1::2] * speeds
    given = jnp.moveaxis(x, axis, -1)
    first, second = given[..., 0::2], given[..., 1::2]
    pairs = [
        first * jnp.cos(first_angle) - second * jnp.sin(first_angle),
        second * jnp.cos(second_angle) + first * jnp.sin(second_angle),
    ]
    turned = jnp.stack(jnp.broadcast_arrays(*pairs), axis=-1)
    return jnp.moveaxis(turned.reshape((*turned.shape[:-2], size)), -1, axis)


def _argmax(x: jax.Array, *, axis: int) -> jax.Array:
    return jnp.argmax(x, axis=axis)


def _cross_entropy(logits: jax.Array, target: jax.Array, *, axis: int) -> jax.Array:
    """`target` has size 1 on `axis` when it holds classes (int64), else the classes' weights."""
    logs = jax.nn.log_softmax(logits, axis=axis)
    if not jnp.issubdtype(target.dtype, jnp.integer):
        return -jnp.sum(target * logs, axis=axis)
    classes = logits.shape[axis]
    if classes == 0:
        return jnp.zeros(jnp.squeeze(target, axis).shape, logits.dtype)
    shape = list(jnp.broadcast_shapes(logs.shape, target.shape))
    logs = jnp.broadcast_to(logs, shape)
    shape[axis] = 1
    # A class that does not exist gives NaN, also a negative one, which take_along_axis would wrap.
    index = jnp.where((target < 0) | (target >= classes), classes, target)
    picked = jnp.take_along_axis(logs, jnp.broadcast_to(index, shape), axis=axis, mode="fill", fill_value=jnp.nan)
    return -jnp.squeeze(picked, axis=axis)


# Functions along an axis, given as a keyword. `reduce_axis` rows of the catalogue leave it out of their result.
ALONG: dict[str, Callable[..., jax.Array]] = {
    "softmax": _softmax,
    "log_softmax": _log_softmax,
    "masked_softmax": _masked_softmax,
    "lnorm": _lnorm,
    "rmsnorm": _rmsnorm,
    "cumsum": _cumsum,
    "topk": _topk,
    "rope": _rope,
    "argmax": _argmax,
    "cross_entropy": _cross_entropy,
}


def _tucker_dense(x: jax.Array, rank: float, threshold: float) -> jax.Array:
    """Truncated higher-order SVD (De Lathauwer et al. 2000, section 4), then the step at the threshold."""
    fixed = value = lax.stop_gradient(x)
    for dimension, size in enumerate(x.shape):
        kept = int(rank) or math.ceil(math.sqrt(size))
        if kept < size and x.size:
            rows = jnp.moveaxis(fixed, dimension, 0).reshape(size, -1)
            factor = jnp.linalg.svd(rows, full_matrices=False)[0][:, :kept]
            core = jnp.tensordot(factor, value, axes=([0], [dimension]))
            value = jnp.moveaxis(jnp.tensordot(factor, core, axes=([1], [0])), 0, dimension)
    # Comparisons with NaN are false: what is not finite gives 0 everywhere.
    return jnp.where((value > threshold) & jnp.isfinite(fixed).all(), 1.0, 0.0)


# Functions of an array as a whole: the array, then numbers.
WHOLE: dict[str, Callable[..., jax.Array]] = {"tucker_dense": _tucker_dense}
