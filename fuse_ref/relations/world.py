"""What holds after a run, looked at one tuple at a time: for explanations, which need few of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import TypeAlias, assert_never

import numpy as np

from fuse_ref.analysis.lengths import Length
from fuse_ref.records import dataclass
from fuse_ref.relations.derive import Limits, derive
from fuse_ref.relations.keys import Packing
from fuse_ref.relations.literals import Names, variables_of
from fuse_ref.relations.passing import ordered
from fuse_ref.relations.rules import (
    Apply,
    Assignment,
    Atom,
    Constant,
    Denial,
    Domain,
    Filter,
    Literal,
    Rule,
    Value,
    Variable,
)
from fuse_ref.relations.tuples import Tuples
from fuse_ref.relations.values import Functions, Numbers

__all__ = ["Aggregate", "Bindings", "Fact", "Finder", "World"]

Bindings: TypeAlias = dict[str, int]


@dataclass(frozen=True, slots=True)
class Fact:
    """A tuple of a relation."""

    relation: str
    position: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Aggregate:
    """How a dense tensor that rules read was made of relations: `Children[x] = Parent(x, y)`."""

    tensor: str
    operator: str  # "=" (sums and counts), "max=", "min=", "avg=", "prod="
    terms: tuple[Value, ...]  # of the element
    value: Value | None  # that each combination contributes; None: 1
    body: tuple[Literal, ...]


@dataclass(frozen=True, slots=True)
class World:
    """A finished run, as explanations look at it.

    Attributes:
        rules: of the run, facts among them.
        relations: all that the rules read, whole. Those that they derive may lack: then of them is derived again
            what an explanation needs.
        length: the number that a length of the plan was in the run.
        dense: the tensors that rules read.
        given: the tuples that relations with rules had before the rules.
        names: the symbols of a relation's or tensor's argument, None where it has positions.
        aggregates: of which dense tensors were made.
        functions: of values beyond whole-number arithmetic.
        memory: bytes that an explanation may take.
        shapes: of what is derived and lacks in `relations`.
    """

    rules: Sequence[Rule]
    relations: Mapping[str, Tuples]
    length: Callable[[Length], int]
    dense: Mapping[str, np.ndarray] = field(default_factory=dict)
    given: Mapping[str, Tuples] = field(default_factory=dict)
    names: Names | None = None
    aggregates: Sequence[Aggregate] = ()
    functions: Functions | None = None
    memory: int | None = None
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def numbers(self) -> Numbers:
        return Numbers(self.dense, self.length, self.functions)

    def derived(
        self, rules: Sequence[Rule], shapes: Mapping[str, tuple[int, ...]], more: Mapping[str, Tuples] | None = None
    ) -> Mapping[str, Tuples]:
        """What rules derive from this world's relations, and `more`.

        Args:
            shapes: of the rules' heads.

        Raises:
            LimitError: it takes more than the memory allowed.
        """
        known = {**self.relations, **(more or {})}
        limits = Limits(self.memory)
        return derive(rules, known, self.dense, shapes, self.length, limits, self.functions).relations


class Finder:
    """Finds tuples and bindings one at a time; indexes are made when they are first needed."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.numbers = world.numbers
        self._indexes: dict[tuple[str, tuple[int, ...]], tuple[Packing, np.ndarray, np.ndarray]] = {}

    def number(self, value: Value, bindings: Mapping[str, int]) -> int | float:
        """What a value is under bindings of its variables."""
        if isinstance(value, Variable):
            return bindings[value.name]
        found = self.numbers.value(value, {name: np.array(bindings[name], np.int64) for name in variables_of(value)})
        return found.item() if isinstance(found, np.ndarray | np.generic) else found  # type: ignore[no-any-return]

    def has(self, fact: Fact) -> bool:
        """Whether the fact holds."""
        terms = tuple(Constant(position) for position in fact.position)
        return self.holds(Atom(fact.relation, terms), {})

    def rows(self, relation: str, bound: Mapping[int, int]) -> Iterator[tuple[int, ...]]:
        """The tuples that have these positions at these arguments, in order."""
        tuples = self.world.relations[relation]
        if not tuples.arity:
            yield from ((),) * len(tuples)
            return
        if any(not 0 <= position < tuples.shape[k] for k, position in bound.items()):
            return
        arguments = tuple(sorted(bound))
        packing, keys, order = self._index(relation, arguments)
        key = packing.pack([np.array([bound[k]], np.int64) for k in arguments], 1)[0]
        start, end = np.searchsorted(keys, key, "left"), np.searchsorted(keys, key, "right")
        for place in order[start:end]:
            yield tuple(int(column[place]) for column in tuples.columns)

    def _index(self, relation: str, arguments: tuple[int, ...]) -> tuple[Packing, np.ndarray, np.ndarray]:
        entry = self._indexes.get((relation, arguments))
        if entry is None:
            tuples = self.world.relations[relation]
            packing = Packing([tuples.shape[k] for k in arguments])
            keys = packing.pack([tuples.columns[k] for k in arguments], len(tuples))
            whole = np.lexsort(tuple(reversed(tuples.columns)))  # ties in order of the tuples: one answer for one run
            order = whole[np.argsort(keys[whole], kind="stable")]
            entry = self._indexes[relation, arguments] = packing, keys[order], order
        return entry

    def matches(self, atom: Atom, bindings: Bindings) -> Iterator[Bindings]:
        """The bindings that fit the atom and go on from `bindings`."""
        bound: dict[int, int] = {}
        for k, term in enumerate(atom.terms):
            if isinstance(term, Constant):
                bound[k] = int(self.numbers.constant(term))
            elif term.name in bindings:
                bound[k] = bindings[term.name]
        for row in self.rows(atom.relation, bound):
            found = dict(bindings)
            if all(
                found.setdefault(term.name, position) == position
                for term, position in zip(atom.terms, row, strict=True)
                if isinstance(term, Variable)
            ):
                yield found

    def holds(self, literal: Literal, bindings: Bindings) -> bool:
        """Whether a literal holds; variables without a value may be any in atoms, and none in denials."""
        return next(self.solutions(literal, bindings), None) is not None

    def solutions(self, literal: Literal, bindings: Bindings) -> Iterator[Bindings]:
        """The bindings that make one literal true."""
        match literal:
            case Atom():
                yield from self.matches(literal, bindings)
            case Denial(atom):
                if next(self.matches(atom, bindings), None) is None:
                    yield bindings
            case Filter(operator, left, right):
                bound = {name: np.array(position, np.int64) for name, position in bindings.items()}
                if bool(self.numbers.compare(operator, left, right, bound)):
                    yield bindings
            case Domain(Variable(name), length):
                size = self.world.length(length)
                for value in [bindings[name]] if name in bindings else range(size):
                    if 0 <= value < size:
                        yield {**bindings, name: value}
            case Assignment(variable, value):
                missing = [name for name in variables_of(value) if name not in bindings]
                if missing:
                    found, name = self._solved(value, bindings[variable.name], missing[0]), missing[0]
                    if found >= 0:
                        yield {**bindings, name: found}
                    return
                number = int(self.number(value, bindings))
                if bindings.get(variable.name, number) == number:
                    yield {**bindings, variable.name: number}
            case _:
                assert_never(literal)

    def _solved(self, value: Value, target: int, name: str) -> int:
        """What the variable is where the value, it plus or minus a number, is `target`."""
        match value:
            case Apply("subtract", (Variable(), Constant() as constant)):
                return target + int(self.numbers.constant(constant))
            case Apply("add", (Variable(), Constant() as constant) | (Constant() as constant, Variable())):
                return target - int(self.numbers.constant(constant))
        assert isinstance(value, Variable), f"{name} is a variable plus or minus a number"
        return target

    def first(self, body: Sequence[Literal], bindings: Bindings) -> Bindings | None:
        """The first bindings that make a whole body true; None where none do."""
        sizes = {name: len(tuples) for name, tuples in self.world.relations.items()}
        items = ordered(body, bindings, sizes=sizes)
        if not items:
            return bindings
        # A stack of what each literal can still be: nothing is recursive.
        stack = [self.solutions(items[0], bindings)]
        while stack:
            found = next(stack[-1], None)
            if found is None:
                stack.pop()
            elif len(stack) == len(items):
                return found
            else:
                stack.append(self.solutions(items[len(stack)], found))
        return None
