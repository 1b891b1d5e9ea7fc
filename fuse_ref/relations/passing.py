"""The order in which a rule's literals pass bindings on: sideways information passing, guided by sizes."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import assert_never

from fuse_ref.relations.literals import variables, variables_of
from fuse_ref.relations.rules import Apply, Assignment, Atom, Constant, Denial, Domain, Filter, Literal, Value, Variable

__all__ = ["UNKNOWN_SIZE", "bound_after", "bound_arguments", "ordered", "ready"]

UNKNOWN_SIZE = 1000.0  # tuples of a relation of which nothing is known


def bound_arguments(atom: Atom, bound: Collection[str]) -> tuple[bool, ...]:
    """Which arguments have a value once the variables `bound` have one."""
    return tuple(isinstance(term, Constant) or term.name in bound for term in atom.terms)


def bound_after(literal: Literal, bound: set[str]) -> set[str]:
    """The variables with a value after `literal`, which was ready with `bound`."""
    return bound if isinstance(literal, Denial | Filter) else bound | set(variables(literal))


def ready(literal: Literal, bound: Collection[str], alone: Collection[str] = ()) -> bool:
    """Whether `literal` can be decided when the variables `bound` have values.

    Args:
        alone: variables that stand in this literal alone; in a denial they ask for any value.
    """
    missing = [name for name in variables(literal) if name not in bound]
    match literal:
        case Atom():
            return True
        case Denial():
            return all(name in alone for name in missing)
        case Filter():
            return not missing
        case Assignment(variable, value):
            if not missing or variable.name in variables_of(value):
                return not missing
            return missing == [variable.name] or (len(missing) == 1 and _invertible(value))
        case Domain():
            return not missing
        case _:
            assert_never(literal)


def _invertible(value: Value) -> bool:
    match value:
        case Variable():
            return True
        case Apply("add" | "subtract", (Variable(), Constant())) | Apply("add", (Constant(), Variable())):
            return True
    return False


def ordered(
    body: Sequence[Literal],
    bound: Iterable[str],
    *,
    derived: Collection[str] = (),
    sizes: Mapping[str, int] | None = None,
    last: Atom | None = None,
    as_written: bool = False,
) -> list[Literal]:
    """The literals of a body, each where what it needs is bound, atoms with few fitting tuples first.

    Args:
        bound: variables with a value before the body.
        derived: relations that are asked for what they hold: one without a bound argument comes late, since it
            would be derived whole.
        sizes: numbers of tuples, as far as known.
        last: an atom that waits for all others.
        as_written: in text order, whatever the sizes, as far as what each needs is bound.
    """
    sizes = sizes or {}
    large = 10 * max([UNKNOWN_SIZE, *sizes.values()])
    counts: dict[str, int] = {}
    for item in body:
        for name in variables(item):
            counts[name] = counts.get(name, 0) + 1
    known = set(bound)
    alone = {name for name, count in counts.items() if count == 1 and name not in known}

    def cost(atom: Atom) -> float:
        arguments = bound_arguments(atom, known)
        size = sizes.get(atom.relation, large if atom.relation in derived else UNKNOWN_SIZE)
        if atom.relation in derived and arguments and not any(arguments):
            return float("inf")
        share: float = arguments.count(False) / max(len(arguments), 1)
        return math.pow(max(size, 1), share)

    left = list(body)
    found: list[Literal] = []
    while left:
        tests = [k for k, item in enumerate(left) if not isinstance(item, Atom) and ready(item, known, alone)]
        atoms = [k for k, item in enumerate(left) if isinstance(item, Atom) and item is not last]
        domains = [k for k, item in enumerate(left) if isinstance(item, Domain)]
        if as_written and (tests or atoms):
            chosen = min([*tests[:1], *atoms[:1]])
        elif tests:
            chosen = tests[0]
        elif atoms:
            chosen = min(atoms, key=lambda k: cost(left[k]))  # type: ignore[arg-type]
        elif domains:
            chosen = domains[0]
        else:
            chosen = next((k for k, item in enumerate(left) if item is last), 0)
        item = left.pop(chosen)
        found.append(item)
        known = bound_after(item, known)
    return found


def needed(literals: Iterable[Literal], terms: Iterable[Value]) -> set[str]:
    """The variables that these literals and head terms name."""
    return {name for item in literals for name in variables(item)} | {
        name for term in terms for name in variables_of(term)
    }
