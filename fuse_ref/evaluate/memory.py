"""What a run holds in memory, from the plan and the sizes of a call, before anything is made."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from fuse_ref.analysis.lengths import evaluate
from fuse_ref.config import ExecutionConfig
from fuse_ref.errors import FuseError
from fuse_ref.ir.nodes import Dtype
from fuse_ref.mistakes import mistake
from fuse_ref.plan.dataflow import reads
from fuse_ref.plan.steps import DenseOperation, Permute, Plan
from fuse_ref.source import Span

__all__ = ["Peak", "check_memory", "peak_of", "too_large"]

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


def peak_of(
    plan: Plan, shapes: Mapping[str, tuple[int, ...]], outputs: Collection[str], config: ExecutionConfig
) -> Peak:
    """The most that running `plan` holds at once: what is given, results, and values until their last use.

    Each value counts from when it is made, at its full size, though an engine may fuse it into the next or
    write it over one that is not needed any more. What a library needs inside a call is not counted.

    Args:
        shapes: of all that is given: inputs, parameters, weights and sources.
        outputs: values that stay until the end.
    """

    def size(shape: tuple[int, ...], dtype: Dtype) -> int:
        item = 8 if dtype == "int64" else 1 if dtype == "bool" else _BYTES[config.precision]
        return item * math.prod(shape)

    dtypes = {tensor.name: tensor.dtype for tensor in plan.program.tensors}
    operations = _needed(plan, outputs)
    last: dict[str, int] = {}
    for position, operation in enumerate(operations):
        for name in (operation.output.out, *reads(operation)):
            last[name] = position
    given = held = sum(size(shape, dtypes[name]) for name, shape in shapes.items())
    results = 0
    live: dict[str, tuple[int, tuple[int, ...]]] = {}
    owners: dict[str, str] = {}  # a permutation -> the value whose memory it shows
    most, largest = held, ""
    shape_of_largest: tuple[int, ...] = ()
    for position, operation in enumerate(operations):
        name = operation.output.out
        shape = tuple(
            max(0, evaluate(length, lambda tensor, k: shapes[tensor][k])) for length in operation.output.lengths
        )
        if name in outputs:
            results += size(shape, operation.output.dtype)
        if isinstance(operation, Permute):
            owner = owners.get(operation.operand.value, operation.operand.value)
            owners[name] = owner
            last[owner] = max(last[owner], last[name])
        else:
            live[name] = (size(shape, operation.output.dtype), shape)
            held += live[name][0]
        if held > most:
            most = held
            largest = max(live, key=lambda item: live[item][0])
            shape_of_largest = live[largest][1]
        for dead in [item for item in live if last[item] <= position and item not in outputs]:
            held -= live.pop(dead)[0]
    tensor = largest.partition("~")[0]
    spans = {equation.target.tensor: equation.span for equation in reversed(plan.program.equations)}
    return Peak(most, tensor, shape_of_largest, spans.get(tensor), given, results)


def _needed(plan: Plan, outputs: Collection[str]) -> list[DenseOperation]:
    needed = set(outputs)
    found: list[DenseOperation] = []
    for step in reversed(plan.steps):
        for operation in reversed(step.operations):
            if operation.output.out in needed:
                needed.update(reads(operation))
                found.append(operation)
    return found[::-1]


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
