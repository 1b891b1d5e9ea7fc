"""Random rules with all kinds of literals, over small relations: what tests of the logic engine run."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fuse_ref.analysis.lengths import Fixed, Length
from fuse_ref.ir.nodes import Comparator
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
    literal_variables,
)
from fuse_ref.relations.tuples import Tuples

__all__ = ["RandomRules", "length", "random_rules", "random_tuples"]

_COMPARATORS: tuple[Comparator, ...] = ("<", "<=", ">", ">=", "==", "!=")
_NAMES = ("x", "y", "z", "u", "v")


@dataclass(frozen=True, slots=True)
class RandomRules:
    rules: list[Rule]
    inputs: dict[str, tuple[int, ...]]  # shapes of the relations that the rules read only
    heads: dict[str, tuple[int, ...]]
    dense: dict[str, np.ndarray]


def length(value: Length) -> int:
    assert isinstance(value, Fixed)
    return value.value


def random_tuples(choose: random.Random, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tuples]:
    """Relations of any density, none and all tuples too, in order or not."""
    found: dict[str, Tuples] = {}
    for name, shape in shapes.items():
        share = choose.choice((0.0, 0.1, 0.3, 0.3, 1.0))
        truth = np.array([choose.random() < share for _ in range(int(np.prod(shape)))], np.bool_).reshape(shape)
        tuples = Tuples.from_dense(truth)
        if shape and choose.random() < 0.5:
            order = choose.sample(range(len(tuples)), len(tuples))
            tuples = Tuples([column[order] for column in tuples.columns], shape)
        found[name] = tuples
    return found


def random_rules(choose: random.Random, size: int) -> RandomRules:
    """Stratified rules over axes of about `size` positions."""
    return _Writer(choose, size).write()


class _Writer:
    def __init__(self, choose: random.Random, size: int) -> None:
        self.choose = choose
        self.size = size
        self.inputs = {f"E{k}": self._shape(0, 1, 2, 2, 2, 3, 4) for k in range(choose.randint(1, 4))}
        self.heads = {f"P{k}": self._shape(0, 1, 1, 2, 2, 3) for k in range(choose.randint(1, 4))}
        self.levels = {head: choose.randint(0, 2) for head in self.heads}
        self.dense = {
            "W": np.arange(size * size).reshape(size, size) % 7,
            "F": (np.arange(size) % 5 / 4).astype(choose.choice((np.float32, np.float64))),
        }

    def write(self) -> RandomRules:
        rules = [
            self._fact(head) if self.choose.random() < 0.3 else self._rule(head)
            for head in self.heads
            for _ in range(self.choose.randint(0, 3))
        ]
        defined = {rule.head for rule in rules}
        inputs = self.inputs | {head: shape for head, shape in self.heads.items() if head not in defined}
        heads = {head: shape for head, shape in self.heads.items() if head in defined}
        return RandomRules(rules, inputs, heads, self.dense)

    def _shape(self, *ranks: int) -> tuple[int, ...]:
        def size() -> int:
            return self.size if self.choose.random() < 0.9 else max(1, self.size + self.choose.randint(-1, 2))

        return tuple(size() for _ in range(self.choose.choice(ranks)))

    def _fact(self, head: str) -> Rule:
        return Rule(head, tuple(self._constant() for _ in self.heads[head]), (), 0, "fact")

    def _constant(self) -> Constant:
        # A position may lie outside of the axis.
        return Constant(self.choose.randint(0, self.size))

    def _rule(self, head: str) -> Rule:
        choose, level = self.choose, self.levels[head]
        readable = [*self.inputs, *(name for name in self.heads if self.levels[name] <= level)]
        lower = [*self.inputs, *(name for name in self.heads if self.levels[name] < level)]
        body: list[Literal] = []
        for _ in range(choose.randint(1, 3)):
            relation = choose.choice(readable)
            body.append(Atom(relation, tuple(self._term() for _ in (self.inputs | self.heads)[relation])))
        bound = sorted({name for atom in body for name in literal_variables(atom)} - {"_"})

        def bind(name: str) -> Variable:
            if name not in bound:
                bound.append(name)
            return Variable(name)

        if choose.random() < 0.3:
            body.append(Domain(bind(choose.choice(_NAMES)), Fixed(choose.randint(0, self.size + 1))))
        if choose.random() < 0.3:
            value = self._value(bound)
            body.append(Assignment(bind(choose.choice(_NAMES)), value))
        if choose.random() < 0.25 and bound:
            variable = Variable(choose.choice(bound))
            offset = Constant(choose.randint(-1, 2))
            body.append(Assignment(variable, Apply(choose.choice(("add", "subtract")), (bind("w"), offset))))
        if choose.random() < 0.4 and bound:
            body.append(self._filter(bound))
        if choose.random() < 0.4:
            relation = choose.choice(lower)
            body.append(
                Denial(Atom(relation, tuple(self._denied(bound) for _ in (self.inputs | self.heads)[relation])))
            )
        choose.shuffle(body)
        terms = tuple(self._head_term(bound) for _ in self.heads[head])
        return Rule(head, terms, tuple(body), 0, "rule")

    def _head_term(self, bound: list[str]) -> Value:
        if not bound:
            return self._constant()
        return Variable(self.choose.choice(bound)) if self.choose.random() < 0.85 else self._value(bound)

    def _term(self) -> Term:
        kind = self.choose.random()
        if kind < 0.85:
            return Variable(self.choose.choice(_NAMES))
        if kind < 0.92:
            return self._constant()
        return Constant(Fixed(self.size - 1)) if kind < 0.95 else Variable("_")

    def _denied(self, bound: list[str]) -> Term:
        if bound and self.choose.random() < 0.6:
            return Variable(self.choose.choice(bound))
        # Two places may have one variable of the denial's own.
        return self.choose.choice((Variable("l"), Variable("m"), Variable("_"), self._constant()))

    def _filter(self, bound: list[str]) -> Filter:
        if self.choose.random() < 0.7:
            operator = self.choose.choice(_COMPARATORS)
            return Filter(operator, self._value(bound), self._value(bound))
        return Filter(self.choose.choice(("<", ">=")), Element("F", (self._value(bound),)), Constant(0.5))

    def _value(self, bound: list[str], depth: int = 0) -> Value:
        kind = self.choose.random()
        if kind < 0.5 or depth > 1:
            if bound and self.choose.random() < 0.8:
                return Variable(self.choose.choice(bound))
            return Constant(self.choose.randint(-1, self.size))

        def part() -> Value:
            return self._value(bound, depth + 1)

        if kind < 0.8:
            return Apply(self.choose.choice(("add", "subtract", "multiply")), (part(), part()))
        if kind < 0.85:
            return Apply("negate", (part(),))
        if kind < 0.9:
            return Apply("floor_divide", (part(), Constant(self.choose.randint(1, 3))))
        return Element("W", (part(), part()))
