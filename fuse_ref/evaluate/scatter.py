"""Writes at computed positions: constants, shifts, pooling by quotients, and sums of indices."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from fuse_ref.evaluate.indexing import Place, fitting, index_arrays
from fuse_ref.evaluate.registers import Emitter, Register
from fuse_ref.records import dataclass

__all__ = ["COMBINE", "Target", "combine_absent", "neutral", "write"]

COMBINE: Final[dict[str, np.ufunc]] = {"sum": np.add, "max": np.maximum, "min": np.minimum, "prod": np.multiply}

_MANY_BLOCKS: Final = 16  # above this pool size one reduceat is faster than a pass per position in the block
_MANY_PASSES: Final = 256  # above this number of slices one ufunc.at is faster


@dataclass(frozen=True, slots=True)
class Target:
    """Positions along one dimension of what is written: a place divided by `divisor`, rounded down."""

    place: Place
    divisor: int


def neutral(operator: str, dtype: np.dtype) -> Any:
    """What combines with anything to that thing; integers have their least and greatest value for infinity."""
    if operator in ("sum", "avg", "any"):
        return dtype.type(0)
    if operator == "prod":
        return dtype.type(1)
    if dtype.kind == "f":
        return dtype.type(-math.inf if operator == "max" else math.inf)
    if dtype.kind == "b":
        return dtype.type(operator == "min")
    bounds = np.iinfo(dtype)
    return dtype.type(bounds.min if operator == "max" else bounds.max)


def write(
    emitter: Emitter,
    operator: str,
    operand: Register,
    labels: Sequence[str],
    targets: Sequence[Target],
    shape: tuple[int, ...],
) -> Register:
    """Write `operand` (dimensions `labels`) at `targets` of a new array of `shape`.

    Positions outside are dropped, those that nothing reaches hold the neutral element, those reached
    more than once combine.
    """
    info = emitter.infos[operand]
    empty = neutral(operator, info.dtype)
    if 0 in info.shape:
        return emitter.constant(np.full(shape, empty, info.dtype))
    used = {label for target in targets for label, _ in target.place.terms}
    operand, labels = combine_absent(emitter, operator, operand, labels, used)
    uses = [label for target in targets for label, _ in target.place.terms]
    exclusive = len(set(uses)) == len(uses)
    blocks = [target.place.terms for target in targets if target.divisor > 1 and target.place.terms]
    if not exclusive or any(len(terms) > 1 or terms[0][1] != 1 for terms in blocks):
        return _scattered(emitter, operator, operand, labels, targets, shape)
    places: list[Place] = []
    for target, n in zip(targets, shape, strict=True):
        if target.divisor > 1 and target.place.terms:
            ((label, _),) = target.place.terms
            operand = _pooled(emitter, operator, operand, labels.index(label), target, n)
            places.append(Place(((label, 1),), 0))
        else:
            places.append(Place(target.place.terms, target.place.offset // target.divisor))
    if all(len(place.terms) <= 1 for place in places):
        return _placed(emitter, operator, operand, labels, places, shape)
    sizes = dict(zip(labels, emitter.infos[operand].shape, strict=True))
    fixed = [label for place in places for label in _followers(place, sizes)]
    if math.prod(sizes[label] for label in fixed) > _MANY_PASSES:
        return _scattered(emitter, operator, operand, labels, [Target(place, 1) for place in places], shape)
    return _in_passes(emitter, operator, operand, labels, places, fixed, shape)


def combine_absent(
    emitter: Emitter, operator: str, operand: Register, labels: Sequence[str], used: set[str]
) -> tuple[Register, list[str]]:
    """`operand` without the dimensions whose labels are not in `used`, combined, and the labels that stay."""
    absent = tuple(k for k, label in enumerate(labels) if label not in used)
    if not absent:
        return operand, list(labels)
    info = emitter.infos[operand]
    kept = [k for k in range(len(labels)) if k not in absent]
    combine = COMBINE[operator].reduce
    shape = tuple(info.shape[k] for k in kept)
    dtype = info.dtype
    reduced = emitter.call(lambda x: combine(x, axis=absent, dtype=dtype), (operand,), shape, dtype)
    return reduced, [labels[k] for k in kept]


def _pooled(emitter: Emitter, operator: str, operand: Register, axis: int, target: Target, blocks: int) -> Register:
    """Blocks of `divisor` positions along `axis` combined; the result has `blocks` positions there."""
    info = emitter.infos[operand]
    size, divisor, offset = info.shape[axis], target.divisor, target.place.offset
    shape = (*info.shape[:axis], blocks, *info.shape[axis + 1 :])
    empty = neutral(operator, info.dtype)
    combine, dtype = COMBINE[operator], info.dtype
    head = (slice(None),) * axis
    passes: list[tuple[tuple[slice, ...], tuple[slice, ...]]] = []
    # The positions i with (i + offset) % divisor == r go to consecutive blocks: one slice to one slice.
    for residue in range(divisor):
        first = (residue - offset) % divisor
        block = (first + offset) // divisor
        skipped = max(0, -block)
        first, block = first + skipped * divisor, block + skipped
        count = min(len(range(first, size, divisor)), blocks - block)
        if count > 0:
            source = slice(first, first + (count - 1) * divisor + 1, divisor)
            passes.append(((*head, source), (*head, slice(block, block + count))))
    # A pass that reaches every block can start the result instead of the neutral element.
    whole = next((k for k, (_, to) in enumerate(passes) if to[-1] == slice(0, blocks)), None)
    if whole is not None:
        passes.insert(0, passes.pop(whole))
    starts = [max(0, block * divisor - offset) for block in range(blocks)]
    if divisor > _MANY_BLOCKS and whole is not None and starts[-1] < size and offset >= 0:
        end = slice(0, blocks * divisor - offset)

        def pool(x: np.ndarray) -> np.ndarray:
            return combine.reduceat(x[(*head, end)], starts, axis=axis, dtype=dtype)

    else:

        def pool(x: np.ndarray) -> np.ndarray:
            result = x[passes[0][0]].copy() if whole is not None else np.full(shape, empty, dtype)
            for source, to in passes[whole is not None :]:
                part = result[to]
                combine(part, x[source], out=part)
            return result

    return emitter.call(pool, (operand,), shape, info.dtype)


def _reach(place: Place, size: int, n: int) -> tuple[slice, slice] | None:
    """For a place of one term: which positions of the label land inside 0..n-1, and where."""
    ((_, coefficient),) = place.terms
    first, last = fitting(coefficient, place.offset, n, size)
    if first >= last:
        return None
    stop = place.offset + coefficient * last
    return slice(first, last), slice(place.offset + coefficient * first, stop if stop >= 0 else None, coefficient)


def _placed(
    emitter: Emitter,
    operator: str,
    operand: Register,
    labels: list[str],
    places: Sequence[Place],
    shape: tuple[int, ...],
) -> Register:
    """Every dimension follows one label or none: one slice to one slice."""
    moving = [label for place in places for label, _ in place.terms]
    aligned = emitter.transpose(operand, tuple(labels.index(label) for label in moving))
    info = emitter.infos[aligned]
    if info.shape == shape and all(
        place == Place(((label, 1),), 0) for place, label in zip(places, moving, strict=True)
    ):
        return aligned
    empty = neutral(operator, info.dtype)
    sizes = dict(zip(moving, info.shape, strict=True))
    taken: list[slice] = []
    filled: list[int | slice] = []
    for place, n in zip(places, shape, strict=True):
        if not place.terms:
            if not 0 <= place.offset < n:
                return emitter.constant(np.full(shape, empty, info.dtype))
            filled.append(place.offset)
            continue
        reach = _reach(place, sizes[place.terms[0][0]], n)
        if reach is None:
            return emitter.constant(np.full(shape, empty, info.dtype))
        taken.append(reach[0])
        filled.append(reach[1])
    source, to, dtype = tuple(taken), tuple(filled), info.dtype

    def put(x: Any) -> np.ndarray:
        result = np.full(shape, empty, dtype)
        result[to] = x[source]
        return result

    return emitter.call(put, (aligned,), shape, info.dtype)


def _followers(place: Place, sizes: dict[str, int]) -> list[str]:
    """All labels of a place but the longest."""
    names = [label for label, _ in place.terms]
    if len(names) < 2:
        return []
    longest = max(names, key=lambda label: sizes[label])
    return [label for label in names if label != longest]


def _in_passes(
    emitter: Emitter,
    operator: str,
    operand: Register,
    labels: list[str],
    places: Sequence[Place],
    fixed: list[str],
    shape: tuple[int, ...],
) -> Register:
    """`Y[x+dx]`: for each position of the short labels the rest is one slice to one slice."""
    info = emitter.infos[operand]
    sizes = dict(zip(labels, info.shape, strict=True))
    moving = [label for place in places for label, _ in place.terms if label not in fixed]
    passes: list[tuple[tuple[int | slice, ...], tuple[int | slice, ...]]] = []
    for positions in itertools.product(*(range(sizes[label]) for label in fixed)):
        at = dict(zip(fixed, positions, strict=True))
        taken: dict[str, int | slice] = dict(at)
        filled: list[int | slice] = []
        for place, n in zip(places, shape, strict=True):
            offset = place.offset + sum(c * at[label] for label, c in place.terms if label in at)
            rest = Place(tuple((label, c) for label, c in place.terms if label not in at), offset)
            if not rest.terms:
                if not 0 <= offset < n:
                    break
                filled.append(offset)
                continue
            reach = _reach(rest, sizes[rest.terms[0][0]], n)
            if reach is None:
                break
            taken[rest.terms[0][0]] = reach[0]
            filled.append(reach[1])
        else:
            passes.append((tuple(taken[label] for label in (*fixed, *moving)), tuple(filled)))
    aligned = emitter.transpose(operand, tuple(labels.index(label) for label in (*fixed, *moving)))
    combine, empty, dtype = COMBINE[operator], neutral(operator, info.dtype), info.dtype

    def put(x: np.ndarray) -> np.ndarray:
        result = np.full(shape, empty, dtype)
        for source, to in passes:
            result[to] = combine(result[to], x[source])
        return result

    return emitter.call(put, (aligned,), shape, info.dtype)


def _scattered(
    emitter: Emitter,
    operator: str,
    operand: Register,
    labels: Sequence[str],
    targets: Sequence[Target],
    shape: tuple[int, ...],
) -> Register:
    """Any positions at all, element by element in compiled code."""
    info = emitter.infos[operand]
    raw = index_arrays([target.place for target in targets], labels, info.shape)
    positions = [array // target.divisor for array, target in zip(raw, targets, strict=True)]
    holds = np.ones(info.shape, bool)
    flat: Any = np.zeros((1,) * len(info.shape), np.int64)
    for array, n in zip(positions, shape, strict=True):
        holds = holds & (array >= 0) & (array < n)
        flat = flat * n + array
    flat = np.broadcast_to(flat, info.shape)[holds]
    combine: Callable[..., None] = COMBINE[operator].at
    empty, dtype = neutral(operator, info.dtype), info.dtype

    def put(x: Any) -> np.ndarray:
        result = np.full(math.prod(shape), empty, dtype)
        combine(result, flat, np.asarray(x)[holds])
        return result.reshape(shape)

    return emitter.call(put, (operand,), shape, info.dtype)
