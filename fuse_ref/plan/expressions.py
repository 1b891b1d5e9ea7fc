"""Expressions of one equation as operations."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import assert_never

from fuse_ref.analysis.extents import is_open
from fuse_ref.analysis.lengths import Fixed, Length
from fuse_ref.analysis.shapes import ScopeShapes
from fuse_ref.ir.nodes import (
    And,
    ArrayLiteral,
    Call,
    Case,
    Compare,
    Dtype,
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
from fuse_ref.ir.operations import CATALOGUE, REGISTERED
from fuse_ref.ir.variables import free_variables
from fuse_ref.mistakes import mistake
from fuse_ref.plan.numbers import fold
from fuse_ref.plan.products import lower_product
from fuse_ref.plan.references import Tensors, position_of, read_literal, read_tensor
from fuse_ref.plan.sampling import called, estimated
from fuse_ref.plan.steps import Whole
from fuse_ref.plan.values import Builder, Lowered, Value

__all__ = ["Expressions"]

_COMPARISONS = {
    "<": "less",
    "<=": "less_equal",
    ">": "greater",
    ">=": "greater_equal",
    "==": "equal",
    "!=": "not_equal",
}


class Expressions:
    """Lowers the expressions of one scope.

    Args:
        builder: where operations go.
        tensors: what the program's tensors are.
        shapes: the ranges of this scope.
        estimate: how many positions a length is taken to be, for contraction orders.
        whole: the value is a tensor of whole numbers, and so are positions in it.
        samples: from how many terms sums and averages are estimated; None: from all.
    """

    def __init__(
        self,
        builder: Builder,
        tensors: Tensors,
        shapes: ScopeShapes,
        estimate: Callable[[Length], int],
        *,
        whole: bool = False,
        samples: int | None = None,
    ) -> None:
        self.builder = builder
        self.tensors = tensors
        self.shapes = shapes
        self.estimate = estimate
        self.whole = whole
        self.samples = samples

    def is_open(self, length: Length) -> bool:
        """Whether a length is known only at the call."""
        return is_open(length)

    def lower(self, expr: Expr) -> Lowered:
        """The value of `expr`, with one dimension for each of its free variables."""
        builder = self.builder
        match expr:
            case Number(value):
                return value
            case SymbolValue(name, variable):
                return position_of(name, self.tensors.axes[self.shapes.axis_of[variable]])
            case Position(variable):
                return builder.iota(variable, "int64" if self.whole else "float")
            case Read(_, _, boolean, _):
                array = read_tensor(builder, self.tensors, self.shapes, expr)
                return builder.truth(array) if boolean else array
            case ArrayLiteral():
                return read_literal(builder, self.tensors, self.shapes, expr)
            case Call():
                return called(self, expr, self._call)
            case Sum(terms):
                return self._sum(terms)
            case Product():
                return lower_product(self, expr, ())
            case Negate(operand):
                return self.builder.arithmetic("negate", (self.lower(operand),))
            case Power(base, exponent):
                return self._power(self.lower(base), self.lower(exponent))
            case Compare(operator, left, right):
                return self._compare(_COMPARISONS[operator], self.lower(left), self.lower(right))
            case Not(operand):
                truth = builder.truth(self.lower(operand))
                return builder.map("not", (truth,), "bool") if isinstance(truth, Value) else not truth
            case And(operands):
                return self._chain("and", operands, stops=False)
            case Or(operands):
                return self._chain("or", operands, stops=True)
            case Case(branches, default):
                return self._case(branches, default)
            case Project(operator, variables, body, _):
                return self.project(operator, variables, body)
            case FileContent():
                raise AssertionError("a source is a step of its own")
            case _:
                assert_never(expr)

    # Arithmetic -----------------------------------------------------------------------------------

    def _sum(self, terms: Sequence[Expr]) -> Lowered:
        total = self.lower(terms[0])
        for term in terms[1:]:
            if isinstance(term, Negate):
                total = self.builder.arithmetic("subtract", (total, self.lower(term.operand)))
            elif isinstance(term, Number) and term.value < 0:
                total = self.builder.arithmetic("subtract", (total, -term.value))
            else:
                total = self.builder.arithmetic("add", (total, self.lower(term)))
        return self.builder.number(total)

    def _power(self, base: Lowered, exponent: Lowered) -> Lowered:
        below, above = self.builder.float(base), self.builder.float(exponent)
        if isinstance(below, Value) and not isinstance(above, Value):
            if above == 2:
                return self.builder.arithmetic("multiply", (below, below))
            if above == 1:
                return below
        return self.builder.arithmetic("power", (below, above))

    def _compare(self, function: str, left: Lowered, right: Lowered) -> Lowered:
        builder = self.builder
        first, second = builder.number(left), builder.number(right)
        if not isinstance(first, Value) and not isinstance(second, Value):
            folded = fold(function, (first, second))
            if folded is not None:
                return folded
            first = builder.literal(first, "float")
        if not (_is_whole(first) and _is_whole(second)):
            first, second = builder.float(first), builder.float(second)
        return builder.map(function, (first, second), "bool")

    def _chain(self, function: str, operands: Sequence[Expr], *, stops: bool) -> Lowered:
        """`and` and `or`: truth values known while planning are taken out."""
        result: Value | None = None
        for operand in operands:
            value = self.builder.truth(self.lower(operand))
            if not isinstance(value, Value):
                if value == stops:
                    return value
                continue
            result = value if result is None else self.builder.map(function, (result, value), "bool")
        return (not stops) if result is None else result

    def _case(self, branches: Sequence[tuple[Expr, Expr]], default: Expr) -> Lowered:
        result = self.builder.float(self.lower(default))
        for condition, value in reversed(branches):
            holds = self.builder.truth(self.lower(condition))
            chosen = self.builder.float(self.lower(value))
            if isinstance(holds, Value):
                result = self.builder.map("where", (holds, chosen, result), "float")
            elif holds:
                result = chosen
        return result

    # Functions ------------------------------------------------------------------------------------

    def _call(self, call: Call) -> Lowered:
        row = CATALOGUE.get(call.function)
        if row is None:
            row = REGISTERED.get(call.function)
            if row is None:
                raise mistake("FUSE221", call.span, name=call.function)
        if row.kind == "concat" and call.axis is not None:
            return self._concat(call, call.axis)
        arguments = tuple(self.lower(argument) for argument in call.arguments)
        if call.function == "where":
            return self._choose(*arguments)
        if call.function == "dropout":
            return self._dropout(*arguments)
        if row.kind == "elementwise":
            return self._elementwise(call, arguments)
        if row.kind == "whole":
            return self._whole(call.function, arguments)
        assert call.axis is not None
        if row.kind == "new_axis":
            columns = self.builder.iota(call.axis, "int64")
            if call.function == "one_hot":
                return self._compare("equal", arguments[0], columns)
            return self._compare("less_equal", columns, self.builder.iota(dict(call.options)["rows"], "int64"))
        if call.function in ("reduce_max", "reduce_mean"):
            value = self._repeated(self.builder.float(arguments[0]), call.axis)
            return self.builder.reduce("max" if call.function == "reduce_max" else "avg", value, (call.axis,))
        if call.function == "logsumexp":
            return self._log_sum_exp(self._repeated(self.builder.float(arguments[0]), call.axis), call.axis)
        return self._along(call, call.axis, arguments, drops=row.kind == "reduce_axis")

    def _log_sum_exp(self, value: Value, axis: str) -> Lowered:
        """m + log sum exp(x - m), with the largest x for m; 0 where that is infinite or there is none."""
        builder = self.builder
        largest = builder.reduce("max", value, (axis,))
        finite = builder.map("less", (builder.map("abs", (largest,), "float"), math.inf), "bool")
        shift = builder.map("where", (finite, largest, 0), "float")
        powers = builder.map("exp", (builder.map("subtract", (value, shift), "float"),), "float")
        total = builder.map("log", (builder.reduce("sum", powers, (axis,)),), "float")
        return builder.map("add", (total, shift), "float")

    def _concat(self, call: Call, axis: str) -> Lowered:
        builder = self.builder
        flattened = dict(call.options).get("flattened", "").split()
        numbers = [builder.number(self.lower(argument)) for argument in call.arguments]
        dtype: Dtype = "int64" if all(_is_whole(number) for number in numbers) else "float"
        parts = []
        for argument, number in zip(call.arguments, numbers, strict=True):
            lowered = builder.float(number) if dtype == "float" else number
            value = lowered if isinstance(lowered, Value) else builder.literal(lowered, dtype)
            along = tuple(variable for variable in free_variables(argument) if variable in flattened)
            parts.append((builder.expand(value, along), along))
        return builder.concat(tuple(parts), axis, dtype)

    def _choose(self, condition: Lowered, yes: Lowered, no: Lowered) -> Lowered:
        holds = self.builder.truth(condition)
        if not isinstance(holds, Value):
            return yes if holds else no
        return self.builder.map("where", (holds, self.builder.float(yes), self.builder.float(no)), "float")

    def _dropout(self, argument: Lowered, probability: Lowered) -> Lowered:
        value = self.builder.float(argument)
        if probability == 0:
            return value
        if not isinstance(value, Value):
            value = self.builder.literal(value, "float")
        # The name keeps two equal calls apart: each draws for itself.
        options = (("stream", self.builder.stream()),)
        return self.builder.map("dropout", (value, probability), "float", options)

    def _whole(self, function: str, arguments: Sequence[Lowered]) -> Lowered:
        value, *numbers = (self.builder.float(argument) for argument in arguments)
        if not isinstance(value, Value):
            value = self.builder.literal(value, "float")
        known = tuple(number for number in numbers if not isinstance(number, Value))
        return self.builder.add(Whole(self.builder.output(value.labels, "float"), function, value.operand, known))

    def _elementwise(self, call: Call, arguments: tuple[Lowered, ...]) -> Lowered:
        if not call.options:
            return self.builder.arithmetic(call.function, arguments)
        numbers = [self.builder.float(argument) for argument in arguments]
        if not isinstance(numbers[0], Value):
            numbers[0] = self.builder.literal(numbers[0], "float")
        return self.builder.map(call.function, tuple(numbers), "float", call.options)

    def _along(self, call: Call, axis: str, arguments: tuple[Lowered, ...], *, drops: bool) -> Lowered:
        row = CATALOGUE[call.function]
        operands: list[Lowered] = []
        for argument, slot in zip(arguments, row.arguments, strict=True):
            value: Lowered
            match slot.kind:
                case "classes" if not (isinstance(argument, Value) and axis in argument.labels):
                    operands.append(self._classes(argument))
                    continue
                case "mask":
                    value = self._kept(argument)
                case "number" | "count":
                    value = self.builder.number(argument)
                case "ordered" if isinstance(argument, Value) and argument.dtype == "int64":
                    value = argument
                case _:
                    value = self.builder.float(argument)
            if slot is row.arguments[0]:
                value = self._repeated(value, axis)
            elif isinstance(value, Value) and slot.kind != "aside":
                value = self.builder.expand(value, (axis,))
            operands.append(value)
        union = self.builder.union(operands)
        labels = tuple(label for label in union if not (drops and label == axis))
        dtype: Dtype = "int64" if call.function == "argmax" else "float"
        return self.builder.along(call.function, tuple(operands), axis, labels, call.options, dtype)

    def _repeated(self, lowered: Lowered, axis: str) -> Value:
        """An array that has the axis."""
        value = lowered if isinstance(lowered, Value) else self.builder.literal(lowered, "float")
        return self.builder.expand(value, (axis,))

    def _kept(self, mask: Lowered) -> Value:
        """What a mask keeps: what is not 0."""
        if not isinstance(mask, Value):
            return self.builder.literal(mask != 0, "bool")
        return mask if mask.dtype == "bool" else self.builder.map("not_equal", (mask, 0), "bool")

    def _classes(self, target: Lowered) -> Value:
        """The target of cross_entropy that lacks the class index: analysis has seen that it is whole."""
        return target if isinstance(target, Value) else self.builder.literal(target, "int64")

    # Projections ----------------------------------------------------------------------------------

    def project(self, operator: str, variables: tuple[str, ...], body: Expr) -> Lowered:
        """`body` over all positions of `variables`."""
        samples = self.samples
        self.samples = None if operator == "any" else samples
        with self.builder.hiding(variables):
            projected = self._project(operator, variables, body)
        self.samples = samples
        return projected

    def _project(self, operator: str, variables: tuple[str, ...], body: Expr) -> Lowered:
        builder = self.builder
        if operator == "sum":
            if isinstance(body, Negate):
                return self.builder.arithmetic("negate", (self.project("sum", variables, body.operand),))
            if isinstance(body, Project) and body.operator == "sum" and not set(body.variables) & set(variables):
                return self.project("sum", (*variables, *body.variables), body.body)
            if isinstance(body, Read) and body.tensor in self.tensors.sparse:
                body = Product((body,), ())
            if isinstance(body, Product):
                return lower_product(self, body, variables)
        if operator == "any" and self.tensors.counts:
            if isinstance(body, Or):
                return self._any_of([self.project("any", variables, operand) for operand in body.operands])
            if isinstance(body, Project) and body.operator == "any" and not set(body.variables) & set(variables):
                return self.project("any", (*variables, *body.variables), body.body)
            if isinstance(body, And) and all(map(self._is_truth, body.operands)):
                # Numbers of combinations are not negative: a sum of them is 0 only where there is none.
                count = lower_product(self, Product(body.operands, ()), variables)
                return builder.map("greater", (count, 0), "bool") if isinstance(count, Value) else count > 0
        if operator in ("sum", "avg"):
            estimate = estimated(self, "sum" if operator == "sum" else "avg", variables, body)
            if estimate is not None:
                return estimate
        lowered = self.lower(body)
        dtype: Dtype
        if operator == "any":
            value: Lowered = builder.truth(lowered)
            dtype = "bool"
        else:
            value = builder.float(lowered) if operator == "avg" else builder.number(lowered)
            dtype = "float"
        if not isinstance(value, Value):
            lengths = [builder.ranges[variable] for variable in variables]
            if operator == "sum" and all(isinstance(length, Fixed) for length in lengths):
                return value * math.prod(length.value for length in lengths if isinstance(length, Fixed))
            value = builder.literal(value, dtype)
        return builder.reduce(operator, builder.expand(value, variables), variables)

    def _any_of(self, parts: Sequence[Lowered]) -> Lowered:
        values = [part for part in parts if isinstance(part, Value)]
        if any(part for part in parts if not isinstance(part, Value)):
            return True
        if not values:
            return False
        result, *rest = values
        for value in rest:
            result = self.builder.map("or", (result, value), "bool")
        return result

    def _is_truth(self, expr: Expr) -> bool:
        match expr:
            case Read(tensor, _, boolean):
                return boolean or self.tensors.specs[tensor].boolean
            case And() | Or() | Not() | Compare():
                return True
            case Project("any"):
                return True
            case _:
                return False


def _is_whole(lowered: Lowered) -> bool:
    return lowered.dtype == "int64" if isinstance(lowered, Value) else isinstance(lowered, int)
