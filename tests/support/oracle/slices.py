"""Where slices are summed: the rules of language.md, section 4, for the one index that has no name to write down.

The explicit text writes every other projection. A slice is a nameless variable, `:0` for the first of a
reference; the projections that are found here bind these names.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

from fuse_ref.language import syntax_tree as tree
from tests.support.oracle.errors import OracleError
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


def _visible(expression: tree.Expression, kept: Slices, outside: Slices) -> Slices:
    """What a part of a term shows to the rest of it, which shows `outside`.

    Not what stands in a function's argument, nor what a parenthesis contracts.
    """
    if _is_function(expression) or not standing(expression):
        return _NONE
    match expression:
        case tree.Projection(_, variables, body):
            return _visible(body, kept.union(variables), outside.difference(variables)).difference(variables)
        case tree.Compare() | tree.Case():
            parts = children(expression)
            return _NONE.union(*(_visible(part, kept | outside, _NONE) for part in parts))
        case tree.Or(operands):
            return _NONE.union(*(_visible(operand, kept, outside) for operand in operands))
        case tree.Product(factors):
            parts = tuple(part for _, part in factors)
            found = _shown(parts, kept, outside)
            return _NONE.union(*found) - _product(expression, kept, outside, _NONE)[1]
        case _:
            return _own(expression).union(*_shown(children(expression), kept, outside))


def _shown(parts: tuple[tree.Expression, ...], kept: Slices, outside: Slices) -> list[Slices]:
    """What each part of a term shows: as little as fits what the others show."""
    shown = [_NONE for _ in parts]
    while True:
        beside = _others(shown)
        now = [_visible(part, kept, outside | seen) for part, seen in zip(parts, beside, strict=True)]
        if now == shown:
            return shown
        shown = now


def _others(found: list[Slices]) -> list[Slices]:
    """For each part what is found in all the others."""
    return [_NONE.union(*found[:place], *found[place + 1 :]) for place in range(len(found))]


def _summed(names: Slices, expression: tree.Expression) -> tree.Expression:
    return tree.Projection("sum", tuple(sorted(names)), expression, expression.span) if names else expression


def _scope(expression: tree.Expression, kept: Slices) -> tree.Expression:
    """Rule 2: each additive term of a scope is projected by itself onto what survives."""
    match expression:
        case tree.Sum() | tree.Negate():
            return mapped(expression, lambda term: _scope(term, kept))
        case _:
            term = _part(expression, kept, _NONE, _NONE)
            return _summed(standing(term) - kept, term)


def _part(expression: tree.Expression, kept: Slices, outside: Slices, beside: Slices) -> tree.Expression:
    """A part of a term; the rest of the term shows `outside`, and `beside` stands there."""
    if not standing(expression):
        return expression
    match expression:
        case tree.Application() if _is_function(expression):
            return mapped(expression, lambda argument: _scope(argument, kept | outside))
        case tree.Compare() | tree.Case():
            # Their sides and branches do not see each other.
            return mapped(expression, lambda side: _scope(side, kept | outside))
        case tree.Or():
            # Alternatives do not see each other: each holds or not by itself, as rules of their own would.
            return mapped(expression, lambda operand: _part(operand, kept, outside, beside))
        case tree.Projection(_, variables, body):
            # What it leaves lives on as in a parenthesis.
            hidden = frozenset(variables)
            return replace(expression, body=_part(body, kept | hidden, outside - hidden, beside - hidden))
        case tree.Product():
            product, contracted = _product(expression, kept, outside, beside)
            return _summed(contracted, product)
        case _:
            # Terms of a parenthesis, base and exponent, conjuncts: each sees the others.
            parts = tuple(("*", part) for part in children(expression))
            done = iter(_parts(parts, kept, outside, beside))
            return mapped(expression, lambda _: next(done))


def _parts(
    parts: tuple[tuple[str, tree.Expression], ...], kept: Slices, outside: Slices, beside: Slices
) -> list[tree.Expression]:
    """The parts of a term: a divisor keeps what stands anywhere else in it, and nothing stands there for its sake."""
    shown = _others(_shown(tuple(part for _, part in parts), kept, outside))
    stands = [_NONE for _ in parts]
    for _ in range(len(parts) + 2):
        done = []
        for (operator, part), seen, around in zip(parts, shown, _others(stands), strict=True):
            if operator == "/":
                done.append(_scope(part, kept | outside | seen | beside | around))
            else:
                done.append(_part(part, kept, outside | seen, beside | around))
        now = [standing(part) for part in done]
        if now == stands:
            return done
        stands = now
    raise OracleError("what stands in the parts of a term does not settle")


def _product(product: tree.Product, kept: Slices, outside: Slices, beside: Slices) -> tuple[tree.Expression, Slices]:
    """A product with its factors' and divisors' own sums, and what rule 1 sums over all of it.

    That is what two or more factors have, and what is neither kept nor visible elsewhere in the term.
    """
    done = _parts(product.factors, kept, outside, beside)
    operators = [operator for operator, _ in product.factors]
    factors = [standing(part) for operator, part in zip(operators, done, strict=True) if operator == "*"]
    repeated = {name for names in factors for name in names if sum(name in other for other in factors) > 1}
    shown = _shown(tuple(part for _, part in product.factors), kept, outside)
    divisors = _NONE.union(*(names for operator, names in zip(operators, shown, strict=True) if operator == "/"))
    rewritten = tuple(zip(operators, done, strict=True))
    return replace(product, factors=rewritten), frozenset(repeated) - kept - outside - divisors
