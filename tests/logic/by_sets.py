"""Logic programs by Python sets: every combination of values, one after another, until nothing is new.

Written from the language reference alone. Slow and plain: variables take all values there are, and a combination
counts where all conditions hold.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from tests.logic.sketch import Aggregate, Atom, Cell, Compare, Either, Literal, Query, Rule, Sketch, Term, Threshold

__all__ = ["NEUTRAL", "Row", "answer", "evaluate", "reads_of", "variables_of"]

Row: TypeAlias = tuple[Cell, ...]
Env: TypeAlias = dict[str, Cell]

_COMPARE: dict[str, Callable[[Cell | float, Cell | float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
NEUTRAL = {"=": 0.0, "avg=": 0.0, "max=": -math.inf, "min=": math.inf, "prod=": 1.0}


class _World:
    def __init__(self, sketch: Sketch) -> None:
        self.size = sketch.size
        self.relations: dict[str, set[Row]] = {name: set() for name in sketch.sorts}
        self.relations.update({item.name: set(item.tuples) for item in sketch.given})
        self.numbers: dict[str, dict[Row, float]] = {
            name: {(cell,): float(number) for cell, number in values} for name, _, values in sketch.tensors
        }
        self.neutral = dict.fromkeys(self.numbers, 0.0)
        symbols = {cell for item in sketch.given for row in item.tuples for cell in row if isinstance(cell, str)}
        symbols |= {cell for _, _, values in sketch.tensors for cell, _ in values if isinstance(cell, str)}
        for rule in sketch.rules:
            symbols |= {term.name for term in _all_terms(rule) if term.kind == "symbol"}
        self.symbols: Sequence[Cell] = sorted(symbols)

    def domain(self, variable: str) -> Sequence[Cell]:
        return range(self.size) if variable.startswith("t") else self.symbols

    def value(self, term: Term, env: Env) -> Cell:
        match term.kind:
            case "symbol":
                return term.name
            case "number":
                return term.number
            case _:
                known = env[term.name]
                if isinstance(known, str):
                    return known
                return {"variable": known + term.number, "half": known // 2, "twice": 2 * known}[term.kind]

    def inside(self, term: Term, env: Env) -> bool:
        """Reads do not go past the end; below 0 there is nothing."""
        value = self.value(term, env)
        return isinstance(value, str) or value < self.size

    def holds(self, item: Literal, env: Env) -> bool:
        match item:
            case Atom(relation, terms, denied):
                if not all(self.inside(term, env) for term in terms if term.kind != "any"):
                    return False
                row = [None if term.kind == "any" else self.value(term, env) for term in terms]
                if None not in row:
                    found = tuple(row) in self.relations[relation]
                else:
                    found = any(
                        all(a is None or a == b for a, b in zip(row, known, strict=True))
                        for known in self.relations[relation]
                    )
                return found != denied
            case Compare(name, left, right):
                return _COMPARE[name](self.value(left, env), self.value(right, env))
            case Threshold(tensor, terms, name, number):
                return _COMPARE[name](self.element(tensor, terms, env), number)
            case Either(choices):
                return any(all(self.holds(part, env) for part in choice) for choice in choices)

    def element(self, tensor: str, terms: Sequence[Term], env: Env) -> float:
        row = tuple(self.value(term, env) for term in terms)
        return self.numbers[tensor].get(row, self.neutral[tensor])

    def combinations(self, body: Sequence[Literal]) -> Iterator[Env]:
        """All values of the variables for which the whole body holds."""
        variables = list(dict.fromkeys(term.name for item in body for term in _terms(item) if _is_variable(term)))
        # A condition is looked at as soon as its variables have values.
        waiting = [(item, {term.name for term in _terms(item) if _is_variable(term)}) for item in body]
        due: list[list[Literal]] = [[] for _ in range(len(variables) + 1)]
        for item, needs in waiting:
            due[max((variables.index(name) + 1 for name in needs), default=0)].append(item)

        def go(place: int, env: Env) -> Iterator[Env]:
            if not all(self.holds(item, env) for item in due[place]):
                return
            if place == len(variables):
                yield dict(env)
                return
            for value in self.domain(variables[place]):
                env[variables[place]] = value
                yield from go(place + 1, env)
            del env[variables[place]]

        # The last value of a variable is taken away only where it got one.
        return go(0, {}) if all(self.domain(name) for name in variables) else iter(())

    def rows(self, rule: Rule, sorts: str) -> Iterator[Row]:
        for env in self.combinations(rule.body):
            row = tuple(self.value(term, env) for term in rule.head.terms)
            # What is written outside is dropped.
            if all(sort == "s" or 0 <= cell < self.size for sort, cell in zip(sorts, row, strict=True)):  # type: ignore[operator]
                yield row

    def aggregate(self, item: Aggregate) -> dict[Row, float]:
        found: dict[Row, list[float]] = {}
        value = item.value
        # Each `_` is a variable of its own, and every combination counts.
        body = _numbered(item.body)
        computed = [
            t for part in body for t in _read_terms(part) if _is_variable(t) and (t.kind, t.number) != ("variable", 0)
        ]
        for env in self.combinations(body):
            # Where one operator combines everything, what reads outside is no combination.
            if item.operator != "=" and any(self.value(term, env) not in range(self.size) for term in computed):
                continue
            row = tuple(self.value(term, env) for term in item.head)
            match value:
                case None:
                    number = 1.0
                case Term():
                    number = float(self.value(value, env))
                case (tensor, terms):
                    number = self.element(tensor, terms, env)
            found.setdefault(row, []).append(number)
        return {row: _COMBINE[item.operator](numbers) for row, numbers in found.items()}


_COMBINE: dict[str, Callable[[list[float]], float]] = {
    "=": sum,
    "max=": max,
    "min=": min,
    "prod=": math.prod,
    "avg=": lambda numbers: sum(numbers) / len(numbers),
}


def _numbered(body: Sequence[Literal]) -> list[Literal]:
    made = 0
    result: list[Literal] = []
    for item in body:
        if isinstance(item, Atom) and not item.denied:
            terms = []
            for term in item.terms:
                if term.kind == "any":
                    made += 1
                    # `number` is the sort: see the drawing.
                    term = Term("variable", f"{'t' if term.number else 'x'}_{made}")
                terms.append(term)
            item = Atom(item.relation, tuple(terms))
        result.append(item)
    return result


def _is_variable(term: Term) -> bool:
    return term.kind in ("variable", "half", "twice")


def _terms(item: Literal) -> Iterator[Term]:
    match item:
        case Atom(_, terms) | Threshold(_, terms):
            yield from terms
        case Compare(_, left, right):
            yield left
            yield right
        case Either(choices):
            for choice in choices:
                for part in choice:
                    yield from _terms(part)


def _read_terms(item: Literal) -> Iterator[Term]:
    """What stands in references of the combination: not in comparisons, and not where `_` below `not` projects."""
    match item:
        case Atom(_, terms, True) if any(term.kind == "any" for term in terms):
            return
        case Atom(_, terms) | Threshold(_, terms):
            yield from terms
        case Either(choices):
            for choice in choices:
                for part in choice:
                    yield from _read_terms(part)


def _all_terms(rule: Rule | Aggregate) -> Iterator[Term]:
    yield from rule.head.terms if isinstance(rule, Rule) else rule.head
    for item in rule.body:
        yield from _terms(item)


def _reads(body: Sequence[Literal], *, denied: bool | None = None) -> Iterator[str]:
    for item in body:
        match item:
            case Atom(relation, _, no) if denied is None or no == denied:
                yield relation
            case Threshold(tensor) if denied is not False:
                yield tensor
            case Either(choices):
                for choice in choices:
                    yield from _reads(choice, denied=denied)


def _layers(sketch: Sketch) -> list[list[Rule | Aggregate]]:
    """Rules in layers: what is denied or counted in one is complete before it."""
    level: dict[str, int] = {}
    changed = True
    while changed:
        changed = False
        for rule in sketch.rules:
            own = rule.name if isinstance(rule, Aggregate) else rule.head.relation
            before = level.get(own, 0)
            needs = [level.get(name, 0) for name in _reads(rule.body, denied=False)]
            if isinstance(rule, Aggregate):
                needs = [level.get(name, 0) + 1 for name in _reads(rule.body)]
                if isinstance(rule.value, tuple):
                    needs.append(level.get(rule.value[0], 0) + 1)
            needs += [level.get(name, 0) + 1 for name in _reads(rule.body, denied=True)]
            level[own] = max([before, *needs])
            assert level[own] <= len(sketch.rules) + 1, "not stratified"
            changed |= level[own] != before
    numbered: dict[int, list[Rule | Aggregate]] = {}
    for rule in sketch.rules:
        own = rule.name if isinstance(rule, Aggregate) else rule.head.relation
        numbered.setdefault(level.get(own, 0), []).append(rule)
    return [numbered[number] for number in sorted(numbered)]


def evaluate(sketch: Sketch) -> tuple[dict[str, set[Row]], dict[str, dict[Row, float]]]:
    """All relations, and all results that are numbers: what is not in them is the operator's neutral element."""
    world = _World(sketch)
    for layer in _layers(sketch):
        for item in layer:
            if isinstance(item, Aggregate):
                world.numbers[item.name] = world.aggregate(item)
                world.neutral[item.name] = NEUTRAL[item.operator]
        changed = True
        while changed:
            before = sum(map(len, world.relations.values()))
            for item in layer:
                if isinstance(item, Rule):
                    world.relations[item.head.relation] |= set(world.rows(item, sketch.sorts[item.head.relation]))
            changed = sum(map(len, world.relations.values())) > before
    return world.relations, world.numbers


def answer(query: Query, rows: set[Row]) -> set[Row]:
    """The values of the query's distinct variables, in order of appearance."""
    found: set[Row] = set()
    for row in rows:
        env: Env = {}
        fits = True
        for term, cell in zip(query.terms, row, strict=True):
            if term.kind == "variable":
                fits = fits and env.setdefault(term.name, cell) == cell
            else:
                fits = fits and cell == (term.name if term.kind == "symbol" else term.number)
        if fits:
            found.add(tuple(env.values()))
    return found


def variables_of(rule: Rule | Aggregate) -> tuple[set[str], set[str]]:
    """The variables that positive atoms bind, and all that need it."""
    bound: set[str] = set()
    needed = {term.name for term in (rule.head.terms if isinstance(rule, Rule) else rule.head) if _is_variable(term)}
    for item in rule.body:
        names = {term.name for term in _terms(item) if _is_variable(term)}
        if isinstance(item, Atom) and not item.denied:
            bound |= names
        else:
            needed |= names
    if isinstance(rule, Aggregate) and rule.value is not None:
        terms = (rule.value,) if isinstance(rule.value, Term) else rule.value[1]
        needed |= {term.name for term in terms}
    return bound, needed


def reads_of(rule: Rule | Aggregate) -> set[str]:
    """What the rule reads."""
    names = set(_reads(rule.body))
    if isinstance(rule, Aggregate) and isinstance(rule.value, tuple):
        names.add(rule.value[0])
    return names
