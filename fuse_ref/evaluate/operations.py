"""The NumPy engine's tables: one function for each elementwise and along-axis row of `ir.operations`.

Functions take arrays (or Python numbers) of the run's precision and `out=None`. Python numbers are weak in
NumPy 2, so that a float32 run stays float32; nothing here makes an array of another precision. `out`, where a
row allows it, is the buffer of an operand that nobody needs any more.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from fuse_ref.evaluate.special import erf
from fuse_ref.records import dataclass

__all__ = ["ALONG", "ELEMENTWISE", "WHOLE", "Elementwise"]

# An array, a NumPy scalar (what operations on 0-d arrays give) or a Python number.
Value: TypeAlias = Any
Out: TypeAlias = np.ndarray | None


@dataclass(frozen=True, slots=True)
class Elementwise:
    function: Callable[..., Value]
    # Whose buffer may be `out`: any operand's, the first one's (then `out` is the first operand), or none's.
    overwrites: Literal["any", "first", "none"]
    # "float": bool and int64 operands become floats first, unless the result is int64; "any": they stay.
    takes: Literal["float", "any"] = "float"
    makes: Literal["same", "bool"] = "same"  # the type of the result: that of the operands, or bool


def _cast(x: Value, *, dtype: str, out: Out = None) -> Value:
    x = np.asarray(x)
    match dtype:
        case "int64":
            return np.trunc(x, out=out)
        case "bool":
            return (x != 0).astype(x.dtype)
        case "bfloat16":
            return _to_bfloat16(x).astype(x.dtype)
        case _:
            return x.astype(dtype).astype(x.dtype)


def _to_bfloat16(x: np.ndarray) -> np.ndarray:
    """Rounded to nearest, ties to even, in float32."""
    bits = x.astype(np.float32).view(np.uint32)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).view(np.float32)
    return np.where(np.isnan(x), np.float32(np.nan), rounded)


def _step(x: Value, out: Out = None) -> Value:
    return np.greater(x, 0).astype(np.asarray(x).dtype) if out is None else np.greater(x, 0, out=out)


def _relu(x: Value, out: Out = None) -> Value:
    return np.maximum(x, 0, out=out)


def _leaky_relu(x: Value, slope: Value, out: Out = None) -> Value:
    if isinstance(slope, float | int) and 0 <= slope <= 1:
        return np.maximum(x, x * slope, out=out)
    return np.where(x > 0, x, x * slope)


def _sig(x: Value, temperature: Value, out: Out = None) -> Value:
    if isinstance(temperature, float | int):
        if temperature == 0:
            return _step(x, out)
        scaled = np.negative(x, out=out) if temperature == 1 else np.divide(x, -temperature, out=out)
    else:
        return np.where(temperature == 0, _step(x), _logistic_of_negated(x / -temperature))
    return _logistic_of_negated(scaled)


def _logistic_of_negated(negated: Value) -> Value:
    """1 / (1 + exp(negated)), in the argument's buffer where it has one; overflow of exp gives the right 0."""
    out = negated if isinstance(negated, np.ndarray) else None
    value = np.exp(negated, out=out)
    value = np.add(value, 1, out=out)
    return np.reciprocal(value, out=out)


def _silu(x: Value) -> Value:
    value = np.exp(-x)
    value += 1
    return np.divide(x, value, out=value if isinstance(value, np.ndarray) else None)


def _softplus(x: Value, out: Out = None) -> Value:
    return np.logaddexp(x, 0, out=out)


def _gelu(x: Value, *, approximate: str = "none") -> Value:
    x = np.asarray(x)
    if approximate == "tanh":
        inner = x * x
        inner *= 0.044715
        inner += 1
        inner *= x
        inner *= math.sqrt(2 / math.pi)
        value = np.asarray(np.tanh(inner))
    else:
        value = erf(x * (1 / math.sqrt(2)))
    value += 1
    value *= x
    value *= 0.5
    return value


def _clip(x: Value, lo: Value, hi: Value, out: Out = None) -> Value:
    if isinstance(lo, float) and lo == -math.inf:
        return np.minimum(x, hi, out=out)
    if isinstance(hi, float) and hi == math.inf:
        return np.maximum(x, lo, out=out)
    return np.minimum(np.maximum(x, lo, out=out), hi, out=out)


def _even(x: Value) -> Value:
    return (np.remainder(x, 2) == 0).astype(np.asarray(x).dtype)


def _odd(x: Value) -> Value:
    return (np.remainder(x, 2) == 1).astype(np.asarray(x).dtype)


def _power(x: Value, y: Value, out: Out = None) -> Value:
    # Numbers of the program alone: a value that comes out as -1 is a float too, and the reciprocal of a whole x is 0.
    if type(y) in (float, int):
        if y == 2:
            return np.multiply(x, x, out=out)
        if y == 3:
            return np.multiply(x * x, x, out=out)
        if y == 0.5:
            return np.sqrt(x, out=out)
        if y == -1:
            return np.reciprocal(x, out=out)
    return np.power(x, y, out=out)


def _dropout(x: Value, p: float, *, stream: str) -> Value:
    return x  # an evaluation, never a training step


def _to_boolean(x: Value) -> Value:
    return np.greater(x, 0)


def _to_number(x: Value) -> Value:
    return x  # the compiler casts operands to the run's precision before every numeric row


ELEMENTWISE: Final[dict[str, Elementwise]] = {
    "cast": Elementwise(_cast, "none"),
    "step": Elementwise(_step, "first"),
    "relu": Elementwise(_relu, "first"),
    "leaky_relu": Elementwise(_leaky_relu, "first"),
    "sig": Elementwise(_sig, "first"),
    "tanh": Elementwise(np.tanh, "any"),
    "gelu": Elementwise(_gelu, "none"),
    "silu": Elementwise(_silu, "none"),
    "softplus": Elementwise(_softplus, "any"),
    "exp": Elementwise(np.exp, "any"),
    "log": Elementwise(np.log, "any"),
    "sqrt": Elementwise(np.sqrt, "any"),
    "abs": Elementwise(np.abs, "any"),
    "sign": Elementwise(np.sign, "any"),
    "sin": Elementwise(np.sin, "any"),
    "cos": Elementwise(np.cos, "any"),
    "floor": Elementwise(np.floor, "any"),
    "clip": Elementwise(_clip, "first"),
    "max": Elementwise(np.maximum, "any"),
    "min": Elementwise(np.minimum, "any"),
    "even": Elementwise(_even, "none"),
    "odd": Elementwise(_odd, "none"),
    "dropout": Elementwise(_dropout, "none"),
    "add": Elementwise(np.add, "any"),
    "subtract": Elementwise(np.subtract, "any"),
    "multiply": Elementwise(np.multiply, "any"),
    "divide": Elementwise(np.true_divide, "any"),
    "power": Elementwise(_power, "first"),
    "negate": Elementwise(np.negative, "any"),
    "less": Elementwise(np.less, "none", "any", "bool"),
    "less_equal": Elementwise(np.less_equal, "none", "any", "bool"),
    "greater": Elementwise(np.greater, "none", "any", "bool"),
    "greater_equal": Elementwise(np.greater_equal, "none", "any", "bool"),
    "equal": Elementwise(np.equal, "none", "any", "bool"),
    "not_equal": Elementwise(np.not_equal, "none", "any", "bool"),
    "and": Elementwise(np.logical_and, "any", "any", "bool"),
    "or": Elementwise(np.logical_or, "any", "any", "bool"),
    "not": Elementwise(np.logical_not, "any", "any", "bool"),
    "where": Elementwise(np.where, "none", "any"),
    "to_number": Elementwise(_to_number, "none"),
    "to_boolean": Elementwise(_to_boolean, "none", "any", "bool"),
}


# Along an axis ---------------------------------------------------------------------------------
# Each is called as f(x, *others, axis=…, out=…), everything aligned to one order of dimensions; `axis` counts from
# 0 and has at least one position. `out` is None or x itself.


def _softmax(x: np.ndarray, *, axis: int, out: Out = None) -> Value:
    value = np.subtract(x, np.maximum.reduce(x, axis=axis, keepdims=True), out=out)
    np.exp(value, out=value)
    value /= np.add.reduce(value, axis=axis, keepdims=True)
    return value


def _log_softmax(x: np.ndarray, *, axis: int, out: Out = None) -> Value:
    value = np.subtract(x, np.maximum.reduce(x, axis=axis, keepdims=True), out=out)
    total = np.add.reduce(np.exp(value), axis=axis, keepdims=True)
    value -= np.log(total, out=total)
    return value


def _lnorm(x: np.ndarray, eps: Value, *, axis: int, out: Out = None) -> Value:
    count = x.shape[axis]
    value = np.subtract(x, np.add.reduce(x, axis=axis, keepdims=True) / count, out=out)
    if axis == value.ndim - 1:
        variance = np.vecdot(value, value)[..., None] / count
    else:
        variance = np.add.reduce(value * value, axis=axis, keepdims=True) / count
    scale = np.sqrt(variance + eps)
    # eps may vary along the axis, and then the scale is as large as x.
    return np.divide(value, scale, out=value)


def _masked_softmax(x: np.ndarray, mask: np.ndarray, *, axis: int, out: Out = None) -> Value:
    value = np.where(mask, x, x.dtype.type(-np.inf))
    largest = np.maximum.reduce(value, axis=axis, keepdims=True)
    # A mask that lacks dimensions lacks leading ones, so its axis is counted from the last.
    kept = np.logical_or.reduce(mask, axis=axis - x.ndim, keepdims=True)
    value -= np.where(kept, largest, x.dtype.type(0))  # -inf - -inf would be NaN where nothing is kept
    np.exp(value, out=value)
    value /= np.where(kept, np.add.reduce(value, axis=axis, keepdims=True), x.dtype.type(1))
    return value


def _rmsnorm(x: np.ndarray, eps: Value, *, axis: int, out: Out = None) -> Value:
    if axis == x.ndim - 1:
        square = np.vecdot(x, x)[..., None] / x.shape[axis]
    else:
        square = np.add.reduce(x * x, axis=axis, keepdims=True) / x.shape[axis]
    return np.divide(x, np.sqrt(square + eps), out=out)


def _cumsum(x: np.ndarray, *, axis: int, out: Out = None) -> Value:
    return np.add.accumulate(x, axis=axis, out=out)


def _topk(x: np.ndarray, k: int, *, axis: int, out: Out = None) -> Value:
    size = x.shape[axis]
    count = min(k, size)
    value = x.copy() if out is None else out
    if count == 0:
        value[...] = 0
    elif count < size:
        lowest = np.take(np.partition(x, size - count, axis=axis), [size - count], axis=axis)
        above, equal = x > lowest, x == lowest
        room = count - np.add.reduce(above, axis=axis, keepdims=True, dtype=np.int64)
        above |= equal & (np.add.accumulate(equal, axis=axis, dtype=np.int64) <= room)
        np.copyto(value, 0, where=~above)
    return value


def _rope(x: np.ndarray, position: Value, base: float, *, axis: int, out: Out = None) -> Value:
    size = x.shape[axis]
    speeds = (base ** (-np.arange(0, size, 2) / size)).astype(x.dtype)
    place = np.asarray(position, x.dtype)
    place = np.moveaxis(place.reshape((1,) * (x.ndim - place.ndim) + place.shape), axis, -1)
    # A position that varies along the axis itself turns each of a pair by its own angle.
    first_angle = place[..., 0::2] * speeds
    second_angle = first_angle if place.shape[-1] == 1 else place[..., 1::2] * speeds
    result = np.empty_like(x)
    turned, given = np.moveaxis(result, axis, -1), np.moveaxis(x, axis, -1)
    first, second = given[..., 0::2], given[..., 1::2]
    turned[..., 0::2] = first * np.cos(first_angle) - second * np.sin(first_angle)
    turned[..., 1::2] = second * np.cos(second_angle) + first * np.sin(second_angle)
    return result


def _argmax(x: np.ndarray, *, axis: int) -> Value:
    return np.argmax(x, axis=axis)


def _cross_entropy(logits: np.ndarray, target: np.ndarray, *, axis: int) -> Value:
    """`target`: int64 with length 1 along the axis, or probabilities with its whole length."""
    shifted = logits - np.maximum.reduce(logits, axis=axis, keepdims=True)
    total = np.log(np.add.reduce(np.exp(shifted), axis=axis, keepdims=True))
    if target.dtype != np.int64:
        return np.add.reduce((total - shifted) * target, axis=axis)
    count = logits.shape[axis]
    inside = (target >= 0) & (target < count)
    positions = np.where(inside, target, 0)
    picked = _pick(shifted, positions, axis)
    # A class that does not exist has no probability to speak of: NaN, as JAX gives (checked=True names it).
    loss = np.where(inside, total - picked, logits.dtype.type(np.nan))
    return loss.reshape(_without(loss.shape, axis))


def _pick(x: np.ndarray, positions: np.ndarray, axis: int) -> Value:
    """x at `positions` along the axis; both broadcast along the other dimensions."""
    others = np.broadcast_shapes(_without(x.shape, axis), _without(positions.shape, axis))
    index: list[np.ndarray] = []
    for dimension in range(x.ndim):
        if dimension == axis:
            index.append(positions)
            continue
        size = x.shape[dimension]
        place = dimension if dimension < axis else dimension - 1
        line = np.arange(size) if size == others[place] else np.zeros(others[place], np.int64)
        index.append(line.reshape([-1 if d == dimension else 1 for d in range(x.ndim)]))
    return x[tuple(index)]


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return shape[:axis] + shape[axis + 1 :]


ALONG: Final[dict[str, Callable[..., Value]]] = {
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


# Of an array as a whole ------------------------------------------------------------------------


def _tucker_dense(numbers: tuple[float, ...], x: np.ndarray) -> Value:
    """Truncated higher-order SVD (De Lathauwer et al. 2000, section 4), then the step at the threshold."""
    rank, threshold = int(numbers[0]), numbers[1]
    if not x.size or not np.isfinite(x).all():
        return np.zeros_like(x)
    value = x
    for dimension, size in enumerate(x.shape):
        kept = rank or math.ceil(math.sqrt(size))
        if kept < size:
            rows = np.moveaxis(x, dimension, 0).reshape(size, -1)
            factor = np.linalg.svd(rows, full_matrices=False)[0][:, :kept]
            core = np.tensordot(factor, value, axes=([0], [dimension]))
            value = np.moveaxis(np.tensordot(factor, core, axes=([1], [0])), 0, dimension)
    return np.greater(value, threshold).astype(x.dtype)


WHOLE: Final[dict[str, Callable[..., Value]]] = {"tucker_dense": _tucker_dense}
