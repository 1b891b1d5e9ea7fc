"""Indices and numbers of an equation as values of a rule: one for each tuple."""

from __future__ import annotations

from collections.abc import Sequence

from fuse_ref.analysis.lengths import Fixed, Length, linear
from fuse_ref.analysis.shapes import ScopeShapes
from fuse_ref.ir.index import Affine, FromEnd, Gather, Index, Quotient, SliceIndex, Symbol, Virtual
from fuse_ref.ir.nodes import Call, Expr, Negate, Number, Position, Power, Product, Read, Sum, SymbolValue
from fuse_ref.ir.operations import row_of
from fuse_ref.plan.references import Tensors, position_of, slice_start
from fuse_ref.plan.values import Unsupported
from fuse_ref.relations.rules import Apply, Constant, Element, Value, Variable

__all__ = ["NotByTuple", "RuleValues", "is_whole"]


class NotByTuple(Exception):
    """An expression that only dense operations compute."""


class RuleValues:
    """The values of one equation.

    Args:
        name: of what it defines.
    """

    def __init__(self, name: str, shapes: ScopeShapes, tensors: Tensors) -> None:
        self.name = name
        self.shapes = shapes
        self.tensors = tensors

    def place(self, index: Index, length: Length, axis: str) -> Value:
        match index:
            case Affine():
                return _affine(index)
            case FromEnd(distance):
                return Constant(linear([(length, 1)], -distance))
            case Symbol(name):
                return Constant(position_of(name, self.tensors.axes[axis]))
            case Quotient(numerator, divisor):
                return Apply("floor_divide", (_affine(numerator), Constant(divisor)))
            case SliceIndex(variable, start, _, step):
                first = slice_start(start, length)
                number = first.value if isinstance(first, Fixed) else first
                return _plus(_times(Variable(variable), step), number)
            case Gather(read, offset):
                return _plus(self.element(read), offset)
            case Virtual(variable, _):
                raise Unsupported(f"{self.name} is a stream along *{variable}, and streams do not run yet")

    def element(self, read: Read) -> Value:
        spec = self.tensors.specs[read.tensor]
        if spec.boolean or read.boolean:
            raise NotByTuple
        lengths = self.tensors.shapes[read.tensor]
        places = zip(read.indices, lengths, spec.axes, strict=True)
        return Element(read.tensor, tuple(self.place(*place) for place in places))

    def value(self, expr: Expr) -> Value:
        match expr:
            case Number(value):
                return Constant(value)
            case Position(variable):
                return Variable(variable)
            case SymbolValue(name, variable):
                return Constant(position_of(name, self.tensors.axes[self.shapes.axis_of[variable]]))
            case Read():
                return self.element(expr)
            case Negate(operand):
                return Apply("negate", (self.value(operand),))
            case Sum(terms):
                return self.folded("add", [self.value(term) for term in terms])
            case Product(factors, divisors):
                product = self.folded("multiply", [self.value(factor) for factor in factors] or [Constant(1)])
                for divisor in divisors:
                    product = Apply("divide", (product, self.value(divisor)))
                return product
            case Power(base, exponent):
                return Apply("power", (self.value(base), self.value(exponent)))
            case Call(function, arguments, _, options):
                row = row_of(function)
                if row is None or row.kind != "elementwise" or row.expanded or row.identity:
                    raise NotByTuple
                return Apply(function, tuple(self.value(argument) for argument in arguments), options)
            case _:
                raise NotByTuple

    @staticmethod
    def folded(function: str, values: Sequence[Value]) -> Value:
        """`values` combined from the left."""
        result, *rest = values
        for value in rest:
            result = Apply(function, (result, value))
        return result


def _affine(index: Affine) -> Value:
    result: Value | None = None
    for variable, coefficient in index.terms:
        term = _times(Variable(variable), coefficient)
        result = term if result is None else Apply("add", (result, term))
    return Constant(index.offset) if result is None else _plus(result, index.offset)


def _times(value: Value, number: int) -> Value:
    return value if number == 1 else Apply("multiply", (value, Constant(number)))


def _plus(value: Value, number: int | Length) -> Value:
    return value if number == 0 else Apply("add", (value, Constant(number)))


def is_whole(value: Value) -> bool:
    match value:
        case Variable():
            return True
        case Constant(number):
            return not isinstance(number, float)
        case Element():
            return False
        case Apply(function, arguments):
            return function in ("add", "subtract", "multiply", "negate") and all(map(is_whole, arguments))
