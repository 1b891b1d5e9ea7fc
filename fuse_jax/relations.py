"""Relations while a function is traced: truth values, or tuples in arrays whose length does not depend on their number."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fuse_jax.dtypes import x64_enabled
from fuse_ref.mistakes import mistake
from fuse_ref.relations.tuples import Tuples
from fuse_ref.source import Span

__all__ = [
    "Held",
    "Padded",
    "arrays_of",
    "concrete",
    "dense",
    "host",
    "in_rows",
    "limit_dense",
    "padded",
    "position_type",
    "positions",
    "room",
    "traced_positions",
]


@functools.partial(jax.tree_util.register_dataclass, data_fields=["columns"], meta_fields=["shape", "distinct"])
@dataclass(frozen=True)
class Padded:
    """The tuples of a relation in arrays that have room for more.

    A row that holds no tuple has in every column the size of its axis: writes drop it, and it sorts behind all tuples.

    Attributes:
        columns: one array of whole numbers per argument, at least one; all of one length, the capacity.
        shape: the number of positions of each axis.
        distinct: whether no tuple stands twice and the rows that hold one are in lexicographic order, one of them first.
    """

    columns: tuple[jax.Array, ...]
    shape: tuple[int, ...]
    distinct: bool

    @property
    def capacity(self) -> int:
        """The rows that there are, with and without tuples."""
        return int(self.columns[0].shape[-1])


# What a relation can be: on the host, with static shapes, or truth values.
Held: TypeAlias = Tuples | Padded | jax.Array


def concrete(value: Held) -> bool:
    """Whether the tuples are known now, and not only when compiled code runs."""
    return not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(value))


def limit_dense(name: str, shape: tuple[int, ...], limit: int, span: Span | None) -> None:
    """Refuses truth values of a relation that would be too many.

    Raises:
        CapacityError: more elements than `limit`.
    """
    elements = math.prod(shape)
    if elements > limit:
        raise mistake("FUSE284", span, name=name, elements=elements, limit=limit)


def dense(value: Held) -> jax.Array:
    """The truth values, one dimension per argument."""
    match value:
        case Tuples():
            return jnp.asarray(value.dense())
        case Padded():
            return jnp.zeros(value.shape, bool).at[value.columns].set(True, mode="drop")
        case _:
            return value


def host(value: Held) -> Tuples:
    """The tuples, of a value that is known: inside a callback all are."""
    match value:
        case Tuples():
            return value
        case Padded():
            columns = [np.asarray(column) for column in value.columns]
            kept = columns[0] < value.shape[0]
            if not kept.all():
                columns = [column[kept] for column in columns]
            return Tuples(columns, value.shape, ordered=True) if value.distinct else Tuples.of(columns, value.shape)
        case _:
            return Tuples.from_dense(np.asarray(value))


def arrays_of(values: Mapping[str, Held]) -> dict[str, jax.Array]:
    """The values that are arrays."""
    return {name: value for name, value in values.items() if isinstance(value, jax.Array)}


def positions(value: Tuples) -> np.ndarray:
    """The tuples as (count, arity) whole numbers that JAX has."""
    return value.positions.astype(position_type(value.shape))


_LEAST_ROOM: Final = 16
_STEPS: Final = 4  # sizes of room between one power of two and the next


def room(count: int) -> int:
    """Rows to make room for where `count` tuples are known: few sizes for all counts, at most a quarter too many.

    Compiled code serves all counts of one room.
    """
    step = max(_LEAST_ROOM, (1 << max(count - 1, 0).bit_length()) // (2 * _STEPS))
    return max(_LEAST_ROOM, -(-count // step) * step)


def padded(tuples: Tuples, capacity: int) -> tuple[np.ndarray, ...]:
    """The columns of `tuples`, which have an argument, in lexicographic order and with rows up to `capacity`."""
    count = len(tuples)
    columns = []
    for column, size in zip(tuples.sorted().columns, tuples.shape, strict=True):
        rows = np.full(capacity, size, position_type(tuples.shape))
        rows[:count] = column
        columns.append(rows)
    return tuple(columns)


def padded_rows(tuples: Tuples, capacity: int) -> Padded:
    """The tuples, which have an argument, in rows of JAX's."""
    return Padded(tuple(map(jnp.asarray, padded(tuples, capacity))), tuples.shape, distinct=True)


def position_type(shape: tuple[int, ...]) -> np.dtype:
    """The whole numbers that hold every position of axes of these sizes, and the sizes themselves.

    Raises:
        DtypeError: an axis longer than JAX can count while it has no 64-bit numbers.
    """
    greatest = max(shape, default=0)
    if greatest <= np.iinfo(np.int32).max:
        return np.dtype(np.int32)
    if not x64_enabled():
        cure = "jax.config.update('jax_enable_x64', True) gives JAX 64-bit integers"
        raise mistake("FUSE310", None, cure=cure, name="an axis", value=greatest, dtype="int32")
    return np.dtype(np.int64)


def traced_positions(array: jax.Array, shape: tuple[int, ...]) -> Padded:
    """The tuples of a traced array of positions, (rows, arguments): rows with a position outside its axis hold none."""
    wide = position_type(shape)
    inside = jnp.ones(array.shape[0], bool)
    for k, size in enumerate(shape):
        inside &= (array[:, k] >= 0) & (array[:, k] < size)
    columns = tuple(jnp.where(inside, array[:, k].astype(wide), size) for k, size in enumerate(shape))
    return Padded(columns, shape, distinct=False)


def _distinct(value: Padded) -> Padded:
    """The same tuples, each once, in lexicographic order."""
    if value.distinct or not value.capacity:
        return value
    columns = _in_order(value)
    repeated = functools.reduce(jnp.logical_and, [column[1:] == column[:-1] for column in columns])
    same = jnp.concatenate([jnp.zeros(1, bool), repeated])
    made = tuple(jnp.where(same, size, column) for column, size in zip(columns, value.shape, strict=True))
    return Padded(made, value.shape, distinct=True)


def _in_order(value: Padded) -> tuple[jax.Array, ...]:
    """The columns with the rows in lexicographic order, those without a tuple last."""
    total = math.prod(value.shape)
    limits = np.iinfo(np.int64) if x64_enabled() else np.iinfo(np.int32)
    wide = limits.dtype
    if len(value.columns) == 1 or total > limits.max:
        return tuple(lax.sort(value.columns, num_keys=len(value.columns)))
    # As one number each: that is sorted ten times as fast.
    key = jnp.zeros(value.capacity, wide)
    for column, size in zip(value.columns, value.shape, strict=True):
        key = key * size + column.astype(wide)
    key = jnp.sort(jnp.where(value.columns[0] < value.shape[0], key, total))
    holds = key < total
    columns: list[jax.Array] = []
    for column, size in zip(reversed(value.columns), reversed(value.shape), strict=True):
        columns.append(jnp.where(holds, key % max(size, 1), size).astype(column.dtype))
        key = key // max(size, 1)
    return tuple(reversed(columns))


def in_rows(value: Held, *, traced: bool) -> Padded | jax.Array:
    """Distinct tuples in rows; truth values stay what they are.

    Args:
        traced: whether the rows become part of code that is being compiled, which XLA shall not fold them into.
    """
    match value:
        case Tuples():
            if not value.shape:
                return dense(value)
            rows = padded_rows(value, room(len(value)))
            return Padded(lax.optimization_barrier(rows.columns), rows.shape, distinct=True) if traced else rows
        case Padded():
            return _distinct(value)
        case _:
            return value
