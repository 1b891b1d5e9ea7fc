"""Equations with a Boolean head as rules of the logic engine.

`or` gives several rules, and `not` goes down to the atoms. Comparisons and numeric conjuncts whose variables
atoms bind are tested tuple by tuple. What sums, works along an axis, or binds variables by itself
(`Close(x, y) <- Sim[x, y] > 0.5`) is a dense truth table of its own, made before: it costs what its
tensors cost anyhow.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from fuse_ref.analysis.lengths import Fixed, Length, linear
from fuse_ref.ir.index import Affine, FromEnd, Gather, Index, Quotient, SliceIndex, Symbol, Virtual
from fuse_ref.ir.nodes import (
    And,
    ArrayLiteral,
    Call,
    Comparator,
    Compare,
    Expr,
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
from fuse_ref.ir.operations import row_of
from fuse_ref.ir.text import equation_text
from fuse_ref.ir.variables import free_variables
from fuse_ref.plan.lower import Definition
from fuse_ref.plan.references import Tensors, position_of, slice_start
from fuse_ref.plan.values import Unsupported
from fuse_ref.relations.rules import (
    Apply,
    Assignment,
    Atom,
    Constant,
    Denial,
    Domain,
    Element,
    Filter,
    Literal,
    Rule,
    Term,
    Value,
    Variable,
    literal_variables,
    value_variables,
)

__all__ = ["Table", "lower_rules"]

_FLIPPED: Final[dict[Comparator, Comparator]] = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}
_WORDS: Final[dict[Comparator, str]] = {
    "<": "less",
    "<=": "less_equal",
    ">": "greater",
    ">=": "greater_equal",
    "==": "equal",
    "!=": "not_equal",
}


@dataclass(frozen=True, slots=True)
class Table:
    """A truth table that a dense step makes for rules."""

    name: str
    body: Expr  # a truth value
    variables: tuple[str, ...]  # its dimensions
    definition: Definition  # the equation it is of, with the ranges of its variables


class _NotByTuple(Exception):
    """An expression that only dense operations compute."""


def lower_rules(
    name: str, definitions: Sequence[tuple[int, Definition]], tensors: Tensors
) -> tuple[tuple[Rule, ...], tuple[Table, ...]]:
    """The rules of one Boolean tensor, and the tables that they read.

    Args:
        definitions: its equations, with their positions in the program.

    Raises:
        Unsupported: a stream.
    """
    rules: list[Rule] = []
    tables: list[Table] = []
    for number, definition in definitions:
        made = _Equation(name, number, definition, tensors, len(tables))
        rules.extend(made.rules())
        tables.extend(made.tables)
    return tuple(rules), tuple(tables)


@dataclass
class _Equation:
    name: str
    number: int
    definition: Definition
    tensors: Tensors
    first_table: int
    tables: list[Table] = field(default_factory=list)
    made: int = 0  # variables

    def rules(self) -> Iterator[Rule]:
        equation = self.definition.equation
        if equation.kind == "literal":
            yield from self._literal()
            return
        text = equation_text(equation)
        body = equation.body
        while isinstance(body, Project) and body.operator == "any":
            body = body.body
        facts = equation.kind == "fact"
        conjunctions = [[]] if facts and _true(body) else [] if facts else _alternatives(body)
        for conjuncts in conjunctions:
            yield _Conjunction(self, conjuncts).rule(text)

    def _literal(self) -> Iterator[Rule]:
        equation = self.definition.equation
        body = equation.body
        assert isinstance(body, ArrayLiteral)
        places = itertools.product(*(range(size) for size in body.shape))
        for place, value in zip(places, body.values, strict=True):
            if value > 0:
                terms = tuple(Constant(position) for position in place)
                text = f"{self.name}({', '.join(map(str, place))})"
                yield Rule(self.name, terms, (), self.number, text, equation.span)

    def fresh(self) -> Variable:
        self.made += 1
        return Variable(f"~{self.made}")

    def table(self, body: Expr) -> Table:
        name = f"{self.name}~t{self.number}_{self.first_table + len(self.tables)}"
        table = Table(name, body, free_variables(body), self.definition)
        self.tables.append(table)
        return table


def _true(body: Expr) -> bool:
    return not (isinstance(body, Number) and body.value <= 0)


def _alternatives(body: Expr) -> list[list[Expr]]:
    """The body as conjunctions of which one must hold."""
    match body:
        case Or(operands):
            return [item for operand in operands for item in _alternatives(operand)]
        case And(operands):
            parts = [_alternatives(operand) for operand in operands]
            return [[item for group in choice for item in group] for choice in itertools.product(*parts)]
        case Project("any", _, inner):
            return _alternatives(inner)
        case Not(And(operands)):
            return _alternatives(Or(tuple(Not(operand) for operand in operands)))
        case Not(Or(operands)):
            return _alternatives(And(tuple(Not(operand) for operand in operands)))
        case Not(Not(operand)):
            return _alternatives(operand)
        case _:
            return [[body]]


class _Conjunction:
    """One rule: the literals of its body as they are found."""

    def __init__(self, equation: _Equation, conjuncts: Sequence[Expr]) -> None:
        self.equation = equation
        self.shapes = equation.definition.shapes
        self.tensors = equation.tensors
        self.conjuncts = conjuncts
        self.literals: list[Literal] = []
        self.assigned: dict[Value, Variable] = {}
        # Variables that run over a whole axis in some positive atom, and over no less.
        self.bound: set[str] = set()

    def rule(self, text: str) -> Rule:
        equation = self.equation.definition.equation
        atoms = [item for item in self.conjuncts if isinstance(item, Read)]
        for read in atoms:
            self._note(read)
        own: set[str] = {v for read in atoms for v in free_variables(read)}
        own.update(v for item in self.conjuncts if isinstance(item, Not) for v in free_variables(item))
        for item in self.conjuncts:
            self._conjunct(item, own)
        spec = self.tensors.specs[self.equation.name]
        lengths = self.tensors.shapes[self.equation.name]
        terms = tuple(
            self._place(index, length, axis)
            for index, length, axis in zip(equation.target.indices, lengths, spec.axes, strict=True)
        )
        self._domains(terms)
        return Rule(self.equation.name, terms, tuple(self.literals), self.equation.number, text, equation.span)

    def _note(self, read: Read) -> None:
        for index, length in zip(read.indices, self.tensors.shapes[read.tensor], strict=True):
            variable = index.variable if isinstance(index, Affine) else None
            if variable is not None and self.shapes.ranges[variable] == length:
                self.bound.add(variable)

    def _domains(self, terms: Sequence[Value]) -> None:
        """Ranges of variables that no atom keeps to them."""
        used: dict[str, None] = {}
        for item in self.literals:
            used.update(dict.fromkeys(literal_variables(item)))
        for term in terms:
            used.update(dict.fromkeys(value_variables(term)))
        local = self._local_wildcards()
        for name in used:
            if name in self.bound or name not in self.shapes.ranges or name in local:
                continue
            self.literals.append(Domain(Variable(name), self.shapes.ranges[name]))

    def _local_wildcards(self) -> set[str]:
        """Nameless variables below `not`: no tuple may fit whatever they are."""
        elsewhere = {v for item in self.literals if not isinstance(item, Denial) for v in literal_variables(item)}
        denied = {v for item in self.literals if isinstance(item, Denial) for v in literal_variables(item)}
        return {v for v in denied if v.startswith("_") and v not in elsewhere}

    # Conjuncts ------------------------------------------------------------------------------------

    def _conjunct(self, expr: Expr, own: set[str]) -> None:
        match expr:
            case Read():
                self.literals.append(self._atom(expr))
            case Not(Read() as read):
                self.literals.append(Denial(self._atom(read)))
            case Compare(">", Read() as read, Number(0)) if self.tensors.specs[read.tensor].boolean:
                self.literals.append(self._atom(read))
            case Compare() | Not(Compare()):
                try:
                    if not set(free_variables(expr)) <= own:
                        raise _NotByTuple
                    self.literals.append(self._filter(expr))
                except _NotByTuple:
                    self._from_table(expr)
            case Number(value):
                if value <= 0:
                    self.literals.append(Filter(">", Constant(value), Constant(0)))
            case _:
                self._from_table(expr)

    def _from_table(self, expr: Expr) -> None:
        table = self.equation.table(expr)
        self.bound.update(table.variables)
        self.literals.append(Atom(table.name, tuple(Variable(v) for v in table.variables)))

    def _filter(self, expr: Compare | Not) -> Filter:
        if isinstance(expr, Compare):
            return Filter(expr.operator, self._value(expr.left), self._value(expr.right), expr.span)
        compare = expr.operand
        assert isinstance(compare, Compare)
        left, right = self._value(compare.left), self._value(compare.right)
        if _whole(left) and _whole(right):
            return Filter(_FLIPPED[compare.operator], left, right, compare.span)
        # What is not less than NaN is not greater or equal either.
        return Filter("==", Apply(_WORDS[compare.operator], (left, right)), Constant(0), compare.span)

    def _atom(self, read: Read) -> Atom:
        spec = self.tensors.specs[read.tensor]
        lengths = self.tensors.shapes[read.tensor]
        terms = tuple(
            self._term(self._place(index, length, axis))
            for index, length, axis in zip(read.indices, lengths, spec.axes, strict=True)
        )
        return Atom(read.tensor, terms, read.span)

    def _term(self, value: Value) -> Term:
        match value:
            case Variable() | Constant():
                return value
            case _:
                if value not in self.assigned:
                    self.assigned[value] = self.equation.fresh()
                    self.literals.append(Assignment(self.assigned[value], value))
                return self.assigned[value]

    # Values ---------------------------------------------------------------------------------------

    def _place(self, index: Index, length: Length, axis: str) -> Value:
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
                return _plus(self._element(read), offset)
            case Virtual(variable, _):
                raise Unsupported(f"{self.equation.name} is a stream along *{variable}, and streams do not run yet")

    def _element(self, read: Read) -> Value:
        spec = self.tensors.specs[read.tensor]
        if spec.boolean or read.boolean:
            raise _NotByTuple
        lengths = self.tensors.shapes[read.tensor]
        places = zip(read.indices, lengths, spec.axes, strict=True)
        return Element(read.tensor, tuple(self._place(*place) for place in places))

    def _value(self, expr: Expr) -> Value:
        match expr:
            case Number(value):
                return Constant(value)
            case Position(variable):
                return Variable(variable)
            case SymbolValue(name, variable):
                return Constant(position_of(name, self.tensors.axes[self.shapes.axis_of[variable]]))
            case Read():
                return self._element(expr)
            case Negate(operand):
                return Apply("negate", (self._value(operand),))
            case Sum(terms):
                return self._folded("add", [self._value(term) for term in terms])
            case Product(factors, divisors):
                product = self._folded("multiply", [self._value(factor) for factor in factors] or [Constant(1)])
                for divisor in divisors:
                    product = Apply("divide", (product, self._value(divisor)))
                return product
            case Power(base, exponent):
                return Apply("power", (self._value(base), self._value(exponent)))
            case Call(function, arguments, _, options):
                row = row_of(function)
                if row is None or row.kind != "elementwise" or row.expanded or row.identity:
                    raise _NotByTuple
                return Apply(function, tuple(self._value(argument) for argument in arguments), options)
            case _:
                raise _NotByTuple

    @staticmethod
    def _folded(function: str, values: Sequence[Value]) -> Value:
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


def _whole(value: Value) -> bool:
    match value:
        case Variable():
            return True
        case Constant(number):
            return not isinstance(number, float)
        case Element():
            return False
        case Apply(function, arguments):
            return function in ("add", "subtract", "multiply", "negate") and all(map(_whole, arguments))
