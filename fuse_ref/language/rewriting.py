"""Syntax trees rebuilt with changed parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias, assert_never

from fuse_ref.language import syntax_tree as st

__all__ = ["Rewrite", "rebuilt"]

Rewrite: TypeAlias = Callable[[st.Expression], st.Expression]


def rebuilt(node: st.Expression, change: Rewrite) -> st.Expression:
    """`node` with `change` applied to each expression directly inside it: indices, arguments, keyword values too."""
    match node:
        case st.Number() | st.String() | st.Name() | st.Virtual() | st.Normalised():
            return node
        case st.Slice(start=start, stop=stop, step=step):
            first, last, stride = (None if part is None else change(part) for part in (start, stop, step))
            return replace(node, start=first, stop=last, step=stride)
        case st.Reference(indices=indices):
            return replace(node, indices=tuple(change(index) for index in indices))
        case st.Application(arguments=arguments, keywords=keywords):
            named = tuple((key, change(value)) for key, value in keywords)
            return replace(node, arguments=tuple(change(argument) for argument in arguments), keywords=named)
        case st.Projection(body=body) | st.Inlined(body=body):
            return replace(node, body=change(body))
        case st.Case(branches=branches, default=default):
            pairs = tuple((change(condition), change(value)) for condition, value in branches)
            return replace(node, branches=pairs, default=None if default is None else change(default))
        case st.Array(items=items):
            return replace(node, items=tuple(change(item) for item in items))
        case st.Sum(terms=terms):
            return replace(node, terms=tuple((sign, change(term)) for sign, term in terms))
        case st.Product(factors=factors):
            return replace(node, factors=tuple((sign, change(factor)) for sign, factor in factors))
        case st.Negate(operand=operand) | st.Not(operand=operand):
            return replace(node, operand=change(operand))
        case st.Power(base=base, exponent=exponent):
            return replace(node, base=change(base), exponent=change(exponent))
        case st.Compare(left=left, right=right):
            return replace(node, left=change(left), right=change(right))
        case st.And(operands=operands) | st.Or(operands=operands):
            return replace(node, operands=tuple(change(operand) for operand in operands))
        case _:
            assert_never(node)
