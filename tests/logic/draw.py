"""Draws random logic programs: every kind of literal, recursion, negation, aggregates, over small relations."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tests.logic.sketch import (
    Aggregate,
    Atom,
    Cell,
    Compare,
    Either,
    Given,
    Literal,
    Query,
    Rule,
    Sketch,
    Term,
    Threshold,
)

__all__ = ["draw"]

_Item = TypeVar("_Item")

SYMBOLS = (
    "Ann",
    "Bob",
    "New York",
    'say "hi"',
    "ärger",
    "東京",
    "b\\c",
    "two\nlines",
    "tab\there",
    "x",
    "7",
    "not",
    "É",
)
_SORTS = ("ss", "ss", "ss", "nn", "nn", "s", "n", "sn", "ns", "sss", "nns", "", "snsn")
_DERIVED = ("ss", "ss", "nn", "nn", "s", "n", "sn", "sss", "nnn", "", "ssss")
_OPERATORS = ("=", "=", "max=", "min=", "avg=", "prod=")


@dataclass(frozen=True)
class _Known:
    """What a rule may read."""

    sorts: dict[str, str]
    complete: tuple[str, ...]  # relations that no rule to come adds to
    growing: tuple[str, ...]  # of the group at hand
    tensors: dict[str, str]


class _Writer:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.size = self.pick((1, 2, 3, 4, 6))
        self.symbols = self.random.sample(SYMBOLS, self.pick((1, 2, 3, 4, 5)))

    def pick(self, items: Sequence[_Item]) -> _Item:
        return self.random.choice(items)

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    # What is given ------------------------------------------------------------------------------

    def given(self, name: str) -> Given:
        sorts = self.pick(_SORTS)
        domains: list[Sequence[Cell]] = [range(self.size) if sort == "n" else self.symbols for sort in sorts]
        every = list(itertools.product(*domains))
        density = self.pick((0.0, 0.15, 0.3, 0.5, 1.0)) if len(sorts) < 3 else self.pick((0.05, 0.2))
        tuples = tuple(row for row in every if self.random.random() < density)
        ways = ["input"] if sorts else []
        if not sorts.strip("n"):
            ways += ["truth"] + ["indices"] * bool(sorts)
        if tuples:
            ways += ["facts", "facts"] + [".tsv", ".csv"] * bool(sorts)
        # A column of integers alone is one of positions, a first row like the arguments' letters a heading.
        if any(cell in ("7", "x") for row in tuples for cell in row):
            ways = [way for way in ways if not way.startswith(".")]
        return Given(name, sorts, self.pick(ways), tuple(self.random.sample(tuples, len(tuples))))

    # Terms --------------------------------------------------------------------------------------

    def constant(self, sort: str) -> Term:
        if sort == "s":
            return Term("symbol", self.pick(self.symbols))
        return Term("number", number=self.random.randrange(self.size))

    def variable(self, sort: str) -> str:
        return self.pick(("t", "t'", "t''") if sort == "n" else ("x", "y", "z", "w"))

    def argument(self, sort: str, *, plain: bool) -> Term:
        draw = self.random.random()
        if draw < 0.1:
            return self.constant(sort)
        if draw < 0.2:
            return Term("any", number=int(sort == "n"))
        name = self.variable(sort)
        if sort == "n" and self.size > 1 and not plain and draw < 0.4:
            kind = self.pick(("variable", "variable", "variable", "half", "twice"))
            return Term(kind, name, self.pick((1, -1, 1, 2 if self.size > 2 else 1)) if kind == "variable" else 0)
        return Term("variable", name)

    def bound(self, sort: str, variables: dict[str, str]) -> Term | None:
        names = [name for name, known in variables.items() if known == sort]
        return Term("variable", self.pick(names)) if names else None

    # Bodies -------------------------------------------------------------------------------------

    def atom(self, relation: str, sorts: str, *, plain: bool) -> Atom:
        return Atom(relation, tuple(self.argument(sort, plain=plain) for sort in sorts))

    def denial(self, known: _Known, variables: dict[str, str]) -> Atom:
        relation = self.pick(known.complete)
        terms = []
        for sort in known.sorts[relation]:
            term = None if self.chance(0.25) else self.bound(sort, variables)
            if term is None:
                term = self.constant(sort) if self.chance(0.4) else Term("any", number=int(sort == "n"))
            elif sort == "n" and self.size > 1 and self.chance(0.2):
                # Whether a read past the end is none or false depends on the axis; one below 0 is false.
                term = self.pick((Term("half", term.name), Term("variable", term.name, -1)))
            terms.append(term)
        return Atom(relation, tuple(terms), denied=True)

    def compare(self, variables: dict[str, str]) -> Compare | None:
        if not variables:
            return None
        sort = variables[self.pick(list(variables))]
        left = self.bound(sort, variables)
        assert left is not None
        right = self.bound(sort, variables) if self.chance(0.7) else self.constant(sort)
        assert right is not None
        if sort == "s":
            return Compare(self.pick(("==", "!=", "!=")), left, right)
        if self.chance(0.3):
            left = Term("variable", left.name, self.pick((1, -1, 2)))
        return Compare(self.pick(("<", "<=", ">", ">=", "==", "!=")), left, right)

    def threshold(self, known: _Known, variables: dict[str, str]) -> Threshold | None:
        fitting = [name for name, sorts in known.tensors.items() if all(sort in variables.values() for sort in sorts)]
        if not fitting:
            return None
        name = self.pick(fitting)
        terms = tuple(self.bound(sort, variables) for sort in known.tensors[name])
        return Threshold(name, terms, self.pick((">", "<", ">=", "<=")), self.pick((0, 1, 2)))  # type: ignore[arg-type]

    def body(self, known: _Known, relations: Sequence[str], *, plain: bool) -> tuple[list[Literal], dict[str, str]]:
        atoms = _with_ranges([self.atom(name, known.sorts[name], plain=plain) for name in relations])
        variables = {
            term.name: sort
            for atom in atoms
            for sort, term in zip(known.sorts[atom.relation], atom.terms, strict=True)
            if term.name and term.kind != "symbol"
        }
        body: list[Literal] = list(atoms)
        extra: list[Literal | None] = []
        if self.chance(0.3):
            extra.append(self.denial(known, variables))
        if self.chance(0.35):
            extra.append(self.compare(variables))
        if self.chance(0.2):
            extra.append(self.threshold(known, variables))
        if self.chance(0.12):
            parts = [self.denial(known, variables), self.compare(variables), self.threshold(known, variables)]
            choices = tuple((part,) for part in self.random.sample(parts, 3) if part is not None)[:2]
            if len(choices) == 2:
                extra.append(Either(choices))
        body += [item for item in extra if item is not None]
        if self.chance(0.3):
            self.random.shuffle(body)
        return body, variables

    # Rules --------------------------------------------------------------------------------------

    def rule(self, name: str, known: _Known, *, base: bool) -> Rule | None:
        sorts = known.sorts[name]
        readable = known.complete if base or self.chance(0.3) else (*known.complete, *known.growing, *known.growing)
        count = self.pick((1, 1, 2, 2, 3))
        chosen = [self.pick(readable) for _ in range(count)]
        body, variables = self.body(known, chosen, plain=base)
        terms = []
        for sort in sorts:
            term = None if not base and self.chance(0.1) else self.bound(sort, variables)
            if term is None:
                if base:
                    return None
                term = self.constant(sort)
            elif sort == "n" and not base and self.size > 1 and self.chance(0.3):
                kind = self.pick(("variable", "variable", "half"))
                term = Term(kind, term.name, self.pick((1, 1, -1)) if kind == "variable" else 0)
            terms.append(term)
        return Rule(Atom(name, tuple(terms)), tuple(body))

    def first_rule(self, name: str, known: _Known) -> Rule | None:
        return next((rule for rule in (self.rule(name, known, base=True) for _ in range(30)) if rule), None)

    def aggregate(self, name: str, known: _Known) -> tuple[Aggregate, str] | None:
        relations = [self.pick(known.complete) for _ in range(self.pick((1, 1, 2)))]
        body, variables = self.body(known, relations, plain=True)
        names = self.random.sample(list(variables), min(len(variables), self.pick((0, 1, 1, 2))))
        operator = self.pick(_OPERATORS)
        value: tuple[str, tuple[Term, ...]] | Term | None = None
        positions = [variable for variable, sort in variables.items() if sort == "n"]
        fitting = [(t, s) for t, s in known.tensors.items() if s and t in ("V", "W") and s in variables.values()]
        if fitting and self.chance(0.6):
            tensor, sort = self.pick(fitting)
            term = self.bound(sort, variables)
            assert term is not None
            value = (tensor, (term,))
        elif positions and self.chance(0.7):
            value = Term("variable", self.pick(positions))
        elif operator != "=":
            return None
        sorts = "".join(variables[variable] for variable in names)
        return Aggregate(name, tuple(Term("variable", v) for v in names), operator, tuple(body), value), sorts

    def query(self, sorts: dict[str, str]) -> Query:
        name = self.pick(list(sorts))
        terms = []
        for sort in sorts[name]:
            if self.chance(0.4):
                unknown = sort == "s" and self.chance(0.15)
                terms.append(Term("symbol", "Nobody") if unknown else self.constant(sort))
            else:
                terms.append(Term("variable", self.variable(sort)))
        return Query(name, tuple(terms))

    def sketch(self) -> Sketch:
        given = tuple(self.given(f"R{'ABCD'[place]}") for place in range(self.pick((1, 2, 3, 4))))
        sorts = {item.name: item.sorts for item in given}
        tensors = (
            ("V", "n", tuple((place, self.pick((-1, 0, 1, 2, 3))) for place in range(self.size))),
            ("W", "s", tuple((symbol, self.pick((-1, 0, 1, 2))) for symbol in self.symbols)),
        )
        used: dict[str, str] = {"V": "n", "W": "s"}
        rules: list[Rule | Aggregate] = []
        names = iter(("P", "Q", "S", "U", "K", "L"))
        for number in range(self.pick((1, 2, 2, 3))):
            group = self.group(tuple(sorts), sorts, used, names)
            rules += group
            sorts |= {}
            if self.chance(0.35):
                made = self.aggregate(f"N{number}", _Known(sorts, tuple(sorts), (), used))
                if made is not None:
                    rules.append(made[0])
                    used[made[0].name] = made[1]
        derived = {rule.head.relation for rule in rules if isinstance(rule, Rule)}
        exports = (*sorted(derived), *(rule.name for rule in rules if isinstance(rule, Aggregate)))
        if self.chance(0.3):
            self.random.shuffle(rules)
        queries = tuple(self.query(sorts) for _ in range(self.pick((0, 1, 2, 3))))
        return Sketch(self.size, given, tensors, tuple(rules), sorts, queries, exports)

    def group(
        self, complete: tuple[str, ...], sorts: dict[str, str], tensors: dict[str, str], names: Iterator[str]
    ) -> list[Rule | Aggregate]:
        """The rules of one or two relations that may need each other; `sorts` gets theirs."""
        heads: list[str] = []
        rules: list[Rule | Aggregate] = []
        for _ in range(self.pick((1, 1, 2))):
            name = next(names)
            sorts[name] = self.pick(_DERIVED)
            first = self.first_rule(name, _Known(sorts, complete, (), tensors))
            if first is None:
                sorts[name] = ""
                first = self.first_rule(name, _Known(sorts, complete, (), tensors))
                assert first is not None
            rules.append(first)
            heads.append(name)
        known = _Known(sorts, complete, tuple(heads), tensors)
        for name in heads:
            for _ in range(self.pick((0, 1, 1, 2))):
                rule = self.rule(name, known, base=False)
                if rule is not None:
                    rules.append(rule)
        return rules


def _with_ranges(atoms: list[Atom]) -> list[Atom]:
    """Every variable stands alone somewhere: what it ranges over is then the axis, stepped or not."""
    alone = {term.name for atom in atoms for term in atom.terms if term.kind == "variable" and not term.number}

    def plain(term: Term) -> Term:
        computed = term.kind in ("half", "twice") or (term.kind == "variable" and term.number)
        return Term("variable", term.name) if computed and term.name not in alone else term

    return [Atom(atom.relation, tuple(map(plain, atom.terms))) for atom in atoms]


def draw(seed: int) -> Sketch:
    """The program of a seed."""
    return _Writer(seed).sketch()
