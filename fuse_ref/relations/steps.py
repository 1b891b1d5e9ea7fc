"""The steps of a plan: what is done with the bindings of a rule's variables, one after the other."""

from __future__ import annotations

from typing import TypeAlias, assert_never

from fuse_ref.analysis.lengths import Length
from fuse_ref.records import dataclass
from fuse_ref.relations.rules import Filter, Value, Variable, value_variables
from fuse_ref.relations.source import Access, Window

__all__ = [
    "Bind",
    "Check",
    "Compare",
    "Distinct",
    "Expand",
    "Plan",
    "Solve",
    "Span",
    "Step",
    "Test",
    "Within",
    "binds",
    "reads",
]


@dataclass(frozen=True, slots=True)
class Expand:
    """Every binding is continued by the tuples that fit."""

    relation: str
    window: Window
    access: Access
    keys: tuple[Variable, ...]  # of access.keys
    binds: tuple[str, ...]  # by access.payload
    guards: tuple[int, ...]  # keys (places in `keys`) that may lie outside of their column's axis
    keep: tuple[str, ...] = ()  # variables bound before that are needed after


@dataclass(frozen=True, slots=True)
class Test:
    """Bindings stay for which there is a fitting tuple, or none."""

    relation: str
    window: Window
    access: Access
    keys: tuple[Variable, ...]
    guards: tuple[int, ...]
    absent: bool  # stays where there is none
    keep: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Compare:
    literal: Filter
    keep: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Bind:
    """The variable is the value."""

    name: str
    value: Value
    keep: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """Bindings stay in which the variable is the value."""

    name: str
    value: Value
    keep: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Solve:
    """The variable is the number, 0 or more, for which `value` is what `known` is bound to."""

    name: str
    known: str
    value: Value
    keep: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Within:
    """Bindings stay in which the variable is below the length, and not negative."""

    name: str
    length: Length
    keep: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Span:
    """Every binding is continued by all positions below the length."""

    name: str
    length: Length
    keep: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Distinct:
    """Of equal bindings one stays."""

    names: tuple[str, ...]
    sizes: tuple[int, ...]  # every position of names[k] is below sizes[k]
    number: int  # which of the plan's
    keep: tuple[str, ...] = ()


Step: TypeAlias = Expand | Test | Compare | Bind | Check | Solve | Within | Span | Distinct


@dataclass(frozen=True, slots=True)
class Plan:
    """How one rule is worked off, with the last round's tuples of one of its atoms."""

    steps: tuple[Step, ...]
    inside: tuple[bool, ...]  # per term of the head: surely a position of its axis
    once: bool  # no tuple is derived twice, in no two rounds either

    @property
    def text(self) -> str:
        """The relations in the order in which they are read; a rule may also look at numbers alone."""
        names = ", ".join(
            ("not " if isinstance(step, Test) and step.absent else "")
            + step.relation
            + {"new": " (new)", "old": " (old)"}.get(step.window.value, "")
            for step in self.steps
            if isinstance(step, Expand | Test)
        )
        return names or "every position"


def binds(step: Step) -> tuple[str, ...]:
    """The variables that a step binds."""
    match step:
        case Expand(binds=names):
            return names
        case Bind(name) | Solve(name) | Span(name):
            return (name,)
        case _:
            return ()


def reads(step: Step) -> set[str]:
    """The variables whose values a step needs."""
    match step:
        case Expand(keys=keys) | Test(keys=keys):
            return {term.name for term in keys}
        case Compare(Filter(_, left, right)):
            return {*value_variables(left), *value_variables(right)}
        case Bind(_, value):
            return set(value_variables(value))
        case Check(name, value):
            return {name, *value_variables(value)}
        case Solve(name, known, value):
            return {known, *value_variables(value)} - {name}
        case Within(name):
            return {name}
        case Span():
            return set()
        case Distinct(names):
            return set(names)
        case _:
            assert_never(step)
