"""What equations, operations and recurrences read from outside themselves."""

from __future__ import annotations

from fuse_ref.ir.index import Affine
from fuse_ref.ir.nodes import And, Equation, Expr, Product, Project, Read
from fuse_ref.ir.variables import children, reads
from fuse_ref.plan import dataflow
from fuse_ref.plan.steps import Aggregate, Recurrence
from fuse_ref.plan.values import Builder
from fuse_ref.relations.rules import atoms, elements

__all__ = ["equation_reads", "offsets", "read_by", "read_outside", "with_filters"]


def equation_reads(equation: Equation) -> list[Read]:
    """Every reference of the right-hand side, and those that the left-hand side gathers by."""
    inside = [read for read in reads(equation.target) if read is not equation.target]
    return [*inside, *reads(equation.body)]


def read_by(builder: Builder) -> tuple[str, ...]:
    """What a builder's operations and joins read that they do not make."""
    made = {operation.output.out for operation in builder.operations}
    found: dict[str, None] = {}
    for operation in builder.operations:
        found.update((name, None) for name in dataflow.reads(operation))
        if isinstance(operation, Aggregate):
            found[operation.relation] = None
    for rule, _ in builder.rules:
        found.update((name, None) for name in (*(atom.relation for atom in atoms(rule)), *elements(rule)))
    made.update(rule.head for rule, _ in builder.rules)
    return tuple(name for name in found if name not in made)


def offsets(expr: Expr, variable: str) -> list[int]:
    """Of reads at `variable` plus a number, the numbers; those under a projection of their own are left out."""
    if isinstance(expr, Project):
        return []
    found: list[int] = []
    if isinstance(expr, Read):
        for index in expr.indices:
            if isinstance(index, Affine) and index.terms == ((variable, 1),):
                found.append(index.offset)
    return [*found, *(k for child in children(expr) for k in offsets(child, variable))]


def read_outside(made: Recurrence) -> tuple[str, ...]:
    """What a recurrence reads from outside."""
    own = {item.name for item in made.slices}
    own |= {name for carry in made.carries for name in (carry.own, *carry.backs)}
    found = dict.fromkeys([item.value for item in made.slices] + [c.base for c in made.carries if c.base])
    for step in made.body:
        found.update((name, None) for name in step.reads if name not in own)
        own.update(step.writes)
    return tuple(name for name in found if name not in own)


def with_filters(filters: tuple[Expr, ...], body: Expr) -> Expr:
    """The right-hand side of `max=` and its kin, of which combinations count only where `filters` hold too."""
    if isinstance(body, And):
        return And((*filters, *body.operands))
    return Product((*filters, body), ())
