"""Derivations of little height, found in rounds: upwards until the fact is there, then downwards by what it needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeAlias

import numpy as np

from fuse_ref.relations.asked import Asked
from fuse_ref.relations.rules import Atom, Constant, Denial, Literal, Rule, Variable
from fuse_ref.relations.tuples import Tuples
from fuse_ref.relations.uses import Use
from fuse_ref.relations.world import Fact, World

__all__ = ["by_rounds", "stored"]

Level: TypeAlias = dict[str, Tuples]  # relation -> tuples

MOST_ROUNDS: Final = 40  # relations without two recursive atoms in a rule may need as many rounds as they have tuples
_NEW, _LAST, _KNOWN, _OLD, _WANTED = "new~", "last~", "known~", "old~", "wanted~"


def stored(world: World, asked: Asked, relation: str) -> Tuples:
    """The tuples of a derived relation that facts or inputs give."""
    shape = world.relations[relation].shape
    rows: list[tuple[int, ...]] = []
    for rule in asked.facts.get(relation, ()):
        row = tuple(int(world.numbers.constant(term)) for term in rule.terms if isinstance(term, Constant))
        if all(0 <= position < size for position, size in zip(row, shape, strict=True)):
            rows.append(row)
    columns = list(np.array(rows, np.int64).reshape(len(rows), len(shape)).T)
    return _union(
        [Tuples.of(columns, shape, count=len(rows)), *([world.given[relation]] if relation in world.given else [])]
    )


def by_rounds(world: World, asked: Asked, uses: Sequence[Use], fact: Fact) -> tuple[Level, Mapping[str, Tuples]] | None:
    """What a derivation of least height can use, and its uses of rules; None where it is too high for rounds."""
    names = list(dict.fromkeys(use.rule.head for use in uses))
    levels = [{name: stored(world, asked, name) for name in names}]
    known = [levels[0]]
    while not _has(known[-1][fact.relation], fact):
        if len(levels) > MOST_ROUNDS or (len(levels) > 1 and not any(map(len, levels[-1].values()))):
            return None
        levels.append(_round(world, uses, levels[-1], known[-1], known[-2] if len(known) > 1 else None))
        known.append({name: _union([known[-1][name], levels[-1][name]]) for name in names})
    return _downwards(world, uses, fact, levels, known)


def _has(tuples: Tuples, fact: Fact) -> bool:
    fits = np.ones(len(tuples), np.bool_)
    for column, position in zip(tuples.columns, fact.position, strict=True):
        fits &= column == position
    return bool(fits.any())


def _round(world: World, uses: Sequence[Use], last: Level, known: Level, old: Level | None) -> Level:
    """The tuples that one more step gives and that were not there.

    Args:
        last: what the step before gave; known: all so far; old: all before that step, None in the first round.
    """
    rules: list[Rule] = []
    for use in uses:
        new = (*use.extra, Denial(Atom(_KNOWN + use.rule.head, use.head)))
        atoms = [k for k, item in enumerate(use.rule.body) if item in use.needed]
        # In the first round a rule sees all there is; later one of its atoms is new, and those before it are not.
        for changed in [None] if old is None else atoms:
            body: list[Literal] = list(use.rule.body)
            for k in atoms:
                prefix = _KNOWN if changed is None or k > changed else _LAST if k == changed else _OLD
                body[k] = _renamed(body[k], prefix)
            rules.append(Rule(_NEW + use.rule.head, use.head, (*body, *new), use.rule.equation, use.rule.text))
    more = {_KNOWN + name: tuples for name, tuples in known.items()}
    more |= {_LAST + name: tuples for name, tuples in last.items()}
    more |= {_OLD + name: tuples for name, tuples in (old or {}).items()}
    found = world.derived(rules, {_NEW + name: tuples.shape for name, tuples in known.items()}, more)
    return {name: found.get(_NEW + name, Tuples.empty(tuples.shape)) for name, tuples in known.items()}


def _renamed(item: Literal, prefix: str) -> Literal:
    assert isinstance(item, Atom), "only atoms are of derived relations"
    return replace(item, relation=prefix + item.relation)


def _downwards(
    world: World, uses: Sequence[Use], fact: Fact, levels: Sequence[Level], known: Sequence[Level]
) -> tuple[Level, Mapping[str, Tuples]]:
    """Of every level what the fact needs of it, and the uses of rules that read lower levels alone."""
    names = list(levels[0])
    shapes = {name: tuples.shape for name, tuples in levels[0].items()}
    top = Tuples.of([np.array([p]) for p in fact.position], shapes[fact.relation], count=1)
    wanted: dict[str, list[Tuples]] = {name: [] for name in names}  # of all levels from the top to the present one
    wanted[fact.relation].append(top)
    instances: dict[str, list[Tuples]] = {use.name: [] for use in uses}
    for height in range(len(levels) - 1, 0, -1):
        more = {
            _WANTED + name: _meet(_union([Tuples.empty(shapes[name]), *wanted[name]]), levels[height][name])
            for name in names
        }
        more |= {_KNOWN + name: tuples for name, tuples in known[height - 1].items()}
        rules: list[Rule] = []
        for use in uses:
            body = [_renamed(item, _KNOWN) if item in use.needed else item for item in use.rule.body]
            start = Atom(_WANTED + use.rule.head, use.head)
            terms = tuple(Variable(name) for name in use.variables)
            rules.append(Rule(use.name, terms, (start, *use.extra, *body), use.rule.equation, use.rule.text))
            rules += [Rule(_NEW + atom.relation, atom.terms, (Atom(use.name, terms),), -1, "") for atom in use.needed]
        made = {use.name: use.shape(shapes) for use in uses} | {_NEW + name: shape for name, shape in shapes.items()}
        found = world.derived(rules, made, more)
        for use in uses:
            instances[use.name].append(found[use.name])
        for name in names:
            if _NEW + name in found:
                wanted[name].append(found[_NEW + name])
    cone = {name: _union([Tuples.empty(shapes[name]), *several]) for name, several in wanted.items()}
    return cone, {use.name: _union([Tuples.empty(use.shape(shapes)), *instances[use.name]]) for use in uses}


def _union(several: Sequence[Tuples]) -> Tuples:
    """The tuples of any."""
    full = [tuples for tuples in several if len(tuples)] or [several[0]]
    if len(full) == 1:
        return full[0]
    shape = several[0].shape
    columns = [np.concatenate([tuples.columns[k] for tuples in full]) for k in range(len(shape))]
    return Tuples.of(columns, shape, count=1)


def _meet(one: Tuples, other: Tuples) -> Tuples:
    """The tuples of both; each holds every tuple once."""
    if not len(one) or not len(other):
        return Tuples.empty(one.shape)
    shape = one.shape
    if not shape:
        return one
    columns = [np.concatenate(pair) for pair in zip(one.columns, other.columns, strict=True)]
    order = np.lexsort(tuple(reversed(columns)))
    columns = [column[order] for column in columns]
    same = np.ones(len(order) - 1, np.bool_)
    for column in columns:
        same &= column[1:] == column[:-1]
    return Tuples([column[1:][same] for column in columns], shape, ordered=True)
