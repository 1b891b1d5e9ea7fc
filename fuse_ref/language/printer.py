"""Syntax tree -> text, in the one layout that `fuse fmt` writes: `parse(print_module(tree)) == tree`."""

from __future__ import annotations

import math
import unicodedata
from typing import assert_never

from fuse_ref.language import syntax_tree as st
from fuse_ref.language.tokens import is_name
from fuse_ref.language.wrapping import Piece, Pieces, chained, enclosed, joined, listed, prefixed, suffixed, wrapped

__all__ = ["print_expression", "print_module", "print_statement"]

# How tightly a node holds together; a part that holds less tightly than its place asks gets parentheses.
_OR, _AND, _COMPARE, _SUM, _PRODUCT, _UNARY, _POWER, _ATOM = range(8)


def print_module(module: st.Module) -> str:
    """The whole file, a statement a line, with a final line end (none for an empty file)."""
    return "".join(f"{print_statement(statement)}\n" for statement in module.statements)


def print_statement(statement: st.Statement) -> str:
    """One statement without a line end behind it; too long for one line it takes several."""
    return wrapped(_statement(statement))


def print_expression(expression: st.Expression) -> str:
    """An expression on one line, as it stands inside an equation."""
    return _line(expression)


def _statement(statement: st.Statement) -> Pieces:
    match statement:
        case st.Equation(target=target, operator=operator, body=body, arrow=arrow):
            head = _pieces(target, _OR, 2, inside=True)
            return chained(head, [(f" {'<-' if arrow else operator}", _body(body))], 0)
        case st.Fact(target=target):
            return _pieces(target, _OR, 0, inside=True)
        case st.Sink(path=path, body=body):
            return [Piece(f"{_quoted(path)} ="), *_pieces(body, _OR, 1, inside=False)]
        case st.Query(target=target):
            return [Piece(f"{_line(target)}?")]
        case st.Export(names=names):
            return prefixed("export ", listed(([Piece(name)] for name in names), ",", 1))
        case st.AxisDeclaration(items=items):
            return prefixed("axis ", listed((_axis_item(item) for item in items), ",", 1))
        case st.Input(target=target, dtype=dtype):
            return [Piece(f"input {_line(target)}" if dtype is None else f"input {_line(target)}: {dtype}")]
        case st.Param(target=target, initialiser=initialiser):
            head = [Piece(f"param {_line(target)}")]
            return head if initialiser is None else [*suffixed(head, " ~"), Piece(_line(initialiser))]
        case st.Function(name=name, parameters=parameters, body=body):
            head = [Piece(f"fn {name}({', '.join(_line(parameter) for parameter in parameters)}) =")]
            return [*head, *_body(body)]
        case st.Import(path=path, alias=alias):
            return [Piece(f"import {_quoted(path)}" if alias is None else f"import {_quoted(path)} as {alias}")]
        case _:
            assert_never(statement)


def _body(body: st.Expression) -> Pieces:
    """A right-hand side: here, and only here, a conjunction is written with commas."""
    if isinstance(body, st.And):
        return listed((_pieces(operand, _COMPARE, 2, inside=False) for operand in body.operands), ",", 1)
    return _pieces(body, _OR, 1, inside=False)


def _axis_item(item: st.AxisItem) -> Pieces:
    if item.size is not None:
        return prefixed(f"{item.name} = ", _pieces(item.size, _OR, 2, inside=False))
    if not item.symbols:
        return [Piece(f"{item.name} = {{}}")]
    symbols = listed(([Piece(_symbol(symbol))] for symbol in item.symbols), ",", 2)
    return enclosed(f"{item.name} = {{", symbols, "}")


def _symbol(symbol: str) -> str:
    return symbol if is_name(symbol) and unicodedata.is_normalized("NFC", symbol) else _quoted(symbol)


# Expressions -------------------------------------------------------------------------------------


def _line(node: st.Expression, level: int = _OR) -> str:
    return joined(_pieces(node, level, 0, inside=True))


def _pieces(node: st.Expression, level: int, depth: int, *, inside: bool) -> Pieces:
    """The text of `node`.

    Args:
        level: how tightly it has to hold together to stand without parentheses.
        depth: how deep it stands in the statement.
        inside: whether it stands inside brackets, where a line may end anywhere.
    """
    if _level(node) < level:
        return enclosed("(", _pieces(node, _OR, depth, inside=True), ")")
    inner = depth + 1
    match node:
        case st.Number(value=value):
            return [Piece(_number(value))]
        case st.String(value=value):
            return [Piece(_quoted(value))]
        case st.Name(name=name):
            return [Piece(name)]
        case st.Virtual(name=name):
            return [Piece(f"*{name}")]
        case st.Normalised(name=name):
            return [Piece(f"{name}.")]
        case st.Slice():
            return [Piece(_index(node))]
        case st.Reference(name=name, indices=indices):
            return [Piece(f"{name}[{', '.join(_index(index) for index in indices)}]")]
        case st.Application(name=name, arguments=arguments, keywords=keywords):
            items = [_argument(argument, inner) for argument in arguments]
            items.extend(prefixed(f"{key}=", _pieces(value, _OR, inner, inside=True)) for key, value in keywords)
            return enclosed(f"{name}(", listed(items, ",", depth), ")") if items else [Piece(f"{name}()")]
        case st.Projection(operator=operator, variables=variables, body=body):
            head = f"{operator}({', '.join(variables)}: "
            return enclosed(head, _pieces(body, _OR, depth, inside=True), ")")
        case st.Case():
            return _case(node, depth)
        case st.Array():
            return _array(node, depth)
        case st.Sum(terms=terms):
            first, *others = [(f" {sign}", _pieces(term, _PRODUCT, inner, inside=inside)) for sign, term in terms]
            return chained(first[1], others, depth)
        case st.Product(factors=factors):
            return _product(factors, depth, inside)
        case st.Negate(operand=operand):
            return prefixed("-", _pieces(operand, _UNARY, depth, inside=inside))
        case st.Not(operand=operand):
            bare = isinstance(operand, st.Name | st.Reference | st.Application | st.Projection)
            return prefixed("not ", _pieces(operand, _OR if bare else _ATOM + 1, depth, inside=inside))
        case st.Power(base=base, exponent=exponent):
            signs = ""
            while isinstance(exponent, st.Negate):
                signs, exponent = f"{signs}-", exponent.operand
            left = _pieces(base, _ATOM, inner, inside=inside)
            right = _pieces(exponent, _POWER, inner, inside=inside)
            return [*left[:-1], Piece(f"{left[-1].text}**{signs}{right[0].text}", left[-1].depth), *right[1:]]
        case st.Compare(operator=operator, left=left_side, right=right_side):
            # `not x == y` is refused by the parser, since most who write it mean `not (x == y)`.
            refused = isinstance(left_side, st.Not) and isinstance(left_side.operand, st.Name)
            sides = [_pieces(left_side, _ATOM if refused else _SUM, inner, inside=inside)]
            sides.append(_pieces(right_side, _SUM, inner, inside=inside))
            return listed(sides, f" {operator}", depth)
        case st.And(operands=operands):
            return listed((_pieces(operand, _COMPARE, inner, inside=inside) for operand in operands), " and", depth)
        case st.Or(operands=operands):
            return listed((_pieces(operand, _AND, inner, inside=inside) for operand in operands), " or", depth)
        case st.Inlined(body=body):
            return _pieces(body, level, depth, inside=inside)
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


def _product(factors: tuple[tuple[str, st.Expression], ...], depth: int, inside: bool) -> Pieces:
    """Factors side by side, with "*" before a bare number and between two bare names."""
    before = factors[0][1]
    pieces = _pieces(before, _UNARY, depth + 1, inside=inside)
    for sign, factor in factors[1:]:
        # `2 * *t` and `a / *t` would be misread, by people too.
        level = _ATOM if isinstance(factor, st.Virtual) else _UNARY
        text = _pieces(factor, level, depth + 1, inside=inside)
        if sign == "/" or not (_bracketed(factor) or (isinstance(factor, st.Name) and _bracketed(before))):
            pieces = listed([pieces, text], f" {sign}", depth)
        elif inside:
            pieces = listed([pieces, text], "", depth)
        else:
            # Outside brackets a line end between two factors would end the statement.
            pieces = [*suffixed(pieces, f" {text[0].text}"), *text[1:]]
        before = factor
    return pieces


def _case(node: st.Case, depth: int) -> Pieces:
    inner = depth + 1
    items = [
        listed(
            [_pieces(condition, _OR, inner + 1, inside=True), _pieces(value, _OR, inner + 1, inside=True)],
            " ->",
            inner,
        )
        for condition, value in node.branches
    ]
    if node.default is not None:
        items.append(prefixed("default -> ", _pieces(node.default, _OR, inner, inside=True)))
    branches = listed(items, ";", depth)
    return [Piece("case {"), Piece(branches[0].text, depth), *branches[1:], Piece("}", inner)]


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


def _argument(argument: st.Expression, depth: int) -> Pieces:
    """Arguments are expressions, or indices when the name is a relation: `Edge(x, t+1)`, `Edge(x, *t)`."""
    match argument:
        case st.Slice() | st.Virtual() | st.Normalised():
            return [Piece(_index(argument))]
        case st.Sum(terms=((_, st.Name() | st.Virtual()), (_, st.Number() | st.Name()))):
            return [Piece(_index(argument))]
        case _:
            return _pieces(argument, _OR, depth, inside=True)


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


def _array(node: st.Array, depth: int) -> Pieces:
    if not node.items:
        return [Piece("[]")]
    items = [_pieces(item, _OR, depth + 1, inside=True) for item in node.items]
    return enclosed("[", listed(items, ",", depth), "]")


def _number(value: int | float) -> str:
    if not math.isfinite(value):
        raise ValueError(f"{value} cannot be written as a number of the language")
    return repr(value)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
