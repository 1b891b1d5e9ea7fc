"""The parser's reductions -> nodes of the syntax tree, and the mistakes that a tree could not hold."""

from __future__ import annotations

import re
from typing import Any

from fuse_ref.language import syntax_tree as st
from fuse_ref.language.tokens import Token
from fuse_ref.mistakes import mistake
from fuse_ref.source import Span

__all__ = ["Builder"]

_ESCAPES = {'\\"': '"', "\\\\": "\\", "\\n": "\n"}
_ESCAPE = re.compile(r'\\["\\n]')
_DTYPES = ("float", "float16", "bfloat16", "float32", "float64", "int64", "bool")
_SIGNS = {"EQUAL": "=", "ARROW": "=", "PLUS_EQUAL": "+="}


def _join(first: Any, last: Any) -> Span:
    span: Span = first.span
    return Span(span.source, span.start, last.span.end)


def _text(token: Token) -> str:
    """A string's value."""
    body = token.text[1:-1]
    return _ESCAPE.sub(lambda escape: _ESCAPES[escape.group()], body) if "\\" in body else body


def _nodes(items: list[Any]) -> list[Any]:
    return [item for item in items if not isinstance(item, Token)]


class Builder:
    """One method per rule of fuse.lark; `items` are the nodes and tokens of its right-hand side.

    Holds no state: the source is reached through the tokens' spans.
    """

    # Atoms ---------------------------------------------------------------------------------------

    def name(self, items: list[Any]) -> st.Name:
        return st.Name(items[0].text, items[0].span)

    def number(self, items: list[Any]) -> st.Number:
        text, span = items[0].text, items[0].span
        return st.Number(int(text) if text.replace("_", "").isdigit() else float(text), span)

    def string(self, items: list[Any]) -> st.String:
        return st.String(_text(items[0]), items[0].span)

    def virtual(self, items: list[Any]) -> st.Virtual:
        return st.Virtual(items[1].text, _join(items[0], items[1]))

    def normalised(self, items: list[Any]) -> st.Normalised:
        return st.Normalised(items[0].text, _join(items[0], items[1]))

    def parenthesis(self, items: list[Any]) -> Any:
        node = items[1]
        # The span takes in the brackets; a frozen node is copied, its fields stay shared.
        span = _join(items[0], items[2])
        return type(node)(*(getattr(node, field) for field in node.__slots__ if field != "span"), span)

    def array(self, items: list[Any]) -> st.Array:
        return st.Array(tuple(_nodes(items)), _join(items[0], items[-1]))

    def slice(self, items: list[Any]) -> st.Slice:
        parts: list[Any] = [None]
        for item in items:
            if isinstance(item, Token):
                parts.append(None)
            else:
                parts[-1] = item
        parts.extend([None] * (3 - len(parts)))
        return st.Slice(parts[0], parts[1], parts[2], _join(items[0], items[-1]))

    def reference(self, items: list[Any]) -> st.Reference:
        return st.Reference(items[0].text, tuple(_nodes(items)), _join(items[0], items[-1]))

    def keyword(self, items: list[Any]) -> tuple[Token, Any]:
        return items[0], items[2]

    def application(self, items: list[Any]) -> st.Application:
        arguments: list[Any] = []
        keywords: dict[str, Any] = {}
        for item in items[2:-1]:
            if isinstance(item, Token):
                continue
            if not isinstance(item, tuple):
                if keywords:
                    raise mistake("FUSE037", item.span, function=items[0].text, keyword=next(reversed(keywords)))
                arguments.append(item)
                continue
            token, value = item
            if token.text in keywords:
                raise mistake("FUSE036", token.span, keyword=token.text, function=items[0].text)
            keywords[token.text] = value
        span = _join(items[0], items[-1])
        return st.Application(items[0].text, tuple(arguments), tuple(keywords.items()), span)

    def projection(self, items: list[Any]) -> st.Projection | st.Application:
        if len(items) < 5 or not isinstance(items[-3], Token) or items[-3].type != "COLON":
            return self.application(items)
        operator, body = items[0], items[-2]
        variables = [item for item in items[2:-3] if not isinstance(item, Token)]
        if not variables:
            raise mistake("FUSE056", _join(items[0], items[2]), operator=operator.text)
        names: list[str] = []
        for variable in variables:
            if isinstance(variable, tuple):
                raise mistake("FUSE054", variable[0].span, found=f"{variable[0].text}=", operator=operator.text)
            if not isinstance(variable, st.Name):
                raise mistake("FUSE054", variable.span, found=variable.span.text, operator=operator.text)
            if variable.name in names:
                raise mistake("FUSE055", variable.span, found=variable.name, operator=operator.text)
            names.append(variable.name)
        return st.Projection(operator.text, tuple(names), body, _join(items[0], items[-1]))

    def branch(self, items: list[Any]) -> tuple[Any, Any, Token | None]:
        default = items[0] if isinstance(items[0], Token) else None
        return None if default else items[0], items[2], default

    def case(self, items: list[Any]) -> st.Case:
        default = None
        branches = []
        for item in items:
            if isinstance(item, Token):
                continue
            condition, value, keyword = item
            if default is not None:
                if keyword is not None:
                    raise mistake("FUSE052", keyword.span)
                raise mistake("FUSE051", condition.span)
            if keyword is not None:
                default = value
            else:
                branches.append((condition, value))
        return st.Case(tuple(branches), default, _join(items[0], items[-1]))

    # Operators -----------------------------------------------------------------------------------

    def power(self, items: list[Any]) -> st.Power:
        return st.Power(items[0], items[2], _join(items[0], items[2]))

    def negate(self, items: list[Any]) -> st.Negate:
        return st.Negate(items[1], _join(items[0], items[1]))

    def not_(self, items: list[Any]) -> st.Not:
        return st.Not(items[1], _join(items[0], items[1]))

    def product(self, items: list[Any]) -> st.Product:
        factors: list[Any] = []
        sign = "*"
        for item in items:
            if isinstance(item, Token):
                sign = item.text
            else:
                factors.append((sign, item))
                sign = "*"
        return st.Product(tuple(factors), _join(items[0], items[-1]))

    def sum(self, items: list[Any]) -> st.Sum:
        terms: list[Any] = [("+", items[0])]
        terms.extend((items[at].text, items[at + 1]) for at in range(1, len(items), 2))
        return st.Sum(tuple(terms), _join(items[0], items[-1]))

    def compare(self, items: list[Any]) -> st.Compare:
        if len(items) > 3:
            left, first, middle, second, right = items[:5]
            raise mistake(
                "FUSE040",
                _join(left, right),
                chain=_join(left, right).text,
                apart=f"{left.span.text} {first.text} {middle.span.text} and {middle.span.text} {second.text} {right.span.text}",
            )
        left = items[0]
        # A parenthesised operand's span begins with its bracket.
        if isinstance(left, st.Not) and isinstance(left.operand, st.Name) and left.span.text[0] != "(":
            whole = _join(items[0], items[2])
            raise mistake(
                "FUSE041", whole, found=f"'{left.operand.span.text}'", cure=_not_cure(left, items[1], items[2])
            )
        return st.Compare(items[1].text, left, items[2], _join(items[0], items[2]))

    def and_(self, items: list[Any]) -> st.And:
        return st.And(tuple(_nodes(items)), _join(items[0], items[-1]))

    def or_(self, items: list[Any]) -> st.Or:
        return st.Or(tuple(_nodes(items)), _join(items[0], items[-1]))

    # Statements ----------------------------------------------------------------------------------

    def equation(self, items: list[Any]) -> st.Equation:
        target, sign, body = items[:3]
        operator = _SIGNS.get(sign.type, sign.text)
        return st.Equation(target, operator, body, sign.type == "ARROW", _join(target, items[-1]))

    def fact(self, items: list[Any]) -> st.Fact:
        return st.Fact(items[0], _join(items[0], items[-1]))

    def sink(self, items: list[Any]) -> st.Sink:
        return st.Sink(_text(items[0]), items[2], _join(items[0], items[2]))

    def query(self, items: list[Any]) -> st.Query:
        return st.Query(items[0], _join(items[0], items[1]))

    def question(self, items: list[Any]) -> Any:
        return items[0]

    def export(self, items: list[Any]) -> st.Export:
        return st.Export(tuple(token.text for token in items[1:] if token.type == "NAME"), _join(items[0], items[-1]))

    def axes(self, items: list[Any]) -> st.AxisDeclaration:
        return st.AxisDeclaration(tuple(_nodes(items)), _join(items[0], items[-1]))

    def axis_item(self, items: list[Any]) -> st.AxisItem:
        name, value = items[0], items[2]
        if isinstance(value, list):
            symbols = tuple(_text(token) if token.type == "STRING" else token.text for token in value[1:-1:2])
            return st.AxisItem(name.text, None, symbols, _join(name, value[-1]))
        return st.AxisItem(name.text, value, None, _join(name, value))

    def symbols(self, items: list[Any]) -> list[Token]:
        return items

    def input(self, items: list[Any]) -> st.Input:
        dtype = items[3] if len(items) > 2 else None
        if dtype is not None and dtype.text not in _DTYPES:
            raise mistake("FUSE064", dtype.span, found=dtype.text, known=", ".join(_DTYPES))
        return st.Input(items[1], dtype.text if dtype else None, _join(items[0], items[-1]))

    def param(self, items: list[Any]) -> st.Param:
        target = items[1]
        if isinstance(target, st.Application):
            text = f"{target.name}[{', '.join(argument.span.text for argument in target.arguments)}]"
            raise mistake("FUSE070", target.span, name=target.name, text=text)
        return st.Param(target, items[3] if len(items) > 2 else None, _join(items[0], items[-1]))

    def function(self, items: list[Any]) -> st.Function:
        body = items[-1]
        return st.Function(items[1].text, tuple(_nodes(items[3:-1])), body, _join(items[0], body))

    def import_(self, items: list[Any]) -> st.Import:
        return st.Import(_text(items[1]), items[3].text if len(items) > 2 else None, _join(items[0], items[-1]))


def _not_cure(negation: st.Not, sign: Token, right: Any) -> str:
    text = f"{negation.operand.span.text} {sign.text} {right.span.text}"
    return f"write not ({text})"
