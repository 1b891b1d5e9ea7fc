"""Equations in pieces: what a gradient needs by name becomes a tensor of its own.

A derivative mentions the argument and the result of its function, and the gradient of a factor the other
factors. Copied as they stand they would grow with every layer of brackets; as tensors they are mentioned by name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import assert_never

from fuse_ref.evaluate.registration import find_registered
from fuse_ref.gradients.derivatives import DERIVATIVES
from fuse_ref.gradients.templates import names_in
from fuse_ref.gradients.work import Made, Work, equation, read_of, times
from fuse_ref.ir.index import Affine, Gather, Index, Quotient, SliceIndex, plain
from fuse_ref.ir.nodes import (
    And,
    ArrayLiteral,
    Call,
    Case,
    Compare,
    Expr,
    FileContent,
    Negate,
    Not,
    Number,
    Operator,
    Or,
    Position,
    Power,
    Product,
    Project,
    Read,
    Sum,
    SymbolValue,
)
from fuse_ref.ir.operations import CATALOGUE, row_of
from fuse_ref.ir.variables import children, free_variables, index_variables, target_variables
from fuse_ref.mistakes import mistake
from fuse_ref.plan.aggregates import filters_of
from fuse_ref.records import dataclass

__all__ = ["Aggregate", "Linear", "slopes_of", "split"]

_COPIED = 3  # leaves of an expression that may be copied


@dataclass(frozen=True, slots=True)
class Linear:
    """`target = body`: sums, products, choices of reads, and functions of what may be copied.

    Attributes:
        result: the read that has the body's value, where one has.
    """

    target: Read
    body: Expr
    origin: int
    result: Read | None


@dataclass(frozen=True, slots=True)
class Aggregate:
    """`target op= value` over the combinations for which all conditions hold."""

    target: Read
    operator: Operator
    value: Expr  # a read of plain variables, or a number
    conditions: tuple[Expr, ...]
    origin: int
    near: bool = False  # of a fixpoint, whose values are exact to its tolerance alone


_PROJECTED: dict[str, Operator] = {"max": "max=", "min": "min=", "avg": "avg=", "prod": "prod="}


def split(work: Work, number: int) -> list[Linear | Aggregate]:
    """The pieces of one equation; the program's own gives way to them in `work.forward`."""
    splitter = _Splitter(work, number)
    return splitter.pieces()


def slopes_of(call: Call) -> dict[str, str]:
    """Argument -> its derivative, for one call of a function of the library."""
    row = DERIVATIVES[call.function]
    options = row.by_option or {}
    words = {word for _, word in call.options}
    if call.function in ("lnorm", "rmsnorm", "rope") and call.axis in free_variables(call.arguments[1]):
        words.add("varying")
    if call.function == "sig" and isinstance(call.arguments[1], Number):
        words.add("cold" if call.arguments[1].value == 0 else "warm")
    if call.function == "cross_entropy" and call.axis in free_variables(call.arguments[1]):
        words.add("probabilities")
    return dict(next((found for word, found in options.items() if word in words), row.slopes))


class _Splitter:
    def __init__(self, work: Work, number: int) -> None:
        self.work = work
        self.number = number
        self.equation = work.program.equations[number]
        self.name = self.equation.target.tensor
        self.found: list[Linear | Aggregate] = []
        self.made: list[Made] = []
        self.scope = set(target_variables(self.equation.target))  # the letters around the expression at hand

    def pieces(self) -> list[Linear | Aggregate]:
        found = self.equation
        spec = self.work.program.tensor(self.name)
        if spec.operator == "=":
            if not self.work.is_active(found.body):
                return []
            definitions = self.work.checked.dependencies.definitions[self.name]
            variables = [index.variable if isinstance(index, Affine) else None for index in found.target.indices]
            alone = len(definitions) == 1 and None not in variables and len(set(variables)) == len(variables)
            if alone and isinstance(found.body, Project) and found.body.operator in _PROJECTED:
                self._project(_PROJECTED[found.body.operator], found.body.variables, found.body.body, found.target)
                self.work.forward[self.number] = self.made
                return self.found
            whole = alone and not (isinstance(found.body, Call) and _hides(found.body, self.scope))
            body = self.linear(found.body, whole=whole)
            self._define(Made(equation(found.target, body, found.span), self.number))
            self.found.append(Linear(found.target, body, self.number, found.target if whole else None))
        else:
            self._aggregate(spec.operator)
        if any(made.equation != found for made in self.made):
            self.work.forward[self.number] = self.made
        return self.found

    def _define(self, made: Made) -> None:
        self.made.append(made)

    def _aggregate(self, operator: Operator) -> None:
        found = self.equation
        if found.kind != "equation":
            if not isinstance(found.body, Number):
                raise mistake("FUSE271", found.span, name=self.name, operator=operator)
            self.found.append(Aggregate(found.target, operator, found.body, (), self.number))
            return
        filters, body = filters_of(found.body)
        own = target_variables(found.target)
        if any(v.startswith(":") and v not in own for v in _conditional(found.body)):
            raise mistake("FUSE274", found.span, name=self.name)
        conditions: list[Expr] = [self._condition(item) for item in filters]
        offsets = self._offsets((*filters, body))
        if offsets:
            conditions.append(Compare(">", self._inside(offsets), Number(0)))
        value = self.linear(body)
        if not isinstance(value, Number):
            value = self._combined(value, own)
        self.found.append(Aggregate(found.target, operator, value, tuple(conditions), self.number))
        if value != body or len(conditions) > len(filters):
            rewritten = times((value, *conditions))
            self._define(Made(equation(found.target, rewritten, found.span, operator), self.number))
        else:
            self._define(Made(found, self.number))

    def _combined(self, value: Expr, own: tuple[str, ...]) -> Read:
        """A read of plain variables and of the left-hand side's slices; other slices get letters."""
        if not (isinstance(value, Read) and _plain(value)):
            value = self._named(value, free_variables(value))
        letters: list[Index] = []
        for index in value.indices:
            sliced = isinstance(index, SliceIndex) and index.variable not in own
            letters.append(plain(self.work.letter("u")) if sliced else index)
        return replace(value, indices=tuple(letters))

    def _condition(self, item: Expr) -> Expr:
        """A filter that may be copied; as a tensor it is 1 where it holds."""
        found = self.kept(item)
        return Compare(">", found, Number(0)) if isinstance(found, Read) and not found.boolean else found

    def _offsets(self, parts: Iterable[Expr]) -> list[Read]:
        """Reads of the combination that may fall outside of their tensors."""
        shapes = self.work.checked.shapes
        found: dict[Read, None] = {}
        stack = list(parts)[::-1]
        while stack:
            node = stack.pop()
            if isinstance(node, Project):
                continue
            if isinstance(node, Read):
                lengths = shapes.tensors[node.tensor]
                for place, index in enumerate(node.indices):
                    if isinstance(index, Gather):
                        found[node] = None
                        stack.append(index.read)
                    elif isinstance(index, Affine | Quotient) and index_variables(index):
                        own = shapes.equations[self.number]
                        if not own.inside(node.tensor, 0, place, index, lengths[place]):
                            found[node] = None
            stack.extend(reversed(children(node)))
        return list(found)

    def _inside(self, offsets: list[Read]) -> Read:
        """A tensor that is 1 where all of `offsets` lie inside."""
        variables = tuple(dict.fromkeys(v for read in offsets for v in free_variables(read)))
        target = read_of(self.work.part(self.name, "inside"), variables)
        together: Expr = Sum(tuple(offsets)) if len(offsets) > 1 else offsets[0]
        body = Call("where", (Number(0), together, Number(1)), None, ())
        self._define(Made(equation(target, body, self.equation.span, "max="), self.number))
        return target

    # Expressions ----------------------------------------------------------------------------------

    def atom(self, expr: Expr) -> Read:
        """A read that has the value of `expr`."""
        if isinstance(expr, Read) and not expr.boolean:
            return expr
        variables = dict.fromkeys(free_variables(expr))
        if isinstance(expr, Call) and expr.axis is not None and CATALOGUE[expr.function].kind == "along_axis":
            variables[expr.axis] = None  # the result has it though the argument may lack it
        return self._named(expr, variables)

    def _named(self, expr: Expr, variables: Iterable[str]) -> Read:
        """A tensor over `variables` that holds `expr`."""
        target = self._tensor(expr, variables)
        self._define(Made(equation(target, expr, self.equation.span), self.number))
        if target.tensor in self.work.active:
            self.found.append(Linear(target, expr, self.number, target))
        return target

    def _tensor(self, expr: Expr, variables: Iterable[str]) -> Read:
        own = target_variables(self.equation.target)
        given = tuple(dict.fromkeys(variables))
        variables = (*(v for v in own if v in given), *(v for v in given if v not in own))
        name = self.work.numbered(self.name)
        if self.work.is_active(expr):
            self.work.activate(name)
        return read_of(name, variables)

    def kept(self, expr: Expr) -> Expr:
        """`expr` where it may be copied, else a read that has its value."""
        return expr if small(expr) else self.atom(self.linear(expr))

    def linear(self, expr: Expr, *, whole: bool = False) -> Expr:
        """`expr` in the form that `Linear` has; `whole` tells that a read has its value already."""
        if not self.work.is_active(expr):
            return expr
        match expr:
            case Read():
                return expr
            case Sum(terms, span):
                return Sum(tuple(self.linear(term) for term in terms), span)
            case Negate(operand):
                return Negate(self.linear(operand))
            case Product():
                return self._product(expr)
            case Power(base, exponent):
                return Power(self.kept(base), self.kept(exponent))
            case Case(branches, default):
                pairs = tuple((self.kept(condition), self.linear(value)) for condition, value in branches)
                return Case(pairs, self.linear(default))
            case Call():
                return self._call(expr, whole)
            case Project("sum", variables, body, span):
                if self.scope.isdisjoint(variables):
                    return Project("sum", variables, self._within(body, self.scope | set(variables)), span)
                # Letters that hide others: apart, each is one letter.
                own = {*free_variables(expr), *variables}
                return self.atom(Project("sum", variables, self._within(body, own), span))
            case Project(operator, variables, body):
                return self._project(_PROJECTED[operator], variables, body)
            case (
                Number()
                | SymbolValue()
                | Position()
                | ArrayLiteral()
                | FileContent()
                | Compare()
                | Not()
                | And()
                | Or()
            ):
                return expr
            case _:
                assert_never(expr)

    def _within(self, body: Expr, scope: set[str]) -> Expr:
        """The linear form of what stands below a projection."""
        around, self.scope = self.scope, scope
        found = self.linear(body)
        self.scope = around
        return found

    def _project(self, operator: Operator, variables: tuple[str, ...], body: Expr, target: Read | None = None) -> Read:
        """A tensor that is `body` projected: `target`, or one of its own."""
        inner = self.linear(body)
        if not (isinstance(inner, Read) and _plain(inner) and set(variables) <= set(free_variables(inner))):
            inner = self._named(inner, dict.fromkeys((*free_variables(inner), *variables)))
        kept = tuple(v for v in free_variables(inner) if v not in variables)
        inner = self._combined(inner, kept)
        target = target or self._tensor(inner, kept)
        self._define(Made(equation(target, inner, self.equation.span, operator), self.number))
        self.found.append(Aggregate(target, operator, inner, (), self.number))
        return target

    def _product(self, expr: Product) -> Expr:
        parts = (*expr.factors, *expr.divisors)
        active = [self.work.is_active(part) for part in parts]
        # One factor that changes, beside what may be copied: the gradient goes through it.
        through = sum(active) == 1 and not any(active[len(expr.factors) :])
        through = through and all(small(part) for part, changes in zip(parts, active, strict=True) if not changes)
        factors = tuple(self.linear(factor) if through else self.kept(factor) for factor in expr.factors)
        return Product(factors, tuple(self.kept(divisor) for divisor in expr.divisors), expr.span)

    def _call(self, expr: Call, whole: bool) -> Expr:
        row = row_of(expr.function)
        assert row is not None
        if expr.function == "where":
            condition, yes, no = expr.arguments
            return Call("where", (self.kept(condition), self.linear(yes), self.linear(no)), None, ())
        along = row.kind != "elementwise"
        arguments: list[Expr] = []
        for argument in expr.arguments:
            changes = self.work.is_active(argument)
            if along and changes:
                first = not arguments and row.kind in ("along_axis", "reduce_axis")
                arguments.append(self._along(argument, expr.axis if first else None))
            else:
                arguments.append(self.kept(argument))
        call = Call(expr.function, tuple(arguments), expr.axis, expr.options, expr.span)
        if whole or not (along or self._needs_result(call)):
            return call
        return self.atom(call)

    def _along(self, argument: Expr, axis: str | None) -> Read:
        """An argument as a read that has the axis."""
        value = self.linear(argument)
        if axis is None or axis in free_variables(value):
            return self.atom(value)
        return self._named(value, (*free_variables(value), axis))

    def _needs_result(self, call: Call) -> bool:
        if call.function in DERIVATIVES:
            return any("y" in names_in(slope) for slope in slopes_of(call).values())
        if not isinstance(find_registered(call.function).gradient, str):
            raise mistake("FUSE272", call.span or self.equation.span, function=call.function)
        return False


def small(expr: Expr) -> bool:
    """Whether an expression may stand at several places."""
    leaves = 0
    stack = [expr]
    while stack:
        node = stack.pop()
        if isinstance(node, Project | Call | Case):
            return False
        if isinstance(node, ArrayLiteral):
            leaves += len(node.values)
        below = children(node)
        leaves += not below
        stack.extend(below)
    return leaves <= _COPIED


def _conditional(expr: Expr) -> set[str]:
    """The variables that conditions depend on."""
    found: set[str] = set()
    stack = [expr]
    while stack:
        node = stack.pop()
        if isinstance(node, Compare | And | Or | Not):
            found.update(free_variables(node))
        else:
            stack.extend(children(node))
    return found


def _hides(call: Call, letters: set[str]) -> bool:
    """Whether the axis that leaves in a call is called as one of `letters`."""
    row = row_of(call.function)
    return row is not None and row.kind == "reduce_axis" and call.axis in letters


def _plain(read: Read) -> bool:
    """Whether a read takes whole axes."""
    whole = (isinstance(i, SliceIndex) and (i.start, i.stop, i.step) == (None, None, 1) for i in read.indices)
    plain_ones = (isinstance(i, Affine) and i.variable is not None for i in read.indices)
    return not read.boolean and all(one or another for one, another in zip(whole, plain_ones, strict=True))
