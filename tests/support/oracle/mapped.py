"""Syntax trees changed one level at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from fuse_ref.language import syntax_tree as tree
from tests.support.oracle.functions import FUNCTION_NAMES

__all__ = ["mapped"]

Rewrite: TypeAlias = Callable[[tree.Expression], tree.Expression]


def mapped(expression: tree.Expression, f: Rewrite, *, indices: bool = False) -> tree.Expression:
    """The same node with `f` applied to what is directly inside; references only with `indices`."""
    match expression:
        case tree.Reference(_, inner):
            return replace(expression, indices=tuple(f(index) for index in inner)) if indices else expression
        case tree.Application(name, arguments, keywords):
            if name not in FUNCTION_NAMES and not indices:
                return expression
            return replace(
                expression,
                arguments=tuple(f(item) for item in arguments),
                keywords=tuple((key, value if key == "axis" and not indices else f(value)) for key, value in keywords),
            )
        case tree.Projection(_, _, body):
            return replace(expression, body=f(body))
        case tree.Case(branches, default):
            return replace(
                expression,
                branches=tuple((f(condition), f(value)) for condition, value in branches),
                default=None if default is None else f(default),
            )
        case tree.Sum(terms):
            return replace(expression, terms=tuple((sign, f(term)) for sign, term in terms))
        case tree.Product(factors):
            return replace(expression, factors=tuple((operator, f(factor)) for operator, factor in factors))
        case tree.Negate(operand) | tree.Not(operand):
            return replace(expression, operand=f(operand))
        case tree.Power(base, exponent):
            return replace(expression, base=f(base), exponent=f(exponent))
        case tree.Compare(_, left, right):
            return replace(expression, left=f(left), right=f(right))
        case tree.And(operands) | tree.Or(operands):
            return replace(expression, operands=tuple(f(operand) for operand in operands))
        case _:
            return expression
