"""Values of a relation's tuples, combined: looked up row by row, and added where the rows say."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fuse_jax.contract import align, full_precision, neutral, reduce
from fuse_jax.gathering import put
from fuse_jax.relations import Padded
from fuse_ref.plan.operations import Aggregate, InnerMap, InnerValue, Map, Operand, Output

__all__ = ["aggregate"]

# What applies a Map to values by name.
Apply: TypeAlias = Callable[[Map, Mapping[str, jax.Array]], jax.Array]
_Labelled: TypeAlias = tuple[jax.Array, tuple[str, ...]]

_ROW: Final = "~row"  # the label of a relation's rows
_CHUNK: Final = 1 << 21  # elements of the rows' values that are held at once


def aggregate(
    operation: Aggregate,
    relation: Padded | jax.Array,
    operands: Sequence[jax.Array],
    shape: tuple[int, ...],
    dtype: np.dtype,
    apply: Apply,
) -> jax.Array:
    """What the tuples of `relation` give, combined where their positions say.

    Args:
        relation: distinct tuples, or truth values; these cost what their number of elements costs.
        operands: in the operation's order.
        shape: of the result.
        apply: an elementwise function of named values.
    """
    sizes = dict(zip(operation.output.labels, shape, strict=True))
    for operand, array in zip(operation.operands, operands, strict=True):
        sizes.update(zip(operand.labels, array.shape, strict=True))
    if isinstance(relation, Padded):
        if 0 in (relation.capacity, *relation.shape, *sizes.values()):
            return jnp.full(shape, neutral(operation.operator, dtype), dtype)
        return _by_rows(operation, relation, operands, sizes, dtype, apply)
    sizes.update(zip(operation.columns, relation.shape, strict=True))
    return _by_truth(operation, relation, operands, sizes, dtype, apply)


# Truth values -------------------------------------------------------------------------------------


def _by_truth(
    operation: Aggregate,
    truth: jax.Array,
    operands: Sequence[jax.Array],
    sizes: Mapping[str, int],
    dtype: np.dtype,
    apply: Apply,
) -> jax.Array:
    values: list[_Labelled] = [
        (array, operand.labels) for operand, array in zip(operation.operands, operands, strict=True)
    ]
    output = operation.output.labels
    if operation.operator == "sum" and not operation.inner:
        numbers = {label: k for k, label in enumerate(sizes)}
        factors: list[object] = [truth.astype(dtype), [numbers[label] for label in operation.columns]]
        for array, labels in values:
            factors += [array.astype(dtype), [numbers[label] for label in labels]]
        product: jax.Array = jnp.einsum(*factors, [numbers[label] for label in output], precision=full_precision(dtype))
        return product
    every = tuple(dict.fromkeys((*operation.columns, *(label for _, labels in values for label in labels), *output)))
    value = _value(operation, values, every, dtype, apply)
    whole = jnp.broadcast_to(value, [sizes[label] for label in every])
    empty = neutral(operation.operator, dtype)
    kept = jnp.where(align(truth, operation.columns, every), whole, jnp.asarray(empty, dtype))
    found = reduce(operation.operator, kept, [k for k, label in enumerate(every) if label not in output])
    return align(found, [label for label in every if label in output], output)


# Rows ---------------------------------------------------------------------------------------------


def _by_rows(
    operation: Aggregate,
    relation: Padded,
    operands: Sequence[jax.Array],
    sizes: Mapping[str, int],
    dtype: np.dtype,
    apply: Apply,
) -> jax.Array:
    dense = tuple(
        dict.fromkeys(
            label for operand in operation.operands for label in operand.labels if label not in operation.columns
        )
    )
    output = operation.output.labels
    stays = [label for label in operation.columns if label in output]
    left = [label for label in dense if label in output]
    summed = [1 + k for k, label in enumerate(dense) if label not in left]
    total = math.prod(sizes[label] for label in stays)
    width = math.prod(sizes[label] for label in dense)
    holds = relation.columns[0] < relation.shape[0]
    keys = jnp.zeros(relation.capacity, relation.columns[0].dtype)
    columns: dict[str, jax.Array] = {}
    for label, column in zip(operation.columns, relation.columns, strict=True):
        # Rows without a tuple read what the first tuple reads, so that no function meets a number that
        # no tuple gives it; what they make is dropped.
        columns[label] = jnp.where(holds, column, jnp.minimum(column[0], sizes.get(label, 1) - 1))
        if label in stays:
            keys = keys * sizes[label] + column
    keys = jnp.where(holds, keys, total)

    def rows(columns: Mapping[str, jax.Array]) -> jax.Array:
        count = next(iter(columns.values())).shape[0]
        values = [
            _looked_up(array, operand.labels, columns)
            for operand, array in zip(operation.operands, operands, strict=True)
        ]
        value = _value(operation, values, (_ROW, *dense), dtype, apply)
        whole = jnp.broadcast_to(value, (count, *(sizes[label] for label in dense)))
        return reduce(operation.operator, whole, summed)

    chunks = -(-relation.capacity * width // _CHUNK)
    if operation.operator == "sum" and chunks > 1:
        shape = (total, *(sizes[label] for label in left))
        found = _in_chunks(rows, columns, keys, chunks, shape, dtype)
    else:
        found = put(operation.operator, rows(columns), keys, total)
    names = [*stays, *left]
    return align(found.reshape([sizes[label] for label in names]), names, output)


def _in_chunks(
    rows: Callable[[Mapping[str, jax.Array]], jax.Array],
    columns: Mapping[str, jax.Array],
    keys: jax.Array,
    chunks: int,
    shape: tuple[int, ...],
    dtype: np.dtype,
) -> jax.Array:
    """Sums over rows, some at a time; rows that fill the last chunk are dropped."""
    size = -(-keys.shape[0] // chunks)
    more = size * chunks - keys.shape[0]
    placed = jnp.pad(keys, (0, more), constant_values=shape[0]).reshape(chunks, size)
    parts = {label: jnp.pad(column, (0, more), mode="edge").reshape(chunks, size) for label, column in columns.items()}

    def step(total: jax.Array, part: tuple[dict[str, jax.Array], jax.Array]) -> tuple[jax.Array, None]:
        own, at = part
        return total.at[at].add(rows(own), mode="drop"), None

    return lax.scan(step, jnp.zeros(shape, dtype), (parts, placed))[0]


def _looked_up(array: jax.Array, labels: Sequence[str], columns: Mapping[str, jax.Array]) -> _Labelled:
    """An operand at the positions of each row, as (row, …), or as it is where no position of a row matters."""
    read = [label for label in labels if label in columns]
    rest = tuple(label for label in labels if label not in columns)
    if not read:
        return array, rest
    moved = lax.transpose(array, [labels.index(label) for label in (*read, *rest)])
    return moved.at[tuple(columns[label] for label in read)].get(mode="promise_in_bounds"), (_ROW, *rest)


# What a tuple gives -------------------------------------------------------------------------------


def _value(
    operation: Aggregate, values: Sequence[_Labelled], every: tuple[str, ...], dtype: np.dtype, apply: Apply
) -> jax.Array:
    """The product of all values, or the last inner one, with a dimension for each label of `every`."""
    if operation.inner:
        made = list(values)
        for item in operation.inner:
            made.append(_inner(item, made, every, apply))
        value, labels = made[-1]
        return align(value, labels, every).astype(dtype)
    factors = [align(value, labels, every).astype(dtype) for value, labels in values]
    return functools.reduce(jnp.multiply, factors) if factors else jnp.ones([1] * len(every), dtype)


def _inner(item: InnerMap, values: Sequence[_Labelled], every: tuple[str, ...], apply: Apply) -> _Labelled:
    operands: list[Operand | int | float] = []
    named: dict[str, jax.Array] = {}
    for argument in item.arguments:
        if isinstance(argument, InnerValue):
            value, labels = values[argument.number]
            named[str(argument.number)] = value
            operands.append(Operand(str(argument.number), labels))
        else:
            operands.append(argument)
    used = {label for operand in operands if isinstance(operand, Operand) for label in operand.labels}
    labels = tuple(label for label in every if label in used)
    return apply(Map(Output("", labels, (), item.dtype), item.function, tuple(operands), item.options), named), labels
