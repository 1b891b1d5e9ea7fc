"""Shortest derivations: of what a fact may depend on, each tuple with the rule that gives it in fewest steps.

Nothing is kept while rules run. When a fact is asked about, rules made of the program's find what it may depend
on, and by which instances of rules, from the fact downwards; then these are counted from what was given upwards
(W. Dowling, J. Gallier: Linear-time algorithms for testing the satisfiability of propositional Horn formulae,
J. Logic Programming 1984, in rounds, so that the first way to a tuple is one of least height).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from fuse_ref.records import dataclass
from fuse_ref.relations.asked import Asked
from fuse_ref.relations.keys import Packing
from fuse_ref.relations.rounds import by_rounds, stored
from fuse_ref.relations.rules import (
    Apply,
    Assignment,
    Atom,
    Constant,
    Domain,
    Element,
    Literal,
    Rule,
    Term,
    Value,
    Variable,
)
from fuse_ref.relations.tuples import Tuples
from fuse_ref.relations.uses import Use, uses_below
from fuse_ref.relations.world import Bindings, Fact, World

__all__ = ["Step", "parts", "shortest", "shown"]


@dataclass(frozen=True, slots=True)
class Step:
    """The rule that gives a tuple in its shortest derivation."""

    rule: Rule
    bindings: Bindings  # of the variables of the head and of derived relations
    extra: tuple[Literal, ...]  # what binds the head's computed arguments
    height: int
    size: int


def shown(literal: Literal) -> bool:
    """Whether a literal is a node of derivations; the arithmetic and the ranges of positions are not."""
    if isinstance(literal, Domain):
        return False
    return not isinstance(literal, Assignment) or any(isinstance(part, Element) for part in parts(literal.value))


def parts(value: Value) -> Iterable[Value]:
    left = [value]
    while left:
        part = left.pop()
        yield part
        if isinstance(part, Apply):
            left.extend(part.arguments)


def shortest(world: World, asked: Asked, fact: Fact) -> dict[Fact, Step]:
    """The steps of a shortest derivation, by what they give; what has none was given.

    A derivation is shortest when its height is least, every part of it is a shortest derivation of its own
    fact, and among those it has fewest nodes.

    Raises:
        LimitError: what the fact may depend on takes more than the memory allowed.
    """
    uses = uses_below(asked, fact.relation)
    if any(len(use.recursive(asked)) > 1 for use in uses):
        # Of two recursive atoms there are many more instances than a shortest derivation has to look at.
        found = by_rounds(world, asked, uses, fact)
        if found is not None:
            return _Counting(world, asked, uses, *found).steps(fact)
    return _Counting(world, asked, uses, *_all_below(world, uses, fact)).steps(fact)


def _all_below(world: World, uses: Sequence[Use], fact: Fact) -> tuple[dict[str, Tuples], Mapping[str, Tuples]]:
    """What the fact may depend on, and all uses of rules for it."""
    derived = dict.fromkeys(use.rule.head for use in uses)
    shapes = {name: tuples.shape for name, tuples in world.relations.items()}
    cone = {name: f"cone~{name}" for name in derived}
    rules = [Rule(cone[fact.relation], tuple(Constant(p) for p in fact.position), (), -1, "the fact asked about")]
    for use in uses:
        rules += _cone_rules(use, cone)
    wanted = {cone[name]: shapes[name] for name in derived} | {use.name: use.shape(shapes) for use in uses}
    found = world.derived(rules, wanted)
    return {name: found[cone[name]] for name in derived}, found


def _cone_rules(use: Use, cone: dict[str, str]) -> list[Rule]:
    rule = use.rule
    body = (Atom(cone[rule.head], use.head), *use.extra, *rule.body)
    instances = Atom(use.name, tuple(Variable(name) for name in use.variables))
    found = [Rule(use.name, instances.terms, body, rule.equation, rule.text, rule.span)]
    # Not from the instances: one atom in a circle is a graph to search.
    for atom in use.needed:
        found.append(Rule(cone[atom.relation], atom.terms, body, rule.equation, rule.text, rule.span))
    return found


class _Counting:
    """Counts upwards from what was given, in rounds."""

    def __init__(
        self,
        world: World,
        asked: Asked,
        uses: Sequence[Use],
        cone: dict[str, Tuples],
        instances: Mapping[str, Tuples],
    ) -> None:
        self.world, self.asked, self.uses = world, asked, uses
        self.cone = {name: tuples.sorted() for name, tuples in cone.items()}
        self.first: dict[str, int] = {}  # number of a relation's first tuple
        self.packed: dict[str, tuple[Packing, np.ndarray, np.ndarray]] = {}
        total = 0
        for name, tuples in self.cone.items():
            self.first[name] = total
            total += len(tuples)
            packing = Packing(tuples.shape)
            keys = packing.pack(tuples.columns, len(tuples))
            order = np.argsort(keys, kind="stable")
            self.packed[name] = packing, keys[order], order
        self.total = total
        self.instances = [instances[use.name].sorted() for use in uses]

    def _numbers(self, relation: str, columns: Sequence[np.ndarray], count: int) -> np.ndarray:
        """(count,) numbers of tuples; -1 for those that are not below the fact."""
        packing, keys, order = self.packed[relation]
        wanted = packing.pack(columns, count)
        places = np.searchsorted(keys, wanted)
        places[places == len(keys)] = 0
        if not len(keys):
            return np.full(count, -1)
        return np.where(keys[places] == wanted, self.first[relation] + order[places], -1)

    def _values(self, use: Use, tuples: Tuples, terms: Sequence[Term]) -> list[np.ndarray]:
        columns = dict(zip(use.variables, tuples.columns, strict=True))
        return [
            columns[term.name]
            if isinstance(term, Variable)
            else np.full(len(tuples), self.world.numbers.constant(term), np.int64)
            for term in terms
        ]

    def _given(self) -> np.ndarray:
        """The numbers of tuples that facts or inputs give."""
        found = [np.zeros(0, np.int64)]
        for name in self.cone:
            given = stored(self.world, self.asked, name)
            found.append(self._numbers(name, given.columns, len(given)))
        numbers = np.unique(np.concatenate(found))
        return numbers[numbers >= 0]

    def steps(self, fact: Fact) -> dict[Fact, Step]:
        heads, bodies, leaves, starts = self._ground()
        uses: list[list[int]] = [[] for _ in range(self.total)]
        for number, body in enumerate(bodies):
            for node in body:
                uses[node].append(number)
        waiting = [len(body) for body in bodies]
        heights: dict[int, int] = dict.fromkeys(self._given().tolist(), 0)
        sizes: dict[int, int] = dict.fromkeys(heights, 1)
        chosen: dict[int, int] = {}
        root = int(self._numbers(fact.relation, [np.array([p]) for p in fact.position], 1)[0])
        new = list(heights)
        ready = [number for number, count in enumerate(waiting) if not count]
        height = 0
        while root not in heights and (new or ready):
            for node in new:
                for number in uses[node]:
                    waiting[number] -= 1
                    if not waiting[number]:
                        ready.append(number)
            height += 1
            new = []
            for number in ready:
                head = heads[number]
                if heights.get(head, height) < height:
                    continue
                size = 1 + leaves[number] + sum(sizes[node] for node in bodies[number])
                if head not in heights:
                    heights[head] = height
                    new.append(head)
                if head not in sizes or (size, number) < (sizes[head], chosen[head]):
                    sizes[head], chosen[head] = size, number
            ready = []
        return self._chosen(root, chosen, heights, sizes, bodies, starts)

    def _ground(self) -> tuple[list[int], list[tuple[int, ...]], list[int], list[int]]:
        """Every instance of a rule below the fact: its head, its derived body, its other nodes; where a rule's begin."""
        heads: list[int] = []
        bodies: list[tuple[int, ...]] = []
        leaves: list[int] = []
        starts = [0]
        for use, tuples in zip(self.uses, self.instances, strict=True):
            count = len(tuples)
            head = self._numbers(use.rule.head, self._values(use, tuples, use.head), count)
            columns = [
                self._numbers(atom.relation, self._values(use, tuples, atom.terms), count).tolist()
                for atom in use.needed
            ]
            heads += head.tolist()
            bodies += list(zip(*columns, strict=True)) if columns else [()] * count
            leaves += [sum(map(shown, use.rule.body)) - len(use.needed)] * count
            starts.append(len(heads))
        return heads, bodies, leaves, starts

    def _chosen(
        self,
        root: int,
        chosen: dict[int, int],
        heights: dict[int, int],
        sizes: dict[int, int],
        bodies: list[tuple[int, ...]],
        starts: list[int],
    ) -> dict[Fact, Step]:
        names = list(self.cone)
        firsts = [self.first[name] for name in names]
        found: dict[Fact, Step] = {}
        left, seen = [root], {root}
        while left:
            node = left.pop()
            number = chosen.get(node)
            if number is None:
                continue
            k = int(np.searchsorted(starts, number, "right")) - 1
            use, row = self.uses[k], number - starts[k]
            bindings = {
                name: int(column[row]) for name, column in zip(use.variables, self.instances[k].columns, strict=True)
            }
            name = names[int(np.searchsorted(firsts, node, "right")) - 1]
            position = tuple(int(column[node - self.first[name]]) for column in self.cone[name].columns)
            found[Fact(name, position)] = Step(use.rule, bindings, use.extra, heights[node], sizes[node])
            for child in bodies[number]:
                if child not in seen:
                    seen.add(child)
                    left.append(child)
        return found
