"""Reads and writes at computed positions: slices, strides, windows, diagonals, pooling, and gathers for the rest.

All positions are affine in the labels and all lengths are numbers while a function is traced. A group
of dimensions that share labels is flattened to one; along its longest label the positions are then
equally spaced, so that a strided slice (for a write: a padding) does it, one for each combination of
the group's other labels. Slices are cheap and so are their gradients; index arrays are made only
where the combinations are many, and then by iota inside the function, never as constants.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import lax

from fuse_jax.contract import Projector, neutral, reduce

__all__ = ["Position", "read", "write"]

# Up to this many slices are written out, beyond it index arrays are made.
UNROLL_LIMIT = 64

_SMALL_BLOCK = 16  # places of a block that are added one after another


@dataclass(frozen=True, slots=True)
class Position:
    """Position along one dimension, in numbers: (sum of coefficient * label + offset) // divisor."""

    terms: tuple[tuple[str, int], ...]  # labels distinct, coefficients != 0
    offset: int
    divisor: int = 1


@dataclass(frozen=True, slots=True)
class _Run:
    """Equally spaced places of a flattened array: `start + stride * k` for first <= k < last, stride != 0."""

    start: int  # of k == first
    stride: int
    first: int
    last: int


# Groups ---------------------------------------------------------------------------------------


def _groups(positions: Sequence[Position]) -> list[list[int]]:
    """Dimensions that share labels, directly or through others, in order of their first dimension."""
    groups: list[tuple[set[str], list[int]]] = []
    for dimension, position in enumerate(positions):
        labels = {label for label, _ in position.terms}
        touching = [group for group in groups if group[0] & labels]
        groups = [group for group in groups if not group[0] & labels]
        for other_labels, _ in touching:
            labels |= other_labels
        groups.append((labels, sorted([dimension, *itertools.chain(*(dimensions for _, dimensions in touching))])))
    return sorted(dimensions for _, dimensions in groups)


def _labels(positions: Sequence[Position]) -> list[str]:
    return list(dict.fromkeys(label for position in positions for label, _ in position.terms))


def _split(labels: Sequence[str], lengths: Mapping[str, int]) -> tuple[list[str], str]:
    """The labels whose combinations are written out, and the longest, which is not; "" when there is none."""
    longest = max(labels, key=lambda label: lengths[label], default="")
    return [label for label in labels if label != longest], longest


def _combinations(labels: Sequence[str], lengths: Mapping[str, int]) -> Iterator[dict[str, int]]:
    for values in itertools.product(*(range(lengths[label]) for label in labels)):
        yield dict(zip(labels, values, strict=True))


def _run(positions: Sequence[Position], sizes: Sequence[int], label: str, count: int, at: Mapping[str, int]) -> _Run:
    """The places that `label` runs through, its 0..count-1 cut to those inside every dimension."""
    first, last, start, stride = 0, count, 0, 0
    for position, size in zip(positions, sizes, strict=True):
        step = dict(position.terms).get(label, 0)
        base = position.offset + sum(c * at[other] for other, c in position.terms if other != label)
        if step == 0:
            inside = range(count) if 0 <= base < size else range(0)
        elif step > 0:
            inside = range(max(0, -(base // step)), min(count, -((base - size) // step)))
        else:
            inside = range(max(0, -((size - 1 - base) // -step)), min(count, base // -step + 1))
        first, last = max(first, inside.start), min(last, inside.stop)
        start, stride = start * size + base, stride * size + step
    last = max(first, last)
    return _Run(start + stride * first, stride, first, last)


# Reads ----------------------------------------------------------------------------------------


def read(source: jax.Array, positions: Sequence[Position], lengths: Mapping[str, int]) -> jax.Array:
    """The elements of `source` at `positions`; 0 outside.

    Args:
        source: any number of dimensions.
        positions: one per dimension of `source`, divisors 1.
        lengths: of every label in `positions`.

    Returns:
        One dimension per label, in order of first appearance in `positions`.
    """
    labels = _labels(positions)
    shape = [lengths[label] for label in labels]
    if 0 in shape or 0 in source.shape:
        return jnp.zeros(shape, source.dtype)
    value = source
    names: list[int | str] = list(range(source.ndim))  # of the value's dimensions: not yet read, or a label
    for dimensions in _groups(positions):
        group = [positions[dimension] for dimension in dimensions]
        group_labels = _labels(group)
        kept = [name for name in names if name not in dimensions]
        value = lax.transpose(value, [names.index(name) for name in [*kept, *dimensions]])
        sizes = value.shape[len(kept) :]
        if math.prod(lengths[label] for label in _split(group_labels, lengths)[0]) <= UNROLL_LIMIT:
            value = value.reshape(*value.shape[: len(kept)], math.prod(sizes))
            value = _read_slices(value, group, sizes, group_labels, lengths)
        else:
            value = _read_gather(value, group, sizes, group_labels, lengths)
        names = [*kept, *group_labels]
    return lax.transpose(value, [names.index(label) for label in labels])


def _read_slices(
    value: jax.Array, group: Sequence[Position], sizes: Sequence[int], labels: Sequence[str], lengths: Mapping[str, int]
) -> jax.Array:
    """Replaces the last dimension, the group's flattened, by the group's labels."""
    others, longest = _split(labels, lengths)
    count = lengths[longest] if longest else 1
    runs = [_run(group, sizes, longest, count, at) for at in _combinations(others, lengths)]
    pieces = [_take_run(value, run, count) for run in runs]
    rest = value.shape[:-1]
    joined = pieces[0] if len(pieces) == 1 else jnp.stack(pieces, axis=-2)
    joined = joined.reshape(*rest, *(lengths[label] for label in others), *([count] if longest else []))
    made = [*others, *([longest] if longest else [])]
    return lax.transpose(joined, [*range(len(rest)), *(len(rest) + made.index(label) for label in labels)])


def _take_run(value: jax.Array, run: _Run, count: int) -> jax.Array:
    """Elements of the last dimension at the places of `run`, zeros for the rest of 0..count-1."""
    inside = run.last - run.first
    if inside == 0:
        return jnp.zeros((*value.shape[:-1], count), value.dtype)
    end = run.start + run.stride * (inside - 1)
    low, high, step = min(run.start, end), max(run.start, end), max(1, abs(run.stride))
    piece = lax.slice_in_dim(value, low, high + 1, step, axis=-1)
    if run.stride < 0:
        piece = lax.rev(piece, [piece.ndim - 1])
    return _pad_last(piece, 0, run.first, count - run.last, 0)


def _pad_last(value: jax.Array, filler: float | int | bool, low: int, high: int, interior: int) -> jax.Array:
    if low == high == interior == 0:
        return value
    config = [(0, 0, 0)] * (value.ndim - 1) + [(low, high, interior)]
    return lax.pad(value, jnp.asarray(filler, value.dtype), config)


def _read_gather(
    value: jax.Array, group: Sequence[Position], sizes: Sequence[int], labels: Sequence[str], lengths: Mapping[str, int]
) -> jax.Array:
    """Replaces the last dimensions, the group's, by the group's labels; index arrays are made by iota."""
    rest = value.ndim - len(sizes)
    indices, inside = _index_arrays(group, sizes, labels, lengths)
    # Places outside are sent past the end of one dimension, where `fill` gives 0 and carries no gradient.
    indices[0] = jnp.where(inside, indices[0], sizes[0])
    leading = lax.transpose(value, [*range(rest, value.ndim), *range(rest)])
    picked = leading.at[tuple(indices)].get(mode="fill", fill_value=0)
    return lax.transpose(picked, [*range(len(labels), picked.ndim), *range(len(labels))])


def _index_arrays(
    group: Sequence[Position], sizes: Sequence[int], labels: Sequence[str], lengths: Mapping[str, int]
) -> tuple[list[jax.Array], jax.Array]:
    """Per dimension the position, shaped like the labels, and whether all of them are inside."""
    shape = tuple(lengths[label] for label in labels)
    inside = jnp.ones(shape, bool)
    indices: list[jax.Array] = []
    for position, size in zip(group, sizes, strict=True):
        place = jnp.full(shape, position.offset, jnp.int32)
        for label, coefficient in position.terms:
            place += coefficient * lax.broadcasted_iota(jnp.int32, shape, labels.index(label))
        place //= position.divisor
        inside &= (place >= 0) & (place < size)
        indices.append(place)
    return indices, inside


# Writes ---------------------------------------------------------------------------------------


def write(
    value: jax.Array,
    labels: Sequence[str],
    operator: Projector,
    positions: Sequence[Position],
    sizes: Sequence[int],
) -> jax.Array:
    """A new array with `value` put at `positions`.

    Args:
        value: one dimension per label of `labels`.
        operator: combines elements that meet; its neutral element stands where none is put.
        positions: one per dimension of the result; a label that stands in none is combined.
        sizes: the shape of the result. Positions outside are dropped.
    """
    empty = neutral(operator, value.dtype)
    if 0 in value.shape or 0 in sizes:
        return jnp.full(tuple(sizes), empty, value.dtype)
    used = _labels(positions)
    value = reduce(operator, value, [axis for axis, label in enumerate(labels) if label not in used])
    names: list[int | str] = [label for label in labels if label in used]  # then, dimension by dimension, targets
    lengths = {label: size for label, size in zip(names, value.shape, strict=True) if isinstance(label, str)}
    for dimensions in _groups(positions):
        group = [positions[dimension] for dimension in dimensions]
        group_sizes = [sizes[dimension] for dimension in dimensions]
        group_labels = _labels(group)
        others, longest = _split(group_labels, lengths)
        kept = [name for name in names if name not in group_labels]
        ordered = [*others, *([longest] if longest else [])]
        value = lax.transpose(value, [names.index(name) for name in [*kept, *ordered]])
        if math.prod(lengths[label] for label in others) <= UNROLL_LIMIT:
            value = _write_pads(value, group, group_sizes, operator, others, longest, lengths)
        elif operator == "sum":
            value = _write_scatter(value, group, group_sizes, ordered, lengths)
        else:
            value = _write_masked(value, group, group_sizes, operator, ordered, lengths)
        names = [*kept, *dimensions]
    return lax.transpose(value, [names.index(dimension) for dimension in range(len(positions))])


def _write_pads(
    value: jax.Array,
    group: Sequence[Position],
    sizes: Sequence[int],
    operator: Projector,
    others: Sequence[str],
    longest: str,
    lengths: Mapping[str, int],
) -> jax.Array:
    """Replaces the last dimensions, `others` and `longest`, by the group's."""
    count = lengths[longest] if longest else 1
    rest = value.shape[: value.ndim - len(others) - bool(longest)]
    value = value.reshape(*rest, -1, count)
    # Before the division by a divisor S every target position is S places wide.
    places = [size * position.divisor for size, position in zip(sizes, group, strict=True)]
    whole = [Position(position.terms, position.offset) for position in group]
    empty = neutral(operator, value.dtype)
    pieces = []
    for number, at in enumerate(_combinations(others, lengths)):
        run = _run(whole, places, longest, count, at)
        piece = lax.index_in_dim(value, number, axis=-2, keepdims=False)
        pieces.append(_put_run(piece, run, math.prod(places), empty))
    joined = pieces[0] if len(pieces) == 1 else reduce(operator, jnp.stack(pieces), [0])
    blocks = [extent for size, position in zip(sizes, group, strict=True) for extent in (size, position.divisor)]
    joined = joined.reshape(*rest, *blocks)
    if operator == "sum" and math.prod(blocks[1::2]) <= _SMALL_BLOCK:
        # XLA adds whole arrays faster than neighbours.
        total: jax.Array | None = None
        for picked in itertools.product(*(range(divisor) for divisor in blocks[1::2])):
            piece = joined[(..., *(at for pick in picked for at in (slice(None), pick)))]
            total = piece if total is None else total + piece
        if total is not None:
            return total
    return reduce(operator, joined, [len(rest) + 2 * item + 1 for item in range(len(group))])


def _put_run(piece: jax.Array, run: _Run, places: int, empty: float | int | bool) -> jax.Array:
    """The last dimension spread over `places` by `run`, `empty` elsewhere."""
    inside = run.last - run.first
    if inside == 0:
        return jnp.full((*piece.shape[:-1], places), empty, piece.dtype)
    piece = lax.slice_in_dim(piece, run.first, run.last, axis=-1)
    if run.stride < 0:
        piece = lax.rev(piece, [piece.ndim - 1])
    end = run.start + run.stride * (inside - 1)
    low, high, step = min(run.start, end), max(run.start, end), max(1, abs(run.stride))
    return _pad_last(piece, empty, low, places - 1 - high, step - 1 if inside > 1 else 0)


def _write_scatter(
    value: jax.Array,
    group: Sequence[Position],
    sizes: Sequence[int],
    labels: Sequence[str],
    lengths: Mapping[str, int],
) -> jax.Array:
    """Adds the last dimensions, `labels`, into the group's."""
    rest = value.ndim - len(labels)
    indices, inside = _index_arrays(group, sizes, labels, lengths)
    indices[0] = jnp.where(inside, indices[0], sizes[0])
    leading = lax.transpose(value, [*range(rest, value.ndim), *range(rest)])
    target = jnp.zeros((*sizes, *value.shape[:rest]), value.dtype)
    result = target.at[tuple(indices)].add(leading, mode="drop")
    return lax.transpose(result, [*range(len(sizes), result.ndim), *range(len(sizes))])


def _write_masked(
    value: jax.Array,
    group: Sequence[Position],
    sizes: Sequence[int],
    operator: Projector,
    labels: Sequence[str],
    lengths: Mapping[str, int],
) -> jax.Array:
    """As `_write_scatter` by comparing every target position with every place: JAX cannot differentiate
    a scattered product or maximum, XLA makes one loop of the comparison and its reduction."""
    rest = value.shape[: value.ndim - len(labels)]
    indices, inside = _index_arrays(group, sizes, labels, lengths)
    shape = (*sizes, *(lengths[label] for label in labels))
    meets = jnp.broadcast_to(inside, shape)
    for dimension, index in enumerate(indices):
        meets &= lax.broadcasted_iota(jnp.int32, shape, dimension) == index
    spread = value.reshape(*rest, *([1] * len(sizes)), *value.shape[len(rest) :])
    candidates = jnp.where(meets, spread, jnp.asarray(neutral(operator, value.dtype), value.dtype))
    return reduce(operator, candidates, range(len(rest) + len(sizes), candidates.ndim))
