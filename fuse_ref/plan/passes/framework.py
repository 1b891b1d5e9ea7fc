"""What a pass over dense operations is given and gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from fuse_ref.plan.dataflow import reads
from fuse_ref.plan.estimates import Estimates
from fuse_ref.plan.steps import Contraction, DenseOperation, Output, Saving
from fuse_ref.records import dataclass

__all__ = ["Block", "PlanPass", "Rewrite", "Rewritten"]


@dataclass(frozen=True, slots=True)
class Block:
    """The operations of one dense step (or of a sink's expression), each value assigned once.

    Labels are local to one tensor's equations: two operations of different tensors may use one letter
    for different things, so what crosses from one to the other must be renamed by position.
    """

    operations: tuple[DenseOperation, ...]  # in an order that runs
    kept: frozenset[str]  # values that others read: exports, queries, sinks, other steps
    values: Mapping[str, Output]  # every value that the operations read or make, with its labels and lengths
    estimates: Estimates  # open sizes at their hints
    contractions: tuple[Contraction, ...] = ()  # the orders of the step's products, as explanations show them

    def uses(self) -> dict[str, tuple[DenseOperation, ...]]:
        """Value -> the operations of the block that read it; a value that is read by none has no entry."""
        found: dict[str, list[DenseOperation]] = {}
        for operation in self.operations:
            for name in dict.fromkeys(reads(operation)):
                found.setdefault(name, []).append(operation)
        return {name: tuple(items) for name, items in found.items()}

    def makers(self) -> dict[str, DenseOperation]:
        """Value -> the operation of the block that makes it."""
        return {operation.output.out: operation for operation in self.operations}


Rewritten: TypeAlias = (
    tuple[tuple[DenseOperation, ...], tuple[Saving, ...]]
    | tuple[tuple[DenseOperation, ...], tuple[Saving, ...], tuple[Contraction, ...]]
)
Rewrite: TypeAlias = Callable[[Block], Rewritten]


@dataclass(frozen=True, slots=True)
class PlanPass:
    """One rewrite that keeps what every kept value is, up to rounding.

    A pass that changes nothing returns the operations that it was given and no savings. Operations whose
    values nothing reads any more may stay: they are removed after each pass. A pass that multiplies in
    another order returns the orders of the step's products as a third.
    """

    name: str  # what `ExecutionConfig(disabled_passes=…)` calls it
    meaning: str  # one line of docs/architecture.md
    rewrite: Rewrite
