"""Rules: what the logic engine runs. Every variable is bound by an atom, an assignment or a domain.

Equations with a Boolean head become rules before the plan is made: `or` gives several rules, a
compound below `not` a relation of its own, an index that is not plain a variable of its own with an assignment
beside it, and what is summed inside a comparison a dense tensor of its own. Plain frozen data.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import field, replace
from typing import TypeAlias

from fuse_ref.analysis.lengths import Length
from fuse_ref.ir.nodes import Comparator
from fuse_ref.records import dataclass
from fuse_ref.source import Span

__all__ = [
    "Apply",
    "Assignment",
    "Atom",
    "Constant",
    "Denial",
    "Domain",
    "Element",
    "Filter",
    "Literal",
    "Rule",
    "Term",
    "Value",
    "Variable",
    "atoms",
    "body_atoms",
    "elements",
    "literal_variables",
    "value_variables",
    "with_names",
]


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of a rule: a position."""

    name: str


@dataclass(frozen=True, slots=True)
class Constant:
    """A number, or a position: symbols are numbered, positions from the end are counted from 0."""

    value: int | float | Length  # a Length where it depends on the size of an axis (`R(-1, x)`)


@dataclass(frozen=True, slots=True)
class Element:
    """An element of a dense tensor; 0 outside of it."""

    tensor: str
    indices: tuple[Value, ...]  # whole numbers


@dataclass(frozen=True, slots=True)
class Apply:
    """An elementwise function of `ir.operations` (one of OPERATORS or an elementwise row) of values."""

    function: str  # "add", "subtract", "multiply", "floor_divide", "exp", …
    arguments: tuple[Value, ...]
    options: tuple[tuple[str, str], ...] = ()


Value: TypeAlias = Variable | Constant | Element | Apply
Term: TypeAlias = Variable | Constant  # of an atom


@dataclass(frozen=True, slots=True)
class Atom:
    """Tuples of a relation. A variable that stands twice asks for equal positions; "_" names match anything."""

    relation: str
    terms: tuple[Term, ...]
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Denial:
    """No tuple of the relation fits. Its variables are bound by the rest of the rule, or stand in it alone."""

    atom: Atom


@dataclass(frozen=True, slots=True)
class Filter:
    """A comparison of values whose variables are bound by the rest of the rule."""

    operator: Comparator
    left: Value
    right: Value
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Assignment:
    """`variable` is `value`: it binds the variable, or filters where something else binds it.

    Where `value` is a variable plus or minus a number it binds the other way round too.
    """

    variable: Variable
    value: Value


@dataclass(frozen=True, slots=True)
class Domain:
    """The variable is one of the positions 0 to length - 1: it binds the variable, or filters."""

    variable: Variable
    length: Length


Literal: TypeAlias = Atom | Denial | Filter | Assignment | Domain


@dataclass(frozen=True, slots=True)
class Rule:
    """`head(terms) <- body`: the tuples of terms for all that make every literal of the body true.

    A fact has an empty body and constant terms. Tuples outside the head's shape are dropped.
    """

    head: str  # a relation; "Tensor~k" is one that the planner made
    terms: tuple[Value, ...]
    body: tuple[Literal, ...]
    equation: int  # its position in `program.equations`
    text: str = field(compare=False)  # the equation as the user wrote it, or what the planner made of it
    span: Span | None = field(default=None, compare=False, repr=False)


def atoms(rule: Rule) -> Iterator[Atom]:
    """The atoms of the body, denied ones included."""
    return body_atoms(rule.body)


def body_atoms(body: Iterable[Literal]) -> Iterator[Atom]:
    """The atoms among literals, denied ones included."""
    for item in body:
        if isinstance(item, Atom):
            yield item
        elif isinstance(item, Denial):
            yield item.atom


def elements(rule: Rule) -> Iterator[str]:
    """The dense tensors that the rule reads elements of."""
    pending: list[Value] = list(rule.terms)
    for item in rule.body:
        match item:
            case Filter(_, left, right):
                pending.extend((left, right))
            case Assignment(_, value):
                pending.append(value)
            case _:
                pass
    while pending:
        match pending.pop():
            case Element(tensor, parts):
                yield tensor
                pending.extend(parts)
            case Apply(_, parts):
                pending.extend(parts)
            case _:
                pass


def literal_variables(item: Literal) -> Iterator[str]:
    """The variables that stand in `item`, as often as they do."""
    match item:
        case Atom(_, terms):
            for term in terms:
                yield from value_variables(term)
        case Denial(atom):
            yield from literal_variables(atom)
        case Filter(_, left, right):
            yield from value_variables(left)
            yield from value_variables(right)
        case Assignment(variable, value):
            yield variable.name
            yield from value_variables(value)
        case Domain(variable):
            yield variable.name


def value_variables(value: Value) -> Iterator[str]:
    """The variables that stand in `value`, as often as they do."""
    match value:
        case Variable(name):
            yield name
        case Constant():
            return
        case Element(_, parts) | Apply(_, parts):
            for part in parts:
                yield from value_variables(part)


def with_names(rule: Rule) -> Rule:
    """The rule with a name of its own for each "_"."""
    number = itertools.count()

    def named(atom: Atom) -> Atom:
        terms = tuple(Variable(f"_~{next(number)}") if term == Variable("_") else term for term in atom.terms)
        return atom if terms == atom.terms else replace(atom, terms=terms)

    body = tuple(
        named(literal)
        if isinstance(literal, Atom)
        else replace(literal, atom=named(literal.atom))
        if isinstance(literal, Denial)
        else literal
        for literal in rule.body
    )
    return rule if body == rule.body else replace(rule, body=body)
