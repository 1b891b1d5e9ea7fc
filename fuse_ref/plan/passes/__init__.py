"""Rewrites of dense steps that make them cheaper on every engine: one ordered list, listed.py, each pass a file."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from fuse_ref.plan.dataflow import reads
from fuse_ref.plan.estimates import Estimates
from fuse_ref.plan.passes.framework import Block
from fuse_ref.plan.steps import Contract, Contraction, DenseOperation, Map, Output, Plan, Saving, Step

__all__ = ["NAMES", "improve"]

# In the order in which they run.
NAMES: tuple[str, ...] = (
    "sharing",
    "logsumexp",
    "lookup",
    "squared_distance",
    "convolution",
    "attention",
    "replan",
)


def improve(plan: Plan, estimates: Estimates, *, disabled: Collection[str] = ()) -> Plan:
    """`plan` after all passes but the disabled ones; what is observed from outside keeps its value."""
    if not any(step.operations for step in plan.steps):
        return plan
    # Plans of rules alone are spared the import of all passes.
    from fuse_ref.plan.passes import listed

    passes = [item for item in listed.PASSES if item.name not in disabled]
    if not passes:
        return plan
    given = {shape.tensor: _given(plan, shape.tensor) for shape in plan.shapes}
    for stream in plan.streams:
        labels = tuple(str(k) for k in range(len(stream.lengths)))
        given[stream.state] = Output(stream.state, labels, stream.lengths, stream.dtype)
        given[stream.fresh] = Output(stream.fresh, (), (), "bool")
    steps: list[Step] = []
    savings: list[Saving] = []
    for position, step in enumerate(plan.steps):
        given |= {operation.output.out: operation.output for operation in step.operations}
        if not step.operations:
            steps.append(step)
            continue
        kept = _kept(plan, position)
        operations, orders = step.operations, step.contractions
        for item in passes:
            values = given | {operation.output.out: operation.output for operation in operations}
            rewritten, found, *chosen = item.rewrite(Block(operations, kept, values, estimates, orders))
            if rewritten != operations:
                operations = without_unread(rewritten, kept)
            savings.extend(found)
            orders = _of_products(chosen[0] if chosen else orders, operations)
        changed = operations != step.operations or orders != step.contractions
        steps.append(_with(step, operations, orders, given, estimates) if changed else step)
    return replace(plan, steps=tuple(steps), savings=tuple(savings))


def without_unread(operations: Sequence[DenseOperation], kept: Iterable[str]) -> tuple[DenseOperation, ...]:
    """The operations that something kept depends on."""
    needed = set(kept)
    found: list[DenseOperation] = []
    for operation in reversed(operations):
        if operation.output.out in needed:
            needed.update(reads(operation))
            found.append(operation)
    return tuple(reversed(found))


def _kept(plan: Plan, position: int) -> frozenset[str]:
    program, step = plan.program, plan.steps[position]
    kept = {*program.exports, *(query.target.tensor for query in program.queries)}
    for other, item in enumerate(plan.steps):
        if other != position:
            kept.update(item.reads)
    if step.kind == "Store":
        kept.update(step.writes)
    kept.update(name for stream in plan.streams for name in (stream.kept, stream.last))
    return frozenset(kept)


def _given(plan: Plan, tensor: str) -> Output:
    lengths = plan.shape(tensor)
    dtype = plan.program.tensor(tensor).dtype
    return Output(tensor, tuple(str(k) for k in range(len(lengths))), lengths, dtype)


def _of_products(orders: tuple[Contraction, ...], operations: tuple[DenseOperation, ...]) -> tuple[Contraction, ...]:
    """The orders of products that are still there."""
    multiplied = {
        operation.output.out.partition("~")[0]
        for operation in operations
        if isinstance(operation, Contract) or (isinstance(operation, Map) and operation.function == "multiply")
    }
    return tuple(item for item in orders if item.tensor in multiplied)


def _with(
    step: Step,
    operations: tuple[DenseOperation, ...],
    orders: tuple[Contraction, ...],
    given: dict[str, Output],
    estimates: Estimates,
) -> Step:
    values = dict(given)
    flops = largest = 0
    for operation in operations:
        flops += estimates.flops(operation, values)
        values[operation.output.out] = operation.output
        largest = max(largest, estimates.elements(operation.output))
    return replace(step, operations=operations, contractions=orders, flops=flops, largest=largest)
