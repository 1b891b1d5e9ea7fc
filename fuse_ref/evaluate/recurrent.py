"""Recurrences on NumPy: the instructions of one step, written once, in a plain loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from fuse_ref.analysis.lengths import Length
from fuse_ref.evaluate.dense import array_type
from fuse_ref.evaluate.registers import Emitter, Instruction, Register, Registers
from fuse_ref.plan.finiteness import FiniteCheck
from fuse_ref.plan.steps import Carry, DenseOperation, Slice, Step
from fuse_ref.records import dataclass

__all__ = ["finite_results", "write_recurrence"]

Sizes = Callable[[Length], int]
WriteOne = Callable[[Emitter, DenseOperation, Step, Sizes], None]


@dataclass(frozen=True, slots=True)
class _Kept:
    """A tensor of the group while the loop runs: its positions along the first dimension."""

    whole: Register  # -1 where only the steps themselves read it
    own: Register
    start: int
    backs: tuple[tuple[int, Register], ...]  # how many steps back, and where the body finds it
    shape: tuple[int, ...]  # of one position
    dtype: np.dtype
    neutral: float
    based: bool


def write_recurrence(emitter: Emitter, step: Step, sizes: Sizes, write_one: WriteOne, uses: Mapping[str, int]) -> None:
    """Write a recurrence, and call its tensors by their names.

    Args:
        write_one: writes one operation of a body, and counts it.
        uses: of `last_uses`.
    """
    made = step.recurrence
    assert made is not None
    count, way = max(0, sizes(made.steps)), made.direction
    slices = [_slice(emitter, item, sizes) for item in made.slices]
    kept = [_carry(emitter, carry, sizes) for carry in made.carries]
    outer, emitter.instructions = emitter.instructions, []
    for inner in made.body:
        _write_body(emitter, inner, sizes, write_one, uses)
    body, emitter.instructions = tuple(emitter.instructions), outer
    kept = [
        _Kept(k.whole, emitter.names[carry.own], k.start, k.backs, k.shape, k.dtype, k.neutral, k.based)
        for k, carry in zip(kept, made.carries, strict=True)
    ]
    emitter.instructions.append(partial(_run, count, way, tuple(slices), tuple(kept), body))
    for carry, item in zip(made.carries, kept, strict=True):
        if item.whole >= 0:
            rank = len(carry.output.lengths)
            # The axis is the first dimension while the loop writes it.
            order = [*range(1, carry.dimension + 1), 0, *range(carry.dimension + 1, rank)]
            emitter.bind(carry.output.out, emitter.transpose(item.whole, tuple(order)))
    emitter.finish_operation(len(emitter.infos), [name for name in emitter.names if uses.get(name) == emitter.now])
    emitter.now += 1


def finite_results(step: Step) -> Iterator[FiniteCheck]:
    """What a checked run looks at after all steps: the tensors that something outside reads."""
    assert step.recurrence is not None
    for carry in step.recurrence.carries:
        if carry.kept:
            name = carry.output.out
            yield FiniteCheck(name, name, carry.neutral if math.isinf(carry.neutral) else 0.0)


def _write_body(emitter: Emitter, step: Step, sizes: Sizes, write_one: WriteOne, uses: Mapping[str, int]) -> None:
    for operation in step.operations:
        write_one(emitter, operation, step, sizes)
    if step.recurrence is not None:
        write_recurrence(emitter, step, sizes, write_one, uses)


def _slice(emitter: Emitter, item: Slice, sizes: Sizes) -> tuple[Register, Register, int, int, int]:
    """Where it comes from, where it goes, along which dimension, from which position, out of how many."""
    source = emitter.names[item.value]
    info = emitter.infos[source]
    shape = (*info.shape[: item.dimension], *info.shape[item.dimension + 1 :])
    target = emitter.given(item.name, shape, info.dtype)
    return source, target, item.dimension, sizes(item.start), info.shape[item.dimension]


def _carry(emitter: Emitter, carry: Carry, sizes: Sizes) -> _Kept:
    lengths = [max(0, sizes(length)) for length in carry.output.lengths]
    size = lengths.pop(carry.dimension)
    rest = tuple(lengths)
    dtype = array_type(emitter, carry.output.dtype)
    whole = -1
    used = tuple((k, name) for k, name in enumerate(carry.backs, 1) if name)
    if carry.kept or used:
        if carry.base:
            begin = partial(_begun, carry.dimension)
            whole = emitter.call(begin, (emitter.names[carry.base],), (size, *rest), dtype)
        else:
            whole = emitter.call(partial(np.full, (size, *rest), carry.neutral, dtype), (), (size, *rest), dtype)
    backs = tuple((k, emitter.given(name, rest, dtype)) for k, name in used)
    return _Kept(whole, -1, sizes(carry.start), backs, rest, dtype, carry.neutral, bool(carry.base))


def _begun(dimension: int, base: np.ndarray) -> np.ndarray:
    return np.array(np.moveaxis(base, dimension, 0), order="C")


def _run(
    count: int,
    way: int,
    slices: Sequence[tuple[Register, Register, int, int, int]],
    kept: Sequence[_Kept],
    body: Sequence[Instruction],
    r: Registers,
) -> None:
    """All steps."""
    if count == 0:
        return
    moving = [(target, _rows(r[source], k, start, size, count, way)) for source, target, k, start, size in slices]
    written: list[tuple[Any, Register, int]] = []
    behind: list[tuple[Register, Any, Any, int]] = []
    for item in kept:
        if item.whole < 0:
            continue
        whole = r[item.whole]
        written.append((whole, item.own, item.start))
        nothing = np.zeros(item.shape, item.dtype)
        behind.extend((back, whole, nothing, item.start - way * k) for k, back in item.backs)
    for k in range(count):
        at = way * k
        for target, rows in moving:
            r[target] = rows[k]
        for target, whole, nothing, start in behind:
            place = start + at
            r[target] = whole[place] if 0 <= place < len(whole) else nothing
        for instruction in body:
            instruction(r)
        for whole, own, start in written:
            place = start + at
            if 0 <= place < len(whole):
                whole[place] = r[own]


def _rows(array: np.ndarray, dimension: int, start: int, size: int, count: int, way: int) -> Any:
    """What each step sees, one after another."""
    rows = np.moveaxis(array, dimension, 0)
    end = start + way * (count - 1)
    if min(start, end) >= 0 and max(start, end) < size:
        stop = end + way
        return rows[start : stop if stop >= 0 else None : way]
    if size == 0:
        return np.zeros((count, *rows.shape[1:]), array.dtype)
    return [rows[min(max(start + way * k, 0), size - 1)] for k in range(count)]
