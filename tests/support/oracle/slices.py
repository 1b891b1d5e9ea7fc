"""Where slices are summed: the rules of language.md, section 4, for the one index that has no name to write down.

The explicit text writes every other projection. A slice is a nameless variable, `:0` for the first of a
reference; the projections that are found here bind these names.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

from fuse_ref.language import syntax_tree as tree
from tests.support.oracle.functions import FUNCTION_NAMES
from tests.support.oracle.mapped import mapped
from tests.support.oracle.program import children

__all__ = ["project_slices", "standing"]

Slices: TypeAlias = frozenset[str]
_NONE: Slices = frozenset()


def project_slices(body: tree.Expression, kept: Slices) -> tree.Expression:
    """The right-hand side of `=`, its slices summed where they do not survive.

    Args:
        body: every other projection is written out.
        kept: variables of the left-hand side, its slices among them.
    """
    return _scope(body, kept)


def _is_function(expression: tree.Expression) -> bool:
    return isinstance(expression, tree.Application) and expression.name in FUNCTION_NAMES


def _own(expression: tree.Expression) -> Slices:
    """The slices of a reference; nothing for anything else."""
    match expression:
        case tree.Reference(_, indices):
            pass
        case tree.Application(name, indices, ()) if name not in FUNCTION_NAMES:
            pass
        case _:
            return _NONE
    return frozenset(f":{k}" for k in range(sum(isinstance(index, tree.Slice) for index in indices)))


def standing(expression: tree.Expression) -> Slices:
    """The slices that an expression's value depends on."""
    found = _own(expression).union(*(standing(child) for child in children(expression)))
    return found - set(expression.variables) if isinstance(expression, tree.Projection) else found


def _visible(expression: tree.Expression, kept: Slices) -> Slices:
    """What a part of a term shows to the rest of it.

    Not what stands in a function's argument, nor what a parenthesis contracts by itself.
    """
    if _is_function(expression):
        return _NONE
    found = _own(expression).union(*(_visible(child, kept) for child in children(expression)))
    match expression:
        case tree.Projection(_, variables, _):
            return found - set(variables)
        case tree.Product():
            return found - _product(expression, kept, _NONE)[1]
        case _:
            return found


def _beside(parts: tuple[tree.Expression, ...], kept: Slices, outside: Slices) -> list[Slices]:
    """For each part of a term what the rest of the term shows to it."""
    shown = [_visible(part, kept) for part in parts]
    return [outside.union(*shown[:place], *shown[place + 1 :]) for place in range(len(parts))]


def _summed(names: Slices, expression: tree.Expression) -> tree.Expression:
    return tree.Projection("sum", tuple(sorted(names)), expression, expression.span) if names else expression


def _scope(expression: tree.Expression, kept: Slices) -> tree.Expression:
    """Rule 2: each additive term of a scope is projected by itself onto what survives."""
    match expression:
        case tree.Sum() | tree.Negate():
            return mapped(expression, lambda term: _scope(term, kept))
        case _:
            term = _part(expression, kept, _NONE)
            return _summed(standing(term) - kept, term)


def _part(expression: tree.Expression, kept: Slices, outside: Slices) -> tree.Expression:
    """A part of a term; `outside` is what the rest of the term shows."""
    match expression:
        case tree.Application() if _is_function(expression):
            return mapped(expression, lambda argument: _scope(argument, kept | outside))
        case tree.Compare() | tree.Case():
            # Their sides and branches do not see each other.
            return mapped(expression, lambda side: _scope(side, kept | outside))
        case tree.Projection(_, variables, body):
            # What it leaves lives on as in a parenthesis.
            return replace(expression, body=_part(body, kept.union(variables), outside.difference(variables)))
        case tree.Product():
            product, contracted = _product(expression, kept, outside)
            return _summed(contracted, product)
        case _:
            # Terms of a parenthesis, base and exponent, conjuncts: each sees the others.
            seen = iter(_beside(children(expression), kept, outside))
            return mapped(expression, lambda part: _part(part, kept, next(seen)))


def _product(product: tree.Product, kept: Slices, outside: Slices) -> tuple[tree.Expression, Slices]:
    """A product with its factors' and divisors' own sums, and what rule 1 sums over all of it.

    That is what two or more factors have, and what is neither kept nor visible elsewhere in the term.
    """
    parts = tuple(part for _, part in product.factors)
    shown = _beside(parts, kept, outside)
    done = [
        _part(part, kept, seen) if operator == "*" else _scope(part, kept | seen)
        for (operator, part), seen in zip(product.factors, shown, strict=True)
    ]
    # A divisor is projected only from what stands nowhere else in its term, in another divisor neither.
    stands = [standing(part) for part in done]
    for place, (operator, part) in enumerate(product.factors):
        if operator == "/":
            done[place] = _scope(part, kept | shown[place].union(*stands[:place], *stands[place + 1 :]))
    factors = [names for (operator, _), names in zip(product.factors, stands, strict=True) if operator == "*"]
    repeated = {name for names in factors for name in names if sum(name in other for other in factors) > 1}
    divisors = _NONE.union(*(_visible(part, kept) for operator, part in product.factors if operator == "/"))
    rewritten = tuple((operator, part) for (operator, _), part in zip(product.factors, done, strict=True))
    return replace(product, factors=rewritten), frozenset(repeated) - kept - outside - divisors
