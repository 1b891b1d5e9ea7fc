"""Reads and writes at positions that a call gives; traced positions, so every shape is known and no value is.

Positions outside are sent past the end of one dimension, never below 0: there `fill` gives 0, `drop` drops,
and neither carries a gradient.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import lax

from fuse_jax.contract import Projector, align, neutral, reduce
from fuse_jax.extremes import ties

__all__ = ["Spot", "gather", "put", "repeated", "scatter"]


@dataclass(frozen=True, slots=True)
class Spot:
    """Positions along one dimension: (sum of coefficient * label + offset + array) // divisor."""

    terms: tuple[tuple[str, int], ...]
    offset: int
    divisor: int
    array: jax.Array | None  # of whole numbers
    labels: tuple[str, ...]  # of the array's dimensions
    inside: bool  # the positions are known to lie inside

    def used(self) -> tuple[str, ...]:
        """The labels that the positions depend on."""
        return tuple(dict.fromkeys((*(label for label, _ in self.terms), *self.labels)))


def repeated(source: jax.Array, divisors: Sequence[int]) -> jax.Array:
    """`source` with each position k times along its dimensions: read at p, it is what `source` is at p // k."""
    for axis, divisor in enumerate(divisors):
        if divisor > 1:
            source = jnp.repeat(source, divisor, axis=axis)
    return source


def gather(source: jax.Array, spots: Sequence[Spot], labels: Sequence[str], lengths: Mapping[str, int]) -> jax.Array:
    """The elements of `source` at `spots`, one per dimension; 0 outside.

    Returns:
        Dimensions `labels`, which are all that the spots use, with their `lengths`.
    """
    shape = tuple(lengths[label] for label in labels)
    if 0 in shape or 0 in source.shape:
        return jnp.zeros(shape, source.dtype)
    whole = _whole(spots)
    picked = [k for k in range(len(spots)) if k not in whole]
    moved = [label for label in labels if label not in whole.values()]
    indices = _places([spots[k] for k in picked], [source.shape[k] for k in picked], moved, lengths)
    places = lax.transpose(source, [*picked, *whole]).at[tuple(indices)]
    inside = all(spots[k].inside for k in picked)
    found = places.get(mode="promise_in_bounds") if inside else places.get(mode="fill", fill_value=0)
    names = [*moved, *whole.values()]
    return lax.transpose(found, [names.index(label) for label in labels])


def _whole(spots: Sequence[Spot]) -> dict[int, str]:
    """Dimensions that are read from end to end by a label of their own."""
    used = [label for spot in spots for label in spot.used()]
    return {
        k: spot.terms[0][0]
        for k, spot in enumerate(spots)
        if spot.array is None
        and spot.divisor == 1
        and spot.offset == 0
        and [coefficient for _, coefficient in spot.terms] == [1]
        and used.count(spot.terms[0][0]) == 1
    }


def _places(
    spots: Sequence[Spot], sizes: Sequence[int], labels: Sequence[str], lengths: Mapping[str, int]
) -> list[jax.Array]:
    """Per dimension the position, broadcast over `labels`; one dimension's lies at its end where any is outside."""
    shape = tuple(lengths[label] for label in labels)
    inside: jax.Array | None = None
    places: list[jax.Array] = []
    for spot, size in zip(spots, sizes, strict=True):
        place = jnp.asarray(spot.offset, jnp.int32)
        for label, coefficient in spot.terms:
            place = place + coefficient * lax.broadcasted_iota(jnp.int32, shape, labels.index(label))
        if spot.array is not None:
            place = place + align(spot.array, spot.labels, labels)
        place = place // spot.divisor if spot.divisor > 1 else place
        if not spot.inside:
            here = (place >= 0) & (place < size)
            inside = here if inside is None else inside & here
        places.append(jnp.broadcast_to(place, shape))
    if inside is None:
        return places
    # The other dimensions stay inside, or a negative position would count from the end.
    clipped = [jnp.clip(place, 0, size - 1) for place, size in zip(places[1:], sizes[1:], strict=True)]
    return [jnp.where(inside, places[0], sizes[0]), *clipped]


def scatter(
    value: jax.Array,
    labels: Sequence[str],
    operator: Projector,
    spots: Sequence[Spot],
    sizes: Sequence[int],
) -> jax.Array:
    """A new array of shape `sizes` with `value` (dimensions `labels`) put at `spots`; what lies outside is dropped.

    `operator` combines elements that meet; its neutral element stands where none is put.
    """
    empty = neutral(operator, value.dtype)
    if 0 in value.shape or 0 in sizes:
        return jnp.full(tuple(sizes), empty, value.dtype)
    used = {label for spot in spots for label in spot.used()}
    value = reduce(operator, value, [axis for axis, label in enumerate(labels) if label not in used])
    labels = [label for label in labels if label in used]
    lengths = dict(zip(labels, value.shape, strict=True))
    whole = {k: label for k, label in _whole(spots).items() if lengths[label] == sizes[k]}
    picked = [k for k in range(len(spots)) if k not in whole]
    moved = [label for label in labels if label not in whole.values()]
    indices = _places([spots[k] for k in picked], [sizes[k] for k in picked], moved, lengths)
    # One dimension of places, and one more at its end for what is dropped.
    flat = indices[0]
    for index, size in zip(indices[1:], [sizes[k] for k in picked[1:]], strict=True):
        flat = flat * size + index
    total = math.prod(sizes[k] for k in picked)
    flat = jnp.where(indices[0] < sizes[picked[0]], flat, total).reshape(-1)
    rows = lax.transpose(value, [labels.index(label) for label in [*moved, *whole.values()]])
    rows = rows.reshape(flat.shape[0], *(sizes[k] for k in whole))
    result = put(operator, rows, flat, total).reshape([sizes[k] for k in (*picked, *whole)])
    order = [*picked, *whole]
    return lax.transpose(result, [order.index(k) for k in range(len(sizes))])


def put(operator: Projector, rows: jax.Array, flat: jax.Array, total: int) -> jax.Array:
    """`rows` combined into `total` places; what goes to place `total` is dropped."""
    match operator:
        case "max" | "min":
            return _extreme(operator, total, rows, flat)
        case "prod":
            return _product(total, rows, flat)
        case _:
            start = jnp.zeros((total, *rows.shape[1:]), rows.dtype)
            return start.at[flat].add(rows, mode="drop")


# JAX has no gradient of a scattered maximum or product. These have the ones that all engines agree on: ties
# share evenly, and a factor's is the product of the others.


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _extreme(operator: Projector, total: int, rows: jax.Array, flat: jax.Array) -> jax.Array:
    start = jnp.full((total, *rows.shape[1:]), neutral(operator, rows.dtype), rows.dtype)
    places = start.at[flat]
    return places.max(rows, mode="drop") if operator == "max" else places.min(rows, mode="drop")


@_extreme.defjvp
def _extreme_jvp(
    operator: Projector, total: int, primals: tuple[jax.Array, jax.Array], tangents: tuple[jax.Array, object]
) -> tuple[jax.Array, jax.Array]:
    rows, flat = primals
    result = _extreme(operator, total, rows, flat)
    chosen = ties(rows, result.at[flat].get(mode="fill", fill_value=0))
    zeros = jnp.zeros_like(result)
    count = zeros.at[flat].add(chosen.astype(rows.dtype), mode="drop")
    shared = jnp.where(chosen, tangents[0], 0)
    return result, zeros.at[flat].add(shared, mode="drop") / jnp.maximum(count, 1)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _product(total: int, rows: jax.Array, flat: jax.Array) -> jax.Array:
    return jnp.ones((total, *rows.shape[1:]), rows.dtype).at[flat].multiply(rows, mode="drop")


@_product.defjvp
def _product_jvp(
    total: int, primals: tuple[jax.Array, jax.Array], tangents: tuple[jax.Array, object]
) -> tuple[jax.Array, jax.Array]:
    rows, flat = primals
    zero = rows == 0
    some = jnp.where(zero, 1, rows)
    others = _product(total, some, flat).at[flat].get(mode="fill", fill_value=0) / some  # but zeros
    result = _product(total, rows, flat)
    zeros = jnp.zeros_like(result)
    count = zeros.at[flat].add(zero.astype(rows.dtype), mode="drop").at[flat].get(mode="fill", fill_value=0)
    slope = jnp.where(count == zero, others, 0)
    return result, zeros.at[flat].add(slope * tangents[0], mode="drop")
