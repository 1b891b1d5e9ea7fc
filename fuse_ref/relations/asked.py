"""What a goal-directed rewriting knows of the rules it rewrites: which relations they derive, and in which groups."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from fuse_ref.analysis.graph import groups
from fuse_ref.relations.literals import fact_rule
from fuse_ref.relations.rules import Atom, Denial, Rule, Variable

__all__ = ["FACTS", "GIVEN", "Asked", "denied_inside_groups", "read_relations"]

FACTS = "~facts"  # the facts of a relation that has other rules too
GIVEN = "~given"  # the given tuples of a relation that has rules too


def read_relations(rule: Rule) -> tuple[str, ...]:
    """The relations of the rule's body, each once."""
    atoms = (item.atom if isinstance(item, Denial) else item for item in rule.body if isinstance(item, Atom | Denial))
    return tuple(dict.fromkeys(atom.relation for atom in atoms))


class Asked:
    """The rules by relation.

    Args:
        rules: in text order, facts among them.
        given: relations that have tuples besides those that rules derive.
    """

    def __init__(self, rules: Sequence[Rule], given: Collection[str]) -> None:
        self.given = frozenset(given)
        self.proper: dict[str, list[Rule]] = {}
        self.facts: dict[str, list[Rule]] = {}
        for rule in rules:
            (self.facts if fact_rule(rule) else self.proper).setdefault(rule.head, []).append(rule)
        # A relation of facts alone is stored, not derived.
        self.derived = frozenset(self.proper)
        needs = {
            head: tuple(dict.fromkeys(name for rule in rules for name in read_relations(rule) if name in self.derived))
            for head, rules in self.proper.items()
        }
        self.needs = needs
        self.group: dict[str, int] = {}
        self.recursive: set[str] = set()
        for number, members in enumerate(groups(list(self.proper), needs)):
            for name in members:
                self.group[name] = number
            if len(members) > 1 or members[0] in needs[members[0]]:
                self.recursive.update(members)

    def rules_of(self, relation: str) -> list[Rule]:
        """The rules that derive it, its stored tuples entering by rules too: `R(a, b) <- R~facts(a, b)`."""
        rules = self.proper[relation]
        found = list(rules)
        variables = tuple(Variable(f"{relation.lower()}~{k}") for k in range(len(rules[0].terms)))
        for stored, there in ((FACTS, relation in self.facts), (GIVEN, relation in self.given)):
            if there:
                body = (Atom(relation + stored, variables),)
                found.append(Rule(relation, variables, body, rules[0].equation, f"{relation}: what is stored"))
        return found

    def below(self, relations: Iterable[str]) -> set[str]:
        """These derived relations and all derived ones that they need."""
        found: set[str] = set()
        left = [name for name in relations if name in self.derived]
        while left:
            name = left.pop()
            if name not in found:
                found.add(name)
                left.extend(self.needs[name])
        return found


def denied_inside_groups(rules: Sequence[Rule]) -> set[str]:
    """The relations that are denied by a rule which they depend on: the rules are not stratified where there are any."""
    needs: dict[str, list[str]] = {rule.head: [] for rule in rules}
    for rule in rules:
        needs[rule.head].extend(name for name in read_relations(rule) if name in needs)
    number = {name: k for k, members in enumerate(groups(list(needs), needs)) for name in members}
    return {
        item.atom.relation
        for rule in rules
        for item in rule.body
        if isinstance(item, Denial) and number.get(item.atom.relation) == number[rule.head]
    }
