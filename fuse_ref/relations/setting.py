"""What special algorithms ask of rules: tuples of single bodies, and which bodies cost no more than one relation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeAlias

import numpy as np

from fuse_ref.records import dataclass
from fuse_ref.relations.rules import (
    Assignment,
    Atom,
    Denial,
    Literal,
    Rule,
    Value,
    Variable,
    literal_variables,
    value_variables,
)
from fuse_ref.relations.tuples import Tuples
from fuse_ref.relations.unions import Room
from fuse_ref.relations.values import solvable

__all__ = ["Columns", "Setting", "Solve", "guarded"]

Columns: TypeAlias = tuple[np.ndarray, ...]

# Tuples of rules that are not recursive: the rules, relations beside the known ones, shapes of the heads.
Solve: TypeAlias = Callable[[Sequence[Rule], Mapping[str, Tuples], Mapping[str, tuple[int, ...]]], Mapping[str, Tuples]]

_MADE: Final = "special~body"


@dataclass(frozen=True, slots=True)
class Setting:
    """Where the rules of a stratum run.

    Attributes:
        known: what the stratum reads: given relations, and those of strata before it.
        shapes: of the heads.
        solve: derives rules without recursion.
        room: called with the bytes that are about to be held; raises where they are too many.
    """

    known: Mapping[str, Tuples]
    shapes: Mapping[str, tuple[int, ...]]
    solve: Solve
    room: Room

    def columns(
        self,
        terms: Sequence[Value],
        body: Sequence[Literal],
        sizes: Sequence[int],
        rule: Rule,
        more: Mapping[str, Tuples],
    ) -> Columns:
        """Tuples of `terms` for all that makes `body` true, within `sizes`; some may stand twice.

        Args:
            rule: whose body it is a part of.
            more: relations beside the known ones.
        """
        found = _read(terms, body, sizes, {**self.known, **more})
        if found is None:
            made = Rule(_MADE, tuple(terms), tuple(body), rule.equation, rule.text, rule.span)
            found = self.solve([made], more, {_MADE: tuple(sizes)})[_MADE].columns
        return found


def _read(
    terms: Sequence[Value], body: Sequence[Literal], sizes: Sequence[int], known: Mapping[str, Tuples]
) -> Columns | None:
    """The columns of a relation where the body is one atom of distinct variables; None elsewhere."""
    match body:
        case [Atom(relation, arguments)] if terms:
            pass
        case _:
            return None
    place = {term.name: k for k, term in enumerate(arguments) if isinstance(term, Variable)}
    if len(place) < len(arguments) or not all(isinstance(term, Variable) and term.name in place for term in terms):
        return None
    tuples = known[relation]
    chosen = [place[term.name] for term in terms if isinstance(term, Variable)]
    columns = tuple(tuples.columns[k] for k in chosen)
    if all(tuples.shape[k] <= size for k, size in zip(chosen, sizes, strict=True)):
        return columns
    inside = np.ones(len(tuples), np.bool_)
    for column, size in zip(columns, sizes, strict=True):
        inside &= column < size
    return tuple(column[inside] for column in columns)


def guarded(body: Sequence[Literal], needed: Iterable[str]) -> bool:
    """Whether one atom of `body` determines all of its variables and `needed`.

    Then the body has no more tuples than that atom's relation. A variable that stands but once in all is
    no matter: it only asks whether there is a tuple.
    """
    needed = set(needed)
    names = [name for literal in body for name in literal_variables(literal)] + list(needed)
    often = {name for name in names if names.count(name) > 1} | needed
    return any(often <= _determined(atom, body, needed) for atom in body if isinstance(atom, Atom))


def _determined(atom: Atom, body: Sequence[Literal], needed: set[str]) -> set[str]:
    found = set(literal_variables(atom))
    growing = True
    while growing:
        growing = False
        for literal in body:
            if not isinstance(literal, Assignment):
                continue
            inner = set(value_variables(literal.value))
            both = inner | {literal.variable.name}
            # One way round the value is computed, the other it is solved for its only variable.
            if both <= found or not (inner <= found or (literal.variable.name in found and len(inner - found) == 1)):
                continue
            if inner <= found or all(solvable(literal.value, name) for name in inner - found):
                found |= both
                growing = True
    # What stands below a denial alone is no variable of the rule.
    return found | {
        name
        for literal in body
        if isinstance(literal, Denial)
        for name in literal_variables(literal)
        if name not in needed and not any(name in literal_variables(other) for other in body if other is not literal)
    }
