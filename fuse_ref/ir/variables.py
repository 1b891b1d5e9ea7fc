"""Which variables an expression depends on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from fuse_ref.ir.index import Affine, FromEnd, Gather, Index, Quotient, SliceIndex, Symbol, Virtual
from fuse_ref.ir.nodes import (
    And,
    ArrayLiteral,
    Call,
    Case,
    Compare,
    Expr,
    FileContent,
    Negate,
    Not,
    Number,
    Or,
    Position,
    Power,
    Product,
    Project,
    Read,
    Sum,
    SymbolValue,
)
from fuse_ref.ir.operations import INLINED, row_of

__all__ = ["children", "free_variables", "index_variables", "reads", "target_variables"]


def index_variables(index: Index) -> tuple[str, ...]:
    """The variables of one index, a gather's inner ones included, in text order."""
    match index:
        case Affine(terms, _):
            return tuple(variable for variable, _ in terms)
        case Quotient(numerator, _):
            return index_variables(numerator)
        case SliceIndex(variable=variable) | Virtual(variable=variable):
            return (variable,)
        case Gather(read, _):
            return tuple(v for inner in read.indices for v in index_variables(inner))
        case FromEnd() | Symbol():
            return ()
        case _:
            assert_never(index)


def children(expr: Expr) -> tuple[Expr, ...]:
    """The direct subexpressions, in text order. Tensors read inside indices are not among them."""
    match expr:
        case Call(arguments=arguments):
            return arguments
        case Sum(terms=terms):
            return terms
        case Product(factors=factors, divisors=divisors):
            return factors + divisors
        case Negate(operand) | Not(operand):
            return (operand,)
        case Power(base, exponent):
            return (base, exponent)
        case Compare(_, left, right):
            return (left, right)
        case And(operands) | Or(operands):
            return operands
        case Case(branches, default):
            return (*(part for branch in branches for part in branch), default)
        case Project(_, _, body):
            return (body,)
        case Number() | SymbolValue() | Position() | Read() | ArrayLiteral() | FileContent():
            return ()
        case _:
            assert_never(expr)


def _visit(expr: Expr, bound: frozenset[str], found: dict[str, None]) -> None:
    match expr:
        case Read(indices=indices) | ArrayLiteral(indices=indices):
            for index in indices:
                found.update((v, None) for v in index_variables(index) if v not in bound)
        case Position(variable):
            if variable not in bound:
                found[variable] = None
        case Project(_, variables, body):
            _visit(body, bound | set(variables), found)
        case Call(function=function, axis=axis):
            row = row_of(function)
            kind = "elementwise" if row is None else row.kind  # mse, before its mean is written out
            options = dict(expr.options)
            inner = bound
            if kind == "reduce_axis" and axis is not None:
                inner = bound | {axis}
            elif function == INLINED:
                inner = bound | set(options["own"].split())
            elif kind == "concat":
                # The concatenated index of an argument is not the one of the result.
                inner = bound | set(options.get("flattened", "").split()) | ({axis} if axis else set())
            for argument in expr.arguments:
                _visit(argument, inner, found)
            if kind in ("new_axis", "concat"):
                produced = (*options.get("rows", "").split(), *((axis,) if axis else ()))
                found.update((v, None) for v in produced if v not in bound)
        case _:
            for child in children(expr):
                _visit(child, bound, found)


def free_variables(expr: Expr) -> tuple[str, ...]:
    """Variables that `expr` depends on and does not bind, in order of first appearance."""
    found: dict[str, None] = {}
    _visit(expr, frozenset(), found)
    return tuple(found)


def target_variables(target: Read) -> tuple[str, ...]:
    """The variables of a left-hand side, distinct, in order."""
    found: dict[str, None] = {}
    for index in target.indices:
        found.update((v, None) for v in index_variables(index))
    return tuple(found)


def reads(expr: Expr) -> Iterator[Read]:
    """Every tensor reference of `expr`, those inside gathers included (after the read they index)."""
    stack: list[Expr] = [expr]
    while stack:
        node = stack.pop()
        if isinstance(node, Read):
            yield node
            stack.extend(index.read for index in reversed(node.indices) if isinstance(index, Gather))
        else:
            stack.extend(reversed(children(node)))
