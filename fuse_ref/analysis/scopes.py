"""Where a program evaluates expressions: its equations and its sinks, with all that they touch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Literal

from fuse_ref.ir.index import Affine, Gather, Index
from fuse_ref.ir.nodes import ArrayLiteral, Call, Compare, Expr, Not, Position, ProgramIR, Project, Read
from fuse_ref.ir.variables import children, free_variables, index_variables
from fuse_ref.records import dataclass
from fuse_ref.source import Span

__all__ = ["Access", "Scope", "accesses", "compared_variables", "every_variable", "plain_variable", "scopes"]


@dataclass(frozen=True, slots=True)
class Scope:
    """One equation or one sink: variables are local to it."""

    kind: Literal["equation", "sink"]
    number: int  # position in program.equations or program.sinks
    target: Read | None  # None for a sink
    body: Expr
    span: Span


@dataclass(frozen=True, slots=True)
class Access:
    """A tensor, or an array written in the text, as an expression touches it."""

    tensor: str | None  # None: a written array
    shape: tuple[int, ...]  # of a written array; () for a tensor
    indices: tuple[Index, ...]
    bound: frozenset[str]  # variables bound by a projection or a function around it
    negated: bool  # below a `not`
    compared: bool  # below a comparison
    read: Read | None  # None: a written array


def scopes(program: ProgramIR) -> tuple[Scope, ...]:
    """Equations first, then sinks, in text order."""
    found = [Scope("equation", i, e.target, e.body, e.span) for i, e in enumerate(program.equations)]
    found.extend(Scope("sink", i, None, s.body, s.span) for i, s in enumerate(program.sinks))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Around:
    """What surrounds an expression."""

    bound: frozenset[str] = frozenset()
    negated: bool = False
    compared: bool = False

    def inside(self, expr: Expr) -> _Around:
        match expr:
            case Project(_, variables, _):
                return replace(self, bound=self.bound | frozenset(variables))
            case Call(axis=str() as axis) if axis not in free_variables(expr):
                return replace(self, bound=self.bound | {axis})
            case Not():
                return replace(self, negated=True)
            case Compare():
                return replace(self, compared=True)
            case _:
                return self


def _of_read(read: Read, around: _Around) -> Iterator[Access]:
    a = around
    yield Access(read.tensor, (), read.indices, a.bound, a.negated, a.compared, read)
    for index in read.indices:
        if isinstance(index, Gather):
            # The tensor inside a gather is read as a number, whatever surrounds it.
            yield from _of_read(index.read, replace(around, negated=False))


def accesses(*bodies: Expr) -> Iterator[Access]:
    """Every access of the expressions, those inside gathers included, in text order."""
    stack = [(body, _Around()) for body in reversed(bodies)]
    while stack:
        expr, around = stack.pop()
        match expr:
            case Read():
                yield from _of_read(expr, around)
            case ArrayLiteral(_, shape, indices):
                a = around
                yield Access(None, shape, indices, a.bound, a.negated, a.compared, None)
            case _:
                inner = around.inside(expr)
                stack.extend((child, inner) for child in reversed(children(expr)))


def _positions(expr: Expr) -> Iterator[str]:
    stack = [expr]
    while stack:
        node = stack.pop()
        if isinstance(node, Position):
            yield node.variable
        elif isinstance(node, Project):
            yield from node.variables
        elif isinstance(node, Call) and node.axis is not None:
            yield node.axis
        stack.extend(reversed(children(node)))


def compared_variables(expr: Expr) -> tuple[tuple[str, ...], ...]:
    """Bare variables that comparisons put on one axis: one group each, in text order."""
    groups: list[list[str]] = []
    stack = [expr]
    while stack:
        node = stack.pop()
        if isinstance(node, Compare) and isinstance(node.left, Position) and isinstance(node.right, Position):
            pair = [node.left.variable, node.right.variable]
            joined = [group for group in groups if not set(group).isdisjoint(pair)]
            merged = list(dict.fromkeys([v for group in joined for v in group] + pair))
            groups = [*(group for group in groups if group not in joined), merged]
        stack.extend(reversed(children(node)))
    return tuple(tuple(group) for group in groups)


def every_variable(target: Read | None, body: Expr, variables_of: Iterable[Access]) -> tuple[str, ...]:
    """All variables of one scope, bound ones included: the left-hand side's first, then in text order."""
    found: dict[str, None] = {}
    for index in target.indices if target is not None else ():
        found.update((v, None) for v in index_variables(index))
    for access in variables_of:
        for index in access.indices:
            found.update((v, None) for v in index_variables(index))
    found.update((v, None) for v in _positions(body))
    return tuple(found)


def plain_variable(index: Index) -> str | None:
    """The variable that `index` reads alone, else None."""
    return index.variable if isinstance(index, Affine) else None
