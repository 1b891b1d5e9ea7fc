"""Derivatives as text: an expression of Fuse whose names stand for the parts of a call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import assert_never

from fuse_ref.ir.index import Affine, Index
from fuse_ref.ir.nodes import (
    And,
    Call,
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
)
from fuse_ref.ir.operations import CATALOGUE
from fuse_ref.language import syntax_tree as tree
from fuse_ref.language.parser import parse
from fuse_ref.source import Source

__all__ = ["filled", "moved", "names_in"]


@cache
def _tree(text: str) -> tree.Expression:
    statement = parse(Source(f"d_ = {text}", "<derivative>")).statements[0]
    assert isinstance(statement, tree.Equation), text
    return statement.body


def filled(text: str, parts: Mapping[str, Expr], axes: Mapping[str, str]) -> Expr:
    """The expression that `text` is, every projection of it written out.

    Args:
        parts: what names stand for.
        axes: what the letters of projections and of `axis=` are called; other letters keep their names.
    """
    return _Filling(parts, axes).expression(_tree(text))


@cache
def names_in(text: str) -> frozenset[str]:
    """The names that a derivative mentions."""
    found: set[str] = set()

    def look(node: tree.Expression) -> None:
        match node:
            case tree.Name(name):
                found.add(name)
            case tree.Sum(terms):
                for _, term in terms:
                    look(term)
            case tree.Product(factors):
                for _, factor in factors:
                    look(factor)
            case tree.Negate(operand) | tree.Not(operand):
                look(operand)
            case tree.Power(base, exponent):
                look(base)
                look(exponent)
            case tree.Compare(_, left, right):
                look(left)
                look(right)
            case tree.And(operands) | tree.Or(operands):
                for operand in operands:
                    look(operand)
            case tree.Application(_, arguments, _):
                for argument in arguments:
                    look(argument)
            case tree.Projection(_, _, body):
                look(body)
            case _:
                pass

    look(_tree(text))
    return frozenset(found)


def moved(expr: Expr, letter: str, other: str) -> Expr:
    """`expr` with `other` in place of a letter that it reads, where no projection binds it."""

    def move(part: Expr) -> Expr:
        return moved(part, letter, other)

    match expr:
        case Position(variable):
            return Position(other) if variable == letter else expr
        case Read(indices=indices):
            return replace(expr, indices=tuple(_moved_index(index, letter, other) for index in indices))
        case Sum(terms):
            return Sum(tuple(map(move, terms)))
        case Product(factors, divisors):
            return Product(tuple(map(move, factors)), tuple(map(move, divisors)))
        case Negate(operand):
            return Negate(move(operand))
        case Power(base, exponent):
            return Power(move(base), move(exponent))
        case _:
            return expr  # numbers; splitting makes tensors of all else


def _moved_index(index: Index, letter: str, other: str) -> Index:
    if not isinstance(index, Affine):
        return index
    return Affine(tuple((other if v == letter else v, c) for v, c in index.terms), index.offset)


class _Filling:
    def __init__(self, parts: Mapping[str, Expr], axes: Mapping[str, str]) -> None:
        self._parts = parts
        self._axes = axes

    def expression(self, node: tree.Expression) -> Expr:
        match node:
            case tree.Number(value):
                return Number(value)
            case tree.Name(name):
                part = self._parts.get(name)
                return Position(self._axes.get(name, name)) if part is None else part
            case tree.Sum(terms):
                return Sum(tuple(self._signed(sign, term) for sign, term in terms))
            case tree.Product(factors):
                above = tuple(self.expression(part) for sign, part in factors if sign == "*")
                below = tuple(self.expression(part) for sign, part in factors if sign == "/")
                return Product(above, below)
            case tree.Negate(operand):
                return Negate(self.expression(operand))
            case tree.Power(base, exponent):
                return Power(self.expression(base), self.expression(exponent))
            case tree.Compare(operator, left, right):
                return Compare(operator, self.expression(left), self.expression(right))
            case tree.Not(operand):
                return Not(self.expression(operand))
            case tree.And(operands):
                return And(tuple(self.expression(operand) for operand in operands))
            case tree.Or(operands):
                return Or(tuple(self.expression(operand) for operand in operands))
            case tree.Projection(operator, variables, body):
                return Project(operator, tuple(self._axes.get(v, v) for v in variables), self.expression(body))
            case tree.Application(name, arguments, keywords):
                return self._call(name, arguments, dict(keywords))
            case (
                tree.Case()
                | tree.String()
                | tree.Virtual()
                | tree.Normalised()
                | tree.Slice()
                | tree.Reference()
                | tree.Array()
                | tree.Inlined()
            ):
                raise AssertionError(f"a derivative has no {type(node).__name__}")
            case _:
                assert_never(node)

    def _signed(self, sign: str, term: tree.Expression) -> Expr:
        part = self.expression(term)
        return part if sign == "+" else Negate(part)

    def _call(self, name: str, arguments: tuple[tree.Expression, ...], words: Mapping[str, tree.Expression]) -> Expr:
        row = CATALOGUE[name]
        given = [self.expression(argument) for argument in arguments]
        for argument in row.arguments[len(given) :]:
            assert argument.default is not None, name
            given.append(Number(argument.default))
        axis = words.get("axis")
        letter = None if axis is None else self._axes[axis.name] if isinstance(axis, tree.Name) else None
        options = tuple((option.name, option.default or "") for option in row.options)
        return Call(name, tuple(given), letter, options)
