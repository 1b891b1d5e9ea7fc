"""Rules rewritten so that only what certain goals need is derived: magic sets, and cheaper forms where they apply.

Sources: supplementary magic sets (C. Beeri, R. Ramakrishnan: On the power of magic, PODS 1987); one adornment
where it subsumes another (K. T. Tekle, Y. A. Liu: More efficient Datalog queries: subsumptive tabling beats
magic sets, SIGMOD 2011); constants put into rules and right-linear calls as in `relations.instances`. What is
denied is asked for with its bound arguments; where that would not be stratified it is derived whole.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TypeVar

from fuse_ref.records import dataclass
from fuse_ref.relations.asked import Asked
from fuse_ref.relations.choices import Choices
from fuse_ref.relations.literals import Names
from fuse_ref.relations.rewriting import Rewriting
from fuse_ref.relations.rules import Atom, Rule

__all__ = ["Demanded", "demand"]

Size = TypeVar("Size")


@dataclass(frozen=True, slots=True)
class Demanded:
    """Rules that derive what goals need.

    Relations that were made are called `Ancestor~bf` (what is needed of a relation; arguments that are one
    constant are left out), `magic~Ancestor~bf` (what it is needed for), `sup~…` (beginnings of rules) and
    `Ancestor~facts`.
    """

    rules: tuple[Rule, ...]
    # For each relation that was made, and each of its arguments, an argument of an original one with the same positions.
    places: Mapping[str, tuple[tuple[str, int], ...]]
    parts: Mapping[str, tuple[str, ...]]  # relation -> those that hold whole tuples of it

    def shapes(self, shapes: Mapping[str, tuple[Size, ...]]) -> dict[str, tuple[Size, ...]]:
        """The shape of every head.

        Args:
            shapes: of the original rules' heads and of the relations that they read.
        """
        heads = dict.fromkeys(rule.head for rule in self.rules)
        return {
            head: tuple(shapes[name][k] for name, k in self.places[head]) if head in self.places else shapes[head]
            for head in heads
        }


def demand(
    rules: Sequence[Rule],
    goals: Sequence[Atom],
    *,
    given: Collection[str] = (),
    sizes: Mapping[str, int] | None = None,
    names: Names | None = None,
    tuples: bool = False,
) -> Demanded:
    """Rules that derive the tuples which fit the goals, and little else.

    Args:
        rules: stratified, as `derive` takes them.
        goals: atoms whose constants say what is asked for; without constants the whole relation is.
        given: relations that have tuples of their own, besides those that rules derive.
        sizes: numbers of tuples of relations, as far as known: they guide the order within rules.
        names: the symbols of a relation's argument, for the texts of rules.
        tuples: whether all that a derivation of the goals could use is to be there as whole tuples, in `parts`.

    Returns:
        Rules whose relations of the goals' names hold exactly those of the original tuples that fit some goal
        (more of them where a goal or another rule needs the relation whole).
    """
    asked = Asked(rules, given)
    choices = Choices(tuples)
    while True:
        build = Rewriting(asked, choices, sizes, names)
        for goal in goals:
            build.goal(goal)
        build.run()
        if not choices.revised(asked, build.outcome()):
            return Demanded(build.finished(), build.places, build.parts)
