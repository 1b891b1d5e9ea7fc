"""What an explanation needs of relations that a run did not keep: derived again, on demand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fuse_ref.relations.asked import Asked
from fuse_ref.relations.demand import demand
from fuse_ref.relations.derive import Limits, derive
from fuse_ref.relations.rules import Atom, Rule
from fuse_ref.relations.tuples import Tuples
from fuse_ref.relations.world import World

__all__ = ["supplied"]


def supplied(world: World, asked: Asked, goals: Sequence[Atom], extra: Sequence[Rule] = ()) -> World:
    """The world with all tuples that derivations of the goals, or denials in them, could use.

    Args:
        goals: what is to be explained.
        extra: rules of goals without arguments.

    Raises:
        LimitError: they take more than the memory allowed.
    """
    missing = {name for name in (*asked.derived, *asked.facts) if name not in world.relations}
    if not missing:
        return world
    stored = {name: len(tuples) for name, tuples in world.relations.items()}
    wanted = demand((*world.rules, *extra), goals, given=world.given, sizes=stored, names=world.names, tuples=True)
    heads = {rule.head for rule in wanted.rules}
    known = {name: tuples for name, tuples in world.relations.items() if name not in heads} | dict(world.given)
    shapes = {name: tuples.shape for name, tuples in world.relations.items()} | dict(world.shapes)
    shapes |= {rule.head: () for rule in extra}
    found = derive(
        wanted.rules, known, world.dense, wanted.shapes(shapes), world.length, Limits(world.memory), world.functions
    ).relations
    relations = dict(world.relations)
    for name in missing:
        parts = [found[part] for part in wanted.parts.get(name, (name,)) if part in found]
        parts += [world.given[name]] if name in world.given else []
        relations[name] = _union(parts, shapes[name])
    return replace(world, relations=relations)


def _union(parts: Sequence[Tuples], shape: tuple[int, ...]) -> Tuples:
    if len(parts) == 1:
        return parts[0]
    columns = [np.concatenate([part.columns[k] for part in parts]) for k in range(len(shape))] if parts else []
    return Tuples.of(columns, shape, count=sum(map(len, parts))) if parts else Tuples.empty(shape)
