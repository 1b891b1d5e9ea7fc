"""What a run holds in memory, from the plan and the sizes of a call, before anything is made."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Final

from fuse_ref.analysis.lengths import evaluate
from fuse_ref.config import ExecutionConfig
from fuse_ref.errors import FuseError
from fuse_ref.ir.nodes import Dtype
from fuse_ref.mistakes import mistake
from fuse_ref.plan.dataflow import reads
from fuse_ref.plan.dense_logic import following
from fuse_ref.plan.steps import DenseOperation, LiteralArray, Operand, Output, Permute, Plan, Step
from fuse_ref.plan.substitution import with_values
from fuse_ref.records import dataclass
from fuse_ref.source import Span

__all__ = ["Peak", "check_memory", "item_size", "moments", "needed_operations", "peak_of", "too_large"]

_BYTES: Final[dict[str, int]] = {"float16": 2, "bfloat16": 2, "float32": 4, "float64": 8}


@dataclass(frozen=True, slots=True)
class Peak:
    """The moment at which most is held."""

    bytes: int
    tensor: str  # of the largest value that the run itself has made by then; "" where there is none
    shape: tuple[int, ...]
    span: Span | None  # where that tensor is defined
    given: int  # bytes of what is given
    results: int  # bytes of the outputs


def moments(plan: Plan, outputs: Collection[str]) -> tuple[tuple[Output, ...], ...]:
    """What a run itself holds at each of its moments, in order: whenever a value has been made.

    A value is held from then until its last use, outputs until the end. A permutation shows the memory of
    its operand, which is held as long as either is used.
    """
    operations = needed_operations(plan, outputs)
    last: dict[str, int] = {}
    for position, operation in enumerate(operations):
        for name in (operation.output.out, *reads(operation)):
            last[name] = position
    owners: dict[str, str] = {}  # a permutation -> the value whose memory it shows
    for operation in operations:
        if isinstance(operation, Permute):
            name, operand = operation.output.out, operation.operand.value
            owners[name] = owners.get(operand, operand)
            last[owners[name]] = max(last[owners[name]], last[name])
    kept = {*outputs, *(owners[name] for name in outputs if name in owners)}
    live: dict[str, Output] = {}
    found: list[tuple[Output, ...]] = []
    for position, operation in enumerate(operations):
        if not isinstance(operation, Permute):
            live[operation.output.out] = operation.output
            found.append(tuple(live.values()))
        for dead in [name for name in live if last[name] <= position and name not in kept]:
            del live[dead]
    return tuple(found)


def peak_of(
    plan: Plan, shapes: Mapping[str, tuple[int, ...]], outputs: Collection[str], config: ExecutionConfig
) -> Peak:
    """The most that running `plan` holds at once: what is given, results, and values until their last use.

    Each value counts from when it is made, at its full size, though an engine may fuse it into the next or
    write it over one that is not needed any more. What a library needs inside a call is not counted, nor
    what is kept for a gradient.

    Args:
        shapes: of all that is given: inputs, parameters, weights and sources.
        outputs: values that stay until the end.
    """

    def size(shape: tuple[int, ...], dtype: Dtype) -> int:
        return item_size(dtype, config.precision) * math.prod(shape)

    def shape_of(output: Output) -> tuple[int, ...]:
        return tuple(max(0, evaluate(length, lambda tensor, k: shapes[tensor][k])) for length in output.lengths)

    dtypes = {tensor.name: tensor.dtype for tensor in plan.program.tensors}
    operations = needed_operations(plan, outputs)
    made = {item.output.out: size(shape_of(item.output), item.output.dtype) for item in operations}
    given = sum(size(shape, dtypes[name]) for name, shape in shapes.items())
    most, largest = 0, None
    for live in moments(plan, outputs):
        held = sum(made[output.out] for output in live)
        if held > most:
            most, largest = held, max(live, key=lambda output: made[output.out])
    tensor = "" if largest is None else largest.out.partition("~")[0]
    spans = {equation.target.tensor: equation.span for equation in reversed(plan.program.equations)}
    return Peak(
        bytes=given + most,
        tensor=tensor,
        shape=() if largest is None else shape_of(largest),
        span=spans.get(tensor),
        given=given,
        results=sum(made.get(name, 0) for name in set(outputs)),
    )


def item_size(dtype: Dtype, precision: str) -> int:
    """Bytes of one element."""
    return 8 if dtype == "int64" else 1 if dtype == "bool" else _BYTES[precision]


def needed_operations(plan: Plan, outputs: Collection[str]) -> list[DenseOperation]:
    """The operations on which `outputs` depend, in order."""
    needed = set(outputs)
    found: list[DenseOperation] = []
    for step in reversed(plan.steps):
        if step.recurrence is not None and needed.intersection(step.writes):
            needed.update(step.reads)
        for operation in reversed((*step.operations, *_round_of(plan, step))):
            if operation.output.out in needed:
                needed.update(reads(operation))
                found.append(operation)
    return found[::-1]


def _round_of(plan: Plan, step: Step) -> tuple[DenseOperation, ...]:
    """What a fixpoint holds at once: a round's values, and what its tensors were before."""
    if step.route != "numeric":
        return ()
    before: list[DenseOperation] = []
    after: list[DenseOperation] = []
    names: dict[str, str] = {}
    for name in step.writes:
        lengths = plan.shape(name)
        labels = tuple(str(k) for k in range(len(lengths)))
        names[name] = f"{name}~before"
        dtype = plan.program.tensor(name).dtype
        before.append(LiteralArray(Output(names[name], labels, lengths, dtype), ()))
        after.append(Permute(Output(name, labels, lengths, dtype), Operand(following(name), labels)))
    return (*before, *(with_values(operation, names) for operation in step.loop), *after)


def check_memory(
    plan: Plan, shapes: Mapping[str, tuple[int, ...]], outputs: Collection[str], config: ExecutionConfig
) -> None:
    """Refuse a run that would hold more than `config.memory_limit` bytes.

    Raises:
        LimitError: with what is needed, the limit, and the largest value.
    """
    if config.memory_limit is not None:
        peak = peak_of(plan, shapes, outputs, config)
        if peak.bytes > config.memory_limit:
            raise too_large(peak, config.memory_limit)


def too_large(peak: Peak, limit: int) -> FuseError:
    """The error that names what is too large."""
    what = f"{peak.tensor} needs an array of shape {peak.shape}" if peak.tensor else "what is given is that large"
    return mistake("FUSE228", peak.span, needed=peak.bytes, limit=limit, what=what)
