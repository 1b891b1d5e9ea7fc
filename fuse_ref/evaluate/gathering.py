"""Reads and writes at positions that a call gives: rows taken by an index, values scattered to places."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fuse_ref.evaluate.indexing import Place, index_arrays
from fuse_ref.evaluate.registers import Emitter, Register
from fuse_ref.evaluate.scatter import COMBINE, combine_absent, neutral
from fuse_ref.records import dataclass

__all__ = ["Spot", "gather", "repeated", "scatter"]


@dataclass(frozen=True, slots=True)
class Spot:
    """Positions along one dimension for one set of sizes: (place + what `register` holds) // divisor."""

    place: Place
    divisor: int
    register: Register | None  # of int64 positions that each call gives
    labels: tuple[str, ...]  # of the register's dimensions
    inside: bool  # the positions are known to lie inside

    def used(self) -> tuple[str, ...]:
        """The labels that the positions depend on."""
        return (*(label for label, _ in self.place.terms), *self.labels)


def repeated(emitter: Emitter, source: Register, divisors: Sequence[int]) -> Register:
    """`source` with each position k times along its dimensions: read at p, it is what `source` is at p // k."""
    for axis, divisor in enumerate(divisors):
        if divisor > 1:
            source = _repeated(emitter, source, axis, divisor)
    return source


def _repeated(emitter: Emitter, source: Register, axis: int, divisor: int) -> Register:
    info = emitter.infos[source]
    shape = (*info.shape[:axis], info.shape[axis] * divisor, *info.shape[axis + 1 :])
    return emitter.call(lambda x: np.repeat(x, divisor, axis), (source,), shape, info.dtype)


def gather(
    emitter: Emitter, source: Register, spots: Sequence[Spot], labels: Sequence[str], shape: tuple[int, ...]
) -> Register:
    """Write the read of `source` at `spots` (one per dimension) into dimensions `labels` of lengths `shape`.

    Positions outside the source give 0, negative ones too.
    """
    info = emitter.infos[source]
    if 0 in shape or 0 in info.shape:
        return emitter.constant(np.zeros(shape, info.dtype))
    sizes = dict(zip(labels, shape, strict=True))
    whole = _whole(spots)
    picked = [k for k in range(len(spots)) if k not in whole]
    moved = [label for label in labels if any(label in spots[k].used() for k in picked)]
    inner = tuple(sizes[label] for label in moved)
    if len(picked) == 1 and not spots[picked[0]].place.terms and spots[picked[0]].divisor == 1:
        (axis,) = picked
        spot = spots[axis]
        assert spot.register is not None
        positions = emitter.transpose(spot.register, tuple(spot.labels.index(label) for label in moved))
        made = (*info.shape[:axis], *inner, *info.shape[axis + 1 :])
        take = _take(axis, spot.place.offset, info.shape[axis], inside=spot.inside)
        result = emitter.call(take, (source, positions), made, info.dtype)
        names = [*(whole[k] for k in range(axis)), *moved, *(whole[k] for k in range(axis + 1, len(spots)))]
    else:
        order = (*picked, *whole)
        limits = tuple(info.shape[k] for k in picked)
        registers, locate = _positions(emitter, [spots[k] for k in picked], moved, inner)
        made = (*inner, *(info.shape[k] for k in whole))
        pick = _pick(order, limits, locate, len(inner))
        result = emitter.call(pick, (source, *registers), made, info.dtype)
        names = [*moved, *whole.values()]
    return emitter.transpose(result, tuple(names.index(label) for label in labels))


def _whole(spots: Sequence[Spot]) -> dict[int, str]:
    """Dimensions that are read from end to end by a label of their own."""
    used = [label for spot in spots for label in dict.fromkeys(spot.used())]
    return {
        k: spot.place.terms[0][0]
        for k, spot in enumerate(spots)
        if spot.register is None
        and spot.divisor == 1
        and len(spot.place.terms) == 1
        and spot.place == Place(((spot.place.terms[0][0], 1),), 0)
        and used.count(spot.place.terms[0][0]) == 1
    }


def _take(axis: int, offset: int, n: int, *, inside: bool) -> Callable[[Any, Any], np.ndarray]:
    head: tuple[Any, ...] = (slice(None),) * axis

    def take(x: np.ndarray, positions: np.ndarray) -> np.ndarray:
        if offset:
            positions = positions + offset
        rows = np.asarray(np.take(x, positions, axis=axis, mode="clip"))
        if not inside and (positions.min() < 0 or positions.max() >= n):
            rows[(*head, (positions < 0) | (positions >= n))] = 0
        return rows

    return take


_Locate = Callable[[Sequence[np.ndarray]], list[np.ndarray]]


def _positions(
    emitter: Emitter, spots: Sequence[Spot], labels: Sequence[str], shape: tuple[int, ...]
) -> tuple[list[Register], _Locate]:
    """Registers that a call needs, and what makes them positions, one array per spot that broadcasts to `shape`."""
    fixed = index_arrays([spot.place for spot in spots], labels, shape)
    registers = [
        emitter.align(spot.register, spot.labels, labels, full=True) for spot in spots if spot.register is not None
    ]
    given = [spot.register is not None for spot in spots]
    divisors = [spot.divisor for spot in spots]

    def locate(gathered: Sequence[np.ndarray]) -> list[np.ndarray]:
        remaining = iter(gathered)
        found = []
        for array, has, divisor in zip(fixed, given, divisors, strict=True):
            positions = array + next(remaining) if has else array
            found.append(positions // divisor if divisor > 1 else positions)
        return found

    return registers, locate


def _pick(order: tuple[int, ...], limits: tuple[int, ...], locate: _Locate, rank: int) -> Callable[..., np.ndarray]:
    def pick(x: np.ndarray, *gathered: np.ndarray) -> np.ndarray:
        positions = locate(gathered)
        clipped = tuple(np.clip(array, 0, n - 1) for array, n in zip(positions, limits, strict=True))
        found = np.asarray(x.transpose(order)[clipped])
        outside = np.zeros((1,) * rank, bool)
        for array, n in zip(positions, limits, strict=True):
            outside = outside | (array < 0) | (array >= n)
        if outside.any():
            found[np.broadcast_to(outside, found.shape[:rank])] = 0
        return found

    return pick


def scatter(
    emitter: Emitter,
    operator: str,
    operand: Register,
    labels: Sequence[str],
    spots: Sequence[Spot],
    shape: tuple[int, ...],
) -> Register:
    """Write `operand` (dimensions `labels`) at `spots` of a new array of `shape`.

    Positions outside are dropped, negative ones too; those that nothing reaches hold the neutral element,
    those reached more than once combine.
    """
    info = emitter.infos[operand]
    empty, dtype = neutral(operator, info.dtype), info.dtype
    if 0 in info.shape or 0 in shape:
        return emitter.constant(np.full(shape, empty, dtype))
    used = {label for spot in spots for label in spot.used()}
    operand, labels = combine_absent(emitter, operator, operand, labels, used)
    inner = emitter.infos[operand].shape
    registers, locate = _positions(emitter, spots, labels, inner)
    combine = COMBINE[operator].at

    def put(x: Any, *gathered: np.ndarray) -> np.ndarray:
        holds: Any = True
        flat: Any = 0
        for positions, n in zip(locate(gathered), shape, strict=True):
            holds = holds & (positions >= 0) & (positions < n)
            flat = flat * n + positions
        flat, values = np.broadcast_to(flat, inner).reshape(-1), np.asarray(x).reshape(-1)
        if not np.all(holds):
            kept = np.broadcast_to(holds, inner).reshape(-1)
            flat, values = flat[kept], values[kept]
        result = np.full(math.prod(shape), empty, dtype)
        combine(result, flat, values)
        return result.reshape(shape)

    return emitter.call(put, (operand, *registers), shape, dtype)
