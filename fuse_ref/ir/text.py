"""From the IR back to text: the explicit form, in which every projection is written out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import assert_never

from fuse_ref.ir.index import Affine, FromEnd, Gather, Index, Quotient, SliceIndex, Symbol, Virtual
from fuse_ref.ir.names import is_variable
from fuse_ref.ir.nodes import (
    And,
    ArrayLiteral,
    Call,
    Case,
    Compare,
    Equation,
    Expr,
    FileContent,
    Negate,
    Not,
    Number,
    Or,
    Position,
    Power,
    Product,
    ProgramIR,
    Project,
    Read,
    Sink,
    Sum,
    SymbolValue,
    Tensor,
)
from fuse_ref.ir.operations import row_of
from fuse_ref.ir.variables import children
from fuse_ref.language import syntax_tree as tree
from fuse_ref.language.printer import print_expression, print_module
from fuse_ref.source import Source, Span

__all__ = ["equation_text", "explicit_text", "expression_text", "rule_text"]

# Trees made here come from no text; their spans are never shown.
_BARE_SYMBOL = re.compile(r"[^\W\d_]\w*'*")
_WILDCARD = re.compile(r"_\d+")  # what each `_` of a program is called
_NOWHERE = Span(Source("", "<explicit>"), 0, 0)


def explicit_text(program: ProgramIR) -> str:
    """The program in explicit form. It parses back to the same IR."""
    return print_module(tree.Module(tuple(_Writer(dict(program.constants))._statements(program))))


def equation_text(equation: Equation) -> str:
    """One equation in explicit form."""
    return print_module(tree.Module((_Writer({})._equation(equation),))).strip()


def rule_text(equation: Equation) -> str:
    """One rule as people write it: `_` where the program has it, and `not Parent(_, x)` without its projection."""
    return print_module(tree.Module((_RuleWriter({})._equation(equation),))).strip()


def expression_text(expr: Expr) -> str:
    """One expression in explicit form."""
    return print_expression(_Writer({})._expression(expr))


def _fixed(expr: Expr) -> bool:
    """Whether an expression is made of numbers alone."""
    stack = [expr]
    while stack:
        node = stack.pop()
        if not isinstance(node, (Number, Negate, Sum, Product, Power, Call)):
            return False
        stack.extend(children(node))
    return True


class _Writer:
    """Builds syntax trees; a symbol that no constant shares its name with is written bare."""

    def __init__(self, constants: Mapping[str, int | float]) -> None:
        self._constants = constants

    def _symbol(self, name: str) -> tree.Expression:
        bare = _BARE_SYMBOL.fullmatch(name) is not None and not is_variable(name) and name not in self._constants
        return tree.Name(name, _NOWHERE) if bare else tree.String(name, _NOWHERE)

    def _statements(self, program: ProgramIR) -> list[tree.Statement]:
        found: list[tree.Statement] = []
        for item in program.declared:
            size = None if item.size is None else tree.Number(item.size, _NOWHERE)
            found.append(tree.AxisDeclaration((tree.AxisItem(item.letter, size, item.symbols, _NOWHERE),), _NOWHERE))
        for tensor in program.tensors:
            if tensor.role == "input":
                dtype = tensor.dtype if tensor.dtype == "int64" else None
                found.append(tree.Input(_declared_target(tensor), dtype, _NOWHERE))
            elif tensor.role == "param":
                target = _declared_target(tensor)
                assert not isinstance(target, tree.Application)
                found.append(tree.Param(target, _initialiser(tensor), _NOWHERE))
        found.extend(self._equation(equation) for equation in program.equations)
        found.extend(self._sink(sink) for sink in program.sinks)
        for query in program.queries:
            whole = query.text == f"{query.target.tensor}?"
            target = tree.Name(query.target.tensor, _NOWHERE) if whole else self._reference(query.target)
            found.append(tree.Query(target, _NOWHERE))
        if program.exports:
            found.append(tree.Export(program.exports, _NOWHERE))
        return found

    def _sink(self, sink: Sink) -> tree.Sink:
        path = sink.path if sink.key is None else f"{sink.path}:{sink.key}"
        return tree.Sink(path, self._expression(sink.body), _NOWHERE)

    def _equation(self, equation: Equation) -> tree.Statement:
        target = self._reference(equation.target)
        body = equation.body
        written: tree.Expression
        match body:
            case FileContent(path, key):
                written = tree.String(path if key is None else f"{path}:{key}", _NOWHERE)
            case ArrayLiteral(values, shape, ()) if equation.kind == "literal":
                written = _array(values, shape)
            case Number(1) if (
                equation.kind == "fact" and equation.operator == "=" and isinstance(target, tree.Application)
            ):
                return tree.Fact(target, _NOWHERE)
            case Project("any", _, inner):
                written = self._expression(inner)  # the OR over what the head lacks is the rule's own
            case _:
                written = self._expression(body)
        arrow = equation.kind == "equation" and equation.target.boolean
        if equation.operator == "=" and equation.kind == "equation" and isinstance(target, tree.Name) and _fixed(body):
            return tree.Equation(target, "+=", written, arrow, _NOWHERE)  # `Y = 1` is a constant, `Y += 1` a tensor
        return tree.Equation(target, equation.operator, written, arrow, _NOWHERE)

    def _reference(self, read: Read) -> tree.Target:
        indices = tuple(self._index(index) for index in read.indices)
        if read.boolean:
            return tree.Application(read.tensor, indices, (), _NOWHERE)
        return tree.Reference(read.tensor, indices, _NOWHERE) if indices else tree.Name(read.tensor, _NOWHERE)

    def _index(self, index: Index) -> tree.Expression:
        match index:
            case Affine():
                return _combination(index)
            case FromEnd(distance):
                return tree.Negate(tree.Number(distance, _NOWHERE), _NOWHERE)
            case Symbol(name):
                return self._symbol(name)
            case Quotient(numerator, divisor):
                return tree.Product((("*", _combination(numerator)), ("/", tree.Number(divisor, _NOWHERE))), _NOWHERE)
            case SliceIndex(_, start, stop, step):
                first, last, stride = (
                    None if n is None else _number(n) for n in (start, stop, None if step == 1 else step)
                )
                return tree.Slice(first, last, stride, _NOWHERE)
            case Gather(read, offset):
                return _shifted(self._reference(read), offset)
            case Virtual(variable, offset):
                return _shifted(tree.Virtual(variable, _NOWHERE), offset)
            case _:
                assert_never(index)

    def _call(self, expr: Call) -> tree.Expression:
        row = row_of(expr.function)
        assert row is not None, expr.function
        written: list[tuple[str, tree.Expression]] = []
        arguments = [self._expression(argument) for argument in expr.arguments]
        words = dict(expr.options)
        for option in row.options:
            word = words[option.name]
            if option.default is None:
                arguments.append(tree.Name(word, _NOWHERE))
            elif word != option.default:
                written.append((option.name, tree.String(word, _NOWHERE)))
        if row.kind == "elementwise" and expr.function in ("max", "min"):
            return tree.Application(expr.function, tuple(arguments), (), _NOWHERE)
        if row.kind != "concat":
            while arguments and len(arguments) <= len(row.arguments):
                default = row.arguments[len(arguments) - 1].default
                last = expr.arguments[len(arguments) - 1] if len(arguments) <= len(expr.arguments) else None
                if default is None or last != Number(default):
                    break
                arguments.pop()
        if expr.axis is not None:
            # A string, since a qualified or primed name may not be a lone word there.
            written.append(("axis", tree.Name(expr.axis, _NOWHERE)))
        return tree.Application(expr.function, tuple(arguments), tuple(written), _NOWHERE)

    def _term(self, term: Expr) -> tuple[str, tree.Expression]:
        match term:
            case Negate(operand):
                return ("-", self._expression(operand))
            case Number(value) if value < 0:
                return ("-", _number(-value))
            case _:
                return ("+", self._expression(term))

    def _expression(self, expr: Expr) -> tree.Expression:
        match expr:
            case Number(value):
                return _number(value)
            case SymbolValue(name):
                return tree.String(name, _NOWHERE)  # bare, it could be the name of a tensor
            case Position(variable):
                return tree.Name(variable, _NOWHERE)
            case Read():
                return self._reference(expr)
            case ArrayLiteral(values, shape, _):
                return tree.Application("const", (_array(values, shape),), (), _NOWHERE)
            case FileContent(path, key):
                return tree.String(path if key is None else f"{path}:{key}", _NOWHERE)
            case Call():
                return self._call(expr)
            case Sum(terms):
                parts = [self._term(term) for term in terms]
                if parts[0][0] == "-":
                    parts[0] = ("+", tree.Negate(parts[0][1], _NOWHERE))
                return tree.Sum(tuple(parts), _NOWHERE)  # type: ignore[arg-type]
            case Product(factors, divisors):
                chain = [("*", self._expression(f)) for f in factors] + [("/", self._expression(d)) for d in divisors]
                return tree.Product(tuple(chain), _NOWHERE)  # type: ignore[arg-type]
            case Negate(operand):
                return tree.Negate(self._expression(operand), _NOWHERE)
            case Power(base, exponent):
                return tree.Power(self._expression(base), self._expression(exponent), _NOWHERE)
            case Compare(operator, left, right):
                return tree.Compare(operator, self._expression(left), self._expression(right), _NOWHERE)
            case Not(operand):
                return tree.Not(self._expression(operand), _NOWHERE)
            case And(operands):
                return tree.And(tuple(self._expression(o) for o in operands), _NOWHERE)
            case Or(operands):
                return tree.Or(tuple(self._expression(o) for o in operands), _NOWHERE)
            case Case(branches, default):
                pairs = tuple((self._expression(c), self._expression(v)) for c, v in branches)
                return tree.Case(pairs, self._expression(default), _NOWHERE)
            case Project("any", variables, body):
                return tree.Projection("sum", variables, self._expression(body), _NOWHERE)  # of truth values: OR
            case Project(operator, variables, body):
                if variables[0].startswith(":"):
                    return self._expression(body)  # nameless: the sum is implied by the slice itself
                return tree.Projection(operator, variables, self._expression(body), _NOWHERE)  # type: ignore[arg-type]
            case _:
                assert_never(expr)


class _RuleWriter(_Writer):
    """For reading only: the explicit form gives each `_` a name, since its projection needs one."""

    def _index(self, index: Index) -> tree.Expression:
        match index:
            case Affine(((variable, 1),), 0) if _WILDCARD.fullmatch(variable):
                return tree.Name("_", _NOWHERE)
            case _:
                return super()._index(index)

    def _expression(self, expr: Expr) -> tree.Expression:
        match expr:
            case Project("any", variables, Read() as read) if all(map(_WILDCARD.fullmatch, variables)):
                return self._expression(read)
            case _:
                return super()._expression(expr)


def _declared_target(tensor: Tensor) -> tree.Target:
    letters = tuple(tree.Name(letter, _NOWHERE) for letter in tensor.letters)
    if tensor.boolean:
        return tree.Application(tensor.name, letters, (), _NOWHERE)
    return tree.Reference(tensor.name, letters, _NOWHERE) if letters else tree.Name(tensor.name, _NOWHERE)


def _initialiser(tensor: Tensor) -> tree.Application | None:
    if tensor.initialiser is None:
        return None
    name, values = tensor.initialiser
    return tree.Application(name, tuple(_number(value) for value in values), (), _NOWHERE)


def _number(value: int | float) -> tree.Expression:
    number = tree.Number(abs(value), _NOWHERE)
    return tree.Negate(number, _NOWHERE) if value < 0 else number


def _array(values: tuple[int | float, ...], shape: tuple[int, ...]) -> tree.Expression:
    if not shape:
        return _number(values[0])
    stride = len(values) // shape[0] if shape[0] else 0
    items = (_array(values[k * stride : (k + 1) * stride], shape[1:]) for k in range(shape[0]))
    return tree.Array(tuple(items), _NOWHERE)


def _combination(form: Affine) -> tree.Expression:
    terms: list[tuple[str, tree.Expression]] = []
    for variable, coefficient in form.terms:
        part: tree.Expression = tree.Name(variable, _NOWHERE)
        if abs(coefficient) != 1:
            part = tree.Product((("*", tree.Number(abs(coefficient), _NOWHERE)), ("*", part)), _NOWHERE)
        terms.append(("+" if coefficient > 0 else "-", part))
    if form.offset or not terms:
        terms.append(("+" if form.offset >= 0 else "-", tree.Number(abs(form.offset), _NOWHERE)))
    if terms[0][0] == "-":
        if len(form.terms) == 0:
            # `-1` alone would count from the end; this position is computed.
            terms.insert(0, ("+", tree.Number(0, _NOWHERE)))
        else:
            positive = next((t for t in terms if t[0] == "+"), None)
            if positive is not None:
                terms.remove(positive)
                terms.insert(0, positive)
            else:
                terms[0] = ("+", tree.Negate(terms[0][1], _NOWHERE))
    if len(terms) == 1:
        return terms[0][1]
    return tree.Sum(tuple(terms), _NOWHERE)  # type: ignore[arg-type]


def _shifted(item: tree.Expression, offset: int) -> tree.Expression:
    if offset == 0:
        return item
    sign = "+" if offset > 0 else "-"
    return tree.Sum((("+", item), (sign, tree.Number(abs(offset), _NOWHERE))), _NOWHERE)  # type: ignore[arg-type]
