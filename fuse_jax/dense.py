"""Dense operations of a plan, run on JAX values: sizes are numbers while a function is traced."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fuse_jax import indexing
from fuse_jax.contract import align, contract, project
from fuse_jax.dtypes import Numbers
from fuse_jax.operations import ALONG, ELEMENTWISE, Value
from fuse_ref.analysis.lengths import Length
from fuse_ref.plan.steps import (
    Along,
    Contract,
    DenseOperation,
    Expand,
    Index,
    Iota,
    LiteralArray,
    Map,
    Operand,
    Output,
    Permute,
    Plan,
    Reduce,
    Step,
    Write,
)

__all__ = ["Schedule", "run", "schedule"]

Measure = Callable[[Length], int]  # the number that a length is in this call


@dataclass(frozen=True, slots=True)
class Schedule:
    """What of a plan is needed for some outputs, in order."""

    operations: tuple[DenseOperation, ...]
    releases: tuple[tuple[str, ...], ...]  # per operation: values that nothing reads after it
    routed: tuple[Step, ...]  # steps that are needed and are no straight-line operations


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


def reads(operation: DenseOperation) -> tuple[str, ...]:
    """Names of the values that `operation` reads."""
    match operation:
        case LiteralArray() | Iota():
            return ()
        case Index():
            return (operation.source,)
        case Map() | Along():
            return tuple(item.value for item in operation.operands if isinstance(item, Operand))
        case Contract():
            return (operation.left.value, operation.right.value)
        case Reduce() | Permute() | Expand() | Write():
            return (operation.operand.value,)
        case _:
            assert_never(operation)


def run(plan: Schedule, values: Mapping[str, jax.Array], measure: Measure, numbers: Numbers) -> dict[str, jax.Array]:
    """Every value that is still there after the last operation, by name; `values` are those given."""
    made = dict(values)
    for operation, released in zip(plan.operations, plan.releases, strict=True):
        output = operation.output
        # The scope puts the tensor's name into profiles and compiled code.
        with jax.named_scope(output.out):
            made[output.out] = _apply(operation, made, measure, numbers)
        shape = tuple(measure(length) for length in output.lengths)
        if made[output.out].shape != shape:
            raise AssertionError(f"{output.out}: {made[output.out].shape} was computed, the plan says {shape}")
        for name in released:
            made.pop(name, None)
    return made


def _apply(
    operation: DenseOperation, values: Mapping[str, jax.Array], measure: Measure, numbers: Numbers
) -> jax.Array:
    output = operation.output
    dtype = numbers.dtype(output.dtype)
    match operation:
        case LiteralArray():
            shape = tuple(measure(length) for length in output.lengths)
            return numbers.array(np.array(operation.values).reshape(shape), output.dtype, output.out)
        case Iota():
            return lax.iota(dtype, measure(output.lengths[0]))
        case Index():
            positions = [indexing.Position(item.terms, measure(item.offset)) for item in operation.indices]
            return indexing.read(values[operation.source], positions, _lengths(output, measure))
        case Map():
            function = ELEMENTWISE[operation.function]
            operands = _operands(operation.operands, values, output.labels, dtype)
            return jnp.asarray(function(*operands, **dict(operation.options))).astype(dtype)
        case Along():
            return _along(operation, values, dtype)
        case Contract():
            left, right = operation.left, operation.right
            return contract(
                values[left.value], left.labels, values[right.value], right.labels, output.labels, dtype
            )
        case Reduce():
            operand = operation.operand
            value = values[operand.value]
            return project(operation.operator, value, operand.labels, output.labels).astype(dtype)
        case Permute():
            return align(values[operation.operand.value], operation.operand.labels, output.labels)
        case Expand():
            value = align(values[operation.operand.value], operation.operand.labels, output.labels)
            return jnp.broadcast_to(value, tuple(measure(length) for length in output.lengths))
        case Write():
            return indexing.write(
                values[operation.operand.value],
                operation.operand.labels,
                operation.operator,
                [indexing.Position(item.terms, measure(item.offset), item.divisor) for item in operation.indices],
                [measure(length) for length in output.lengths],
            )
        case _:
            assert_never(operation)


def _lengths(output: Output, measure: Measure) -> dict[str, int]:
    return {label: measure(length) for label, length in zip(output.labels, output.lengths, strict=True)}


def _operands(
    operands: Sequence[Operand | int | float], values: Mapping[str, jax.Array], order: Sequence[str], dtype: np.dtype
) -> list[Value]:
    """Operands aligned to `order`; numbers stay numbers, which take the type of what they meet."""
    aligned: list[Value] = [
        align(values[item.value], item.labels, order) if isinstance(item, Operand) else item for item in operands
    ]
    if operands and not any(isinstance(item, Operand) for item in operands):
        aligned[0] = jnp.asarray(aligned[0], dtype if dtype != bool else None)
    return aligned


def _along(operation: Along, values: Mapping[str, jax.Array], dtype: np.dtype) -> jax.Array:
    output = operation.output
    keeps = operation.axis in output.labels
    order = output.labels if keeps else (*output.labels, operation.axis)
    operands = _operands(operation.operands, values, order, dtype)
    function = ALONG[operation.function]
    result = function(*operands, axis=order.index(operation.axis), **dict(operation.options))
    return jnp.asarray(result).astype(dtype)
