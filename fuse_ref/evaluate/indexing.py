"""Reads at computed positions: one view wherever all of them lie inside, zeros where they do not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fuse_ref.evaluate.registers import Emitter, Info, Register
from fuse_ref.records import dataclass

__all__ = ["Place", "fitting", "index_arrays", "read"]


@dataclass(frozen=True, slots=True)
class Place:
    """Positions along one dimension for one set of sizes: sum of coefficient * label + offset."""

    terms: tuple[tuple[str, int], ...]
    offset: int

    def bounds(self, sizes: dict[str, int]) -> tuple[int, int]:
        """The least and the greatest position; every label has at least one."""
        ends = [c * (sizes[label] - 1) for label, c in self.terms]
        return self.offset + sum(min(0, e) for e in ends), self.offset + sum(max(0, e) for e in ends)


def read(
    emitter: Emitter, source: Register, places: Sequence[Place], labels: Sequence[str], shape: tuple[int, ...]
) -> Register:
    """Write the read of `source` at `places` (one per dimension) into dimensions `labels` of lengths `shape`.

    Positions outside the source give 0.
    """
    info = emitter.infos[source]
    sizes = dict(zip(labels, shape, strict=True))
    if 0 in shape:
        return emitter.constant(np.zeros(shape, info.dtype))
    bounds = [place.bounds(sizes) for place in places]
    if all(low >= 0 and high < n for (low, high), n in zip(bounds, info.shape, strict=True)):
        return _inside(emitter, source, places, labels, shape)
    if _separate(places):
        return _shifted(emitter, source, places, labels, shape)
    padding = [(max(0, -low), max(0, high - n + 1)) for (low, high), n in zip(bounds, info.shape, strict=True)]
    if all(
        before + after <= 64 + 2 * (n + sum(sizes[label] for label, _ in place.terms))
        for (before, after), n, place in zip(padding, info.shape, places, strict=True)
    ):
        return _padded(emitter, source, places, labels, shape, padding)
    return _gathered(emitter, source, places, labels, shape)


def _separate(places: Sequence[Place]) -> bool:
    """Whether each label moves along one dimension and each dimension follows one label at most."""
    seen = [label for place in places for label, _ in place.terms]
    return len(set(seen)) == len(seen) and all(len(place.terms) <= 1 for place in places)


def _inside(
    emitter: Emitter, source: Register, places: Sequence[Place], labels: Sequence[str], shape: tuple[int, ...]
) -> Register:
    info = emitter.infos[source]
    sizes = dict(zip(labels, shape, strict=True))
    if not _separate(places):
        return emitter.view(
            _strided(places, labels, shape),
            source,
            shape,
            _memory_order(info, places, labels),
            overlapping=any(len(place.terms) > 1 for place in places),
        )
    index = tuple(_slice(place, sizes) for place in places)
    moving = [label for place in places for label, _ in place.terms]
    order = _memory_order(info, places, moving)
    picked = emitter.view(lambda x: x[index], source, tuple(sizes[label] for label in moving), order)
    return emitter.transpose(picked, tuple(moving.index(label) for label in labels))


def _slice(place: Place, sizes: dict[str, int], first: int = 0, last: int | None = None) -> int | slice:
    """The positions of labels `first` to `last` (exclusive) along a dimension, as a basic index."""
    if not place.terms:
        return place.offset
    ((label, coefficient),) = place.terms
    end = sizes[label] if last is None else last
    stop = place.offset + coefficient * end
    return slice(place.offset + coefficient * first, stop if stop >= 0 else None, coefficient)


def _strided(
    places: Sequence[Place], labels: Sequence[str], shape: tuple[int, ...]
) -> Callable[[np.ndarray], np.ndarray]:
    """Any read whose positions lie inside is a view: a label's stride is the sum of those it moves along."""
    moves = [
        [(dimension, c) for dimension, place in enumerate(places) for name, c in place.terms if name == label]
        for label in labels
    ]
    offsets = [place.offset for place in places]
    corner = tuple(slice(offset, None) for offset in offsets)

    def view(x: np.ndarray) -> np.ndarray:
        strides = x.strides
        steps = tuple(sum(c * strides[dimension] for dimension, c in move) for move in moves)
        if x.flags.c_contiguous:
            start = sum(offset * stride for offset, stride in zip(offsets, strides, strict=True))
            return np.ndarray(shape, x.dtype, x, start, steps)
        return np.lib.stride_tricks.as_strided(x[corner], shape, steps, writeable=False)

    return view


def _memory_order(info: Info, places: Sequence[Place], labels: Sequence[str]) -> tuple[int, ...]:
    strides = [0] * len(info.shape)
    step = 1
    for dimension in reversed(info.order):
        strides[dimension] = step
        step *= max(1, info.shape[dimension])
    reach = {
        label: abs(sum(c * strides[d] for d, place in enumerate(places) for name, c in place.terms if name == label))
        for label in labels
    }
    return tuple(sorted(range(len(labels)), key=lambda k: -reach[labels[k]]))


def _shifted(
    emitter: Emitter, source: Register, places: Sequence[Place], labels: Sequence[str], shape: tuple[int, ...]
) -> Register:
    """Zeros, and the part that lies inside copied in."""
    info = emitter.infos[source]
    sizes = dict(zip(labels, shape, strict=True))
    moving = [label for place in places for label, _ in place.terms]
    taken: list[int | slice] = []
    filled: list[slice] = []
    for place, n in zip(places, info.shape, strict=True):
        if not place.terms:
            if not 0 <= place.offset < n:
                return emitter.constant(np.zeros(shape, info.dtype))
            taken.append(place.offset)
            continue
        ((label, coefficient),) = place.terms
        first, last = fitting(coefficient, place.offset, n, sizes[label])
        if first >= last:
            return emitter.constant(np.zeros(shape, info.dtype))
        taken.append(_slice(place, sizes, first, last))
        filled.append(slice(first, last))
    inner_shape = tuple(sizes[label] for label in moving)
    from_index, to_index, dtype = tuple(taken), tuple(filled), info.dtype

    def copy(x: np.ndarray) -> np.ndarray:
        result = np.zeros(inner_shape, dtype)
        result[to_index] = x[from_index]
        return result

    made = emitter.call(copy, (source,), inner_shape, info.dtype)
    return emitter.transpose(made, tuple(moving.index(label) for label in labels))


def fitting(coefficient: int, offset: int, n: int, size: int) -> tuple[int, int]:
    """The positions p of a label, first and one past last, for which 0 <= coefficient * p + offset < n."""
    if coefficient > 0:
        first, last = -(offset // coefficient), (n - 1 - offset) // coefficient
    else:
        first, last = -((n - 1 - offset) // -coefficient), offset // -coefficient
    return max(0, first), min(size, last + 1)


def _padded(
    emitter: Emitter,
    source: Register,
    places: Sequence[Place],
    labels: Sequence[str],
    shape: tuple[int, ...],
    padding: Sequence[tuple[int, int]],
) -> Register:
    info = emitter.infos[source]
    padded_shape = tuple(before + n + after for (before, after), n in zip(padding, info.shape, strict=True))
    inner = tuple(slice(before, before + n) for (before, _), n in zip(padding, info.shape, strict=True))
    dtype = info.dtype

    def pad(x: np.ndarray) -> np.ndarray:
        result = np.zeros(padded_shape, dtype)
        result[inner] = x
        return result

    padded = emitter.call(pad, (source,), padded_shape, info.dtype)
    moved = [Place(place.terms, place.offset + before) for place, (before, _) in zip(places, padding, strict=True)]
    return _inside(emitter, padded, moved, labels, shape)


def index_arrays(places: Sequence[Place], labels: Sequence[str], shape: tuple[int, ...]) -> list[np.ndarray]:
    """The positions along each dimension as int64 arrays that broadcast to `shape`."""
    arrays = []
    for place in places:
        positions: Any = np.full((1,) * len(shape), place.offset, np.int64)
        for label, coefficient in place.terms:
            k = list(labels).index(label)
            line = coefficient * np.arange(shape[k], dtype=np.int64)
            positions = positions + line.reshape([-1 if d == k else 1 for d in range(len(shape))])
        arrays.append(positions)
    return arrays


def _gathered(
    emitter: Emitter, source: Register, places: Sequence[Place], labels: Sequence[str], shape: tuple[int, ...]
) -> Register:
    info = emitter.infos[source]
    if 0 in info.shape:
        return emitter.constant(np.zeros(shape, info.dtype))
    positions = index_arrays(places, labels, shape)
    holds = np.ones(shape, bool)
    for array, n in zip(positions, info.shape, strict=True):
        holds = holds & (array >= 0) & (array < n)
    index = tuple(np.clip(array, 0, n - 1) for array, n in zip(positions, info.shape, strict=True))
    zero = info.dtype.type(0)
    return emitter.call(lambda x: np.where(holds, x[index], zero), (source,), shape, info.dtype)
