"""The order in which a rule's body is worked off: a short program of steps, chosen by the sizes at hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import assert_never

from fuse_ref.relations.rules import (
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
    literal_variables,
    value_variables,
)
from fuse_ref.relations.source import Access, Growing, Source, Window
from fuse_ref.relations.steps import (
    Bind,
    Check,
    Compare,
    Distinct,
    Expand,
    Plan,
    Solve,
    Span,
    Step,
    Test,
    Within,
    binds,
    reads,
)
from fuse_ref.relations.values import Numbers, solvable

__all__ = ["plan"]


def plan(
    rule: Rule, windows: Sequence[Window], sources: Mapping[str, Source], shape: Sequence[int], numbers: Numbers
) -> Plan:
    """The order for `rule`; each "_" has been given a name of its own.

    Args:
        windows: which tuples each literal of the body reads; of no meaning where it is no atom.
        shape: of the head.

    What needs no new variable is done at once; then the atom comes that continues a binding by the fewest tuples
    on the average, and ranges come last.
    """
    return _Planner(rule, windows, sources, numbers).plan(shape)


class _Planner:
    def __init__(self, rule: Rule, windows: Sequence[Window], sources: Mapping[str, Source], numbers: Numbers) -> None:
        self.rule = rule
        self.sources = sources
        self.numbers = numbers
        self.left: list[tuple[Literal, Window]] = list(zip(rule.body, windows, strict=True))
        self.bounds: dict[str, int | None] = {}  # of bound variables: they are below it
        self.bounds_before: list[dict[str, int | None]] = []  # each step
        self.steps: list[Step] = []
        self.uses = Counter(name for term in rule.terms for name in _variables(term))
        for literal in rule.body:
            self.uses.update(_names(literal))

    def plan(self, shape: Sequence[int]) -> Plan:
        while self.left:
            if not self._at_once():
                self._expand()
        inside = tuple(
            (isinstance(term, Variable) and self._below(term.name, size))
            or (isinstance(term, Constant) and isinstance(term.value, int) and 0 <= term.value < size)
            for term, size in zip(self.rule.terms, shape, strict=True)
        )
        return Plan(self._with_lives(), inside, self._once())

    def _below(self, name: str, size: int) -> bool:
        bound = self.bounds[name]
        return bound is not None and bound <= size

    def _at_once(self) -> bool:
        """Takes a literal that needs no new variable, if there is one: the cheaper kinds first."""
        for kinds in ((Filter, Assignment, Domain), (Atom,), (Denial,)):
            for k, (literal, window) in enumerate(self.left):
                before = dict(self.bounds)
                if isinstance(literal, kinds) and (step := self._step(literal, window)) is not None:
                    del self.left[k]
                    self._add(step, before)
                    return True
        return False

    def _step(self, literal: Literal, window: Window) -> Step | None:
        match literal:
            case Filter(_, left, right):
                return Compare(literal) if _variables(left) | _variables(right) <= self.bounds.keys() else None
            case Domain(Variable(name), length):
                if name not in self.bounds:
                    return None
                size, bound = self.numbers.length(length), self.bounds[name]
                self.bounds[name] = size if bound is None else min(size, bound)
                return Within(name, length)
            case Assignment(Variable(name), value):
                return self._assigned(name, value)
            case Denial(atom):
                outside = {
                    other for other in _names(literal) - self.bounds.keys() if self.uses[other] > _times(atom, other)
                }
                return None if outside else self._read(atom, window, absent=True)
            case Atom():
                step = self._read(literal, window)
                if isinstance(step, Expand):
                    return None
                self._narrow(literal)
                return step
            case _:
                assert_never(literal)

    def _assigned(self, name: str, value: Value) -> Step | None:
        unknown = _variables(value) - self.bounds.keys()
        if not unknown:
            if name in self.bounds:
                return Check(name, value)
            self.bounds[name] = None
            return Bind(name, value)
        if len(unknown) == 1 and name in self.bounds:
            (other,) = unknown
            if solvable(value, other):
                self.bounds[other] = None
                return Solve(other, name, value)
        return None

    def _read(self, atom: Atom, window: Window, *, absent: bool = False) -> Expand | Test:
        """How the atom is read now. A variable that stands nowhere else matches anything."""
        keys: list[int] = []
        terms: list[Variable] = []
        guards: list[int] = []
        equal: list[tuple[int, int]] = []
        fixed: list[tuple[int, int]] = []
        first: dict[str, int] = {}
        shape = self.sources[atom.relation].shape
        for k, term in enumerate(atom.terms):
            if isinstance(term, Constant):
                fixed.append((k, int(self.numbers.constant(term))))
                continue
            if term.name not in self.bounds:
                if term.name in first:
                    equal.append((first[term.name], k))
                else:
                    first[term.name] = k
                continue
            if not self._below(term.name, shape[k]):
                guards.append(len(keys))
            keys.append(k)
            terms.append(term)
        binds = [] if absent else [name for name in first if self.uses[name] > _times(atom, name)]
        access = Access(tuple(keys), tuple(first[name] for name in binds), tuple(equal), tuple(fixed))
        if not binds:
            return Test(atom.relation, window, access, tuple(terms), tuple(guards), absent)
        return Expand(atom.relation, window, access, tuple(terms), tuple(binds), tuple(guards))

    def _expand(self) -> None:
        """Takes the atom with the fewest tuples to a binding; a range where there is no atom."""
        best: tuple[float, int, Step] | None = None
        for k, (literal, window) in enumerate(self.left):
            if isinstance(literal, Atom):
                read = self._read(literal, window)
                assert isinstance(read, Expand)
                cost = self._continued(read)
                if best is None or cost < best[0]:
                    best = cost, k, read
        if best is None:
            for k, (literal, _) in enumerate(self.left):
                if isinstance(literal, Domain):
                    length = self.numbers.length(literal.length)
                    if best is None or length < best[0]:
                        best = length, k, Span(literal.variable.name, literal.length)
        if best is None:
            raise ValueError(f"a variable of a rule is bound by nothing: {self.rule.text}")
        _, k, step = best
        literal, _ = self.left.pop(k)
        self._add(step, dict(self.bounds))
        match step:
            case Span(name, positions):
                self.bounds[name] = self.numbers.length(positions)
            case Expand(binds=names):
                shape = self.sources[step.relation].shape
                for name, column in zip(names, step.access.payload, strict=True):
                    self.bounds[name] = shape[column]
        if isinstance(literal, Atom):
            self._narrow(literal)

    def _add(self, step: Step, before: dict[str, int | None]) -> None:
        self.steps.append(step)
        self.bounds_before.append(before)

    def _narrow(self, atom: Atom) -> None:
        for term, size in zip(atom.terms, self.sources[atom.relation].shape, strict=True):
            if isinstance(term, Variable) and term.name in self.bounds:
                bound = self.bounds[term.name]
                self.bounds[term.name] = size if bound is None else min(size, bound)

    def _continued(self, step: Expand) -> float:
        """By how many tuples a binding is continued, on the average."""
        source = self.sources[step.relation]
        count = source.count(step.window)
        kinds = 1
        for column in (*step.access.keys, *(column for column, _ in step.access.fixed)):
            kinds = min(kinds * max(source.kinds(column), 1), max(count, 1))
        return count / kinds

    def _with_lives(self) -> tuple[Step, ...]:
        """The steps with what is needed after each, and with equal bindings brought together where some may be."""
        needed = {name for term in self.rule.terms for name in _variables(term)}
        after: list[set[str]] = []
        for step in reversed(self.steps):
            after.append(set(needed))
            needed = (needed - set(binds(step))) | reads(step)
        after.reverse()
        found: list[Step] = []
        bound: set[str] = set()
        lost = False
        number = 0
        for step, needs, bounds in zip(self.steps, after, self.bounds_before, strict=True):
            if isinstance(step, Expand | Span) and lost and bound:
                names = tuple(sorted(bound))
                sizes = [bounds[name] for name in names]
                known = [size for size in sizes if size is not None]
                if len(known) == len(sizes) and sum(max(size - 1, 0).bit_length() for size in known) <= 62:
                    found.append(Distinct(names, tuple(known), number, names))
                    number += 1
                lost = False
            keep = bound & needs
            lost = lost or keep != bound or (isinstance(step, Expand) and self._partial(step))
            found.append(replace(step, keep=tuple(sorted(keep))))
            bound = keep | (set(binds(step)) & needs)
        return tuple(found)

    def _once(self) -> bool:
        """Whether a tuple of the head determines all variables; relations give each binding once."""
        known: set[str] = set()
        growing = True
        while growing:
            before = len(known)
            for term in self.rule.terms:
                unknown = _variables(term) - known
                if len(unknown) == 1 and all(solvable(term, name) for name in unknown):
                    known |= unknown
            for step in self.steps:
                match step:
                    case Expand(relation, _, access, keys, new):
                        names = [term.name if isinstance(term, Variable) else None for term in keys] + list(new)
                        placed = zip((*access.keys, *access.payload), names, strict=True)
                        source = self.sources[relation]
                        if any(name in known and source.unique(column) for column, name in placed):
                            known.update(name for name in names if name is not None)
                    case Bind(name, value) | Check(name, value) | Solve(_, name, value):
                        inner = _variables(value)
                        if inner <= known:
                            known.add(name)
                        unknown = inner - known
                        if name in known and len(unknown) == 1 and all(solvable(value, other) for other in unknown):
                            known |= unknown
                    case _:
                        pass
            growing = len(known) > before
        return all(name in known for step in self.steps for name in binds(step)) and not any(
            isinstance(step, Expand | Test) and self._partial(step) for step in self.steps
        )

    def _partial(self, step: Expand | Test) -> bool:
        """Whether one reading of a growing relation may come from many of its tuples: columns are left out."""
        source = self.sources[step.relation]
        access = step.access
        used = len(access.keys) + len(access.payload) + len(access.equal) + len(access.fixed)
        return isinstance(source, Growing) and used < len(source.shape)


def _names(literal: Literal) -> frozenset[str]:
    return frozenset(literal_variables(literal))


def _variables(value: Value) -> frozenset[str]:
    return frozenset(value_variables(value))


def _times(atom: Atom, name: str) -> int:
    """How often `uses` counts the name for this atom."""
    return int(any(isinstance(term, Variable) and term.name == name for term in atom.terms))
