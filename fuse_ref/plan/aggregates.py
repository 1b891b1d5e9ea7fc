"""`max=`, `min=`, `avg=`, `prod=`: filters, offset reads that fall outside, and the last projection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal, assert_never

from fuse_ref.analysis.lengths import Fixed, Length
from fuse_ref.ir.index import Affine, Gather, Index, Quotient
from fuse_ref.ir.nodes import (
    And,
    ArrayLiteral,
    Call,
    Compare,
    Equation,
    Expr,
    Not,
    Number,
    Operator,
    Or,
    Product,
    Project,
    Read,
)
from fuse_ref.ir.operations import NEUTRAL
from fuse_ref.ir.variables import children, free_variables, index_variables
from fuse_ref.plan import steps
from fuse_ref.plan.bounds import within
from fuse_ref.plan.mixed import Join, Lift, joined
from fuse_ref.plan.references import affine_position, position_labels, read_tensor
from fuse_ref.plan.sampling import Drawn, draw
from fuse_ref.plan.values import WRITE, Builder, Lowered, Value
from fuse_ref.records import dataclass

if TYPE_CHECKING:
    from fuse_ref.plan.expressions import Expressions

__all__ = ["Combination", "average", "combination", "filters_of"]


@dataclass(frozen=True, slots=True)
class Combination:
    """What one equation gives: its value over the left-hand side's variables."""

    value: Lowered
    count: Lowered  # for averages that are finished later: of how many combinations `value` is the sum


def combination(
    expressions: Expressions, equation: Equation, operator: Operator, target: tuple[str, ...], *, count: bool
) -> Combination:
    """The right-hand side of one equation, projected onto `target` where its operator says so.

    Args:
        operator: of the tensor: a fact or literal beside `max=` equations takes theirs.
        count: leave an average as a sum and a count.
    """
    builder = expressions.builder
    if operator == "=":
        return Combination(expressions.lower(equation.body), 1)
    filters, body = filters_of(equation.body)
    join, conditions = joined(expressions, filters, inside=True)
    if join is not None:
        return _of_tuples(expressions, join, conditions, body, operator, target, count=count)
    if operator == "avg=":
        variables = [v for v in free_variables(equation.body) if v not in target]
        drawn = draw(expressions, variables, equation.body)
        if drawn is not None:
            return _estimated(expressions, drawn, filters, body, count=count)
    holds = _holds(expressions, filters, body)
    value = builder.float(expressions.lower(body)) if operator == "avg=" else builder.number(expressions.lower(body))
    variables = [v for v in dict.fromkeys((*free_variables(equation.body),)) if v not in target]
    if not count and holds is None and not variables:
        return Combination(value, 1)
    array = value if isinstance(value, Value) else builder.literal(value, "float")
    if operator == "avg=":
        return _averaged(expressions, array, holds, variables, count=count)
    neutral = NEUTRAL[operator]
    if holds is not None:
        array = builder.map("where", (holds, builder.float(array), neutral), "float")
    array = builder.expand(array, variables)
    return Combination(builder.reduce(operator.rstrip("="), array, variables), 1)


def _estimated(
    expressions: Expressions, drawn: Drawn, filters: Sequence[Expr], body: Expr, *, count: bool
) -> Combination:
    """An average over a sample: of its combinations, those that count."""
    builder = expressions.builder
    with drawn.reading():
        holds = _holds(expressions, filters, body)
        lowered = builder.float(expressions.lower(body))
    value = lowered if isinstance(lowered, Value) else builder.literal(lowered, "float")
    found = _averaged(expressions, value, holds, drawn.labels, count=count)
    if drawn.sampling.spread:
        both = _averaged(expressions, value, holds, drawn.labels, count=True)
        square = builder.map("multiply", (value, value), "float")
        squares = _averaged(expressions, square, holds, drawn.labels, count=True).value
        drawn.note("avg", both.value, squares, both.count)
    else:
        drawn.note("avg")
    return Combination(drawn.scaled(found.value), drawn.scaled(found.count)) if count else found


def _of_tuples(
    expressions: Expressions,
    join: Join,
    filters: Sequence[Expr],
    body: Expr,
    operator: Operator,
    target: tuple[str, ...],
    *,
    count: bool,
) -> Combination:
    """The values of a relation's tuples, projected onto `target`; other filters are tested tuple by tuple."""
    builder = expressions.builder

    def total(value: Expr, way: Literal["sum", "max", "min", "prod"], neutral: float) -> Value:
        lift = Lift(expressions, join)
        found = lift.lift(value)
        conditions = [lift.lift(item, truth=True) for item in filters]
        conditions.extend(lift.value(read) for read in _outside(expressions, (*filters, body)))
        if conditions:
            lift.where(conditions, found, neutral)
        else:
            lift.product([found])
        everything = dict.fromkeys(v for expr in (body, *filters) for v in free_variables(expr))
        missing = [v for v in everything if v not in lift.labels()]
        if missing:
            ones = builder.expand(builder.literal(1, "float"), missing)
            lift.product([lift.last(), lift.value(ones)])
        return lift.aggregate(way, [label for label in lift.labels() if label in target])

    if operator == "avg=":
        found, number = total(body, "sum", 0), total(Number(1), "sum", 0)
        return Combination(found, number) if count else Combination(_quotient(builder, found, number), 1)
    assert operator != "="
    return Combination(total(body, WRITE[operator], NEUTRAL[operator]), 1)


def _averaged(
    expressions: Expressions, value: Value, holds: Value | None, variables: Sequence[str], *, count: bool
) -> Combination:
    builder = expressions.builder
    if holds is None and not count:
        return Combination(builder.reduce("avg", builder.expand(value, variables), variables), 1)
    ones: Value = builder.literal(1, "float")
    if holds is not None:
        value = builder.map("where", (holds, value, 0), "float")
        ones = builder.map("to_number", (holds,), "float")
    total = builder.reduce("sum", builder.expand(value, variables), variables)
    number = builder.reduce("sum", builder.expand(ones, variables), variables)
    if count:
        return Combination(total, number)
    return Combination(_quotient(builder, total, number), 1)


def _quotient(builder: Builder, total: Lowered, number: Lowered) -> Lowered:
    """Sums divided by counts; 0 where nothing was counted."""
    if not isinstance(number, Value):
        return builder.arithmetic("divide", (total, number))
    some = builder.map("greater", (number, 0), "bool")
    safe = builder.map("where", (some, number, 1), "float")
    return builder.map("where", (some, builder.arithmetic("divide", (total, safe)), 0), "float")


def average(builder: Builder, pieces: Sequence[tuple[Lowered, Lowered]]) -> Lowered:
    """The average over all combinations of all equations: of each, the sums and the counts."""
    total, number = pieces[0]
    for value, count in pieces[1:]:
        total = builder.arithmetic("add", (total, value))
        number = builder.arithmetic("add", (number, count))
    return _quotient(builder, total, number)


# Filters ------------------------------------------------------------------------------------------


def filters_of(body: Expr) -> tuple[list[Expr], Expr]:
    """Truth values that are conjuncts or factors of the whole right-hand side, and what is left.

    Products are associative: a filter may stand in the parenthesis of a product among the factors.
    """
    match body:
        case Product(factors, divisors, span):
            parts = [filters_of(factor) if isinstance(factor, Product) else _conjunct(factor) for factor in factors]
            filters = [found for inner, _ in parts for found in inner]
            rest = tuple(left for _, left in parts if left is not None)
            if len(rest) == 1 and not divisors:
                return filters, rest[0]
            return filters, Product(rest, divisors, span) if rest or divisors else Number(1)
        case And(operands):
            filters = [operand for operand in operands if _is_filter(operand)]
            rest = tuple(operand for operand in operands if not _is_filter(operand))
            return filters, Product(rest, ()) if rest else Number(1)
        case _ if _is_filter(body):
            return [body], Number(1)
        case _:
            return [], body


def _conjunct(factor: Expr) -> tuple[list[Expr], Expr | None]:
    """A factor as a filter, or as what is left."""
    return ([factor], None) if _is_filter(factor) else ([], factor)


def _is_filter(expr: Expr) -> bool:
    match expr:
        case Read(boolean=boolean):
            return boolean
        case Not() | Compare():
            return True
        case And(operands) | Or(operands):
            return all(_is_filter(operand) for operand in operands)
        case _:
            return False


def _holds(expressions: Expressions, filters: Sequence[Expr], body: Expr) -> Value | None:
    """Whether a combination counts; None when all do."""
    builder = expressions.builder
    conditions = [builder.truth(expressions.lower(item)) for item in filters]
    for read in _outside(expressions, (*filters, body)):
        conditions.append(read)
    result: Value | None = None
    for condition in conditions:
        if not isinstance(condition, Value):
            if condition:
                continue
            condition = builder.literal(False, "bool")
        result = condition if result is None else builder.map("and", (result, condition), "bool")
    return result


def _outside(expressions: Expressions, exprs: Sequence[Expr]) -> Iterator[Value]:
    """For each read that may fall outside: whether it lies inside. Reads under a projection are their own matter."""
    stack: list[tuple[Expr, frozenset[str]]] = [(expr, frozenset()) for expr in reversed(exprs)]
    seen: set[tuple[Length, Index]] = set()
    while stack:
        node, bound = stack.pop()
        if isinstance(node, Project):
            continue
        if isinstance(node, (Read, ArrayLiteral)):
            stack.extend((index.read, bound) for index in reversed(node.indices) if isinstance(index, Gather))
            for position, index in enumerate(node.indices):
                if not isinstance(index, Affine | Quotient | Gather):
                    continue
                if not isinstance(index, Gather) and not index_variables(index):
                    continue  # a constant; one beyond the end is an error of its own
                if not bound.isdisjoint(index_variables(index)):
                    continue  # the function's own axis is none of the combination's
                tensor = node.tensor if isinstance(node, Read) else None
                size = 0 if isinstance(node, Read) else node.shape[position]
                length = Fixed(size) if tensor is None else expressions.tensors.shapes[tensor][position]
                if _proven(expressions, tensor, size, position, index, length) or (length, index) in seen:
                    continue
                seen.add((length, index))
                yield _lies_inside(expressions, length, index)
        if isinstance(node, Call) and node.axis is not None and node.axis not in free_variables(node):
            bound |= {node.axis}
        stack.extend((child, bound) for child in reversed(children(node)))


def _proven(
    expressions: Expressions,
    tensor: str | None,
    size: int,
    position: int,
    index: Affine | Quotient | Gather,
    length: Length,
) -> bool:
    """Whether a read lies inside whatever values a call gives."""
    if isinstance(index, Gather):
        return within(expressions.tensors.bounds, index, length)
    variable = index.variable if isinstance(index, Affine) else None
    if variable is not None and expressions.shapes.ranges[variable] == length:
        return True
    return expressions.shapes.inside(tensor, size, position, index, length)


def _lies_inside(expressions: Expressions, length: Length, index: Affine | Quotient | Gather) -> Value:
    """Ones read at `index` are 0 where it falls outside."""
    builder = expressions.builder
    one = builder.literal(1, "float")
    ones = builder.add(steps.Expand(steps.Output("", ("0",), (length,), "float"), one.operand))
    match index:
        case Gather(read, offset):
            positions = read_tensor(builder, expressions.tensors, expressions.shapes, read).operand
            position = steps.ReadIndex((), Fixed(offset), False, gather=positions)
        case Affine(terms, offset):
            position = affine_position(builder, terms, Fixed(offset), inside=False)
        case Quotient(Affine(terms, offset), divisor):
            position = affine_position(builder, terms, Fixed(offset), inside=False, divisor=divisor)
        case _:
            assert_never(index)
    output = builder.output(dict.fromkeys(position_labels(position)), "float")
    return _truth(builder, builder.add(steps.Index(output, ones.name, (position,))))


def _truth(builder: Builder, value: Value) -> Value:
    found = builder.truth(value)
    assert isinstance(found, Value)
    return found
