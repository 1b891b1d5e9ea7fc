"""What the grammar reads but the language refuses: forms that stand in the wrong place."""

from __future__ import annotations

from enum import Enum, auto
from typing import assert_never

from fuse_ref.errors import FuseError
from fuse_ref.language import syntax_tree as st
from fuse_ref.mistakes import mistake
from fuse_ref.mistakes.suggest import did_you_mean

__all__ = ["INITIALISERS", "MAX_LEVELS", "check_question", "check_statement"]

# Levels of a syntax tree. Later stages walk it recursively, with several frames of Python's 1,000 a level;
# comparing two trees alone takes five.
MAX_LEVELS = 100

INITIALISERS = ("zeros", "ones", "normal", "uniform", "xavier", "kaiming", "orthogonal")


class _Place(Enum):
    """Where an expression stands: decides which forms it may take."""

    BODY = auto()  # the whole right-hand side of an equation
    VALUE = auto()  # inside an expression
    COMPARED = auto()  # a side of a comparison
    INDEX = auto()  # between the brackets of a reference
    TARGET_INDEX = auto()  # the same, on a left-hand side
    ARGUMENT = auto()  # of a call or an atom
    TARGET_ARGUMENT = auto()  # the same, on a left-hand side
    LITERAL = auto()  # of const(…)
    AFFINE = auto()  # a part of an index or argument: `*t` in `*t+1`


_INDEX_LIKE = frozenset({_Place.INDEX, _Place.TARGET_INDEX, _Place.ARGUMENT, _Place.TARGET_ARGUMENT})
_VIRTUAL = _INDEX_LIKE | {_Place.AFFINE}
_TEXT = _INDEX_LIKE | {_Place.BODY, _Place.COMPARED, _Place.LITERAL}
_NORMALISED = frozenset({_Place.TARGET_INDEX, _Place.TARGET_ARGUMENT})


def check_statement(statement: st.Statement, errors: list[FuseError]) -> None:
    """Adds to `errors` each form of `statement` that cannot stand where it stands."""
    match statement:
        case st.Equation(target=target, body=body):
            _target(target, errors)
            _expression(body, _Place.BODY, 1, errors)
        case st.Fact(target=target) | st.Query(target=target):
            _target(target, errors, normalised=False)
        case st.Sink(body=body):
            _expression(body, _Place.VALUE, 1, errors)
        case st.AxisDeclaration(items=items):
            for item in items:
                if item.size is not None:
                    _expression(item.size, _Place.VALUE, 1, errors)
        case st.Input(target=target):
            _declared(target, "input", errors)
        case st.Param(target=target, initialiser=initialiser):
            _declared(target, "param", errors)
            if initialiser is not None:
                _initialiser(initialiser, errors)
        case st.Function(parameters=parameters, body=body):
            for parameter in parameters:
                _declared(parameter, "parameter", errors)
            _expression(body, _Place.VALUE, 1, errors)
        case st.Export() | st.Import():
            pass
        case _:
            assert_never(statement)


def check_question(target: st.Target, errors: list[FuseError]) -> None:
    """The same for the text of a query."""
    _target(target, errors, normalised=False)


def _target(target: st.Target, errors: list[FuseError], *, normalised: bool = True) -> None:
    match target:
        case st.Name():
            return
        case st.Reference(indices=indices):
            place = _Place.TARGET_INDEX if normalised else _Place.INDEX
        case st.Application(arguments=indices, keywords=keywords):
            place = _Place.TARGET_ARGUMENT if normalised else _Place.ARGUMENT
            if keywords:
                errors.append(mistake("FUSE038", target.span, keyword=keywords[0][0], name=target.name))
        case _:
            assert_never(target)
    for index in indices:
        _expression(index, place, 2, errors)
        _juxtaposed(index, target.name, errors, symbols=True)


def _declared(target: st.Target, what: str, errors: list[FuseError]) -> None:
    """Declarations have plain variables as indices: they name axes."""
    match target:
        case st.Name():
            return
        case st.Reference(indices=indices):
            pass
        case st.Application(arguments=indices, keywords=keywords):
            if keywords:
                errors.append(mistake("FUSE038", target.span, keyword=keywords[0][0], name=target.name))
        case _:
            assert_never(target)
    for index in indices:
        if isinstance(index, st.Normalised):
            errors.append(mistake("FUSE045", index.span, name=index.name))
        elif not isinstance(index, st.Name):
            errors.append(mistake("FUSE066", index.span, found=index.span.text, name=target.name, what=what))


def _initialiser(call: st.Application, errors: list[FuseError]) -> None:
    if call.name not in INITIALISERS:
        cure = did_you_mean(call.name, INITIALISERS)
        errors.append(mistake("FUSE069", call.span, found=call.name, known=", ".join(INITIALISERS), cure=cure or None))
    _expression(call, _Place.VALUE, 1, errors)


def _expression(node: st.Expression, place: _Place, depth: int, errors: list[FuseError]) -> None:
    if depth > MAX_LEVELS:
        errors.append(mistake("FUSE080", node.span, limit=MAX_LEVELS))
        return
    depth += 1
    match node:
        case st.Name() | st.Number():
            return
        case st.Reference(indices=indices):
            for index in indices:
                _expression(index, _Place.INDEX, depth, errors)
                _juxtaposed(index, node.name, errors, symbols=False)
        case st.Sum(terms=parts) | st.Product(factors=parts):
            if isinstance(node, st.Product):
                _spaced_atoms(node, errors)
            inner = _Place.AFFINE if place in _VIRTUAL else _Place.VALUE
            for _, part in parts:
                _expression(part, inner, depth, errors)
        case st.Application(arguments=arguments, keywords=keywords):
            inner = _Place.LITERAL if node.name == "const" else _Place.ARGUMENT
            for argument in arguments:
                _expression(argument, inner, depth, errors)
            for _, value in keywords:
                _expression(value, _Place.ARGUMENT, depth, errors)
        case st.Negate(operand=operand):
            _expression(operand, _Place.AFFINE if place in _VIRTUAL else _Place.VALUE, depth, errors)
        case st.Projection(body=operand) | st.Not(operand=operand):
            _expression(operand, _Place.VALUE, depth, errors)
        case st.And(operands=operands) if all(isinstance(operand, st.Number) for operand in operands):
            errors.append(mistake("FUSE058", node.span))
        case st.And(operands=operands) | st.Or(operands=operands):
            for operand in operands:
                _expression(operand, _Place.VALUE, depth, errors)
        case st.Power(base=left, exponent=right):
            _expression(left, _Place.VALUE, depth, errors)
            _expression(right, _Place.VALUE, depth, errors)
        case st.Compare(left=left, right=right):
            _expression(left, _Place.COMPARED, depth, errors)
            _expression(right, _Place.COMPARED, depth, errors)
        case st.Case(branches=branches, default=default):
            for condition, value in branches:
                _expression(condition, _Place.VALUE, depth, errors)
                _expression(value, _Place.VALUE, depth, errors)
            if default is not None:
                _expression(default, _Place.VALUE, depth, errors)
        case st.Slice(start=start, stop=stop, step=step):
            for bound in (start, stop, step):
                if bound is not None:
                    _expression(bound, _Place.VALUE, depth, errors)
        case st.String():
            if place not in _TEXT:
                errors.append(mistake("FUSE049", node.span, found=node.span.text))
        case st.Virtual():
            if place not in _VIRTUAL:
                errors.append(mistake("FUSE044", node.span, name=node.name))
        case st.Normalised():
            if place not in _NORMALISED:
                errors.append(mistake("FUSE045", node.span, name=node.name))
        case st.Inlined(body=body):
            _expression(body, place, depth, errors)
        case st.Array():
            if place not in {_Place.BODY, _Place.LITERAL}:
                errors.append(mistake("FUSE047", node.span, found=_short(node.span.text)))
            else:
                _array(node, depth, errors)
        case _:
            assert_never(node)


def _array(node: st.Array, depth: int, errors: list[FuseError]) -> None:
    if depth > MAX_LEVELS:
        errors.append(mistake("FUSE080", node.span, limit=MAX_LEVELS))
        return
    for item in node.items:
        if isinstance(item, st.Array):
            _array(item, depth + 1, errors)


def _juxtaposed(index: st.Expression, name: str, errors: list[FuseError], *, symbols: bool) -> None:
    """`W[i j]` is read as a product, which no index can be: a comma is missing.

    Args:
        symbols: two capitalised names are symbols, not constants, whose product could be an index.
    """
    match index:
        case st.Product(factors=((_, st.Name() as left), ("*", st.Name() as right))):
            between = index.span.source.text[left.span.end : right.span.start]
            variables = left.name[:1].islower() and right.name[:1].islower()
            if "*" not in between and (variables or symbols):
                errors.append(mistake("FUSE035", index.span, left=left.name, right=right.name, name=name))


def _spaced_atoms(product: st.Product, errors: list[FuseError]) -> None:
    """`Parent (x, y)` is read as a number times two positions: the parenthesis was meant to touch."""
    for (_, left), (sign, right) in zip(product.factors, product.factors[1:], strict=False):
        match left, sign, right:
            case st.Name(), "*", st.And(operands=operands):
                between = product.span.source.text[left.span.end : right.span.start]
                plain = all(isinstance(operand, st.Name | st.Number | st.String) for operand in operands)
                if plain and "*" not in between:
                    errors.append(mistake("FUSE032", right.span, name=left.name))
            case _:
                pass


def _short(text: str) -> str:
    return text if len(text) <= 30 else f"{text[:27]}..."
