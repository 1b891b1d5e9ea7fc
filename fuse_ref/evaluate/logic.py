"""Logical steps in a run: relations and dense tensors in, relations out. All engines call this."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fuse_ref.analysis.lengths import Length
from fuse_ref.config import ExecutionConfig
from fuse_ref.evaluate.operations import ELEMENTWISE
from fuse_ref.evaluate.uses import every_operation
from fuse_ref.ir.index import Affine, Index, Symbol
from fuse_ref.ir.nodes import Axis
from fuse_ref.mistakes import mistake
from fuse_ref.plan.dataflow import reads
from fuse_ref.plan.steps import Aggregate, Plan, Shape, Step
from fuse_ref.records import dataclass
from fuse_ref.relations.demand import demand
from fuse_ref.relations.derive import Derived, Limits, derive
from fuse_ref.relations.rules import Atom, Constant, Rule, Term, Variable, atoms, elements
from fuse_ref.relations.tuples import Tuples
from fuse_ref.weights.arrays import widened

__all__ = [
    "LogicCall",
    "as_dense",
    "as_tuples",
    "counted_heads",
    "dense_reads",
    "logic_calls",
    "relations_of",
    "tuples_name",
    "with_goals",
]


def relations_of(plan: Plan) -> frozenset[str]:
    """What an engine keeps the tuples of: tensors, and the relations that the planner made."""
    numeric = {tensor.name for tensor in plan.program.tensors if not tensor.boolean}
    tables = {operation.output.out for step in plan.steps for operation in every_operation(step)}
    tables.update(name for step in plan.steps if step.loop for name in step.writes)
    names = {name for step in plan.steps for rule in step.rules for name in (rule.head, *_relations(rule))}
    names.update(
        operation.relation
        for step in plan.steps
        for operation in (*every_operation(step), *step.relaxations, *step.loop)
        if isinstance(operation, Aggregate)
    )
    return frozenset(names - numeric - tables)


def tuples_name(name: str) -> str:
    """What an engine calls a relation's tuples beside its truth values."""
    return f"{name}~tuples"


def dense_reads(plan: Plan) -> frozenset[str]:
    """The values that dense operations read."""
    repeated = (operation for step in plan.steps if not step.relaxations for operation in step.loop)
    operations = itertools.chain((operation for step in plan.steps for operation in every_operation(step)), repeated)
    return frozenset(name for operation in operations for name in reads(operation))


def _relations(rule: Rule) -> Iterator[str]:
    return (atom.relation for atom in atoms(rule))


def as_tuples(value: Tuples | np.ndarray) -> Tuples:
    """The tuples where a value is true; numbers are where they are greater than 0."""
    return value if isinstance(value, Tuples) else Tuples.from_dense(value)


def as_dense(value: Tuples | np.ndarray, name: str, config: ExecutionConfig) -> np.ndarray:
    """A relation as truth values.

    Raises:
        CapacityError: more elements than `dense_limit`.
    """
    if not isinstance(value, Tuples):
        return value
    count = math.prod(value.shape)
    if count > config.dense_limit:
        shape = " × ".join(map(str, value.shape))
        raise mistake("FUSE328", None, name=name, shape=shape, elements=count, limit=config.dense_limit)
    return value.dense()


@dataclass(frozen=True, slots=True)
class LogicCall:
    """Neighbouring logical steps, which run as one."""

    positions: tuple[int, ...]  # in the plan's steps
    rules: tuple[Rule, ...]
    relations: tuple[str, ...]  # that the rules read and do not define
    tensors: tuple[str, ...]  # dense ones whose elements the rules read
    heads: tuple[str, ...]
    shapes: tuple[Shape, ...]  # of heads that are no tensors of the program
    goals: tuple[Atom, ...] = ()  # what is needed of the heads, for runs on demand

    def lengths(self, plan: Plan) -> dict[str, tuple[Length, ...]]:
        """Of every head."""
        own = {shape.tensor: shape.lengths for shape in self.shapes}
        return {name: own[name] if name in own else plan.shape(name) for name in self.heads}

    def run(
        self,
        values: Mapping[str, Any],
        shapes: Mapping[str, tuple[int, ...]],
        length: Callable[[Length], int],
        config: ExecutionConfig,
        counted: Mapping[str, Sequence[int]] | None = None,
    ) -> Derived:
        """Derive every head.

        Args:
            values: of `relations`, tuples or arrays; of `tensors`, NumPy arrays.
            shapes: of `heads`.
            length: the number that a length of the plan is in this call.
            counted: of `counted_heads`; what was counted is in `counts` and not in `relations`.

        Raises:
            LimitError: the relations would need more than `memory_limit`, or longer than `time_limit`.
        """
        known = {name: as_tuples(values[name]) for name in self.relations}
        dense = {name: widened(np.asarray(values[name])) for name in self.tensors}
        limits = Limits(config.memory_limit or _memory(), config.time_limit)
        if config.mode != "demand":
            return derive(self.rules, known, dense, shapes, length, limits, apply_function, counted)
        sizes = {name: len(tuples) for name, tuples in known.items()}
        wanted = demand(self.rules, self.goals, given=tuple(known), sizes=sizes)
        made = wanted.shapes({**shapes, **{name: tuples.shape for name, tuples in known.items()}})
        derived = derive(wanted.rules, known, dense, made, length, limits, apply_function, counted)
        # What no goal needs has no tuples.
        empty = {name: Tuples.empty(shapes[name]) for name in self.heads}
        return replace(derived, relations=empty | dict(derived.relations))


def _memory() -> int | None:
    """Bytes of the machine's memory, beyond which a relation cannot grow; None where the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not on every system
        return None


def apply_function(function: str, arguments: Sequence[Any], options: tuple[tuple[str, str], ...]) -> np.ndarray:
    """An elementwise function of the library, as dense steps compute it."""
    row = ELEMENTWISE[function]
    values = [np.asarray(argument) for argument in arguments]
    if row.takes == "float":
        # Positions beside numbers are of the numbers' type.
        types = [value.dtype for value in values if value.dtype.kind == "f" and value.ndim]
        values = [value.astype(types[0] if types else np.float64, copy=False) for value in values]
    return np.asarray(row.function(*values, **dict(options)))


def with_goals(calls: Mapping[int, LogicCall], plan: Plan, outputs: Sequence[str]) -> dict[int, LogicCall]:
    """The calls with what is needed of what they derive.

    Args:
        calls: of `logic_calls`.
        outputs: what the run gives, beside answers.
    """
    return {position: replace(call, goals=_goals(plan, call, outputs)) for position, call in calls.items()}


def logic_calls(steps: Sequence[Step]) -> dict[int, LogicCall]:
    """The calls by the position of the last step of each."""
    calls: dict[int, LogicCall] = {}
    waiting: list[int] = []
    for position, step in enumerate(steps):
        if step.rules or step.route == "logical":
            waiting.append(position)
            following = steps[position + 1] if position + 1 < len(steps) else None
            if following is None or following.route != "logical":
                calls[position] = _call(waiting, steps)
                waiting = []
    return calls


def counted_heads(plan: Plan, outputs: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Relations of joins of which only counts are read, and the columns that tell what is counted apart."""
    tensors = {tensor.name for tensor in plan.program.tensors}
    rules = {name for step in plan.steps for rule in step.rules for name in _relations(rule)}
    other = {*tensors, *rules, *outputs}
    loops = [operation for step in plan.steps for operation in step.loop]
    other.update(name for operation in loops for name in reads(operation))
    relaxed = (item for step in plan.steps for item in (*step.relaxations, *step.loop))
    other.update(item.relation for item in relaxed if isinstance(item, Aggregate))
    found: dict[str, tuple[int, ...]] = {}
    for operation in (operation for step in plan.steps for operation in every_operation(step)):
        other.update(reads(operation))
        if isinstance(operation, Aggregate):
            name = operation.relation
            plain = operation.operator == "sum" and not operation.operands and not operation.inner
            if not plain or name in found or not set(operation.output.labels) <= set(operation.columns):
                other.add(name)
            found[name] = tuple(k for k, c in enumerate(operation.columns) if c in operation.output.labels)
    return {name: columns for name, columns in found.items() if name not in other}


def _call(positions: Sequence[int], steps: Sequence[Step]) -> LogicCall:
    rules = tuple(rule for position in positions for rule in steps[position].rules)
    heads = tuple(dict.fromkeys(name for position in positions for name in steps[position].writes))
    relations = dict.fromkeys(name for rule in rules for name in _relations(rule) if name not in heads)
    tensors = dict.fromkeys(name for rule in rules for name in elements(rule))
    shapes = tuple(shape for position in positions for shape in steps[position].shapes)
    return LogicCall(tuple(positions), rules, tuple(relations), tuple(tensors), heads, shapes)


def _goals(plan: Plan, call: LogicCall, outputs: Sequence[str]) -> tuple[Atom, ...]:
    """What queries ask of the heads; the whole of one that anything else reads."""
    readers = {
        name
        for k, step in enumerate(plan.steps)
        if k not in call.positions
        for name in step.reads
        if step.kind != "Answer"
    }
    asked = {query.target.tensor for query in plan.program.queries}
    whole = readers | set(plan.program.exports) | (set(outputs) - asked)
    goals: dict[Atom, None] = {}
    specs = {tensor.name: tensor for tensor in plan.program.tensors}
    axes = {axis.name: axis for axis in plan.program.axes}
    for name in call.heads:
        if name in whole:
            arity = len(specs[name].axes) if name in specs else len(call.lengths(plan)[name])
            goals[Atom(name, tuple(Variable(f"_{k}") for k in range(arity)))] = None
    for query in plan.program.queries:
        target = query.target
        if target.tensor in call.heads and target.tensor not in whole:
            places = enumerate(zip(target.indices, specs[target.tensor].axes, strict=True))
            terms = tuple(_term(k, index, axes[axis]) for k, (index, axis) in places)
            goals[Atom(target.tensor, terms)] = None
    return tuple(goals)


def _term(place: int, index: Index, axis: Axis) -> Term:
    """What a query asks of one argument: one position, or any."""
    match index:
        case Affine((), offset):
            return Constant(offset)
        case Symbol(name) if axis.symbols is not None and name in axis.symbols:
            return Constant(axis.symbols.index(name))
        case _:
            return Variable(f"_{place}")
