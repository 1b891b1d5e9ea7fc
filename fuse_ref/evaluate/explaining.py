"""Why a fact holds or does not: a run of the NumPy engine that keeps every relation, and a look back over it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fuse_ref.analysis.lengths import Length, evaluate
from fuse_ref.config import ExecutionConfig
from fuse_ref.evaluate.logic import apply_function, as_tuples, logic_calls
from fuse_ref.evaluate.numpy_engine import NumpyExecutable
from fuse_ref.evaluate.relation import Symbols
from fuse_ref.ir.index import Affine, FromEnd, Index, Symbol
from fuse_ref.ir.nodes import Query
from fuse_ref.mistakes import mistake
from fuse_ref.mistakes.suggest import did_you_mean
from fuse_ref.plan.steps import Plan
from fuse_ref.relations.derivation import Derivation, Node
from fuse_ref.relations.rules import body_atoms
from fuse_ref.relations.tuples import Tuples

__all__ = ["explained"]


def explained(
    plan: Plan,
    config: ExecutionConfig,
    values: Mapping[str, Any],
    symbols: Mapping[str, Symbols],
    *,
    holds: bool,
) -> Derivation:
    """The derivation of the one fact that `plan` asks about.

    Args:
        plan: with one query, the fact.
        values: every given, parameter, weight and source as NumPy arrays or tuples.
        symbols: axis -> its symbols in the run.
        holds: whether to tell why it holds; else why it does not. Either tells the other where that is so.

    Raises:
        InputError: the query is no fact of a relation.
    """
    # Only a run that is asked why needs the search for proofs.
    from fuse_ref.relations.proofs import Aggregate, Fact, World, why, why_not

    (query,) = plan.program.queries
    spec = plan.program.tensor(query.target.tensor)
    if not spec.boolean:
        raise _refused(query, f"{spec.name} holds numbers, and only facts of relations are derived")
    rules = tuple(rule for step in plan.steps for rule in step.rules)
    calls = logic_calls(plan.steps).values()
    told = [item for step in plan.steps for item in step.contributions]
    # On demand nothing is derived whole: what the fact needs is derived again when it is explained.
    left = {rule.head for rule in rules} if config.mode == "demand" else set()
    read = (spec.name, *(name for call in calls for name in (*call.relations, *call.heads)))
    names = dict.fromkeys(
        (
            *(name for name in read if name not in left),
            *(atom.relation for item in told for atom in body_atoms(item.body)),
        )
    )
    tensors = dict.fromkeys(name for call in calls for name in call.tensors)
    found = NumpyExecutable(plan, config, (*names, *tensors))(values)
    shapes = {
        name: np.shape(values[name]) if not isinstance(values[name], Tuples) else values[name].shape for name in values
    }

    def length(item: Length) -> int:
        return evaluate(item, lambda tensor, position: shapes[tensor][position])

    axes = {tensor.name: tensor.axes for tensor in plan.program.tensors}

    def table(relation: str, argument: int) -> Sequence[str] | None:
        own = axes.get(relation)
        return None if own is None else symbols.get(own[argument])

    relations = {name: as_tuples(found[name]) for name in names}
    lengths = {name: own for call in calls for name, own in call.lengths(plan).items()}
    heads = {name: tuple(max(0, length(item)) for item in own) for name, own in lengths.items()}
    shape = relations[spec.name].shape if spec.name in relations else heads[spec.name]
    places = zip(query.target.indices, shape, spec.axes, strict=True)
    position: list[int] = []
    for index, size, axis in places:
        found_place = _place(query, index, size, axis, symbols.get(axis))
        if isinstance(found_place, str):
            return _absent(query, found_place)
        position.append(found_place)
    world = World(
        rules,
        relations,
        length,
        dense={name: found[name] for name in tensors},
        names=table,
        aggregates=[Aggregate(item.tensor, item.operator, item.terms, item.value, item.body) for item in told],
        functions=apply_function,
        memory=config.memory_limit,
        shapes=heads,
    )
    return _with_tables((why if holds else why_not)(world, Fact(spec.name, tuple(position))), plan, table)


def _absent(query: Query, beyond: str) -> Derivation:
    """Of a fact about what an axis does not have."""
    fact = query.text.removesuffix("?")
    root = Node("absent", f"{fact} does not hold", "", "", (1,), query.target.tensor)
    return Derivation(fact, False, (root, Node("missing", beyond, "", "", ())), 0, 2)


def _place(query: Query, index: Index, size: int, axis: str, table: Symbols) -> int | str:
    """A position, or why there is none."""
    match index:
        case Affine((), offset):
            return offset if offset < size else f"axis {axis} has the positions 0 to {size - 1}, not {offset}"
        case FromEnd(distance):
            return size - distance
        case Symbol(name):
            if table is not None and name in table:
                return table.index(name)
            hint = did_you_mean(name, table or ())
            return f"axis {axis} has no symbol {name!r}" + (f": {hint}" if hint else "")
        case Affine(((variable, 1),), 0):
            raise _refused(query, f"{variable} is a variable")
        case _:
            raise _refused(query, "its indices must be constants")


def _refused(query: Query, reason: str) -> Exception:
    return mistake("FUSE208", None, atom=query.text.removesuffix("?"), reason=reason)


def _with_tables(derivation: Derivation, plan: Plan, names: Callable[[str, int], Sequence[str] | None]) -> Derivation:
    """The derivation in which truth tables that the planner made are written as the conditions that they are."""
    tables = {table.name: table for step in plan.steps for table in step.tables}
    if not tables:
        return derivation

    def named(node: Node) -> Node:
        table = tables.get(node.relation)
        if table is None:
            return node
        text = table.text
        for variable, place in zip(table.variables, node.position, strict=True):
            text = re.sub(rf"(?<![\\w']){re.escape(variable)}(?![\\w'])", str(place), text)
        return replace(node, kind="comparison", text=text, note="")

    return replace(derivation, nodes=tuple(named(node) for node in derivation.nodes))
