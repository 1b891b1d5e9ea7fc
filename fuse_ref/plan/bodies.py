"""Bodies of rules as conjunctions, and what stands below `not` in them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from fuse_ref.analysis.shapes import ScopeShapes
from fuse_ref.ir.index import Affine
from fuse_ref.ir.nodes import And, Expr, Not, Or, Project, Read
from fuse_ref.ir.variables import children, index_variables
from fuse_ref.plan.references import Tensors

__all__ = ["alternatives", "bound_letters", "denied_read"]


def bound_letters(expr: Expr) -> Iterator[str]:
    """The variables of every projection in `expr`."""
    if isinstance(expr, Project):
        yield from expr.variables
    for child in children(expr):
        yield from bound_letters(child)


def alternatives(body: Expr, once: frozenset[str]) -> list[list[Expr]]:
    """The body as conjunctions of which one must hold.

    Args:
        once: letters that one projection binds and that stand nowhere else: it needs no place of its own.
    """
    match body:
        case Or(operands):
            return [item for operand in operands for item in alternatives(operand, once)]
        case And(operands):
            parts = [alternatives(operand, once) for operand in operands]
            return [[item for group in choice for item in group] for choice in itertools.product(*parts)]
        case Project("any", variables, inner) if once.issuperset(variables):
            return alternatives(inner, once)
        case Not(And(operands)):
            return alternatives(Or(tuple(Not(operand) for operand in operands)), once)
        case Not(Or(operands)):
            return alternatives(And(tuple(Not(operand) for operand in operands)), once)
        case Not(Not(operand)):
            return alternatives(operand, once)
        case _:
            return [[body]]


def denied_read(expr: Expr, shapes: ScopeShapes, tensors: Tensors) -> Read | None:
    """The reference of which no tuple may fit: of `not R(x, y)`, and of `not R(_, y)`.

    What the latter projects must stand alone in an index, and run over the whole axis.
    """
    match expr:
        case Not(Read() as read):
            return read
        case Not(Project("any", variables, Read() as read)):
            for index, length in zip(read.indices, tensors.shapes[read.tensor], strict=True):
                local = set(index_variables(index)) & set(variables)
                if local and not (isinstance(index, Affine) and index.variable in local):
                    return None
                if local and shapes.ranges[index_variables(index)[0]] != length:
                    return None
            return read
        case _:
            return None
