"""Uses of rules: what their instances are told apart by in a derivation."""

from __future__ import annotations

from fuse_ref.records import dataclass
from fuse_ref.relations.asked import Asked
from fuse_ref.relations.literals import places_of
from fuse_ref.relations.rules import Assignment, Atom, Constant, Literal, Rule, Term, Variable

__all__ = ["Use", "uses_below"]


@dataclass(frozen=True, slots=True)
class Use:
    """A rule, and the relation of its instances below the fact."""

    rule: Rule
    name: str
    head: tuple[Term, ...]  # with variables for what is computed
    extra: tuple[Literal, ...]  # which these are assigned
    variables: tuple[str, ...]  # the instances' arguments
    places: tuple[tuple[str, int], ...]  # where these stand: (relation, argument)
    needed: tuple[Atom, ...]  # its atoms of derived relations

    def recursive(self, asked: Asked) -> list[Atom]:
        """Its atoms of relations that need the head's."""
        return [atom for atom in self.needed if asked.group[atom.relation] == asked.group[self.rule.head]]

    def shape(self, relations: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
        return tuple(relations[name][k] for name, k in self.places)


def uses_below(asked: Asked, relation: str) -> list[Use]:
    """The rules of what the relation needs without denials: what is denied is not derived."""
    return [use_of(rule, k, asked) for k, rule in enumerate(rules_below(asked, relation))]


def rules_below(asked: Asked, relation: str) -> list[Rule]:
    found: dict[str, None] = {}
    left = [relation]
    while left:
        name = left.pop()
        if name not in found:
            found[name] = None
            atoms = (item for rule in asked.proper[name] for item in rule.body if isinstance(item, Atom))
            left.extend(dict.fromkeys(atom.relation for atom in atoms if atom.relation in asked.derived))
    return [rule for name in found for rule in asked.proper[name]]


def use_of(rule: Rule, number: int, asked: Asked) -> Use:
    needed = tuple(item for item in rule.body if isinstance(item, Atom) and item.relation in asked.derived)
    head: list[Term] = []
    extra: list[Literal] = []
    for k, term in enumerate(rule.terms):
        if isinstance(term, Variable | Constant):
            head.append(term)
        else:
            head.append(made := Variable(f"head~{k}"))
            extra.append(Assignment(made, term))
    terms = [*head, *(term for atom in needed for term in atom.terms)]
    variables = tuple(dict.fromkeys(term.name for term in terms if isinstance(term, Variable)))
    places = places_of(head, rule.head, needed)
    at = tuple(places[name] for name in variables)
    return Use(rule, f"use~{number}~{rule.head}", tuple(head), tuple(extra), variables, at, needed)
