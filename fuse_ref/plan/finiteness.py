"""What `checked=True` may find infinite: what elements hold that nothing gives, and nothing that was computed.

`D[y] min= Edge(x, y), …` leaves inf where no edge ends, and that is right. In the plan such elements come from a
filter (`where(holds, value, inf)`), from a position that no write reaches, or from a projection over nothing. So in
the tensors that `max=` and `min=` define, values are looked at where they go into one of these, and the tensor
itself only for NaN and for the other infinity. What such a tensor reads of others like it may be infinite too:
an unreached node passes its distance on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from fuse_ref.ir.operations import NEUTRAL
from fuse_ref.plan.dataflow import reads
from fuse_ref.plan.steps import DenseOperation, LiteralArray, Map, Operand, Plan, Reduce, Write
from fuse_ref.records import dataclass

__all__ = ["FiniteCheck", "FiniteChecks", "finite_checks"]

_DIRECTED: Final = ("max=", "min=")


@dataclass(frozen=True, slots=True)
class FiniteCheck:
    """A value that must be finite."""

    value: str
    tensor: str  # that it is part of
    allowed: float = 0.0  # an infinity that is right; 0 where none is
    holds: Operand | None = None  # the truth values under which `allowed` is wrong too
    labels: tuple[str, ...] = ()  # the value's, to which those of `holds` belong

    @property
    def words(self) -> str:
        """What a message calls it: its positions may be more than the tensor's."""
        return self.tensor if self.value == self.tensor else f"{self.tensor}, before its projection,"


@dataclass(frozen=True, slots=True)
class FiniteChecks:
    """By the output of an operation: what to look at before it runs, and what after."""

    before: dict[str, tuple[FiniteCheck, ...]]
    after: dict[str, FiniteCheck]


def finite_checks(plan: Plan) -> FiniteChecks:
    """What a checked run of `plan` looks at; givens aside that an engine looks at as they come."""
    tensors = {tensor.name for tensor in plan.program.tensors}
    neutral = {
        equation.target.tensor: float(NEUTRAL[equation.operator])
        for equation in plan.program.equations
        if equation.operator in _DIRECTED
    }
    computed = {operation.output.out for step in plan.steps for operation in step.operations} & tensors
    before: dict[str, tuple[FiniteCheck, ...]] = {}
    after: dict[str, FiniteCheck] = {}
    # Values that may rightly be infinite.
    open_to: set[str] = {*neutral, *(stream.state for stream in plan.streams if stream.tensor in neutral)}
    for operation in (operation for step in plan.steps for operation in step.operations):
        out = operation.output.out
        tensor = out.partition("~")[0]
        if tensor not in neutral:
            if out in tensors:
                after[out] = FiniteCheck(out, out)
            continue
        filtered = _filtered(operation, neutral[tensor])
        if filtered is not None:
            holds, value = filtered
            closed = None if isinstance(value, Operand) and value.value in open_to else holds
            after[out] = FiniteCheck(out, tensor, neutral[tensor], closed, operation.output.labels)
            open_to.add(out)
            continue
        if _projects(operation):
            before[out] = tuple(
                FiniteCheck(name, name if name in tensors else tensor)
                for name in _values(operation)
                if name not in open_to and name not in computed
            )
            open_to.add(out)
        elif isinstance(operation, LiteralArray) or any(name in open_to for name in reads(operation)):
            open_to.add(out)  # a literal: facts, and the neutral element between them
        if out in tensors:
            after[out] = FiniteCheck(out, out, neutral[tensor] if _is_open(operation, open_to) else 0.0)
    return FiniteChecks(before, after)


def _filtered(operation: DenseOperation, neutral: float) -> tuple[Operand, Operand | int | float] | None:
    """The condition and the value of `where(holds, value, neutral)`."""
    match operation:
        case Map(function="where", operands=(Operand() as holds, value, float() as other)) if other == neutral:
            return holds, value
        case _:
            return None


def _projects(operation: DenseOperation) -> bool:
    """Whether the result may have elements that nothing gives, or the least or greatest of several."""
    match operation:
        case Reduce(operator=operator) | Write(operator=operator):
            return operator in ("max", "min")
        case Map(function=function):
            return function in ("max", "min")
        case _:
            return False


def _values(operation: DenseOperation) -> Iterator[str]:
    match operation:
        case Reduce(operand=operand) | Write(operand=operand):
            yield operand.value
        case Map(operands=operands):
            yield from (item.value for item in operands if isinstance(item, Operand))
        case _:
            pass


def _is_open(operation: DenseOperation, open_to: set[str]) -> bool:
    """Whether the tensor that `operation` finishes may rightly be infinite, its own name aside."""
    return (
        _projects(operation) or isinstance(operation, LiteralArray) or any(name in open_to for name in reads(operation))
    )
