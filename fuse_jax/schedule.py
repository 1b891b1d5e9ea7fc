"""What of a plan some outputs need, in the order in which it runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from fuse_ref.analysis.lengths import Length
from fuse_ref.evaluate.logic import LogicCall, logic_calls, relations_of, with_goals
from fuse_ref.evaluate.uses import every_operation
from fuse_ref.ir.nodes import Dtype
from fuse_ref.plan.dataflow import reads
from fuse_ref.plan.iterating import start_of
from fuse_ref.plan.operations import Aggregate, DenseOperation, Map
from fuse_ref.plan.steps import Plan, Step
from fuse_ref.source import Span

__all__ = ["InOrder", "Item", "Iteration", "Rounds", "Schedule", "makes", "needs", "schedule"]


@dataclass(frozen=True, slots=True)
class Rounds:
    """Relations that need each other, as truth values: rounds of operations until nothing is added."""

    heads: tuple[str, ...]
    reads: tuple[str, ...]  # what is the same in every round
    operations: tuple[DenseOperation, ...]  # one round: `following(X)` for each X of the heads


@dataclass(frozen=True, slots=True)
class Iteration:
    """Tensors that need each other: rounds of operations until no element changes."""

    heads: tuple[str, ...]
    starts: tuple[int | float | bool, ...]  # what every element of each holds at first
    dtypes: tuple[Dtype, ...]
    reads: tuple[str, ...]  # arrays that are the same in every round
    relations: tuple[str, ...]  # likewise, of which operations take the tuples
    operations: tuple[DenseOperation, ...]  # one round: `following(X)` for each X of the heads
    span: Span | None

    @property
    def told(self) -> tuple[str, str]:
        """What the numbers of its rounds are called beside values: how many, and their changes."""
        return f"{self.heads[0]}~rounds", f"{self.heads[0]}~changes"


@dataclass(frozen=True, slots=True)
class InOrder:
    """Tensors that need each other, computed position by position along an axis."""

    step: Step
    reads: tuple[str, ...]  # arrays from outside
    relations: tuple[str, ...]  # likewise, of which operations take the tuples

    @property
    def heads(self) -> tuple[str, ...]:
        """The tensors that something outside reads."""
        made = self.step.recurrence
        assert made is not None
        return tuple(carry.output.out for carry in made.carries if carry.kept)

    @property
    def operations(self) -> tuple[DenseOperation, ...]:
        """Those of one step, with those of recurrences inside it."""
        return tuple(every_operation(self.step))


Item: TypeAlias = DenseOperation | LogicCall | Rounds | Iteration | InOrder


@dataclass(frozen=True, slots=True)
class Schedule:
    """Operations, and calls of the logic engine between them."""

    items: tuple[Item, ...]
    releases: tuple[tuple[str, ...], ...]  # per item: values that nothing reads after it
    outputs: tuple[str, ...] = ()
    relations: frozenset[str] = frozenset()  # the values that are relations, whose tuples are kept
    counted: frozenset[str] = frozenset()  # relations of which something reads the tuples one by one
    summed: frozenset[str] = frozenset()  # those of them that are only added up, by products
    read: frozenset[str] = frozenset()  # everything that an item reads, and the outputs
    routed: tuple[Step, ...] = ()  # steps that are needed and that no engine runs
    shapes: Mapping[str, tuple[Length, ...]] = field(default_factory=dict)  # of every tensor, and of what rules make
    spans: Mapping[str, Span | None] = field(default_factory=dict)  # where each tensor is declared, or first used
    natively: tuple[str, ...] = ()  # relations that dense operations make in place of rules

    @property
    def operations(self) -> tuple[DenseOperation, ...]:
        """The dense operations alone, those of rounds too."""
        own = (
            item.operations if isinstance(item, Rounds | Iteration | InOrder) else (item,)
            for item in self.items
            if not isinstance(item, LogicCall)
        )
        return tuple(operation for operations in own for operation in operations)

    @property
    def iterations(self) -> tuple[Iteration, ...]:
        """The numeric fixpoints, in order."""
        return tuple(item for item in self.items if isinstance(item, Iteration))

    @property
    def logical(self) -> bool:
        """Whether rules are among what is needed."""
        return any(isinstance(item, LogicCall) for item in self.items)

    @property
    def random(self) -> bool:
        """Whether a training step draws random numbers."""
        return any(isinstance(item, Map) and item.function == "dropout" for item in self.items)


def needs(item: Item) -> tuple[str, ...]:
    """The values that an item reads, relations among them."""
    if isinstance(item, LogicCall):
        return (*item.relations, *item.tensors)
    if isinstance(item, Rounds):
        return item.reads
    if isinstance(item, Iteration | InOrder):
        return (*item.reads, *item.relations)
    return (*reads(item), item.relation) if isinstance(item, Aggregate) else reads(item)


def makes(item: Item) -> tuple[str, ...]:
    """The values that an item makes."""
    if isinstance(item, Iteration):
        return (*item.heads, *item.told)
    return item.heads if isinstance(item, LogicCall | Rounds | InOrder) else (item.output.out,)


def schedule(plan: Plan, outputs: Iterable[str], *, natively: bool = False) -> Schedule:
    """What `outputs` depend on; values that no item makes must be given to a run.

    Args:
        natively: whether dense operations stand in place of the rules of the plan.
    """
    kept = tuple(dict.fromkeys(outputs))
    needed = set(kept)
    calls = with_goals(logic_calls(plan.steps), plan, kept)
    items: list[Item] = []
    routed: list[Step] = []
    for position, step in reversed(tuple(enumerate(plan.steps))):
        own: list[Item] = [*step.operations]
        if position in calls:
            own.append(calls[position])
        if step.loop:
            own.append(_loop(plan, step))
        if step.recurrence is not None:
            own.append(_in_order(step))
        if not own and not step.rules and step.route != "logical":
            if step.kind not in ("Load", "Store", "Answer") and needed.intersection(step.writes):
                routed.append(step)
                needed.update(step.reads)
            continue
        for item in reversed(own):
            if needed.intersection(makes(item)):
                items.append(item)
                needed.update(needs(item))
    items.reverse()
    routed.reverse()
    told = tuple(name for item in items if isinstance(item, Iteration) for name in item.told)
    inner = [operation for item in items if isinstance(item, Iteration | InOrder) for operation in item.operations]
    aggregates = [item for item in (*items, *inner) if isinstance(item, Aggregate)]
    counted = frozenset(item.relation for item in aggregates)
    others = {item.relation for item in aggregates if item.operator != "sum" or item.inner}
    lengths = [call.lengths(plan) for call in calls.values()]
    return Schedule(
        tuple(items),
        _releases(items, (*kept, *told)),
        kept,
        relations_of(plan),
        counted,
        counted - others,
        frozenset(needed),
        tuple(routed),
        {shape.tensor: shape.lengths for shape in plan.shapes}
        | {name: own for heads in lengths for name, own in heads.items()},
        {tensor.name: tensor.span for tensor in plan.program.tensors},
        tuple(tensor.name for tensor in plan.program.tensors if natively and tensor.boolean and tensor.name in needed),
    )


def _loop(plan: Plan, step: Step) -> Rounds | Iteration:
    if step.route == "dense":
        return Rounds(step.writes, step.reads, step.loop)
    made = {*step.writes, *(operation.output.out for operation in step.loop)}
    arrays = dict.fromkeys(name for operation in step.loop for name in reads(operation) if name not in made)
    relations = dict.fromkeys(item.relation for item in step.loop if isinstance(item, Aggregate))
    return Iteration(
        step.writes,
        tuple(start_of(plan.program, name) for name in step.writes),
        tuple(plan.program.tensor(name).dtype for name in step.writes),
        tuple(arrays),
        tuple(relations),
        step.loop,
        step.span,
    )


def _in_order(step: Step) -> InOrder:
    relations = {item.relation for item in every_operation(step) if isinstance(item, Aggregate)}
    return InOrder(
        step,
        tuple(name for name in step.reads if name not in relations),
        tuple(name for name in step.reads if name in relations),
    )


def _releases(items: Sequence[Item], kept: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    seen = set(kept)
    releases: list[tuple[str, ...]] = []
    for item in reversed(items):
        last = [name for name in dict.fromkeys([*makes(item), *needs(item)]) if name not in seen]
        seen.update(last)
        releases.append(tuple(last))
    return tuple(reversed(releases))
