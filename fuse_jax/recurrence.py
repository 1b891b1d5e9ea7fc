"""Recurrences: the steps of a group as a `lax.scan`, or one after another where they are few."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fuse_jax.checked import Watch
from fuse_jax.dtypes import Numbers
from fuse_jax.schedule import InOrder
from fuse_ref.analysis.lengths import Length
from fuse_ref.plan.operations import DenseOperation
from fuse_ref.plan.steps import Carry, Recurrence, Slice, Step

__all__ = ["recur"]

_Measure: TypeAlias = Callable[[Length], int]
_Apply: TypeAlias = Callable[[DenseOperation, dict[str, jax.Array]], None]  # computes one operation into the values
_Windows: TypeAlias = tuple[tuple[jax.Array, ...], ...]  # of each tensor what the last steps made, the newest first
_Made: TypeAlias = tuple[jax.Array, ...]

_FEW: Final = 8  # as many steps are written one after another: XLA then sees through all of them


def recur(
    item: InOrder,
    values: Mapping[str, jax.Array],
    apply: _Apply,
    measure: _Measure,
    numbers: Numbers,
    watch: Watch | None,
) -> dict[str, jax.Array]:
    """The tensors of a recurrence that something outside reads.

    Args:
        values: every array that the steps read from outside, by name.
        apply: computes one operation.
        watch: looks at what all steps together have made.
    """
    with jax.named_scope(" ".join(item.heads)):
        made = _recur(item.step, values, apply, measure, numbers)
    if watch is not None:
        assert item.step.recurrence is not None
        for carry in item.step.recurrence.carries:
            if carry.kept:
                watch.result(carry.output.out, carry.neutral if math.isinf(carry.neutral) else 0.0, made)
    return made


def _recur(
    step: Step, values: Mapping[str, jax.Array], apply: _Apply, measure: _Measure, numbers: Numbers
) -> dict[str, jax.Array]:
    made = step.recurrence
    assert made is not None
    count = max(0, measure(made.steps))
    firsts = [measure(carry.start) for carry in made.carries]
    rows = [_rows(values[item.value], item, measure(item.start), count, made.direction) for item in made.slices]

    def one(windows: _Windows, seen: Sequence[jax.Array]) -> tuple[_Windows, _Made]:
        own = dict(values)
        own.update((item.name, row) for item, row in zip(made.slices, seen, strict=True))
        for carry, window in zip(made.carries, windows, strict=True):
            own.update((name, value) for name, value in zip(carry.backs, window, strict=True) if name)
        for inner in made.body:
            for operation in inner.operations:
                apply(operation, own)
            if inner.recurrence is not None:
                own.update(_recur(inner, own, apply, measure, numbers))
        results = [own[carry.own] for carry in made.carries]
        after = tuple(
            ((result, *window[:-1]) if window else ()) for result, window in zip(results, windows, strict=True)
        )  # fmt: skip
        kept = tuple(result for result, carry in zip(results, made.carries, strict=True) if carry.kept)
        return after, kept

    windows = tuple(
        _window(carry, values, first, made.direction, measure, numbers)
        for carry, first in zip(made.carries, firsts, strict=True)
    )
    kept = [(carry, first) for carry, first in zip(made.carries, firsts, strict=True) if carry.kept]
    stacks = _steps(one, windows, rows, count, made, [*values.values()]) if count else (None,) * len(kept)
    return {
        carry.output.out: _whole(carry, stack, values, first, count, made.direction, measure, numbers)
        for (carry, first), stack in zip(kept, stacks, strict=True)
    }


def _steps(
    one: Callable[[_Windows, Sequence[jax.Array]], tuple[_Windows, _Made]],
    windows: _Windows,
    rows: Sequence[jax.Array],
    count: int,
    made: Recurrence,
    given: Sequence[jax.Array],
) -> Sequence[jax.Array]:
    """What each step makes of the tensors that are kept, in the order of the axis."""
    traced = any(isinstance(value, jax.core.Tracer) for value in (*given, *rows))
    if count <= _FEW or not traced:
        # Outside compiled code a scan would be compiled for every call.
        order = range(count) if made.direction == 1 else range(count - 1, -1, -1)
        found: list[_Made] = []
        for k in order:
            windows, results = one(windows, [row[k] for row in rows])
            found.append(results)
        found = found[:: made.direction]
        return [jnp.stack(parts) for parts in zip(*found, strict=True)]
    _, stacks = lax.scan(one, windows, tuple(rows), length=count, reverse=made.direction == -1)
    return stacks


def _rows(source: jax.Array, item: Slice, start: int, count: int, way: int) -> jax.Array:
    """What the steps see of a value, in the order of its positions."""
    lowest = start if way == 1 else start - count + 1
    size = source.shape[item.dimension]
    if lowest >= 0 and lowest + count <= size:
        found = lax.slice_in_dim(source, lowest, lowest + count, axis=item.dimension)
    elif size == 0:
        shape = (*source.shape[: item.dimension], count, *source.shape[item.dimension + 1 :])
        found = jnp.zeros(shape, source.dtype)
    else:
        places = np.clip(np.arange(lowest, lowest + count), 0, size - 1)
        found = jnp.take(source, places, axis=item.dimension)
    return jnp.moveaxis(found, item.dimension, 0)


def _window(
    carry: Carry, values: Mapping[str, jax.Array], first: int, way: int, measure: _Measure, numbers: Numbers
) -> tuple[jax.Array, ...]:
    """What the first step sees of those before it."""
    lengths = [max(0, measure(length)) for length in carry.output.lengths]
    size = lengths.pop(carry.dimension)
    dtype = numbers.dtype(carry.output.dtype)
    found = []
    for distance in range(1, len(carry.backs) + 1):
        place = first - way * distance
        if not 0 <= place < size:
            found.append(jnp.zeros(lengths, dtype))
        elif carry.base:
            found.append(lax.index_in_dim(values[carry.base], place, carry.dimension, keepdims=False))
        else:
            found.append(jnp.full(lengths, carry.neutral, dtype))
    return tuple(found)


def _whole(
    carry: Carry,
    stack: jax.Array | None,
    values: Mapping[str, jax.Array],
    first: int,
    count: int,
    way: int,
    measure: _Measure,
    numbers: Numbers,
) -> jax.Array:
    """A tensor with what the steps made at its positions, and what stands there already at all others."""
    lengths = [max(0, measure(length)) for length in carry.output.lengths]
    axis, size = carry.dimension, lengths[carry.dimension]
    dtype = numbers.dtype(carry.output.dtype)

    def others(start: int, stop: int) -> jax.Array:
        if carry.base:
            return lax.slice_in_dim(values[carry.base], start, stop, axis=axis)
        return jnp.full((*lengths[:axis], stop - start, *lengths[axis + 1 :]), carry.neutral, dtype)

    lowest = first if way == 1 else first - count + 1
    begin, end = max(lowest, 0), min(lowest + count, size)
    if stack is None or begin >= end:
        return others(0, size)
    rows = jnp.moveaxis(stack[begin - lowest : end - lowest], 0, axis)
    parts = [others(0, begin)] if begin > 0 else []
    parts.append(rows)
    if end < size:
        parts.append(others(end, size))
    return parts[0] if len(parts) == 1 else lax.concatenate(parts, axis)
