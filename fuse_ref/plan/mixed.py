"""Products of relations and numbers: their combinations are the tuples of a join, never a dense array.

`Agg[n, d] = Neig(n, m) Z[m, d]` adds rows of Z, one for each tuple of Neig. The Boolean factors of a product
(and what is said of positions beside them: `x != y`, `not R(x, y)`) are joined by the logic engine; the numeric
ones are looked up at each tuple. Where one variable of a tuple leaves and stands in nothing that the others
stand in, the sum over it comes first and what is left is an ordinary product.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from fuse_ref.ir.index import Affine
from fuse_ref.ir.nodes import (
    Call,
    Case,
    Compare,
    Expr,
    Negate,
    Not,
    Number,
    Position,
    Power,
    Product,
    Project,
    Read,
    Sum,
    SymbolValue,
)
from fuse_ref.ir.operations import row_of
from fuse_ref.ir.variables import children, free_variables, reads
from fuse_ref.plan.bodies import denied_read
from fuse_ref.plan.logic import join_rule
from fuse_ref.plan.operations import Aggregate, InnerMap, InnerValue, Operand
from fuse_ref.plan.values import Lowered, Value
from fuse_ref.records import dataclass

if TYPE_CHECKING:
    from fuse_ref.plan.expressions import Expressions

__all__ = ["Join", "Lift", "aggregated", "joined", "needs_lift"]

_COMPARISONS = {
    "<": "less",
    "<=": "less_equal",
    ">": "greater",
    ">=": "greater_equal",
    "==": "equal",
    "!=": "not_equal",
}


@dataclass(frozen=True, slots=True)
class Join:
    """The combinations that Boolean factors let through."""

    relation: str
    columns: tuple[str, ...]  # variables


def joined(
    expressions: Expressions, factors: Sequence[Expr], *, inside: bool = False
) -> tuple[Join | None, list[Expr]]:
    """The factors that sparse relations and what is said of their variables make, as one relation; the others.

    None where no factor is a sparse relation.

    Args:
        inside: where a read falls outside, there is no combination.
    """
    atoms = [factor for factor in factors if _sparse(expressions, factor)]
    if not atoms:
        return None, list(factors)
    variables = tuple(dict.fromkeys(v for atom in atoms for v in free_variables(atom)))
    taken = [factor for factor in factors if factor in atoms or _on_tuples(expressions, factor, set(variables))]
    rest = [factor for factor in factors if factor not in taken]
    first = atoms[0]
    if len(taken) == 1 and isinstance(first, Read) and _whole(expressions, first, variables):
        return Join(first.tensor, variables), rest
    builder = expressions.builder
    name = builder.relation()
    shapes, tensors = expressions.shapes, expressions.tensors
    span = next((atom.span for atom in atoms if isinstance(atom, Read)), None)
    rule = join_rule(name, taken, variables, shapes, tensors, span, inside=inside)
    assert rule is not None, "what is taken is tested tuple by tuple"
    builder.rules.append((rule, tuple(shapes.ranges[v] for v in variables)))
    return Join(name, variables), rest


def _sparse(expressions: Expressions, expr: Expr) -> bool:
    return isinstance(expr, Read) and expr.tensor in expressions.tensors.sparse


def _whole(expressions: Expressions, read: Read, variables: tuple[str, ...]) -> bool:
    """Whether a reference reads all of its relation, each argument by a variable of its own."""
    plain = tuple(index.variable if isinstance(index, Affine) else None for index in read.indices)
    lengths = expressions.tensors.shapes[read.tensor]
    return plain == variables and all(
        expressions.shapes.ranges[v] == length for v, length in zip(variables, lengths, strict=True)
    )


def _on_tuples(expressions: Expressions, expr: Expr, variables: set[str]) -> bool:
    """Whether a factor is a condition on positions that the atoms bind."""
    match expr:
        case Not(Read() | Project("any")):
            read = denied_read(expr, expressions.shapes, expressions.tensors)
            return read is not None and _sparse(expressions, read) and set(free_variables(expr)) <= variables
        case Compare() | Not(Compare()):
            return _positions(expr) and set(free_variables(expr)) <= variables
        case _:
            return False


def _positions(expr: Expr) -> bool:
    match expr:
        case Position() | SymbolValue() | Number():
            return True
        case Sum() | Product() | Negate() | Compare() | Not():
            return all(_positions(child) for child in children(expr))
        case _:
            return False


# Sums over tuples ---------------------------------------------------------------------------------


def aggregated(
    expressions: Expressions, join: Join, values: Sequence[Value], lifted: Sequence[Expr], gone: Sequence[str]
) -> list[Value]:
    """Factors of a product in which no variable of the join that is summed stands any more.

    Args:
        values: dense factors.
        lifted: factors that are made tuple by tuple.
        gone: variables that are summed.
    """
    touching = [value for value in values if set(value.labels) & set(join.columns)]
    others = [value for value in values if value not in touching]
    if not lifted and len(join.columns) == 2:
        early = _early(expressions, join, touching, gone)
        if early is not None:
            inside, result = early
            return [*others, *(value for value in touching if value not in inside), result]
    lift = Lift(expressions, join)
    arguments = [lift.value(value) for value in touching] + [lift.lift(expr) for expr in lifted]
    if lift.inner:
        lift.product(arguments)
    elsewhere = {label for value in others for label in value.labels}
    kept = [label for label in lift.labels() if label not in gone or label in elsewhere]
    return [*others, lift.aggregate("sum", kept)]


def _early(
    expressions: Expressions, join: Join, touching: Sequence[Value], gone: Sequence[str]
) -> tuple[list[Value], Value] | None:
    """The sum over the argument that leaves, of the factors that have it, where these lack the other."""
    choices = []
    for leaves, stays in (join.columns[::-1], join.columns):
        inside = [value for value in touching if leaves in value.labels]
        if leaves in gone and len(inside) == 1 and not any(stays in value.labels for value in inside):
            size = expressions.estimate(expressions.builder.ranges[stays])
            choices.append((stays in gone, size, inside, stays))
    if not choices:
        return None
    _, _, inside, stays = min(choices, key=lambda item: item[:2])
    rest = [label for value in inside for label in value.labels if label not in join.columns]
    lift = Lift(expressions, join)
    for value in inside:
        lift.value(value)
    return inside, lift.aggregate("sum", [stays, *rest])


class Lift:
    """Values that there is one of for each tuple, and the elementwise operations that make them."""

    def __init__(self, expressions: Expressions, join: Join) -> None:
        self.expressions = expressions
        self.join = join
        self.operands: list[Operand] = []
        # Numbers of operands stay; what an inner operation is numbered is known when all operands are.
        self.inner: list[tuple[str, tuple[_Inner, ...], Literal["float", "bool"], tuple[tuple[str, str], ...]]] = []

    def labels(self) -> tuple[str, ...]:
        """The variables of the tuples, and the dense labels of the operands."""
        dense = (label for operand in self.operands for label in operand.labels)
        return tuple(dict.fromkeys((*self.join.columns, *dense)))

    def value(self, value: Value) -> _Inner:
        if value.operand not in self.operands:
            self.operands.append(value.operand)
        return _Inner(operand=self.operands.index(value.operand))

    def number(self, lowered: Lowered) -> _Inner:
        if isinstance(lowered, Value):
            return self.value(lowered)
        return _Inner(number=int(lowered) if isinstance(lowered, bool) else lowered)

    def lift(self, expr: Expr, *, truth: bool = False) -> _Inner:
        """`expr` as a value of each tuple: what has more than one of their variables is made there."""
        builder = self.expressions.builder
        if not needs_lift(self.expressions, expr, self.join):
            lowered = self.expressions.lower(expr)
            return self.number(builder.truth(lowered) if truth else builder.float(lowered))
        match expr:
            case Sum(terms):
                return self._folded("add", [self.lift(term) for term in terms])
            case Product(factors, divisors):
                result = self._folded("multiply", [self.lift(factor) for factor in factors] or [_Inner(number=1)])
                for divisor in divisors:
                    result = self._apply("divide", result, self.lift(divisor))
            case Negate(operand):
                result = self._apply("negate", self.lift(operand))
            case Power(base, exponent):
                result = self._apply("power", self.lift(base), self.lift(exponent))
            case Compare(operator, left, right):
                result = self._apply(_COMPARISONS[operator], self.lift(left), self.lift(right), dtype="bool")
                return result if truth else self._apply("to_number", result)
            case Not(operand):
                result = self._apply("not", self.lift(operand, truth=True), dtype="bool")
                return result if truth else self._apply("to_number", result)
            case Case(branches, default):
                result = self.lift(default)
                for condition, value in reversed(branches):
                    result = self._apply("where", self.lift(condition, truth=True), self.lift(value), result)
            case Call(function, arguments, _, options):
                result = self._apply(function, *(self.lift(argument) for argument in arguments), options=options)
            case _:
                raise AssertionError(type(expr))
        return self._apply("greater", result, _Inner(number=0), dtype="bool") if truth else result

    def _folded(self, function: str, items: Sequence[_Inner]) -> _Inner:
        result, *rest = items
        for item in rest:
            result = self._apply(function, result, item)
        return result

    def product(self, items: Sequence[_Inner]) -> None:
        """The last value is the product of `items`."""
        result = self._folded("multiply", items)
        if result.number is not None or result.operand is not None:
            self._apply("multiply", result, _Inner(number=1))

    def last(self) -> _Inner:
        """The last inner operation."""
        return _Inner(inner=len(self.inner) - 1)

    def where(self, conditions: Sequence[_Inner], value: _Inner, otherwise: float) -> _Inner:
        """`value` where all conditions hold."""
        return self._apply("where", self._folded("and", conditions), value, _Inner(number=otherwise))

    def _apply(
        self,
        function: str,
        *arguments: _Inner,
        dtype: Literal["float", "bool"] = "float",
        options: tuple[tuple[str, str], ...] = (),
    ) -> _Inner:
        self.inner.append((function, arguments, "bool" if function == "and" else dtype, options))
        return _Inner(inner=len(self.inner) - 1)

    def aggregate(self, operator: Literal["sum", "max", "min", "prod"], labels: Sequence[str]) -> Value:
        """The values of all tuples, combined onto `labels`."""
        builder = self.expressions.builder
        ahead = [label for label in builder.preferred if label in labels]
        ordered = tuple(dict.fromkeys((*ahead, *labels)))
        inner = tuple(
            InnerMap(function, tuple(item.made(len(self.operands)) for item in arguments), dtype, options)
            for function, arguments, dtype, options in self.inner
        )
        output = builder.output(ordered, "float")
        return builder.add(
            Aggregate(output, operator, self.join.relation, self.join.columns, tuple(self.operands), inner)
        )


@dataclass(frozen=True, slots=True)
class _Inner:
    """A number, an operand or an inner operation, by its place."""

    number: int | float | None = None
    operand: int | None = None
    inner: int | None = None

    def made(self, operands: int) -> InnerValue | int | float:
        if self.number is not None:
            return self.number
        if self.operand is not None:
            return InnerValue(self.operand)
        assert self.inner is not None
        return InnerValue(operands + self.inner)


def needs_lift(expressions: Expressions, expr: Expr, join: Join) -> bool:
    """Whether an elementwise expression has more than one variable of the tuples, or changes with a cycle at hand."""
    cyclic = expressions.tensors.cyclic
    if len(set(free_variables(expr)) & set(join.columns)) < 2 and not any(r.tensor in cyclic for r in reads(expr)):
        return False
    match expr:
        case Sum() | Product() | Negate() | Power() | Compare() | Not() | Case():
            return True
        case Call(function):
            row = row_of(function)
            return row is not None and row.kind == "elementwise" and not row.expanded and function != "dropout"
        case _:
            return False
