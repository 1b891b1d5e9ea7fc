"""Products, and sums over products: a chain of pairwise contractions in the cheapest order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fuse_ref.ir.nodes import Expr, Negate, Number, Product, Project
from fuse_ref.ir.variables import free_variables
from fuse_ref.plan.mixed import aggregated, joined, needs_lift
from fuse_ref.plan.order import choose_order, expression_of
from fuse_ref.plan.sampling import draw
from fuse_ref.plan.steps import Contraction
from fuse_ref.plan.values import Lowered, Value

if TYPE_CHECKING:
    from fuse_ref.plan.expressions import Expressions

__all__ = ["lower_product"]


def lower_product(expressions: Expressions, product: Product, summed: tuple[str, ...]) -> Lowered:
    """The product, summed over `summed` (each position of which counts even where no factor has it)."""
    factors, inner = _flattened(product, summed)
    gone = (*summed, *inner)
    drawn = draw(expressions, gone, Product(tuple(factors), product.divisors))
    if drawn is None:
        with expressions.builder.hiding(gone):
            return _summed(expressions, factors, product.divisors, gone)
    with drawn.reading():
        total = _summed(expressions, factors, product.divisors, drawn.labels)
        if drawn.sampling.spread:
            twice = (*product.divisors, *product.divisors)
            drawn.note("sum", total, _summed(expressions, [*factors, *factors], twice, drawn.labels))
        else:
            drawn.note("sum")
    return drawn.scaled(total)


def _summed(
    expressions: Expressions, factors: list[Expr], dividing: tuple[Expr, ...], gone: tuple[str, ...]
) -> Lowered:
    """The product of `factors` divided by `dividing`, summed over `gone`."""
    join, factors = joined(expressions, factors)
    lifted = [] if join is None else [factor for factor in factors if needs_lift(expressions, factor, join)]
    factors = [factor for factor in factors if factor not in lifted]
    over: int | float = 1
    times: int | float = 1
    values: list[Value] = []
    for factor in factors:
        lowered = expressions.builder.number(expressions.lower(factor))
        if isinstance(lowered, Value):
            values.append(lowered)
        else:
            times = times * lowered
    divisors: list[Value] = []
    for divisor in dividing:
        lowered = expressions.builder.float(expressions.lower(divisor))
        if isinstance(lowered, Value):
            divisors.append(lowered)
        elif lowered == 0 or not math.isfinite(lowered):
            divisors.append(expressions.builder.literal(lowered, "float"))
        else:
            over = over * lowered
    whole = join is None and not dividing and isinstance(times, int) and all(v.dtype == "int64" for v in values)
    if not whole:
        values = [_as_float(expressions, value) for value in values]
    late = [over_value for over_value in divisors if not set(over_value.labels) & set(gone)]
    for over_value in divisors:
        if over_value not in late:
            values = _divided(expressions, values, over_value)
    if join is not None:
        had = {*join.columns, *(v for value in values for v in value.labels)}
        had.update(v for factor in lifted for v in free_variables(factor))
        values = aggregated(expressions, join, values, lifted, gone)
        gone = tuple(v for v in gone if v not in had or any(v in value.labels for value in values))
    missing = [v for v in gone if not any(v in value.labels for value in values)]
    result = _multiplied(expressions, values, gone, missing, times, over)
    for over_value in late:
        result = expressions.builder.arithmetic("divide", (result, over_value))
    return result


def _as_float(expressions: Expressions, value: Value) -> Value:
    lowered = expressions.builder.float(value)
    assert isinstance(lowered, Value)
    return lowered


def _flattened(product: Product, summed: tuple[str, ...]) -> tuple[list[Expr], tuple[str, ...]]:
    """Factors with inner products and their sums taken apart, so that one order is chosen for all.

    An inner sum's variable must stand nowhere else, or it would be taken for the outer one.
    """
    found: list[Expr] = []
    inner: list[str] = []
    taken = set(summed) | set(free_variables(product))
    pending = list(reversed(product.factors))
    while pending:
        factor = pending.pop()
        match factor:
            case Product(factors, ()):
                pending.extend(reversed(factors))
            case Negate(operand):
                pending.extend((operand, Number(-1)))
            case Project("sum", variables, Product(factors, ())) if taken.isdisjoint(variables):
                inner.extend(variables)
                taken.update(variables)
                pending.extend(reversed(factors))
            case _:
                found.append(factor)
    return found, tuple(inner)


def _divided(expressions: Expressions, values: Sequence[Value], divisor: Value) -> list[Value]:
    """The factor that shares most with the divisor is divided, before the sum."""
    if not values:
        quotient = expressions.builder.arithmetic("divide", (1, divisor))
        assert isinstance(quotient, Value)
        return [quotient]
    shared = [len(set(value.labels) & set(divisor.labels)) for value in values]
    best = shared.index(max(shared))
    quotient = expressions.builder.arithmetic("divide", (values[best], divisor))
    assert isinstance(quotient, Value)
    return [*values[:best], quotient, *values[best + 1 :]]


def _multiplied(
    expressions: Expressions,
    values: Sequence[Value],
    gone: Sequence[str],
    missing: Sequence[str],
    times: int | float,
    over: int | float,
) -> Lowered:
    builder = expressions.builder
    if missing:
        # A sum over positions that no factor has: each counts, so something must have them.
        first = values[0] if values else builder.literal(1, "float")
        values = [builder.expand(first, missing), *values[1:]]
    if not values:
        return expressions.builder.arithmetic("divide", (times, over)) if over != 1 else times
    # What only one factor has is summed there.
    alone = [
        builder.reduce("sum", value, [v for v in value.labels if v in gone and _count(values, v) == 1])
        for value in values
    ]
    return _contracted(expressions, alone, gone, times, over)


def _count(values: Sequence[Value], label: str) -> int:
    return sum(label in value.labels for value in values)


def _contracted(
    expressions: Expressions, values: list[Value], gone: Sequence[str], times: int | float, over: int | float
) -> Lowered:
    kept = tuple(dict.fromkeys(v for value in values for v in value.labels if v not in gone))
    sizes = {v: expressions.estimate(expressions.builder.ranges[v]) for value in values for v in value.labels}
    if times != 1 or over != 1:
        values, done = _scaled(expressions, values, math.prod(sizes[v] for v in kept), sizes, times, over)
    else:
        done = True
    if len(values) > 1 and any(v in gone for value in values for v in value.labels):
        result = _pairwise(expressions, values, kept, sizes)
    else:
        result = values[0]
        for value in values[1:]:
            result = _value(expressions.builder.arithmetic("multiply", (result, value)))
    return result if done else _scale(expressions, result, times, over)


def _value(lowered: Lowered) -> Value:
    assert isinstance(lowered, Value)
    return lowered


def _scale(expressions: Expressions, value: Value, times: int | float, over: int | float) -> Value:
    """`value` times a constant. A lone division stays one: its rounding is not that of the reciprocal."""
    if times == 1:
        return _value(expressions.builder.arithmetic("divide", (value, over)))
    if times == -1 and over == 1:
        return _value(expressions.builder.arithmetic("negate", (value,)))
    factor = times if over == 1 else times / over
    return _value(expressions.builder.arithmetic("multiply", (value, factor)))


def _scaled(
    expressions: Expressions,
    values: list[Value],
    result: int,
    sizes: dict[str, int],
    times: int | float,
    over: int | float,
) -> tuple[list[Value], bool]:
    """The constant goes to the smallest factor, if that is smaller than the result; says whether it did."""
    elements = [math.prod(sizes[v] for v in value.labels) for value in values]
    smallest = min(elements)
    if smallest >= result:
        return values, False
    best = elements.index(smallest)
    return [*values[:best], _scale(expressions, values[best], times, over), *values[best + 1 :]], True


def _pairwise(expressions: Expressions, values: list[Value], kept: tuple[str, ...], sizes: dict[str, int]) -> Value:
    builder = expressions.builder
    inputs = [value.labels for value in values]
    order = choose_order(inputs, kept, sizes)
    assumed = tuple(v for v in sizes if expressions.is_open(builder.ranges[v]))
    builder.contractions.append(
        Contraction(
            builder.name, expression_of(inputs, kept), order.path, order.flops, order.largest, tuple(sorted(assumed))
        )
    )
    remaining = list(values)
    places = {label: place for place, label in enumerate(dict.fromkeys((*builder.preferred, *sizes)))}
    for first, second in order.path:
        right, left = remaining.pop(second), remaining.pop(first)
        needed = set(kept).union(*(value.labels for value in remaining))
        both = tuple(dict.fromkeys((*left.labels, *right.labels)))
        labels = tuple(label for label in both if label in needed)
        if labels == both:
            remaining.append(_value(expressions.builder.arithmetic("multiply", (left, right))))
        else:
            whole = left.dtype == right.dtype == "int64"
            beside = [set(value.labels) for value in remaining if not set(value.labels).isdisjoint(labels)]
            if beside and all(other <= set(labels) for other in beside):
                # Only weights of its own elements follow: where their shared labels lie closest together they are
                # multiplied and added row by row, without a transposition.
                labels = tuple(sorted(labels, key=lambda label: label in kept and any(label in o for o in beside)))
            else:
                # What stays to the end comes first, in the result's order: the last product needs no transposition.
                labels = tuple(sorted(labels, key=places.__getitem__))
            remaining.append(builder.contract(left, right, labels, "int64" if whole else "float"))
    return remaining[0]
