"""Goals, and rules for what they need: one attempt at a rewriting, in which choices made before hold."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Collection, Mapping, Sequence

from fuse_ref.relations.asked import FACTS, GIVEN, Asked
from fuse_ref.relations.choices import Adornment, Choices, Outcome, adornment_of, head_under
from fuse_ref.relations.instances import Instance, Key, Pattern, Site, analysed, free_terms
from fuse_ref.relations.literals import Names, places_of, variables, variables_of, written_rule
from fuse_ref.relations.passing import bound_after, bound_arguments, ordered
from fuse_ref.relations.pruning import pruned
from fuse_ref.relations.rules import (
    Atom,
    Constant,
    Denial,
    Literal,
    Rule,
    Term,
    Value,
    Variable,
)

__all__ = ["Rewriting"]

MOST_CONSTANTS = 8  # rewritings of one relation for constants of their own; more goals share one by magic sets


class Rewriting:
    """One attempt, by a list of relations still to do: nothing is recursive."""

    def __init__(self, asked: Asked, choices: Choices, sizes: Mapping[str, int] | None, names: Names | None) -> None:
        self.asked, self.choices, self.sizes, self.names = asked, choices, sizes, names
        self.out: list[Rule] = []
        self.places: dict[str, tuple[tuple[str, int], ...]] = {}
        self.origin: dict[str, str] = {}  # relations that were made -> the relation whose tuples they hold
        self.seen: dict[tuple[str, Adornment], str] = {}  # the name of what is needed
        self.instances: dict[tuple[str, Pattern], tuple[str, Instance]] = {}
        self.crowded = False  # more constants than one relation gets rewritings for
        self._ways: dict[tuple[str, Pattern], Pattern | None] = {}
        self._sites = 0
        self._of_relation: dict[str, int] = {}  # how many rewritings for constants it has
        self._magic: dict[str, str] = {}  # what is needed -> what for
        self._stored: set[str] = set()
        self._left: deque[tuple[str, Adornment] | Instance] = deque()
        self._taken: set[str] = set()
        self._seeds: dict[tuple[int, Key], str] = {}

    # Goals ----------------------------------------------------------------------------------------

    def goal(self, goal: Atom) -> None:
        called = self._call(goal, set(), [], self._source(goal.relation))
        if called.relation != goal.relation:
            self._add(self._source(goal.relation), goal.relation, goal.terms, [called])

    def _source(self, relation: str) -> Rule:
        """A rule that what is made for `relation` belongs to."""
        rules = self.asked.proper.get(relation) or self.asked.facts.get(relation)
        return rules[0] if rules else Rule(relation, (), (), -1, "")

    def run(self) -> None:
        while self._left:
            match self._left.popleft():
                case Instance() as instance:
                    self._instance(instance)
                case name, adornment if "b" not in adornment:
                    self._all_of(name)
                case name, adornment:
                    self._needed(name, adornment)

    @property
    def parts(self) -> dict[str, tuple[str, ...]]:
        """Relation -> those that hold whole tuples of it."""
        found: dict[str, dict[str, None]] = {}
        for (name, _), made in self.seen.items():
            found.setdefault(name, {name: None})[made] = None
        return {name: tuple(several) for name, several in found.items()}

    def finished(self) -> tuple[Rule, ...]:
        """The rules, each once, in the order in which they came up, without those that read what nothing derives."""
        derived = (self.asked.derived | self.origin.keys()) - self.asked.given
        return pruned(self.out, derived, self._symbols)

    def outcome(self) -> Outcome:
        return Outcome(self.out, self.origin, self.seen, self.instances, self.crowded)

    # Calls ----------------------------------------------------------------------------------------

    def _call(self, atom: Atom, bound: set[str], before: Sequence[Literal], rule: Rule) -> Atom:
        """The atom to read in place of `atom`; sees to it that what it needs is derived.

        Args:
            bound: variables with a value.
            before: the literals that give them: for what the relation is needed.
        """
        name = atom.relation
        if name not in self.asked.derived:
            self._keep_facts(name)
            return atom
        has = bound_arguments(atom, bound)
        adornment = adornment_of(has)
        if name in self.choices.whole:
            adornment = "f" * len(atom.terms)
        while (name, adornment) in self.choices.weaker:
            adornment = self.choices.weaker[name, adornment]
        if "b" not in adornment:
            self._need(name, adornment)
            return atom
        instance = self._instance_for(atom, adornment)
        if instance is not None:
            return instance
        terms = [term for term, letter in zip(atom.terms, adornment, strict=True) if letter == "b"]
        made = self._need(name, adornment)
        self._ask(self._magic[made], terms, before, rule)
        return Atom(made, atom.terms, atom.span)

    def _need(self, relation: str, adornment: Adornment) -> str:
        place = (relation, adornment)
        if place not in self.seen:
            plain = "b" not in adornment
            self.seen[place] = relation if plain else self._name(f"{relation}~{adornment}")
            if not plain:
                self._made(self.seen[place], relation, range(len(adornment)))
                bound = [k for k, letter in enumerate(adornment) if letter == "b"]
                self._magic[self.seen[place]] = self._name(f"magic~{relation}~{adornment}")
                self._made(self._magic[self.seen[place]], relation, bound)
            self._left.append(place)
        return self.seen[place]

    def _ask(self, magic: str, terms: Sequence[Term], before: Sequence[Literal], rule: Rule) -> None:
        """A rule for what a relation is needed for."""
        body = [item for item in before if not (isinstance(item, Denial) and self._depends(item.atom.relation))]
        self._add(rule, magic, terms, body)

    def _depends(self, relation: str) -> bool:
        """Whether what the relation holds depends on what it is needed for."""
        relation = self.origin.get(relation, relation)
        return relation in self.asked.derived and relation not in self.choices.whole

    def _instance_for(self, atom: Atom, adornment: Adornment) -> Atom | None:
        """The atom that reads a rewriting for the constants of `atom`, where there is one."""
        constants: Pattern = tuple(
            term if letter == "b" and isinstance(term, Constant) else None
            for term, letter in zip(atom.terms, adornment, strict=True)
        )
        if self.choices.tuples or atom.relation in self.choices.shared or adornment_of(constants) != adornment:
            return None
        place = (atom.relation, constants)
        if place not in self._ways:
            self._ways[place] = self._way(*place)
        pattern = self._ways[place]
        if pattern is None:
            return None
        return Atom(self.instances[atom.relation, pattern][0], free_terms(atom.terms, pattern), atom.span)

    def _way(self, relation: str, constants: Pattern) -> Pattern | None:
        """The constants for which the relation gets a rewriting of its own; None where its rules have no form for one."""
        patterns = [constants]
        bound = [k for k, value in enumerate(constants) if value is not None]
        if len(bound) > 1:
            # Less may be said about the constants: where `T(a, b)?` has no simple form, `T(a, y)?` may have one.
            patterns += [tuple(v if k == kept else None for k, v in enumerate(constants)) for kept in bound]
        best: tuple[int, Pattern] | None = None
        for pattern in patterns:
            found = self.choices.analysed(self.asked, relation, pattern, self.sizes)
            if found is None:
                continue
            # Seeds of one column are nodes of a graph to search, of two they are pairs.
            width = max(instance.seed_columns for instance in found.values())
            if best is None or width < best[0]:
                best = width, pattern
            if width <= 1:
                break
        if best is None:
            return None
        for place, instance in (self.choices.analysed(self.asked, relation, best[1], self.sizes) or {}).items():
            if place not in self.instances:
                self._register(place, instance)
        self._crowd(relation)
        return best[1]

    def _union(
        self,
        atom: Atom,
        bound: set[str],
        before: Sequence[Literal],
        rest: Sequence[Literal],
        head: Sequence[Value],
        rule: Rule,
    ) -> Atom | None:
        """The atom that reads all answers together, where nothing else is needed of what they are asked for.

        `Live(y) <- Root(x), Reach(x, y)` needs no pairs: a search from all roots at once will do.
        """
        name = atom.relation
        if (
            self.choices.tuples
            or name not in self.asked.recursive
            or name in self.choices.shared
            or name in self.choices.whole
        ):
            return None
        own = [term.name for term in atom.terms if isinstance(term, Variable)]
        free = [variable for variable in own if variable not in bound]
        later = {v for item in rest for v in variables(item)} | {v for term in head for v in variables_of(term)}
        known = {v for item in before for v in variables(item)}
        if len(free) == len(own) or len(set(free)) < len(free) or known & later:
            return None
        self._sites += 1
        pattern: Pattern = tuple(
            term if isinstance(term, Constant) else Site(self._sites) if term.name in bound else None
            for term in atom.terms
        )
        if (name, adornment_of(pattern)) in self.choices.weaker:
            return None
        found = analysed(name, pattern, self.asked, self.sizes)
        if found is None:
            return None
        for place, instance in found.items():
            if place not in self.instances:
                self._register(place, instance)
        made, instance = self.instances[name, pattern]
        asked = [term for term, value in zip(atom.terms, pattern, strict=True) if value is not None]
        seeds = _several(asked, instance, instance.root)
        # All of `before`, denials too: what is asked for more than needed would be answered.
        self._add(rule, self._seeds[id(instance), instance.root], seeds, before)
        self._crowd(name)
        return Atom(made, free_terms(atom.terms, pattern), atom.span)

    def _crowd(self, relation: str) -> None:
        """Gives up rewritings for constants of a relation that has too many."""
        if self._of_relation.get(relation, 0) > MOST_CONSTANTS:
            self.choices.shared.add(relation)
            self.crowded = True

    # Relations needed for some arguments ----------------------------------------------------------

    def _all_of(self, relation: str) -> None:
        """A relation that is needed as it is: its own rules, reading what they need of others."""
        for rule in (*self.asked.facts.get(relation, ()), *self.asked.proper[relation]):
            body = ordered(rule.body, (), derived=self.asked.derived, sizes=self.sizes)
            self._write(rule, relation, rule.terms, [], body, {})

    def _needed(self, relation: str, adornment: Adornment) -> None:
        made = self.seen[relation, adornment]
        for rule in self.asked.rules_of(relation):
            head, asked, extra = head_under(rule, adornment)
            start = Atom(self._magic[made], asked)
            body = ordered([*extra, *rule.body], variables(start), derived=self.asked.derived, sizes=self.sizes)
            self._write(rule, made, head, [start], body, {})

    def _write(
        self,
        rule: Rule,
        head: str,
        terms: Sequence[Value],
        start: Sequence[Literal],
        body: Sequence[Literal],
        calls: Mapping[int, Atom],
    ) -> None:
        """A rule, and rules for what it needs.

        Args:
            start: literals before the body.
            body: in order.
            calls: atoms to read in place of some literals of the body.
        """
        now: list[Literal] = list(start)
        bound = {name for item in start for name in variables(item)}
        reads_derived = False
        for k, item in enumerate(body):
            atom = item.atom if isinstance(item, Denial) else item
            if k in calls:
                now.append(calls[k])
            elif isinstance(atom, Atom):
                if reads_derived and atom.relation in self.asked.derived:
                    shorter = self._beginning(rule, head, now, [*body[k:]], terms)
                    reads_derived = shorter is now
                    now = shorter
                union = self._union(atom, bound, now, body[k + 1 :], terms, rule) if item is atom else None
                if union is not None:
                    now, bound, reads_derived = [union], set(variables(union)), True
                    continue
                called = self._call(atom, bound, now, rule)
                reads_derived = reads_derived or (called.relation in self.origin and isinstance(item, Atom))
                now.append(Denial(called) if isinstance(item, Denial) else called)
            else:
                now.append(item)
            bound = bound_after(item, bound)
        self._add(rule, head, terms, now)

    def _beginning(
        self, rule: Rule, head: str, now: list[Literal], rest: list[Literal], terms: Sequence[Value]
    ) -> list[Literal]:
        """A relation of its own for the beginning of a rule, since the rest and what the rest needs both read it."""
        if len(now) == 1 or any(isinstance(item, Denial) and self._depends(item.atom.relation) for item in now):
            return now
        wanted = {name for item in rest for name in variables(item)} | {
            name for term in terms for name in variables_of(term)
        }
        places = places_of((), head, now)
        kept = [name for name in dict.fromkeys(name for item in now for name in variables(item)) if name in wanted]
        if any(name not in places for name in kept):
            return now
        made = self._name(f"sup~{head}")
        self.places[made] = tuple(self._place(*places[name]) for name in kept)
        atom = Atom(made, tuple(Variable(name) for name in kept))
        self.origin[made] = self.origin.get(head, head)
        self._add(rule, made, atom.terms, now)
        return [atom]

    # Relations with constants ---------------------------------------------------------------------

    def _register(self, place: tuple[str, Pattern], instance: Instance) -> None:
        relation, pattern = place
        made = self._name(f"{relation}~{adornment_of(pattern)}")
        self.instances[place] = made, instance
        self._of_relation[relation] = self._of_relation.get(relation, 0) + 1
        self._made(made, relation, [k for k, value in enumerate(pattern) if value is None])
        for key, values in instance.keys.items():
            if None in values:
                seeds = self._name(
                    f"magic~{key.relation}~{adornment_of([k in key.bound for k in range(len(key.bound) + len(key.columns))])}"
                )
                self._seeds[id(instance), key] = seeds
                self._made(
                    seeds, key.relation, [k for k, value in zip(key.bound, values, strict=True) if value is None]
                )
        self._left.append(instance)

    def _instance(self, instance: Instance) -> None:
        made = self.instances[instance.relation, instance.pattern][0]
        for key, pieces in instance.pieces.items():
            seeds = self._seeds.get((id(instance), key))
            constants = [value for value in instance.pattern if isinstance(value, Constant)]
            if seeds is not None and key == instance.root and len(constants) == len(key.bound):
                self._ask(seeds, _several(constants, instance, key), [], self._source(key.relation))
            for piece in pieces:
                start = [Atom(seeds, piece.start)] if seeds is not None and piece.start is not None else []
                calls: dict[int, Atom] = {}
                for k, place in piece.calls.items():
                    atom = piece.body[k]
                    assert isinstance(atom, Atom), "only atoms are calls"
                    calls[k] = Atom(self.instances[place][0], free_terms(atom.terms, place[1]), atom.span)
                if piece.tail is None:
                    self._write(piece.rule, made, piece.answers, start, piece.body, calls)
                else:
                    next_key, terms = piece.tail
                    asked = _several(terms, instance, next_key)
                    self._write(piece.rule, self._seeds[id(instance), next_key], asked, start, piece.body, calls)

    # Names ----------------------------------------------------------------------------------------

    def _name(self, wished: str) -> str:
        number, found = 1, wished
        while found in self._taken:
            number += 1
            found = f"{wished}~{number}"
        self._taken.add(found)
        return found

    def _made(self, name: str, relation: str, arguments: Collection[int]) -> None:
        self.origin[name] = relation
        self.places[name] = tuple((relation, k) for k in arguments)

    def _place(self, relation: str, argument: int) -> tuple[str, int]:
        return self.places[relation][argument] if relation in self.places else (relation.removesuffix(GIVEN), argument)

    def _keep_facts(self, name: str) -> None:
        if name in self._stored:
            return
        self._stored.add(name)
        relation = name.removesuffix(FACTS)
        if name != relation:
            first = self.asked.facts[relation][0]
            self.places[name] = tuple((relation, k) for k in range(len(first.terms)))
        self.out.extend(dataclasses.replace(rule, head=name) for rule in self.asked.facts.get(relation, ()))

    def _symbols(self, relation: str, argument: int) -> Sequence[str] | None:
        return None if self.names is None else self.names(*self._place(relation, argument))

    def _add(self, rule: Rule, head: str, terms: Sequence[Value], body: Sequence[Literal]) -> None:
        if any(isinstance(item, Atom) and (item.relation, item.terms) == (head, tuple(terms)) for item in body):
            return  # it says nothing new
        if head == rule.head and set(body) == set(rule.body):
            self.out.append(rule)
            return
        text = written_rule(head, terms, body, self._symbols)
        self.out.append(Rule(head, tuple(terms), tuple(body), rule.equation, text, rule.span))


def _several(terms: Sequence[Term], instance: Instance, key: Key) -> list[Term]:
    """Of a call's bound arguments those that differ between calls."""
    return [term for term, value in zip(terms, instance.keys[key], strict=True) if value is None]
