"""Logical steps in a graph: where rules are called, and what of each relation the rest of the graph needs."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from torch.fx import Node

from fuse_ref.analysis.lengths import Extent, Length
from fuse_ref.config import ExecutionConfig
from fuse_ref.evaluate.logic import LogicCall, logic_calls, relations_of, with_goals
from fuse_ref.plan.dataflow import reads
from fuse_ref.plan.steps import Aggregate, DenseOperation, Step
from fuse_torch.logic.crossing import Crossing, Form, Result, cross, register
from fuse_torch.logic.view import View, extents_of
from fuse_torch.lowering.emitter import Emitter, Value
from fuse_torch.lowering.needed import Needed, restricted
from fuse_torch.lowering.recurrent import body_operations

__all__ = ["Logic", "Parts"]

# A step of rounds or of a recurrence stands for itself.
Part: TypeAlias = tuple[Step, tuple[DenseOperation, ...]] | LogicCall | Step
Parts: TypeAlias = Iterator[Part]


@dataclass
class Logic:
    """The routed calls of one graph.

    Args:
        emit: its `tuples` and `values` get what the calls give.
        needed: what runs.
        outputs: of the graph.
        form: of relations among the outputs.
    """

    emit: Emitter
    view: View
    needed: Needed
    outputs: tuple[str, ...]
    form: Form
    config: ExecutionConfig
    _lengths: dict[str, tuple[Length, ...]] = field(default_factory=dict)  # of relations
    _opened: bool = False
    _later: list[tuple[str, Form]] = field(default_factory=list)

    def parts(self) -> Parts:
        """Dense operations and calls of rules in the order in which they run."""
        plan = self.view.plan
        made = (shape for step in plan.steps for shape in step.shapes)
        self._lengths = {item.tensor: item.lengths for item in (*plan.shapes, *made)}
        dense = dict(zip([id(step) for step, _ in self.needed.operations], self.needed.operations, strict=True))
        steps = [
            plan.steps[position]
            for position in self.needed.steps
            if plan.steps[position].operations
            or _goes_round(plan.steps[position])
            or plan.steps[position].route == "logical"
        ]
        # The calls count among the steps that run, and so does what reads their relations.
        calls = with_goals(logic_calls(steps), dataclasses.replace(plan, steps=tuple(steps)), self.outputs)
        order: list[Part] = []
        for position, step in enumerate(steps):
            if id(step) in dense:
                order.append(dense[id(step)])
            if _goes_round(step):
                order.append(step)
            if position in calls:
                order.append(calls[position])
        opens = self._opens_first(order)
        self._plan_results(order, opens)
        if opens:
            self._emit(None)
        return iter(order)

    def call(self, call: LogicCall) -> None:
        """Writes a call of rules."""
        self._emit(call)

    # What is needed -------------------------------------------------------------------------------

    def _plan_results(self, order: Iterable[Part], opened: bool) -> None:
        relations = relations_of(self.view.plan)
        found: dict[tuple[str, Form], None] = {}
        first = not opened
        for part in order:
            if isinstance(part, LogicCall):
                for name in part.relations:
                    # The first call opens what is given.
                    if name in relations and not (first and name in self.view.handles):
                        found[name, "tuples"] = None
                first = False
                continue
            for operation in _operations(part):
                found.update(dict.fromkeys((name, "dense") for name in reads(operation) if name in relations))
                if isinstance(operation, Aggregate):
                    found[operation.relation, "tuples"] = None
        found.update(dict.fromkeys((name, self.form) for name in self.outputs if name in relations))
        unknown = {extent.tensor for extent in self._unknown_extents()}
        found.update(dict.fromkeys((name, "shape") for name in self.view.handles if name in unknown))
        self._later = list(found)

    def _unknown_extents(self) -> set[Extent]:
        """Sizes that only the tuples of a given relation tell."""
        plan = self.view.plan
        needed = tuple(plan.steps[position] for position in self.needed.steps)
        names = (*self.outputs, *relations_of(plan))
        lengths = tuple(self._lengths[name] for name in names if name in self._lengths)
        return {extent for extent in extents_of((needed, lengths)) if extent.tensor in self.view.handles}

    def _opens_first(self, order: Iterable[Part]) -> bool:
        """Whether a given relation is needed before the first call of rules, or there is none."""
        handles = set(self.view.handles)
        for part in order:
            if isinstance(part, LogicCall):
                return False
            operations = _operations(part)
            used = {name for operation in operations for name in reads(operation)}
            used.update(operation.relation for operation in operations if isinstance(operation, Aggregate))
            used.update(extent.tensor for extent in extents_of(operations))
            if used & handles:
                return True
        return bool(handles)

    # Nodes ----------------------------------------------------------------------------------------

    def _emit(self, call: LogicCall | None) -> None:
        view, emit = self.view, self.emit
        opens = not self._opened and bool(view.handles)
        self._opened = True
        opened = view.handles if opens else ()
        entered = restricted(view.original, view.original.givens) if opens else None
        needs = () if call is None else (*call.relations, *call.tensors)
        values = tuple(name for name in needs if name not in opened)
        listed = frozenset(name for name in values if name in emit.tuples)
        heads = () if call is None else call.heads
        results = tuple(Result(name, form) for name, form in self._later if name in (*heads, *opened))
        extents = self._extents(call, entered, values, opened, heads)
        crossing = Crossing(
            origin=view.original,
            outputs=self.outputs,
            plan=view.plan,
            lengths=self._lengths,
            call=call,
            opened=opened,
            entered=entered,
            values=values,
            listed=listed,
            extents=extents,
            results=results,
            config=self.config,
        )
        key = register(crossing)
        node = emit.call(
            cross,
            key,
            tuple(emit.handles[name] for name in opened),
            tuple(self._value(name) for name in values),
            tuple(emit.size(extent) for extent in extents),
            emit.device(),
        )
        for number, item in enumerate(results):
            self._define(item, emit.call(operator.getitem, node, number))

    def _extents(
        self,
        call: LogicCall | None,
        entered: object,
        values: tuple[str, ...],
        opened: tuple[str, ...],
        heads: tuple[str, ...],
    ) -> tuple[Extent, ...]:
        """The sizes that a call needs and does not find itself."""
        plan = self.view.plan
        relations = relations_of(plan)
        lengths = tuple(self._lengths[name] for name in (*heads, *values) if name in relations)
        found = extents_of((lengths, () if call is None else call.rules))
        if entered is not None:
            ranks = {tensor.name: len(tensor.axes) for tensor in plan.program.tensors}
            given = [name for name in self.view.original.givens if name not in self.view.handles]
            found.update(Extent(name, k) for name in given for k in range(ranks[name]))
        return tuple(sorted((e for e in found if e.tensor not in opened), key=lambda e: (e.tensor, e.position)))

    def _value(self, name: str) -> Node:
        tuples = self.emit.tuples.get(name)
        return self.emit.values[name].node if tuples is None else tuples

    def _define(self, item: Result, node: Node) -> None:
        emit = self.emit
        if item.form == "tuples":
            emit.tuples[item.name] = node
            return
        lengths = self._lengths[item.name]
        if item.form == "dense":
            emit.define(item.name, Value(node, lengths, "bool"))
        else:
            emit.shapes[item.name] = node


def _goes_round(step: Step) -> bool:
    return bool(step.loop) or step.recurrence is not None


def _operations(part: tuple[Step, tuple[DenseOperation, ...]] | Step) -> tuple[DenseOperation, ...]:
    if not isinstance(part, Step):
        return part[1]
    return part.loop if part.recurrence is None else tuple(body_operations(part.recurrence))
