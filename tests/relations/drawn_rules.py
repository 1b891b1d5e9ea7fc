"""Random stratified rules of every kind of literal, with what they read."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import numpy as np

from fuse_ref.analysis.lengths import Extent, Fixed
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
    Term,
    Value,
    Variable,
)
from fuse_ref.relations.tuples import Tuples

__all__ = ["Drawn", "atom", "draw", "rule"]

STORED = {"Edge": 2, "Other": 2, "Mark": 1, "Three": 3}
LEVELS = ({"P": 2, "Q": 2, "S": 1}, {"R": 2, "T": 3, "Z": 0}, {"U": 2, "V": 1})
ARITY = STORED | {name: arity for level in LEVELS for name, arity in level.items()}


def atom(relation: str, *terms: str | int) -> Atom:
    """`atom("Edge", "x", 3)`: names are variables."""
    return Atom(relation, tuple(Variable(t) if isinstance(t, str) else Constant(t) for t in terms))


def rule(head: Atom, *body: Literal) -> Rule:
    return Rule(head.relation, head.terms, body, 0, "a rule")


@dataclass(frozen=True)
class Drawn:
    """Rules and all that `derive` needs to run them."""

    rules: tuple[Rule, ...]
    known: dict[str, Tuples]
    dense: dict[str, np.ndarray]
    shapes: dict[str, tuple[int, ...]]  # of every relation
    size: int

    def length(self, length: object) -> int:
        match length:
            case Fixed(value):
                return value
            case Extent():
                return self.size
        raise AssertionError(f"no length of this test: {length}")

    def stored(self) -> dict[str, set[tuple[int, ...]]]:
        return {name: set(map(tuple, tuples.positions.tolist())) for name, tuples in self.known.items()}


def draw(seed: int, *, size: int | None = None) -> Drawn:
    """Rules over one axis, the same for a seed."""
    chance = random.Random(seed)
    size = chance.choice((1, 2, 3, 4, 5)) if size is None else size
    rules: list[Rule] = []
    for number, level in enumerate(LEVELS):
        below = [name for earlier in LEVELS[:number] for name in earlier]
        for name, arity in level.items():
            for _ in range(chance.randint(1, 3)):
                rules.append(_rule(chance, name, arity, [*STORED, *below, *level], below, size))
            if chance.random() < 0.2:
                rules.append(Rule(name, tuple(Constant(chance.randrange(size)) for _ in range(arity)), (), 0, "a fact"))
    known = {name: _tuples(chance, arity, size) for name, arity in STORED.items()}
    dense = {"W": np.array([[chance.randint(-2, 2) for _ in range(size)] for _ in range(size)], np.float64)}
    rules = [replace(item, text=f"rule {number}") for number, item in enumerate(rules)]
    return Drawn(tuple(rules), known, dense, {name: (size,) * arity for name, arity in ARITY.items()}, size)


def _tuples(chance: random.Random, arity: int, size: int) -> Tuples:
    count = chance.choice((0, 2, 4, 6, 9))
    columns = [np.array([chance.randrange(size) for _ in range(count)], np.int64) for _ in range(arity)]
    return Tuples.of(columns, (size,) * arity)


def _rule(chance: random.Random, name: str, arity: int, readable: list[str], below: list[str], size: int) -> Rule:
    names = ["x", "y", "z", "u"]

    def term() -> Term:
        if chance.random() < 0.08:
            return Constant(chance.randrange(size))
        if chance.random() < 0.03:
            return Constant(Extent("Edge", 0)) if chance.random() < 0.3 else Constant(Fixed(0))
        return Variable(chance.choice(names))

    if chance.random() < 0.4 and arity == 2:
        return _path(chance, name, readable)
    body: list[Literal] = []
    for _ in range(chance.randint(1, 3)):
        relation = chance.choice(readable)
        body.append(Atom(relation, tuple(term() for _ in range(ARITY[relation]))))
    bound = sorted({t.name for item in body if isinstance(item, Atom) for t in item.terms if isinstance(t, Variable)})
    if not bound:
        body.append(Domain(Variable("x"), Fixed(size)))
        bound = ["x"]

    def value() -> Value:
        return Variable(chance.choice(bound))

    if chance.random() < 0.3:
        body.append(Filter(chance.choice(("<", "<=", "==", "!=", ">", ">=")), value(), value()))
    if chance.random() < 0.15:
        body.append(Filter(">", Element("W", (value(), value())), Constant(0)))
    if below and chance.random() < 0.5:
        relation = chance.choice([*below, "Edge"])
        terms = tuple(Variable(f"_{k}") if chance.random() < 0.3 else value() for k in range(ARITY[relation]))
        body.append(Denial(Atom(relation, terms)))  # type: ignore[arg-type]
    if chance.random() < 0.2:
        step = Apply(chance.choice(("add", "subtract")), (value(), Constant(1)))
        made = chance.choice((Variable("w"), Variable(chance.choice(bound))))
        body.append(Assignment(made, step))
        bound = sorted({*bound, made.name})
    chance.shuffle(body)
    head: list[Value] = [value() for _ in range(arity)]
    for k in range(arity):
        if chance.random() < 0.08:
            head[k] = Apply("add", (head[k], Constant(1)))
        elif chance.random() < 0.08:
            head[k] = Constant(chance.randrange(size))
    return Rule(name, tuple(head), tuple(body), 0, "a rule")


def _path(chance: random.Random, name: str, readable: list[str]) -> Rule:
    """Rules of the forms that recursion mostly has."""
    pairs = [other for other in readable if ARITY[other] == 2]
    one, two = chance.choice(pairs), chance.choice(pairs)
    left, right = ("x", "y"), ("y", "z")
    form = chance.randrange(4)
    match form:
        case 0:
            body: list[Literal] = [atom(name, *left), atom(two, *right)]
        case 1:
            body = [atom(one, *left), atom(name, *right)]
        case 2:
            body = [atom(one, *left), atom(two, *right)]
        case _:
            body = [atom(name, *left), atom(name, *right)]
    if chance.random() < 0.2:
        body.append(Filter("<", Variable("x"), Variable("y")))
    return rule(atom(name, "x", "z"), *body)
