"""Numeric fixpoints: equations that need each other, computed anew all at once until nothing changes.

The group becomes one step whose `loop` is a round: of each tensor X the value `X~next` from what all tensors of the
group were before, beginning with the neutral elements of their operators. What reads none of them is computed once,
before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeAlias

from fuse_ref.ir.nodes import Dtype, ProgramIR
from fuse_ref.ir.operations import NEUTRAL
from fuse_ref.plan.dense_logic import following, loop_steps
from fuse_ref.plan.estimates import Estimates
from fuse_ref.plan.lower import Definition, lower_tensor
from fuse_ref.plan.operations import DenseOperation, Map, Operand, Output
from fuse_ref.plan.references import Tensors
from fuse_ref.plan.steps import Contraction, Step
from fuse_ref.plan.values import Builder, Unsupported

__all__ = ["Definitions", "iterated", "relaxing_round", "start_of"]

Definitions: TypeAlias = Mapping[str, Sequence[Definition]]  # by the tensor that they define

_DRAWS: Final = "dropout draws anew in every round, so that nothing settles; put it outside of the cycle"


def start_of(program: ProgramIR, tensor: str) -> int | float | bool:
    """What every element of a tensor of a cycle holds before the first round."""
    spec = program.tensor(tensor)
    return False if spec.boolean else NEUTRAL[spec.operator]


def iterated(
    step: Step, definitions: Definitions, tensors: Tensors, estimates: Estimates
) -> tuple[list[Builder], list[Step]]:
    """What was built of each tensor, and the steps that iterate them, the last of them the fixpoint.

    Args:
        step: the group, with its tensors as `writes`.

    Raises:
        Unsupported: an equation that engines cannot run.
    """
    # Relations of the group are truth values while it runs: none of them has its tuples before the end.
    numeric = replace(tensors, sparse=tensors.sparse - set(step.writes), sampling=None)
    truths = replace(tensors, sparse=frozenset(), counts=True)
    builders = []
    for name in step.writes:
        own = truths if tensors.specs[name].boolean else numeric
        builders.append(lower_tensor(name, definitions[name], own, estimates.number))
        if tensors.dtypes[name] == "int64" and isinstance(NEUTRAL[tensors.specs[name].operator], float):
            raise Unsupported(f"{name} holds integers, which have no infinity to begin with")
    operations = [operation for builder in builders for operation in builder.operations]
    contractions = tuple(item for builder in builders for item in builder.contractions)
    _refuse_random(operations)
    steps = loop_steps(step, operations, route="numeric")
    return builders, _measured(steps, contractions, tensors, estimates)


def relaxing_round(step: Step, tensors: Tensors, bases: Mapping[str, str]) -> tuple[DenseOperation, ...]:
    """One round of a cycle of `max=` or `min=` over relations: for engines that run it as any other fixpoint.

    Args:
        step: with its relaxations.
        bases: tensor -> the elements that base cases give.
    """
    _refuse_random(step.relaxations)
    operations: list[DenseOperation] = list(step.relaxations)
    for name in step.writes:
        way = tensors.specs[name].operator.rstrip("=")
        lengths = tensors.shapes[name]
        labels = tuple(str(k) for k in range(len(lengths)))
        found = bases[name]
        own = [item.output.out for item in step.relaxations if item.output.out.partition("~")[0] == name]
        for number, other in enumerate(own, 1):
            out = following(name) if number == len(own) else f"{name}~best{number}"
            pair = (Operand(found, labels), Operand(other, labels))
            operations.append(Map(Output(out, labels, lengths, "float"), way, pair))
            found = out
        if not own:
            raise AssertionError(f"{name} is in no cycle")
    return tuple(operations)


def _refuse_random(operations: Sequence[DenseOperation]) -> None:
    for operation in operations:
        if isinstance(operation, Map) and operation.function == "dropout":
            raise Unsupported(_DRAWS)


def _measured(
    steps: Sequence[Step], contractions: tuple[Contraction, ...], tensors: Tensors, estimates: Estimates
) -> list[Step]:
    """The steps with what their operations cost: of a fixpoint, what one round does."""
    outputs = {name: _given(tensors, name) for name in tensors.shapes}
    found: list[Step] = []
    for step in steps:
        flops = largest = 0
        for operation in (*step.operations, *step.loop):
            flops += estimates.flops(operation, outputs)
            outputs[operation.output.out] = operation.output
            largest = max(largest, estimates.elements(operation.output))
        orders = contractions if step.loop else ()
        found.append(replace(step, flops=flops, largest=largest, contractions=orders))
    return found


def _given(tensors: Tensors, tensor: str) -> Output:
    lengths = tensors.shapes[tensor]
    dtype: Dtype = tensors.dtypes[tensor]
    return Output(tensor, tuple(str(k) for k in range(len(lengths))), lengths, dtype)
