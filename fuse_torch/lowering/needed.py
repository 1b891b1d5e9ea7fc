"""Which steps and operations of a plan some outputs depend on."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import assert_never

from fuse_ref.analysis.lengths import Extent, Fixed, FloorDivide, Length, Linear, Maximum, Minimum, Times
from fuse_ref.plan.dataflow import reads
from fuse_ref.plan.steps import (
    Aggregate,
    DenseOperation,
    Plan,
    Step,
)

__all__ = ["Needed", "extents", "needed_for", "restricted", "without_unneeded"]


@dataclass(frozen=True, slots=True)
class Needed:
    """What of a plan has to run, in order."""

    steps: tuple[int, ...]  # positions in plan.steps
    operations: tuple[tuple[Step, tuple[DenseOperation, ...]], ...]  # of the dense ones


def needed_for(plan: Plan, outputs: Iterable[str]) -> Needed:
    """What `outputs`, tensors or values of `plan`, depend on."""
    wanted = set(outputs)
    steps: list[int] = []
    operations: list[tuple[Step, tuple[DenseOperation, ...]]] = []
    for position in reversed(range(len(plan.steps))):
        step = plan.steps[position]
        if step.operations:
            kept: list[DenseOperation] = []
            for operation in reversed(step.operations):
                if operation.output.out in wanted:
                    kept.append(operation)
                    wanted.update(reads(operation))
                    if isinstance(operation, Aggregate):
                        wanted.add(operation.relation)
            if kept:
                steps.append(position)
                operations.append((step, tuple(reversed(kept))))
        elif wanted.intersection(step.writes):
            steps.append(position)
            wanted.update(step.reads)
    return Needed(tuple(reversed(steps)), tuple(reversed(operations)))


def without_unneeded(plan: Plan, outputs: Iterable[str]) -> Plan:
    """`plan` in which steps that `outputs` do not need count as supported: nothing will run them."""
    needed = needed_for(plan, outputs).steps
    steps = tuple(
        step if position in needed else dataclasses.replace(step, unsupported="")
        for position, step in enumerate(plan.steps)
    )
    return dataclasses.replace(plan, steps=steps)


def extents(length: Length) -> frozenset[str]:
    """The tensors whose sizes `length` reads."""
    match length:
        case Fixed():
            return frozenset()
        case Extent(tensor, _):
            return frozenset({tensor})
        case Linear(terms, _):
            return frozenset(name for item, _ in terms for name in extents(item))
        case FloorDivide(numerator, _):
            return extents(numerator)
        case Times(items) | Minimum(items) | Maximum(items):
            return frozenset(name for item in items for name in extents(item))
        case _:
            assert_never(length)


def restricted(plan: Plan, used: Iterable[str]) -> Plan:
    """`plan` for a run that needs only the given tensors `used`: fewer givens, and the checks that speak of those.

    Declared inputs stay in any case: they are what the program promises to take. Free tensors that only
    sinks, queries and dead equations read go.
    """
    roles = {tensor.name: tensor.role for tensor in plan.program.tensors}
    kept = {name for name in plan.givens if roles[name] == "input" or name in used}
    grown = True
    while grown:  # a size that is compared brings the tensor that it is compared with
        compared = {name for check in plan.size_checks if check.tensor in kept for name in extents(check.expected)}
        grown = not (compared & set(plan.givens)) <= kept
        kept |= compared & set(plan.givens)
    known = kept | {*plan.parameters, *plan.weights, *plan.sources}
    return dataclasses.replace(
        plan,
        givens=tuple(name for name in plan.givens if name in kept),
        size_checks=tuple(check for check in plan.size_checks if check.tensor in known),
        range_checks=tuple(check for check in plan.range_checks if extents(check.length) <= known),
    )
