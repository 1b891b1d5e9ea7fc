"""What attempts to rewrite rules for goals teach: which relations to derive whole, and which ways cover others."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import field
from typing import TypeAlias

from fuse_ref.records import dataclass
from fuse_ref.relations.asked import Asked, denied_inside_groups
from fuse_ref.relations.instances import Analysis, Pattern, Site, analysed
from fuse_ref.relations.rules import Assignment, Constant, Literal, Rule, Term, Value, Variable

__all__ = ["Adornment", "Choices", "Outcome", "adornment_of", "covers", "head_under"]

Adornment: TypeAlias = str  # one letter per argument: b where it is bound, f where it is free


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an attempt came to."""

    rules: Sequence[Rule]
    origin: Mapping[str, str]  # relations that were made -> the relation whose tuples they hold
    needed: Collection[tuple[str, Adornment]]
    constants: Collection[tuple[str, Pattern]]  # relations that got a rewriting for constants
    crowded: bool  # one of them for more constants than that pays for


@dataclass(slots=True)
class Choices:
    """What earlier attempts have shown."""

    tuples: bool = False  # what is made holds whole tuples: no argument is left out
    whole: set[str] = field(default_factory=set)  # derived by their own rules, and so is all that they need
    weaker: dict[tuple[str, Adornment], Adornment] = field(default_factory=dict)  # one that covers it is needed anyway
    shared: set[str] = field(default_factory=set)  # relations that get no rewriting for single constants
    _analyses: dict[tuple[str, Pattern], Analysis | None] = field(default_factory=dict)

    def analysed(
        self, asked: Asked, relation: str, pattern: Pattern, sizes: Mapping[str, int] | None
    ) -> Analysis | None:
        place = (relation, pattern)
        if place not in self._analyses:
            self._analyses[place] = analysed(relation, pattern, asked, sizes)
        return self._analyses[place]

    def revised(self, asked: Asked, outcome: Outcome) -> bool:
        """Learns from an attempt; whether another is needed."""
        found = outcome.crowded
        adornments: dict[str, list[Adornment]] = {}
        for name, adornment in outcome.needed:
            adornments.setdefault(name, []).append(adornment)
        for name, several in adornments.items():
            for one in several:
                wider = [other for other in several if other != one and covers(other, one)]
                if wider:
                    self.weaker[name, one] = min(wider, key=lambda item: item.count("b"))
                    found = True
        patterns: dict[str, list[Pattern]] = {}
        for name, pattern in outcome.constants:
            patterns.setdefault(name, []).append(pattern)
        for name, list_of in patterns.items():
            covered = any(_makes_needless(one, pattern) for pattern in list_of for one in adornments.get(name, ()))
            if name not in self.shared and covered:
                self.shared.add(name)
                found = True
        if found:
            return True
        denied = {outcome.origin.get(name, name) for name in denied_inside_groups(outcome.rules)}
        whole = asked.below(denied or ()) - self.whole
        self.whole |= whole
        assert whole or not denied, "the rules were not stratified before"
        return bool(whole)


def covers(one: Adornment, other: Adornment) -> bool:
    """Whether what is needed of the first includes what is needed of the second."""
    return all(a == "f" or b == "b" for a, b in zip(one, other, strict=True))


def _makes_needless(one: Adornment, pattern: Pattern) -> bool:
    """Whether a rewriting for constants should rather read what is needed anyway."""
    # All answers together cost less than pairs, but nothing where the relation is derived whole.
    several = any(isinstance(value, Site) for value in pattern)
    return "b" not in one if several else covers(one, adornment_of(pattern))


def adornment_of(pattern: Sequence[object]) -> Adornment:
    return "".join("b" if bound else "f" for bound in pattern)


def head_under(rule: Rule, adornment: Adornment) -> tuple[list[Value], tuple[Term, ...], list[Literal]]:
    """A rule's head terms, those that are bound, and literals that give these where they are computed."""
    head = list(rule.terms)
    asked: list[Term] = []
    extra: list[Literal] = []
    for k, (term, letter) in enumerate(zip(rule.terms, adornment, strict=True)):
        if letter == "f":
            continue
        if isinstance(term, Variable | Constant):
            asked.append(term)
        else:
            head[k] = made = Variable(f"{rule.head.lower()}~{k}")
            asked.append(made)
            extra.append(Assignment(made, term))
    return head, tuple(asked), extra
