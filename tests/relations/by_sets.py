"""Rules evaluated on Python sets, one tuple at a time: what they derive, and the least height of a derivation of each.

Written from the docstrings of `relations/rules.py` alone.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fuse_ref.relations.rules import (
    Apply,
    Assignment,
    Atom,
    Constant,
    Denial,
    Domain,
    Element,
    Filter,
    Literal,
    Rule,
    Value,
    Variable,
)

__all__ = ["Facts", "World", "heights"]

Row = tuple[int, ...]
Facts = dict[str, set[Row]]

COMPARE = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
APPLY: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "floor_divide": operator.floordiv,
    "negate": operator.neg,
}
REACH = 40  # beyond every position of these tests


def names_in(value: Value) -> set[str]:
    match value:
        case Variable(name):
            return {name}
        case Element(_, parts) | Apply(_, parts):
            return {name for part in parts for name in names_in(part)}
    return set()


def names_of(item: Literal) -> set[str]:
    match item:
        case Atom(_, terms) | Denial(Atom(_, terms)):
            return {name for term in terms for name in names_in(term)}
        case Filter(_, left, right):
            return names_in(left) | names_in(right)
        case Assignment(variable, value):
            return {variable.name} | names_in(value)
        case Domain(variable):
            return {variable.name}
    raise AssertionError(item)


class World:
    """What literals are decided by."""

    def __init__(self, facts: Facts, dense: Mapping[str, np.ndarray], length: Callable[[Any], int]) -> None:
        self.facts, self.dense, self.length = facts, dense, length

    def value(self, value: Value, env: Mapping[str, int]) -> Any:
        match value:
            case Variable(name):
                return env[name]
            case Constant(int() | float() as number):
                return number
            case Constant(length):
                return self.length(length)
            case Element(tensor, indices):
                place = tuple(int(self.value(index, env)) for index in indices)
                array = self.dense[tensor]
                inside = all(0 <= p < n for p, n in zip(place, array.shape, strict=True))
                return array[place].item() if inside else 0
            case Apply(function, arguments):
                return APPLY[function](*(self.value(item, env) for item in arguments))

    def matches(self, atom: Atom, env: Mapping[str, int]) -> Iterator[dict[str, int]]:
        for row in self.facts.get(atom.relation, ()):
            bound = dict(env)
            for term, position in zip(atom.terms, row, strict=True):
                wanted = bound.setdefault(term.name, position) if isinstance(term, Variable) else self.value(term, env)
                if wanted != position:
                    break
            else:
                yield bound

    def holds(self, item: Literal, env: Mapping[str, int]) -> bool:
        """Whether a literal holds with its variables bound; those of a denial may be open."""
        match item:
            case Atom():
                return next(self.matches(item, env), None) is not None
            case Denial(atom):
                return next(self.matches(atom, env), None) is None
            case Filter(comparator, left, right):
                return bool(COMPARE[comparator](self.value(left, env), self.value(right, env)))
            case Assignment(variable, value):
                return bool(env[variable.name] == self.value(value, env))
            case Domain(variable, length):
                return 0 <= env[variable.name] < self.length(length)
        raise AssertionError(item)

    def solutions(self, body: Sequence[Literal], env: dict[str, int]) -> Iterator[dict[str, int]]:
        """All bindings that make the body true."""
        if not body:
            yield env
            return
        chosen = min(range(len(body)), key=lambda k: self._rank(body[k], env, body))
        item, rest = body[chosen], [*body[:chosen], *body[chosen + 1 :]]
        open_names = names_of(item) - env.keys()
        match item:
            case Atom():
                for bound in self.matches(item, env):
                    yield from self.solutions(rest, bound)
            case Assignment(variable, value) if open_names == {variable.name} and variable.name not in names_in(value):
                yield from self.solutions(rest, env | {variable.name: int(self.value(value, env))})
            case Assignment() | Domain() if open_names:
                (name,) = open_names
                for number in range(REACH):
                    if self.holds(item, env | {name: number}):
                        yield from self.solutions(rest, env | {name: number})
            case _:
                if self.holds(item, env):
                    yield from self.solutions(rest, env)

    def _rank(self, item: Literal, env: Mapping[str, int], body: Sequence[Literal]) -> int:
        missing = names_of(item) - env.keys()
        if isinstance(item, Denial):
            elsewhere = {name for other in body if other is not item for name in names_of(other)}
            missing &= elsewhere
        if not missing:
            return 0
        match item:
            case Atom():
                return 1
            case Assignment(variable, value):
                if missing == {variable.name} and variable.name not in names_in(value):
                    return 2
                return 3 if len(missing) == 1 and missing != {variable.name} else 9
            case Domain():
                return 4
        return 9


def heights(
    rules: Sequence[Rule],
    stored: Facts,
    dense: Mapping[str, np.ndarray],
    shapes: Mapping[str, tuple[int, ...]],
    length: Callable[[Any], int],
) -> tuple[Facts, dict[tuple[str, Row], int]]:
    """Everything that the rules derive, and the least height of each: 0 for what is stored or a fact."""
    heads = {rule.head for rule in rules}
    facts: Facts = {name: set(rows) for name, rows in stored.items()} | {
        name: set(stored.get(name, ())) for name in heads
    }
    for stratum in _strata(rules, heads):
        growing = True
        while growing:
            growing = False
            world = World(facts, dense, length)
            for rule in stratum:
                new = {row for row, _ in _derived(rule, world, shapes)} - facts[rule.head]
                facts[rule.head] |= new
                growing = growing or bool(new)
    found = {(name, row): 0 for name, rows in stored.items() for row in rows}
    # Once more in rounds over all strata at once: denials are settled by now.
    world = World(facts, dense, length)
    instances = [
        ((rule.head, row), _positive(rule, env, world)) for rule in rules for row, env in _derived(rule, world, shapes)
    ]
    for rule in rules:
        # Facts stand at the bottom like what is stored; other rules without atoms are a step.
        if _fact(rule) and _fits(row := tuple(world.value(term, {}) for term in rule.terms), shapes[rule.head]):
            found[rule.head, row] = 0
    number = 0
    while ready := [head for head, body in instances if head not in found and all(part in found for part in body)]:
        number += 1
        found |= dict.fromkeys(ready, number)
    return facts, found


def _fact(rule: Rule) -> bool:
    return not rule.body and all(isinstance(term, Constant) for term in rule.terms)


def _fits(row: Row, shape: tuple[int, ...]) -> bool:
    return all(0 <= position < size for position, size in zip(row, shape, strict=True))


def _derived(rule: Rule, world: World, shapes: Mapping[str, tuple[int, ...]]) -> Iterator[tuple[Row, dict[str, int]]]:
    for env in list(world.solutions(rule.body, {})):
        row = tuple(int(world.value(term, env)) for term in rule.terms)
        if _fits(row, shapes[rule.head]):
            yield row, env


def _positive(rule: Rule, env: Mapping[str, int], world: World) -> tuple[tuple[str, Row], ...]:
    return tuple(
        (item.relation, tuple(int(world.value(term, env)) for term in item.terms))
        for item in rule.body
        if isinstance(item, Atom)
    )


def _strata(rules: Sequence[Rule], heads: set[str]) -> list[list[Rule]]:
    """Stratum numbers by raising them until every denial is of a lower one."""
    level = dict.fromkeys(heads, 0)
    changed = True
    while changed:
        changed = False
        for rule in rules:
            for item in rule.body:
                atom = item.atom if isinstance(item, Denial) else item
                if isinstance(atom, Atom) and atom.relation in heads:
                    least = level[atom.relation] + isinstance(item, Denial)
                    if level[rule.head] < least:
                        level[rule.head] = least
                        changed = True
        assert max(level.values(), default=0) <= len(heads), "the rules are not stratified"
    return [[rule for rule in rules if level[rule.head] == k] for k in range(len(heads) + 1)]
