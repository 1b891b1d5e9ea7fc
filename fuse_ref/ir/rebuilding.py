"""An expression with other parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import assert_never

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

__all__ = ["with_parts"]


def with_parts(expr: Expr, change: Callable[[Expr], Expr]) -> Expr:
    """`expr` with `change` of each direct part in its place; what has no parts stays as it is."""
    match expr:
        case Call(arguments=arguments):
            return replace(expr, arguments=tuple(map(change, arguments)))
        case Sum(terms=terms):
            return replace(expr, terms=tuple(map(change, terms)))
        case Product(factors=factors, divisors=divisors):
            return replace(expr, factors=tuple(map(change, factors)), divisors=tuple(map(change, divisors)))
        case Negate(operand):
            return Negate(change(operand))
        case Not(operand):
            return Not(change(operand))
        case Power(base, exponent):
            return Power(change(base), change(exponent))
        case Compare(left=left, right=right):
            return replace(expr, left=change(left), right=change(right))
        case And(operands):
            return And(tuple(map(change, operands)))
        case Or(operands):
            return Or(tuple(map(change, operands)))
        case Case(branches, default):
            return Case(tuple((change(holds), change(value)) for holds, value in branches), change(default))
        case Project(body=body):
            return replace(expr, body=change(body))
        case Number() | SymbolValue() | Position() | Read() | ArrayLiteral() | FileContent():
            return expr
        case _:
            assert_never(expr)
