"""`attention(Q[p, k], K[q, k], V[q, v])` as what it means: a softmax over q of scaled products, times values."""

from __future__ import annotations

from collections.abc import Callable, Collection

from fuse_ref.ir.names import Names
from fuse_ref.ir.nodes import And, Call, Compare, Expr, Not, Number, Or, Position, Product, Project, Read
from fuse_ref.ir.variables import children, free_variables
from fuse_ref.language import syntax_tree as tree
from fuse_ref.language.printer import print_expression
from fuse_ref.mistakes import mistake

__all__ = ["read_attention"]

_ARGUMENTS = ("Q", "K", "V", "mask", "causal", "scale")


def read_attention(
    item: tree.Application, value: Callable[[tree.Expression], Expr], names: Names, kept: Collection[str]
) -> Expr:
    """The call written out.

    Args:
        value: reads an argument.
        kept: the variables of the left-hand side and of the projections around the call.

    Raises:
        OperatorError: wrong arguments.
        AxisError: it is not clear which indices are summed.
    """
    given = _given(item)
    query, key, values = (value(given[name]) for name in ("Q", "K", "V"))
    inside = _indices(query, key, values)
    summed = tuple(v for v in inside[0] if v in inside[1] and v not in inside[2])
    columns = tuple(v for v in inside[1] if v in inside[2] and v not in inside[0])
    if not summed or len(columns) != 1:
        wanted = "Q and K share an index that V lacks" if not summed else "K and V share one index that Q lacks"
        raise mistake("FUSE147", item.span, reason=f"it needs that {wanted}")
    (column,) = columns
    rows = tuple(v for v in inside[0] if v not in summed)
    for variable in (*summed, column):
        if variable in kept:
            raise mistake("FUSE147", item.span, reason=f"it sums over {variable}, which the result has too")
    for variable in rows:
        if variable not in kept:
            reason = f"its result has the index {variable}, which the left-hand side lacks; write sum({variable}: ...)"
            raise mistake("FUSE147", item.span, reason=reason)
    scores = Project("sum", summed, Product((_scaled(query, given, summed, value), key), (), item.span), item.span)
    keep = _keep(item, given, value, names, tuple(v for v in rows if v not in inside[1]), column)
    if keep is None:
        weights = Call("softmax", (scores,), column, (), item.span)
    else:
        weights = Call("masked_softmax", (scores, keep), column, (), item.span)
    return Project("sum", (column,), Product((weights, values), (), item.span), item.span)


def _given(item: tree.Application) -> dict[str, tree.Expression]:
    found = dict(zip(_ARGUMENTS, item.arguments, strict=False))
    wrong = f"{len(item.arguments)} arguments" if len(item.arguments) > 4 else ""
    for name, written in item.keywords:
        if name in found or name not in _ARGUMENTS:
            wrong = f"'{name}='"
        found[name] = written
    if wrong or not {"Q", "K", "V"} <= found.keys():
        got = wrong or f"{len(found)} argument{'' if len(found) == 1 else 's'}"
        expected = "(Q[p, k], K[q, k], V[q, v], mask=M[p, q], causal=1, scale=)"
        raise mistake("FUSE108", item.span, name="attention", expected=expected, got=got)
    return found


def _indices(*arguments: Expr) -> list[tuple[str, ...]]:
    """Of each argument the indices that it has when its own products have contracted theirs."""
    every = [free_variables(argument) for argument in arguments]
    own = [_contracted(argument) for argument in arguments]
    shown = [set(found) - gone for found, gone in zip(every, own, strict=True)]
    # What one argument repeats in a product is not contracted there if another shows it.
    seen = set().union(*shown)
    return [tuple(v for v in found if v not in gone or v in seen) for found, gone in zip(every, own, strict=True)]


def _contracted(expr: Expr) -> set[str]:
    """Indices that the factors of a product share."""
    found: set[str] = set()
    if isinstance(expr, Product):
        sets = [set(free_variables(factor)) for factor in expr.factors]
        found.update(v for inside in sets for v in inside if sum(v in other for other in sets) >= 2)
    for child in children(expr):
        found |= _contracted(child)
    return found


def _scaled(
    query: Expr, given: dict[str, tree.Expression], summed: tuple[str, ...], value: Callable[[tree.Expression], Expr]
) -> Expr:
    """The queries times the scale; without one, divided by the root of the number of positions that are summed."""
    if "scale" in given:
        return Product((query, value(given["scale"])), ())
    count = Project("sum", summed, Number(1))
    return Product((query,), (Call("sqrt", (count,), None, ()),))


def _keep(
    item: tree.Application,
    given: dict[str, tree.Expression],
    value: Callable[[tree.Expression], Expr],
    names: Names,
    rows: tuple[str, ...],
    column: str,
) -> Expr | None:
    """The condition under which a position takes part; None where all do."""
    conditions: list[Expr] = []
    if "mask" in given:
        mask = value(given["mask"])
        truth = isinstance(mask, Compare | And | Or | Not) or (isinstance(mask, Read) and mask.boolean)
        conditions.append(mask if truth else Compare("!=", mask, Number(0)))
    if "causal" in given and _is_true(given["causal"], names):
        if not rows:
            raise mistake("FUSE147", item.span, reason="causal needs an index of Q that K lacks")
        conditions.append(Compare("<=", Position(column), Position(rows[-1])))
    if not conditions:
        return None
    return conditions[0] if len(conditions) == 1 else And(tuple(conditions))


def _is_true(written: tree.Expression, names: Names) -> bool:
    match written:
        case tree.Name("true") | tree.Name("True"):
            return True
        case tree.Name("false") | tree.Name("False"):
            return False
        case _:
            number = names.number(written)
            if number is None:
                text = print_expression(written)
                raise mistake("FUSE125", written.span, name="causal", reason=f"{text!r} is neither 1 nor 0")
            return number != 0
