"""Dense operations of a plan, run on JAX values: sizes are numbers while a function is traced."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fuse_jax import gathering, indexing
from fuse_jax.attention import attend
from fuse_jax.checked import Watch
from fuse_jax.contract import align, contract, project
from fuse_jax.convolution import convolve
from fuse_jax.dtypes import Numbers
from fuse_jax.noise import Noise
from fuse_jax.operations import ALONG, ELEMENTWISE, WHOLE, Value
from fuse_jax.registered import apply_registered
from fuse_ref.analysis.lengths import Length, evaluate
from fuse_ref.ir.operations import CATALOGUE
from fuse_ref.plan.dataflow import reads
from fuse_ref.plan.steps import (
    Along,
    Attention,
    Concat,
    Contract,
    Convolve,
    DenseOperation,
    Expand,
    Index,
    Iota,
    LiteralArray,
    Map,
    Operand,
    Permute,
    Plan,
    ReadIndex,
    Reduce,
    Step,
    Whole,
    Write,
    WriteIndex,
)

__all__ = ["Schedule", "run", "schedule"]

Measure = Callable[[Length], int]  # the number that a length is in this call


@dataclass(frozen=True, slots=True)
class Schedule:
    """What of a plan is needed for some outputs, in order."""

    operations: tuple[DenseOperation, ...]
    releases: tuple[tuple[str, ...], ...]  # per operation: values that nothing reads after it
    routed: tuple[Step, ...]  # steps that are needed and are no straight-line operations

    @property
    def random(self) -> bool:
        """Whether a training step draws random numbers."""
        return any(isinstance(operation, Map) and operation.function == "dropout" for operation in self.operations)


def schedule(plan: Plan, outputs: Iterable[str]) -> Schedule:
    """The operations that `outputs` depend on; names that no operation makes must be given to `run`."""
    kept = list(outputs)
    needed = set(kept)
    operations: list[DenseOperation] = []
    routed: list[Step] = []
    for step in reversed(plan.steps):
        if step.operations:
            for operation in reversed(step.operations):
                if operation.output.out in needed:
                    operations.append(operation)
                    needed.update(reads(operation))
        elif step.kind not in ("Load", "Store", "Answer") and needed.intersection(step.writes):
            routed.append(step)
            needed.update(step.reads)
    operations.reverse()
    routed.reverse()
    return Schedule(tuple(operations), _releases(operations, kept), tuple(routed))


def _releases(operations: Sequence[DenseOperation], kept: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    seen = set(kept)
    releases: list[tuple[str, ...]] = []
    for operation in reversed(operations):
        last = [name for name in dict.fromkeys([operation.output.out, *reads(operation)]) if name not in seen]
        seen.update(last)
        releases.append(tuple(last))
    return tuple(reversed(releases))


def run(
    plan: Schedule,
    values: Mapping[str, jax.Array],
    numbers: Numbers,
    watch: Watch | None = None,
    noise: Noise | None = None,
) -> dict[str, jax.Array]:
    """Every value that is still there after the last operation, by name.

    Args:
        values: of every given tensor; their shapes have passed the plan's checks.
        watch: checks values while they are computed.
        noise: what random functions draw from; None for an evaluation.
    """
    made = dict(values)
    shapes = {name: value.shape for name, value in values.items()}

    def measure(length: Length) -> int:
        return evaluate(length, lambda tensor, position: shapes[tensor][position])

    for operation, released in zip(plan.operations, plan.releases, strict=True):
        output = operation.output
        shape = tuple(max(0, measure(length)) for length in output.lengths)
        if watch is not None:
            watch.before(operation, made, shape, measure)
        # The scope puts the tensor's name into profiles and compiled code.
        with jax.named_scope(output.out):
            made[output.out] = _apply(operation, made, shape, measure, numbers, noise)
        if made[output.out].shape != shape:
            raise AssertionError(f"{output.out}: {made[output.out].shape} was computed, the plan says {shape}")
        if watch is not None:
            watch.after(operation, made)
        for name in released:
            made.pop(name, None)
    return made


def _apply(
    operation: DenseOperation,
    values: Mapping[str, jax.Array],
    shape: tuple[int, ...],
    measure: Measure,
    numbers: Numbers,
    noise: Noise | None,
) -> jax.Array:
    output = operation.output
    dtype = numbers.dtype(output.dtype)
    match operation:
        case LiteralArray():
            return numbers.array(np.array(operation.values).reshape(shape), output.dtype, output.out)
        case Iota():
            return lax.iota(dtype, shape[0])
        case Index():
            source, lengths = values[operation.source], dict(zip(output.labels, shape, strict=True))
            if any(item.gather is not None for item in operation.indices):
                return gathering.gather(source, _spots(operation, values, measure), output.labels, lengths)
            # A quotient reads a source whose every position is repeated.
            source = gathering.repeated(source, [item.divisor for item in operation.indices])
            positions = [indexing.Position(item.terms, measure(item.offset)) for item in operation.indices]
            return indexing.read(source, positions, lengths)
        case Map():
            return _map(operation, values, dtype, noise)
        case Along():
            return _along(operation, values, dtype, numbers.dtype("float"))
        case Concat():
            return _concat(operation, values, dtype)
        case Whole():
            value = align(values[operation.operand.value], operation.operand.labels, output.labels).astype(dtype)
            return WHOLE[operation.function](value, *operation.numbers).astype(dtype)
        case Contract():
            left, right = operation.left, operation.right
            return contract(
                values[left.value].astype(dtype),
                left.labels,
                values[right.value].astype(dtype),
                right.labels,
                output.labels,
                dtype,
            )
        case Reduce():
            operand = operation.operand
            return project(operation.operator, values[operand.value].astype(dtype), operand.labels, output.labels)
        case Permute():
            return align(values[operation.operand.value], operation.operand.labels, output.labels)
        case Expand():
            value = align(values[operation.operand.value], operation.operand.labels, output.labels)
            return jnp.broadcast_to(value, shape)
        case Write():
            if any(item.gather is not None for item in operation.indices):
                spots = _spots(operation, values, measure)
                value = values[operation.operand.value].astype(dtype)
                return gathering.scatter(value, operation.operand.labels, operation.operator, spots, shape)
            return indexing.write(
                values[operation.operand.value].astype(dtype),
                operation.operand.labels,
                operation.operator,
                [indexing.Position(item.terms, measure(item.offset), item.divisor) for item in operation.indices],
                shape,
            )
        case Convolve():
            image, weights = values[operation.image.value], values[operation.filter.value]
            return convolve(operation, image, weights, shape, measure, dtype)
        case Attention():
            return attend(operation, values, shape, dtype)
        case _:
            assert_never(operation)


def _concat(operation: Concat, values: Mapping[str, jax.Array], dtype: np.dtype) -> jax.Array:
    output, place = operation.output, operation.output.labels.index(operation.axis)
    pieces = []
    for part in operation.parts:
        wanted = (*output.labels[:place], *part.along, *output.labels[place + 1 :])
        value = align(values[part.operand.value].astype(dtype), part.operand.labels, wanted)
        end = place + len(part.along)
        pieces.append(value.reshape(*value.shape[:place], math.prod(value.shape[place:end]), *value.shape[end:]))
    return pieces[0] if len(pieces) == 1 else lax.concatenate(pieces, place)


def _spots(operation: Index | Write, values: Mapping[str, jax.Array], measure: Measure) -> list[gathering.Spot]:
    spots = []
    indices: Sequence[ReadIndex | WriteIndex] = operation.indices
    for item in indices:
        array = None if item.gather is None else values[item.gather.value]
        labels = () if item.gather is None else item.gather.labels
        inside = isinstance(item, ReadIndex) and item.inside
        spots.append(gathering.Spot(item.terms, measure(item.offset), item.divisor, array, labels, inside))
    return spots


def _aligned(
    operands: Sequence[Operand | int | float], values: Mapping[str, jax.Array], order: Sequence[str]
) -> list[Value]:
    """Operands aligned to `order`; numbers stay numbers, which take the type of what they meet."""
    return [align(values[item.value], item.labels, order) if isinstance(item, Operand) else item for item in operands]


def _as_float(value: Value, dtype: np.dtype) -> Value:
    return value.astype(dtype) if isinstance(value, jax.Array) else float(value)


def _map(operation: Map, values: Mapping[str, jax.Array], dtype: np.dtype, noise: Noise | None) -> jax.Array:
    operands = _aligned(operation.operands, values, operation.output.labels)
    if operation.output.dtype == "float":
        # Whole numbers and truth values are floats from here on. A power keeps its whole exponent, a choice its condition.
        kept = {"where": 0, "power": 1}.get(operation.function)
        operands = [
            item if at == kept and not _is_integer_array(item) else _as_float(item, dtype)
            for at, item in enumerate(operands)
        ]
    if not any(isinstance(item, jax.Array) for item in operands):
        operands = [jnp.asarray(item, dtype if operation.output.dtype == "float" else None) for item in operands]
    if operation.function not in ELEMENTWISE:
        arrays = [jnp.asarray(item, dtype) for item in operands]
        return apply_registered(operation.function, arrays).astype(dtype)
    more: dict[str, object] = {"noise": noise} if operation.function == "dropout" else {}
    result = ELEMENTWISE[operation.function](*operands, **dict(operation.options), **more)
    return jnp.asarray(result).astype(dtype)


def _is_integer_array(value: Value) -> bool:
    return isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jnp.integer)


def _along(operation: Along, values: Mapping[str, jax.Array], dtype: np.dtype, precision: np.dtype) -> jax.Array:
    output = operation.output
    keeps = operation.axis in output.labels
    order = output.labels if keeps else (*output.labels, operation.axis)
    kinds = [argument.kind for argument in CATALOGUE[operation.function].arguments]
    operands = [
        item
        if kind in ("mask", "number", "count")
        or (kind in ("classes", "ordered") and _is_integer_array(item) and not keeps)
        else _as_float(item, precision)
        for kind, item in zip(kinds, _aligned(operation.operands, values, order), strict=True)
    ]
    function = ALONG[operation.function]
    return jnp.asarray(function(*operands, axis=order.index(operation.axis), **dict(operation.options))).astype(dtype)
