"""Why a fact holds: a shortest derivation of it; and why one does not: where each rule for it fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field, replace

from fuse_ref.records import dataclass
from fuse_ref.relations.asked import Asked
from fuse_ref.relations.contributions import contributions
from fuse_ref.relations.derivation import Derivation, Node
from fuse_ref.relations.literals import (
    places_of,
    substituted,
    variables,
    variables_of,
    written,
    written_rule,
    written_value,
)
from fuse_ref.relations.passing import ordered
from fuse_ref.relations.rules import (
    Assignment,
    Atom,
    Constant,
    Denial,
    Domain,
    Element,
    Filter,
    Literal,
    Rule,
    Value,
    Variable,
)
from fuse_ref.relations.shortest import Step, parts, shortest, shown
from fuse_ref.relations.supply import supplied
from fuse_ref.relations.values import Numbers
from fuse_ref.relations.world import Aggregate, Bindings, Fact, Finder, World

__all__ = ["Aggregate", "Derivation", "Fact", "World", "why", "why_not"]


def why(world: World, fact: Fact) -> Derivation:
    """A shortest derivation of `fact`; where it does not hold, why not.

    It has the least height of all, so has every part of it, and among those it has fewest nodes.

    Raises:
        LimitError: it would take more memory than allowed to find.
    """
    asked = Asked(world.rules, world.given)
    before = world
    world = supplied(world, asked, [_atom(fact)])
    finder = Finder(world)
    if not finder.has(fact):
        return why_not(before, fact)
    steps = shortest(world, asked, fact) if fact.relation in asked.derived else {}
    drawing = _Drawing(world, finder)
    nodes = drawing.tree(fact, steps)
    step = steps.get(fact)
    return Derivation(
        drawing.text(fact), True, nodes, step.height if step is not None else 0, step.size if step is not None else 1
    )


def why_not(world: World, fact: Fact) -> Derivation:
    """For each rule that could give `fact`, the first condition at which it fails; where it holds, why.

    Conditions are taken as the rule has them, each after those that bind its variables. Of all ways through
    the rule the one is shown that gets farthest.
    """
    asked = Asked(world.rules, world.given)
    if Finder(supplied(world, asked, [_atom(fact)])).has(fact):
        found = why(world, fact)
        return replace(found, title=f"{found.fact} holds:")
    numbers = world.numbers
    ways = [_Way.of(rule, fact, numbers) for rule in world.rules if rule.head == fact.relation and rule.body]
    beginnings = [made for number, way in enumerate(ways) for made in way.beginnings(number)]
    goals = [Atom(made.head, ()) for made in beginnings]
    world = supplied(world, asked, [_atom(fact), *goals], beginnings)
    drawing = _Drawing(world, Finder(world))
    facts = sum(rule.head == fact.relation and not rule.body for rule in world.rules)
    root = drawing.add(Node("absent", f"{drawing.text(fact)} does not hold", "", "", (), *_place(fact)))
    children: list[int] = []
    if facts or not ways:
        count = facts if ways else len(world.relations[fact.relation])
        known = f"it is none of the {count} facts of {fact.relation}" if count else f"{fact.relation} has no facts"
        children.append(drawing.add(Node("missing", known, "", "", ())))
    children += [_failure(way, number, drawing) for number, way in enumerate(ways)]
    drawing.nodes[root] = replace(drawing.nodes[root], because=tuple(children))
    return Derivation(drawing.text(fact), False, tuple(drawing.nodes), 0, len(drawing.nodes))


def _atom(fact: Fact) -> Atom:
    return Atom(fact.relation, tuple(Constant(position) for position in fact.position))


def _place(fact: Fact) -> tuple[str, tuple[int, ...]]:
    return fact.relation, fact.position


# Why ------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Drawing:
    """The nodes of a derivation as they come."""

    world: World
    finder: Finder
    nodes: list[Node] = field(default_factory=list)

    def add(self, node: Node) -> int:
        self.nodes.append(node)
        return len(self.nodes) - 1

    def text(self, fact: Fact) -> str:
        terms = tuple(Constant(position) for position in fact.position)
        return written(Atom(fact.relation, terms), self.world.names)

    def tree(self, fact: Fact, steps: dict[Fact, Step]) -> tuple[Node, ...]:
        """The fact and all that its derivation uses; every fact once."""
        places = {fact: self.add(Node("fact", self.text(fact), "fact", "", (), *_place(fact)))}
        left = [fact]
        while left:
            head = left.pop()
            step = steps.get(head)
            if step is None:
                continue
            because, new = self._because(step, places)
            rule = step.rule
            self.nodes[places[head]] = Node("derived", self.text(head), "", rule.text, because, *_place(head))
            left.extend(reversed(new))
        return tuple(self.nodes)

    def _because(self, step: Step, places: dict[Fact, int]) -> tuple[tuple[int, ...], list[Fact]]:
        """The places of what a step rests on, and facts among it that are new."""
        bindings: Bindings | None = step.bindings
        if any(name not in step.bindings for item in step.rule.body for name in variables(item)):
            bindings = self.finder.first((*step.extra, *step.rule.body), step.bindings)
        assert bindings is not None, "the rule gives the tuple"
        because: list[int] = []
        new: list[Fact] = []
        for item in step.rule.body:
            if isinstance(item, Atom):
                fact = Fact(item.relation, tuple(int(self.finder.number(term, bindings)) for term in item.terms))
                if fact not in places:
                    places[fact] = self.add(Node("fact", self.text(fact), "fact", "", (), *_place(fact)))
                    new.append(fact)
                because.append(places[fact])
            elif shown(item):
                because.append(self.condition(item, step.rule, bindings))
        return tuple(dict.fromkeys(because)), new

    def condition(self, item: Literal, rule: Rule, bindings: Bindings, *, holds: bool = True) -> int:
        """A condition of a rule that is no atom."""
        where = places_of(rule.terms, rule.head, rule.body)
        text = written(item, self.world.names, where, bindings)
        children: tuple[int, ...] = ()
        match item:
            case Denial(atom):
                note = "no tuple fits"
                if not holds:
                    row = next(self.finder.matches(atom, bindings))
                    note = f"{written(atom, self.world.names, where, row)} holds"
            case Filter(operator, left, right):
                note = self._sides(operator, (left, right), bindings, holds)
                children = self._sums((left, right), bindings)
            case Assignment(variable, value):
                note = self._sides("==", (variable, value), bindings, holds)
                children = self._sums((value,), bindings)
            case Domain() | Atom():
                note = "" if holds else "no such position"
        kind = "missing" if not holds else "denial" if isinstance(item, Denial) else "comparison"
        return self.add(Node(kind, text, note, "", children))  # type: ignore[arg-type]

    def _sides(self, operator: str, values: Sequence[Value], bindings: Bindings, holds: bool) -> str:
        """What the two sides of a comparison are, where their text does not say it."""
        if all(isinstance(value, Variable | Constant) for value in values):
            return "" if holds else "is false"
        if any(name not in bindings for value in values for name in variables_of(value)):
            return "no position fits"
        left, right = (_short(self.finder.number(value, bindings)) for value in values)
        return f"{left} {operator} {right}" + ("" if holds else " is false")

    def _sums(self, values: Sequence[Value], bindings: Bindings) -> tuple[int, ...]:
        """The elements of tensors that relations were summed into, each with what contributed."""
        found: list[int] = []
        for value in values:
            for part in parts(value):
                if not isinstance(part, Element):
                    continue
                position = tuple(int(self.finder.number(index, bindings)) for index in part.indices)
                lines = contributions(self.world, part.tensor, position)
                if lines is None:
                    continue
                number = _short(self.finder.number(part, bindings))
                name = written_value(part, self.world.names, None, None, bindings)
                children = [self.add(Node(kind, text, "", "", ())) for kind, text in lines.listed]
                note = f"{lines.what}"
                found.append(self.add(Node("sum", f"{name} = {number}", note, "", tuple(children))))
        return tuple(dict.fromkeys(found))


def _short(number: int | float) -> str:
    return str(number) if isinstance(number, int) else f"{number:.6g}"


# Why not --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Way:
    """A rule that could give a fact: its conditions where its head is the fact."""

    rule: Rule
    bindings: Bindings  # of the head's variables
    body: tuple[Literal, ...]  # as the rule has it, each after what binds its variables
    extra: tuple[Literal, ...]  # conditions among them that the head's computed arguments are the fact's
    differs: bool  # a constant of the head is another one

    @classmethod
    def of(cls, rule: Rule, fact: Fact, numbers: Numbers) -> _Way:
        bindings: Bindings = {}
        extra: list[Literal] = []
        differs = False
        for term, position in zip(rule.terms, fact.position, strict=True):
            match term:
                case Variable(name):
                    differs = differs or bindings.setdefault(name, position) != position
                case Constant():
                    differs = differs or numbers.constant(term) != position
                case _:
                    extra.append(Filter("==", term, Constant(position)))
        body = ordered([*rule.body, *extra], bindings, as_written=True)
        return cls(rule, bindings, () if differs else tuple(body), tuple(extra), differs)

    def beginnings(self, number: int) -> list[Rule]:
        """Rules that say how many of the conditions, in order, can hold together."""
        values = {name: Constant(position) for name, position in self.bindings.items()}
        rule = self.rule
        return [
            Rule(f"begins~{number}~{k}", (), tuple(substituted(self.body[:k], values)), rule.equation, rule.text)
            for k in range(1, len(self.body) + 1)
        ]


def _failure(way: _Way, number: int, drawing: _Drawing) -> int:
    """The node of a rule that does not give the fact."""
    rule, world = way.rule, drawing.world
    place = drawing.add(Node("failed", rule.text, "", "", ()))
    if way.differs:
        head = written_rule(rule.head, rule.terms, (), world.names)
        children = [drawing.add(Node("missing", f"gives {head} only", "", "", ()))]
    else:
        count = _farthest(way.beginnings(number), world)
        found = drawing.finder.first(way.body[:count], way.bindings)
        assert found is not None, "so many conditions hold together"
        met = [item for item in way.body[:count] if shown(item) and item not in way.extra]
        children = [_met(item, rule, found, drawing) for item in met]
        if count < len(way.body):
            children.append(_missing(way.body[count], rule, found, way.extra, drawing))
    drawing.nodes[place] = replace(drawing.nodes[place], because=tuple(children))
    return place


def _farthest(rules: Sequence[Rule], world: World) -> int:
    """How many conditions can hold together."""
    shapes: dict[str, tuple[int, ...]] = {made.head: () for made in rules}
    found = world.derived(rules, shapes)
    return sum(1 for made in rules if len(found[made.head]))


def _met(item: Literal, rule: Rule, bindings: Bindings, drawing: _Drawing) -> int:
    if not isinstance(item, Atom):
        return drawing.condition(item, rule, bindings)
    text = written(item, drawing.world.names, places_of(rule.terms, rule.head, rule.body), bindings)
    position = tuple(int(drawing.finder.number(term, bindings)) for term in item.terms)
    return drawing.add(Node("holds", text, "holds", "", (), item.relation, position))


def _missing(item: Literal, rule: Rule, bindings: Bindings, extra: Sequence[Literal], drawing: _Drawing) -> int:
    """The node of the condition at which a rule fails."""
    where = places_of(rule.terms, rule.head, rule.body)
    if any(item is other for other in extra):
        terms = [
            Constant(int(drawing.finder.number(term, bindings)))
            if all(name in bindings for name in variables_of(term))
            else term
            for term in rule.terms
        ]
        head = written_rule(rule.head, terms, (), drawing.world.names)
        return drawing.add(Node("missing", f"gives {head}", "another tuple", "", ()))
    if isinstance(item, Atom):
        text = written(item, drawing.world.names, where, bindings)
        open_names = [name for name in variables(item) if name not in bindings]
        note = "no tuple fits" if open_names else "does not hold"
        return drawing.add(Node("missing", text, note, "", ()))
    return drawing.condition(item, rule, bindings, holds=False)
