"""From written expressions to IR nodes, projections not yet written out."""

from __future__ import annotations

from typing import assert_never

from fuse_ref.ir.along import LeftSide, axis_of, row_variable
from fuse_ref.ir.attention import read_attention
from fuse_ref.ir.concatenation import flattened, one_after_another, own_name, with_own_index
from fuse_ref.ir.elsewhere import ELSEWHERE, PRODUCTS
from fuse_ref.ir.index import Affine, Index, plain
from fuse_ref.ir.indices import IndexReader
from fuse_ref.ir.literals import array_values
from fuse_ref.ir.names import Names, is_variable
from fuse_ref.ir.nodes import (
    And,
    ArrayLiteral,
    Call,
    Case,
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
from fuse_ref.ir.operations import ALIASES, INLINED, Argument, Operation, signature
from fuse_ref.ir.variables import free_variables, index_variables
from fuse_ref.language import syntax_tree as tree
from fuse_ref.language.printer import print_expression
from fuse_ref.mistakes import mistake
from fuse_ref.mistakes.suggest import did_you_mean

__all__ = ["ExpressionReader"]


class ExpressionReader:
    """Reads the expressions of one equation.

    Args:
        names: what the program's names stand for.
        target: the indices of the left-hand side, known to functions that work along its axes.
        normalised: the variable that the left-hand side marks with a dot.
        used: every variable that stands in an index of the equation: such a name is no function.
    """

    def __init__(
        self,
        names: Names,
        target: tuple[Index, ...] = (),
        normalised: str | None = None,
        used: frozenset[str] = frozenset(),
    ) -> None:
        self._names = names
        self._target = target
        self._normalised = normalised
        self._used = used
        self._bound: tuple[str, ...] = ()  # by the explicit projections around the expression at hand
        self._given_names: set[str] = set()  # of concatenated indices
        self._indices = IndexReader(names, self.read)

    def with_target(self, target: tuple[Index, ...], normalised: str | None) -> ExpressionReader:
        self._target = target
        self._normalised = normalised
        return self

    def read(self, item: tree.Name | tree.Reference | tree.Application) -> Read:
        """A reference to a tensor, whichever way it is written."""
        match item:
            case tree.Name(name, span):
                return Read(name, (), False, span)
            case tree.Reference(name, indices, span):
                return Read(name, self._indices.indices(indices), False, span)
            case tree.Application(name, arguments, keywords, span):
                if keywords:
                    raise self._unknown_function(item)
                return Read(name, self._indices.indices(arguments), True, span)

    def value(self, item: tree.Expression) -> Expr:
        match item:
            case tree.Number(value):
                return Number(value)
            case tree.Name():
                return self._name(item)
            case tree.Reference():
                return self.read(item)
            case tree.Application():
                return self._application(item)
            case tree.Sum(terms, span):
                parts = [(sign, self.value(term)) for sign, term in terms]
                return Sum(tuple(part if sign == "+" else _negated(part) for sign, part in parts), span)
            case tree.Product(factors, span):
                times = tuple(self.value(factor) for operator, factor in factors if operator == "*")
                over = tuple(self.value(factor) for operator, factor in factors if operator == "/")
                return Product(times, over, span)
            case tree.Negate(operand):
                return _negated(self.value(operand))
            case tree.Power(base, exponent):
                return Power(self.value(base), self.value(exponent))
            case tree.Compare(operator, left, right, span):
                sides = self._symbol_side(operator, left, right), self._symbol_side(operator, right, left)
                return Compare(operator, sides[0], sides[1], span)
            case tree.Not(operand):
                return Not(self._denied(self.value(operand)))
            case tree.And(operands):
                return And(tuple(self.value(operand) for operand in operands))
            case tree.Or(operands):
                return Or(tuple(self.value(operand) for operand in operands))
            case tree.Case(branches, default):
                pairs = tuple((self.value(condition), self.value(value)) for condition, value in branches)
                return Case(pairs, Number(0) if default is None else self.value(default))
            case tree.Projection(operator, variables, body, span):
                around = self._bound
                self._bound = (*around, *variables)
                inner = self.value(body)
                self._bound = around
                return Project(operator, variables, inner, span)
            case tree.Inlined(own, body, span):
                return Call(INLINED, (self.value(body),), None, (("own", " ".join(own)),), span)
            case tree.String(text, span):
                raise mistake("FUSE123", span, text=text)
            case tree.Virtual() | tree.Normalised() | tree.Slice() | tree.Array():
                reason = "it is an index or a whole literal, and it stands for a number here"
                raise mistake("FUSE121", item.span, text=item.span.text, reason=reason)
            case _:
                assert_never(item)

    def _denied(self, expr: Expr) -> Expr:
        """What stands below `not`: a `_` there leaves its reference at once, since no tuple may fit."""
        match expr:
            case Read(boolean=True, span=span):
                nameless = tuple(v for v in free_variables(expr) if v in self._indices.wildcards)
                return Project("sum", nameless, expr, span) if nameless else expr
            case And(operands):
                return And(tuple(map(self._denied, operands)))
            case Or(operands):
                return Or(tuple(map(self._denied, operands)))
            case Product(factors, (), span):
                return Product(tuple(map(self._denied, factors)), (), span)
            case _:
                return expr

    def _name(self, item: tree.Name) -> Expr:
        name = item.name
        if name in self._names.constants:
            return Number(self._names.constants[name])
        if self._names.is_tensor(name) or not is_variable(name):
            return self.read(item)
        if self._names.is_function(name) and name not in self._used:
            raise mistake("FUSE101", item.span, name=name)
        return Position(name, item.span)

    def _symbol_side(self, operator: str, side: tree.Expression, other: tree.Expression) -> Expr:
        """A side of a comparison; beside a bare index, == and != take symbols."""
        bare = isinstance(other, tree.Name) and is_variable(other.name) and not self._known_scalar(other.name)
        if operator in ("==", "!=") and bare and isinstance(other, tree.Name):
            match side:
                case tree.String(text, span):
                    return SymbolValue(text, other.name, span)
                case tree.Name(name, span) if not is_variable(name) and not self._known_scalar(name):
                    return SymbolValue(name, other.name, span)
                case _:
                    pass
        return self.value(side)

    def _known_scalar(self, name: str) -> bool:
        return name in self._names.constants or self._names.is_tensor(name)

    def _application(self, item: tree.Application) -> Expr:
        name = ALIASES.get(item.name, item.name)
        names = self._names
        if name == "const":
            return self._const(item)
        if name in ("max", "min") and len(item.arguments) >= 2 and not item.keywords:
            result = self.value(item.arguments[0])
            for argument in item.arguments[1:]:
                result = Call(name, (result, self.value(argument)), None, (), item.span)
            return result
        if name in ("sum", "max", "min", "avg", "prod"):
            raise mistake("FUSE119", item.span, name=name)
        if name == "attention":
            kept = LeftSide(self._target).variables() | set(self._bound)
            return read_attention(item, self.value, names, kept)
        if name == "mse":
            return self._call(_MSE, item)
        row = names.function(name)
        if row is not None:
            return self._call(row, item)
        if not names.is_tensor(name) and name not in names.referenced and not self._looks_like_atom(item):
            raise self._unknown_function(item)
        return self.read(item)

    def _looks_like_atom(self, item: tree.Application) -> bool:
        """Whether an unknown `name(...)` can be a relation: all its arguments are plain indices."""
        if item.name.rpartition(".")[2] in PRODUCTS:
            return False
        return not item.keywords and all(_plain_index(argument) for argument in item.arguments)

    def _unknown_function(self, item: tree.Application) -> Exception:
        close = did_you_mean(item.name, self._names.functions())
        cure = ELSEWHERE.get(item.name.rpartition(".")[2]) or close
        return mistake("FUSE100", item.span, name=item.name, cure=cure or None)

    def _const(self, item: tree.Application) -> Expr:
        number = self._names.number(item)
        if number is not None:
            return Number(number)
        if len(item.arguments) != 1 or item.keywords:
            raise mistake("FUSE108", item.span, name="const", expected="one literal", got=_count(item))
        argument = item.arguments[0]
        if not isinstance(argument, tree.Array):
            text = print_expression(argument)
            raise mistake("FUSE125", argument.span, name="const(...)", reason=f"{text!r} is no number and no literal")
        shape, values = array_values(argument, self._names)
        variables = [index_variables(index) for index in self._target]
        plainly = [
            v[0] for index, v in zip(self._target, variables, strict=True) if isinstance(index, Affine) and len(v) == 1
        ]
        if len(plainly) != len(shape) or len(set(plainly)) != len(shape):
            expected = f"the left-hand side has {_axes(len(plainly))} to fill"
            raise mistake("FUSE117", item.span, got=_axes(len(shape)), expected=expected)
        return ArrayLiteral(values, shape, tuple(plain(v) for v in plainly))

    def _call(self, row: Operation, item: tree.Application) -> Expr:
        words: dict[str, str] = {}
        keywords = dict(item.keywords)
        axis = keywords.pop("axis", None) if row.kind not in _WITHOUT_AXIS else None
        positional = list(item.arguments)
        if row.kind != "concat":
            for option, written in zip(row.options, positional[len(row.arguments) :], strict=False):
                words[option.name] = _word(written)
            if len(positional) > len(row.arguments) + len(words):
                raise self._wrong_arguments(row, item, _count(item))
            positional = positional[: len(row.arguments)]
        for option in row.options:
            if option.name in keywords:
                words[option.name] = _word(keywords.pop(option.name))
            chosen = words.setdefault(option.name, option.default or "")
            if chosen not in option.allowed:
                if not chosen:
                    raise self._wrong_arguments(row, item, _count(item))
                allowed = ", ".join(option.allowed)
                raise mistake("FUSE109", item.span, name=row.name, option=option.name, value=chosen, allowed=allowed)
        if row.kind == "concat":
            if keywords or not positional:
                raise self._wrong_arguments(row, item, _count(item))
            item = one_after_another(item)
            arguments = [self.value(argument) for argument in item.arguments]
        else:
            arguments = self._arguments(row, item, positional, keywords)
        side = LeftSide(self._target, self._normalised)
        along = axis_of(row, item, axis, arguments, side) if row.kind not in _WITHOUT_AXIS else None
        options = (*sorted(words.items()), *row.identity)
        if row.kind == "concat" and along is not None:
            return self._concat(item, arguments, along)
        if row.name == "causal_mask" and along is not None:
            options = (*options, ("rows", row_variable(row, item, along, side)))
        return Call(row.name, tuple(arguments), along, options, item.span)

    def _concat(self, item: tree.Application, arguments: list[Expr], axis: str) -> Call:
        """Each argument keeps all its indices; the concatenated one joins nothing, so it gets a name of its own."""
        kept = {*LeftSide(self._target).variables(), *self._bound} - {axis}
        taken = {*self._used, *kept, axis, *(v for argument in arguments for v in free_variables(argument))}
        parts: list[Expr] = []
        for number, (written, argument) in enumerate(zip(item.arguments, arguments, strict=True), 1):
            if axis not in free_variables(argument):
                parts.append(argument)
                continue
            name = own_name(axis, number, taken | self._given_names)
            self._given_names.add(name)
            parts.append(self.value(with_own_index(written, axis, name)))
        return Call("concat", tuple(parts), axis, flattened(parts, kept), item.span)

    def _arguments(
        self,
        row: Operation,
        item: tree.Application,
        positional: list[tree.Expression],
        keywords: dict[str, tree.Expression],
    ) -> list[Expr]:
        given: list[Expr] = []
        for place, argument in enumerate(row.arguments):
            written = positional[place] if place < len(positional) else keywords.pop(argument.name, None)
            if written is not None:
                known = argument.kind in ("number", "probability", "count", "size")
                given.append(self._known(row, argument, written) if known else self.value(written))
            elif argument.default is not None:
                default = argument.default
                given.append(Number(int(default) if default.is_integer() else default))
            elif argument.kind != "size":
                raise self._wrong_arguments(row, item, _count(item))
        if keywords:
            raise self._wrong_arguments(row, item, f"'{next(iter(keywords))}='")
        return given

    def _known(self, row: Operation, argument: Argument, written: tree.Expression) -> Expr:
        """An argument that is known before the run."""
        number = self._names.number(written)
        match argument.kind:
            case "number":
                kind = "a number"
                if number is not None:
                    return Number(number)
            case "probability":
                kind = "a number from 0 to 1"
                if number is not None and 0 <= number <= 1:
                    return Number(number)
            case _:
                kind = "a whole number, 0 or more"
                whole = self._names.integer(written)
                if whole is not None and whole >= 0:
                    return Number(whole)
        got = print_expression(written) if number is None else number
        raise mistake("FUSE132", written.span, name=row.name, argument=argument.name, kind=kind, got=got)

    def _wrong_arguments(self, row: Operation, item: tree.Application, got: str) -> Exception:
        parts = [signature(a) for a in row.arguments]
        parts += [o.name if o.default is None else f'{o.name}="{o.default}"' for o in row.options]
        if row.kind not in _WITHOUT_AXIS:
            parts.append("axis=j")
        return mistake("FUSE108", item.span, name=row.name, expected=f"({', '.join(parts)})", got=got)


_WITHOUT_AXIS = ("elementwise", "whole")
_MSE = Operation("mse", "elementwise", (Argument("a"), Argument("b")), "mean of (a - b)**2")


def _negated(expr: Expr) -> Expr:
    return Number(-expr.value) if isinstance(expr, Number) else Negate(expr)


def _plain_index(item: tree.Expression) -> bool:
    """Whether an argument is made of letters, constants and numbers alone."""
    match item:
        case tree.Name() | tree.Number() | tree.String() | tree.Slice() | tree.Virtual():
            return True
        case tree.Negate(operand):
            return _plain_index(operand)
        case tree.Sum(terms):
            return all(_plain_index(term) for _, term in terms)
        case _:
            return False


def _word(item: tree.Expression) -> str:
    match item:
        case tree.Name(name):
            return name
        case tree.String(text):
            return text
        case _:
            return print_expression(item)


def _count(item: tree.Application) -> str:
    count = len(item.arguments) + len(item.keywords)
    return f"{count} argument{'' if count == 1 else 's'}"


def _axes(count: int) -> str:
    return "no axis" if count == 0 else f"{count} {'axis' if count == 1 else 'axes'}"
