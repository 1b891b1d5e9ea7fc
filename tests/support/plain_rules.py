"""What rules derive, one tuple at a time, all rules of a stratum again and again: the oracle of the logic engine."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fuse_ref.analysis.lengths import Length
from fuse_ref.relations.derive import Derived, RuleRun
from fuse_ref.relations.rules import (
    Apply,
    Assignment,
    Atom,
    Constant,
    Denial,
    Domain,
    Element,
    Filter,
    Rule,
    Value,
    Variable,
)
from fuse_ref.relations.tuples import Tuples

__all__ = ["derive"]


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_APPLY: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "floor_divide": operator.floordiv,
    "negate": operator.neg,
}


def derive(
    rules: Sequence[Rule],
    known: Mapping[str, Tuples],
    dense: Mapping[str, np.ndarray],
    shapes: Mapping[str, tuple[int, ...]],
    length: Callable[[Length], int],
) -> Derived:
    """As `fuse_ref.relations.derive.derive`; every relation that is read and not defined is in `known`."""
    heads = {rule.head for rule in rules}
    found: dict[str, set[tuple[int, ...]]] = {name: set() for name in heads}
    facts = {name: set(map(tuple, tuples.positions.tolist())) for name, tuples in known.items()}
    made = [0] * len(rules)
    rounds = [0] * len(rules)
    for stratum in _strata(rules, heads):
        growing = True
        while growing:
            growing = False
            for k in stratum:
                rounds[k] += 1
                world = _World(facts | found, dense, length)
                new = {
                    head
                    for env in world.solve(_ordered(rules[k].body), {})
                    if _fits(head := tuple(int(world.value(t, env)) for t in rules[k].terms), shapes[rules[k].head])
                } - found[rules[k].head]
                found[rules[k].head] |= new
                made[k] += len(new)
                growing = growing or bool(new)
    return Derived(
        {name: _tuples(found[name], shapes[name]) for name in heads},
        tuple(RuleRun(rule, made[k], rounds[k], "naive") for k, rule in enumerate(rules)),
    )


def _fits(position: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    return all(0 <= p < n for p, n in zip(position, shape, strict=True))


def _tuples(found: set[tuple[int, ...]], shape: tuple[int, ...]) -> Tuples:
    columns = [np.array([row[k] for row in found], np.int64) for k in range(len(shape))]
    return Tuples.of(columns, shape, count=len(found))


def _strata(rules: Sequence[Rule], heads: set[str]) -> list[list[int]]:
    """Rules of relations that need each other, in an order in which what is needed comes first."""
    needs: dict[str, set[str]] = {name: set() for name in heads}
    for rule in rules:
        for item in rule.body:
            atom = item.atom if isinstance(item, Denial) else item
            if isinstance(atom, Atom) and atom.relation in heads:
                needs[rule.head].add(atom.relation)
    reach = {name: set(direct) for name, direct in needs.items()}
    for middle in heads:
        for name in heads:
            if middle in reach[name]:
                reach[name] |= reach[middle]
    groups: list[set[str]] = []
    for name in sorted(heads, key=lambda name: (len(reach[name] | {name}), name)):
        if not any(name in group for group in groups):
            groups.append({name} | {other for other in reach[name] if name in reach[other]})
    return [[k for k, rule in enumerate(rules) if rule.head in group] for group in groups]


def _ordered(body: Sequence[Any]) -> list[Any]:
    rank = {Atom: 0, Domain: 1, Assignment: 2, Denial: 4, Filter: 3}
    return sorted(body, key=lambda item: rank[type(item)])


class _World:
    def __init__(
        self,
        relations: Mapping[str, set[tuple[int, ...]]],
        dense: Mapping[str, np.ndarray],
        length: Callable[[Length], int],
    ) -> None:
        self.relations = relations
        self.dense = dense
        self.length = length

    def value(self, value: Value, env: Mapping[str, int]) -> Any:
        match value:
            case Variable(name):
                return env[name]
            case Constant(int() | float() as number):
                return number
            case Constant(length):
                return self.length(length)  # type: ignore[arg-type]
            case Element(tensor, indices):
                place = tuple(int(self.value(index, env)) for index in indices)
                array = self.dense[tensor]
                return array[place].item() if _fits(place, array.shape) else 0
            case Apply(function, arguments):
                return _APPLY[function](*(self.value(argument, env) for argument in arguments))

    def _matches(self, atom: Atom, env: Mapping[str, int]) -> Iterator[dict[str, int]]:
        for row in self.relations[atom.relation]:
            bound = dict(env)
            for term, position in zip(atom.terms, row, strict=True):
                if term == Variable("_"):
                    continue
                wanted = bound.setdefault(term.name, position) if isinstance(term, Variable) else self.value(term, env)
                if wanted != position:
                    break
            else:
                yield bound

    def solve(self, body: list[Any], env: dict[str, int]) -> Iterator[dict[str, int]]:
        if not body:
            yield env
            return
        first, *rest = body
        match first:
            case Atom():
                for bound in self._matches(first, env):
                    yield from self.solve(rest, bound)
            case Denial(atom):
                if next(self._matches(atom, env), None) is None:
                    yield from self.solve(rest, env)
            case Filter(comparator, left, right):
                if _COMPARE[comparator](self.value(left, env), self.value(right, env)):
                    yield from self.solve(rest, env)
            case Domain(Variable(name), length):
                values = [env[name]] if name in env else range(self.length(length))
                for value in values:
                    if 0 <= value < self.length(length):
                        yield from self.solve(rest, {**env, name: value})
            case Assignment(variable, value):
                yield from self._assigned(first, variable, value, rest, env)

    def _assigned(
        self, item: Assignment, variable: Variable, value: Value, rest: list[Any], env: dict[str, int]
    ) -> Iterator[dict[str, int]]:
        unknown = _variables(value) - env.keys()
        if unknown and rest and any(isinstance(other, Assignment) for other in rest):
            # Others first, since they may bind it; what asks for bound variables stays last.
            others = [other for other in rest if isinstance(other, Assignment)]
            last = [other for other in rest if not isinstance(other, Assignment)]
            if variable.name in env and len(unknown) == 1:
                yield from self.solve([*others, item, *last], env)
            else:
                yield from self.solve([others[0], item, *others[1:], *last], env)
            return
        if unknown:
            (name,) = unknown
            # A variable plus or minus a number: solved for the variable by trying 0.
            start = self.value(value, {**env, name: 0})
            slope = self.value(value, {**env, name: 1}) - start
            number, rest_of = divmod(env[variable.name] - start, slope)
            if rest_of == 0 and number >= 0:
                yield from self.solve(rest, {**env, name: number})
            return
        found = int(self.value(value, env))
        if env.get(variable.name, found) == found:
            yield from self.solve(rest, {**env, variable.name: found})


def _variables(value: Value) -> set[str]:
    match value:
        case Variable(name):
            return {name}
        case Constant():
            return set()
        case Element(_, parts) | Apply(_, parts):
            return set().union(*map(_variables, parts))
