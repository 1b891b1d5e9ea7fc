"""Syntax tree -> text, in the one layout that `fuse fmt` writes: `parse(print_module(tree)) == tree`."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable
from typing import assert_never

from fuse_ref.language import syntax_tree as st
from fuse_ref.language.tokens import is_name

__all__ = ["WIDTH", "print_expression", "print_module", "print_statement"]

WIDTH = 100  # columns; a longer statement goes on in indented lines
_INDENT = "    "

# How tightly a node holds together; a part that holds less tightly than its place asks gets parentheses.
_OR, _AND, _COMPARE, _SUM, _PRODUCT, _UNARY, _POWER, _ATOM = range(8)

# Text is made of pieces: stretches that stay on one line. Between two pieces stands a space or a line end.
_Pieces = list[str]


def print_module(module: st.Module) -> str:
    """The whole file, a statement a line, with a final line end (none for an empty file)."""
    return "".join(f"{print_statement(statement)}\n" for statement in module.statements)


def print_statement(statement: st.Statement) -> str:
    """One statement without a line end behind it; longer than `WIDTH` it takes several lines."""
    pieces = _statement(statement)
    line = " ".join(pieces)
    if len(line) <= WIDTH:
        return line
    lines = [pieces[0]]
    for piece in pieces[1:]:
        if len(lines[-1]) + 1 + len(piece) <= WIDTH:
            lines[-1] += f" {piece}"
        else:
            lines.append(_INDENT + piece)
    return "\n".join(lines)


def print_expression(expression: st.Expression) -> str:
    """An expression on one line, as it stands inside an equation."""
    return _line(expression)


def _statement(statement: st.Statement) -> _Pieces:
    match statement:
        case st.Equation(target=target, operator=operator, body=body, arrow=arrow):
            return [f"{_line(target)} {'<-' if arrow else operator}", *_body(body)]
        case st.Fact(target=target):
            return [_line(target)]
        case st.Sink(path=path, body=body):
            return [f"{_quoted(path)} =", *_pieces(body, _OR, inside=False)]
        case st.Query(target=target):
            return [f"{_line(target)}?"]
        case st.Export(names=names):
            return _prefixed("export ", _listed([name] for name in names))
        case st.AxisDeclaration(items=items):
            return _prefixed("axis ", _listed(_axis_item(item) for item in items))
        case st.Input(target=target, dtype=dtype):
            return [f"input {_line(target)}" if dtype is None else f"input {_line(target)}: {dtype}"]
        case st.Param(target=target, initialiser=initialiser):
            head = f"param {_line(target)}"
            return [head] if initialiser is None else [f"{head} ~", _line(initialiser)]
        case st.Function(name=name, parameters=parameters, body=body):
            return [f"fn {name}({', '.join(_line(parameter) for parameter in parameters)}) =", *_body(body)]
        case st.Import(path=path, alias=alias):
            return [f"import {_quoted(path)}" if alias is None else f"import {_quoted(path)} as {alias}"]
        case _:
            assert_never(statement)


def _body(body: st.Expression) -> _Pieces:
    """A right-hand side: here, and only here, a conjunction is written with commas."""
    if isinstance(body, st.And):
        return _listed(_pieces(operand, _COMPARE, inside=False) for operand in body.operands)
    return _pieces(body, _OR, inside=False)


def _axis_item(item: st.AxisItem) -> _Pieces:
    if item.size is not None:
        return _prefixed(f"{item.name} = ", _pieces(item.size, _OR, inside=False))
    symbols = [[_symbol(symbol)] for symbol in item.symbols or ()]
    return _enclosed(f"{item.name} = {{", _listed(symbols), "}")


def _symbol(symbol: str) -> str:
    return symbol if is_name(symbol) and unicodedata.is_normalized("NFC", symbol) else _quoted(symbol)


# Putting pieces together -------------------------------------------------------------------------


def _prefixed(prefix: str, pieces: _Pieces) -> _Pieces:
    return [prefix + pieces[0], *pieces[1:]] if pieces else [prefix]


def _suffixed(pieces: _Pieces, suffix: str) -> _Pieces:
    return [*pieces[:-1], pieces[-1] + suffix]


def _enclosed(opening: str, pieces: _Pieces, closing: str) -> _Pieces:
    return _suffixed(_prefixed(opening, pieces), closing)


def _listed(items: Iterable[_Pieces], separator: str = ",") -> _Pieces:
    """The items' pieces one after the other, the separator at the end of each item but the last."""
    pieces: _Pieces = []
    for item in items:
        if pieces:
            pieces[-1] += separator
        pieces.extend(item)
    return pieces


# Expressions -------------------------------------------------------------------------------------


def _line(node: st.Expression, level: int = _OR) -> str:
    return " ".join(_pieces(node, level, inside=True))


def _pieces(node: st.Expression, level: int, *, inside: bool) -> _Pieces:
    """The text of `node` where at least `level` is asked for; `inside` brackets a line may end anywhere."""
    if _level(node) < level:
        return _enclosed("(", _pieces(node, _OR, inside=True), ")")
    match node:
        case st.Number(value=value):
            return [_number(value)]
        case st.String(value=value):
            return [_quoted(value)]
        case st.Name(name=name):
            return [name]
        case st.Virtual(name=name):
            return [f"*{name}"]
        case st.Normalised(name=name):
            return [f"{name}."]
        case st.Slice():
            return [_index(node)]
        case st.Reference(name=name, indices=indices):
            return [f"{name}[{', '.join(_index(index) for index in indices)}]"]
        case st.Application(name=name, arguments=arguments, keywords=keywords):
            items = [_argument(argument) for argument in arguments]
            items.extend(_prefixed(f"{key}=", _pieces(value, _OR, inside=True)) for key, value in keywords)
            return _enclosed(f"{name}(", _listed(items), ")")
        case st.Projection(operator=operator, variables=variables, body=body):
            return _enclosed(f"{operator}({', '.join(variables)}: ", _pieces(body, _OR, inside=True), ")")
        case st.Case(branches=branches, default=default):
            items = [
                [*_suffixed(_pieces(condition, _OR, inside=True), " ->"), *_pieces(value, _OR, inside=True)]
                for condition, value in branches
            ]
            if default is not None:
                items.append(_prefixed("default -> ", _pieces(default, _OR, inside=True)))
            return ["case {", *_listed(items, ";"), "}"]
        case st.Array():
            return _array(node)
        case st.Sum(terms=terms):
            pieces: _Pieces = []
            for sign, term in terms:
                if pieces:
                    pieces[-1] += f" {sign}"
                pieces.extend(_pieces(term, _PRODUCT, inside=inside))
            return pieces
        case st.Product(factors=factors):
            return _product(factors, inside)
        case st.Negate(operand=operand):
            return _prefixed("-", _pieces(operand, _UNARY, inside=inside))
        case st.Not(operand=operand):
            bare = isinstance(operand, st.Name | st.Reference | st.Application | st.Projection)
            return _prefixed("not ", _pieces(operand, _OR if bare else _ATOM + 1, inside=inside))
        case st.Power(base=base, exponent=exponent):
            signs = ""
            while isinstance(exponent, st.Negate):
                signs, exponent = f"{signs}-", exponent.operand
            power = _pieces(exponent, _POWER, inside=inside)
            left = _pieces(base, _ATOM, inside=inside)
            return [*left[:-1], f"{left[-1]}**{signs}{power[0]}", *power[1:]]
        case st.Compare(operator=operator, left=left_side, right=right_side):
            # `not x == y` is refused by the parser, since most who write it mean `not (x == y)`.
            refused = isinstance(left_side, st.Not) and isinstance(left_side.operand, st.Name)
            side = _pieces(left_side, _ATOM if refused else _SUM, inside=inside)
            return [*_suffixed(side, f" {operator}"), *_pieces(right_side, _SUM, inside=inside)]
        case st.And(operands=operands):
            return _listed((_pieces(operand, _COMPARE, inside=inside) for operand in operands), " and")
        case st.Or(operands=operands):
            return _listed((_pieces(operand, _AND, inside=inside) for operand in operands), " or")
        case _:
            assert_never(node)


def _level(node: st.Expression) -> int:
    match node:
        case st.Or():
            return _OR
        case st.And():
            return _AND
        case st.Compare():
            return _COMPARE
        case st.Sum():
            return _SUM
        case st.Product():
            return _PRODUCT
        case st.Negate() | st.Not() | st.Virtual():
            return _UNARY
        case st.Power():
            return _POWER
        case st.Number(value=value):
            # A tree that was not parsed may hold a negative number; its text is that of Negate.
            return _UNARY if value < 0 else _ATOM
        case _:
            return _ATOM


def _product(factors: tuple[tuple[str, st.Expression], ...], inside: bool) -> _Pieces:
    """Factors side by side, with "*" before a bare number and between two bare names."""
    pieces: _Pieces = []
    before: st.Expression | None = None
    for sign, factor in factors:
        left, before = before, factor
        if not pieces:
            pieces = _pieces(factor, _UNARY, inside=inside)
            continue
        text = _factor(factor, inside)
        if sign == "/" or not (_bracketed(factor) or (isinstance(factor, st.Name) and _bracketed(left))):
            pieces[-1] += f" {sign}"
            pieces.extend(text)
        elif inside:
            pieces.extend(text)
        else:
            # Outside brackets a line end between two factors would end the statement.
            pieces[-1] += f" {text[0]}"
            pieces.extend(text[1:])
    return pieces


def _factor(factor: st.Expression, inside: bool) -> _Pieces:
    # `2 * *t` and `a / *t` would be misread, by people too.
    return _pieces(factor, _ATOM if isinstance(factor, st.Virtual) else _UNARY, inside=inside)


def _bracketed(factor: st.Expression | None) -> bool:
    """Whether the factor is written with brackets of its own, so that it stands out beside another."""
    match factor:
        case st.Reference() | st.Application() | st.Projection() | st.Case() | st.Not():
            return True
        case st.Power(base=base):
            return _bracketed(base)
        case st.Sum() | st.Product() | st.Compare() | st.And() | st.Or() | st.Virtual():
            return True  # these get parentheses
        case _:
            return False


def _argument(argument: st.Expression) -> _Pieces:
    """Arguments are expressions, or indices when the name is a relation: `Edge(x, t+1)`, `Edge(x, *t)`."""
    match argument:
        case st.Slice() | st.Virtual() | st.Normalised():
            return [_index(argument)]
        case st.Sum(terms=((_, st.Name() | st.Virtual()), (_, st.Number() | st.Name()))):
            return [_index(argument)]
        case _:
            return _pieces(argument, _OR, inside=True)


def _index(node: st.Expression) -> str:
    """Sums and products without spaces: `2*x+dx`, `(i+1)/S`, `1:n-1`."""
    match node:
        case st.Slice(start=start, stop=stop, step=step):
            first, last = (_index(bound) if bound is not None else "" for bound in (start, stop))
            return f"{first}:{last}" if step is None else f"{first}:{last}:{_index(step)}"
        case st.Sum(terms=terms):
            text = "".join(f"{sign}{_tight(term, _PRODUCT)}" for sign, term in terms)
            return text.removeprefix("+")
        case st.Product(factors=factors):
            first_factor, *others = factors
            text = _tight(first_factor[1], _UNARY)
            for sign, factor in others:
                text += sign + _tight(factor, _ATOM if isinstance(factor, st.Virtual) else _UNARY)
            return text
        case st.Negate(operand=operand):
            return f"-{_tight(operand, _UNARY)}"
        case _:
            return _line(node)


def _tight(node: st.Expression, level: int) -> str:
    return f"({_index(node)})" if _level(node) < level else _index(node)


def _array(node: st.Array) -> _Pieces:
    items = []
    for item in node.items:
        match item:
            case st.Array():
                items.append(_array(item))
            case _:
                items.append(_pieces(item, _OR, inside=True))
    pieces = _enclosed("[", _listed(items), "]")
    if not any(isinstance(item, st.Array) for item in node.items):
        row = " ".join(pieces)
        if len(row) <= WIDTH // 2:
            return [row]  # a short row stays on one line
    return pieces


def _number(value: int | float) -> str:
    if not math.isfinite(value):
        raise ValueError(f"{value} cannot be written as a number of the language")
    return repr(value)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
