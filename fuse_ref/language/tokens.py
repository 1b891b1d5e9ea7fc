"""Text -> tokens, by the terminals of fuse.lark, with every mistake that a single token can make."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from fuse_ref.errors import FuseError
from fuse_ref.mistakes import mistake
from fuse_ref.source import Source, Span

__all__ = ["BROKEN", "FOREIGN_WORDS", "RESERVED", "Scanner", "Token", "is_name"]

RESERVED = frozenset(
    {"not", "and", "or", "case", "default", "axis", "export", "input", "param", "fn", "import", "in", "as"}
    | {"sum", "max", "min", "avg", "prod"}
)

# The type of a token that stands for text which cannot be read; its `error` says why.
BROKEN = "BROKEN"


class Token(NamedTuple):
    type: str  # name of a terminal in fuse.lark, or BROKEN
    text: str
    span: Span
    error: FuseError | None = None


# What people write by habit from other languages, and what it is in Fuse. Longest first.
_FOREIGN = {
    "===": "write '=='",
    "!==": "write '!='",
    "**=": "write the whole equation: Y[i] = Y0[i]**2",
    "//": "a comment begins with '#'; integer division is an index form: X[i/2]",
    "/*": "a comment begins with '#' and goes to the end of its line",
    "&&": "write 'and', or ',' between the atoms of a rule",
    "||": "write 'or'",
    ":=": "write '='",
    "-=": "write '+=' with a minus after it: Y[i] += -X[i]",
    "*=": "write 'prod=' to multiply up an index, or '=' with the whole product",
    "/=": "write '=' with the whole quotient",
    "<>": "write '!='",
    "=<": "write '<='",
    "=>": "write '>=' to compare, '->' in a case",
    "++": "write one '+'",
    "!": "write 'not'",
    "&": "write 'and'",
    "|": "write 'or'",
    "%": "a comment begins with '#'; there is no remainder",
    "@": "a product is written side by side, with its indices: A[i, j] B[j, k]",
    "'": "text stands in double quotes; a prime follows its name without a space",
    "\\": "a line goes on inside brackets and after an operator or comma, without a sign",
    "`": "names need no quotes",
    "×": "write '*', or nothing between the factors",
    "·": "write '*', or nothing between the factors",
    "⋅": "write '*', or nothing between the factors",
    "÷": "write '/'",
    "−": "write '-'",
    "–": "write '-'",
    "—": "write '-'",
    "≤": "write '<='",
    "≥": "write '>='",
    "≠": "write '!='",
    "∨": "write 'or'",
    "→": "write '->'",
    "⇐": "write '<-'",
    "∑": "write sum(i: …)",
    "∏": "write prod(i: …)",
    "√": "write sqrt(…)",
    "′": "write the prime as '",
    "’": "write the prime as '",
    "‘": 'text stands in "straight" double quotes',
    "“": 'text stands in "straight" double quotes',
    "”": 'text stands in "straight" double quotes',
    "…": "write the items out",
    "²": "write '**2'",
    "³": "write '**3'",
}
# Words with which statements of other languages begin, or that part them. Each is a good name in Fuse; only
# beside another name at the beginning of a line, or `if` together with `else`, it cannot be meant as one.
FOREIGN_WORDS = {
    "def": "write fn head(Q[p, k]) = …",
    "function": "write fn head(Q[p, k]) = …",
    "let": "write Y = … alone",
    "var": "write Y = … alone",
    "const": "write Y = … alone",
    "return": "name the program's outputs with 'export'",
    "print": "write Y? to see a value, export Y to return it",
    "from": 'write import "layers.fuse" as nn',
    "for": "an equation holds for all values of its indices; there are no loops",
    "while": "a tensor that needs itself is iterated; there are no loops",
    "if": "write case { condition -> value; default -> value }",
    "output": "write export Y",
    "tensor": "a tensor is defined by its equation, or declared with 'input' or 'param'",
    "dim": "write axis d = 64",
}
_FOREIGN_SIGN = re.compile("|".join(re.escape(sign) for sign in sorted(_FOREIGN, key=len, reverse=True)))
# Of these the grammar's terminals would read a part, so they are looked for before it.
_FOREIGN_FIRST = re.compile(
    "|".join(re.escape(sign) for sign in sorted(_FOREIGN, key=len, reverse=True) if len(sign) > 1)
)
_HEX = re.compile(r"0(?:[xX][0-9a-fA-F]|[bB][01]|[oO][0-7])[0-9a-zA-Z_]*")
_POINT_NUMBER = re.compile(r"\.[0-9]+")
_END_OF_STATEMENT = re.compile(r"[^\S\n]*(?:[\n;#]|\Z)")
_BLOCK_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_REST_OF_LINE = re.compile(r"[^\n]*")


class Scanner:
    """Cuts text into tokens. One per process: it holds the compiled terminals only."""

    def __init__(self, terminals: Iterable[tuple[str, str]], words: Mapping[str, str]) -> None:
        self._match = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in terminals)).match
        self._words = words

    def scan(self, source: Source) -> tuple[list[Token], list[Token]]:
        """All tokens, line ends among them, and beside them the comments."""
        text, match, words = source.text, self._match, self._words
        tokens: list[Token] = []
        comments: list[Token] = []
        position, length = 0, len(text)
        while position < length:
            found = match(text, position)
            if found is None or (text[position] in "=!*/&|:-<+" and _FOREIGN_FIRST.match(text, position)):
                token = _unreadable(source, position)
                tokens.append(token)
                position = token.span.end
                continue
            kind, start, position = found.lastgroup or "", position, found.end()
            if kind == "SPACE":
                continue
            word = found.group()
            if kind == "NAME":
                token = Token(words.get(word, kind), word, Span(source, start, position))
                if "." in word or not word.isascii():
                    token = _checked_name(token)
            elif kind == "COMMENT":
                comments.append(Token(kind, word, Span(source, start, position)))
                continue
            elif kind == "NUMBER":
                token = _checked_number(source, start, position)
                position = token.span.end
            elif kind == "STRING":
                token = _checked_string(Token(kind, word, Span(source, start, position)))
            elif kind == "DOT" and (point := _POINT_NUMBER.match(text, start)):
                span = Span(source, start, point.end())
                token = _broken(span, mistake("FUSE006", span, found=point.group()))
                position = point.end()
            else:
                token = Token(kind, word, Span(source, start, position))
            tokens.append(token)
        return tokens, comments


def is_name(word: str) -> bool:
    """Whether `word` can be written as a name without a dot."""
    stem = word.rstrip("'")
    readable = all(char == "_" or char.isalpha() or char.isdecimal() or _is_mark(char) for char in stem)
    return readable and bool(stem) and not (stem[0].isdecimal() or _is_mark(stem[0])) and word not in RESERVED


def _is_mark(char: str) -> bool:
    return "\u0300" <= char <= "\u036f"


def _broken(span: Span, error: FuseError) -> Token:
    return Token(BROKEN, span.text, span, error)


def _unreadable(source: Source, start: int) -> Token:
    text = source.text
    if text[start] == '"':
        end = _end(_REST_OF_LINE.match(text, start), start)
        span = Span(source, start, end)
        return _broken(span, mistake("FUSE003", span))
    sign = _FOREIGN_SIGN.match(text, start)
    if sign is None:
        span = Span(source, start, start + 1)
        return _broken(span, _stray(span))
    span = Span(source, start, sign.end())
    error = mistake("FUSE002", span, found=sign.group(), cure=_FOREIGN[sign.group()])
    match sign.group():
        case "//":
            span = Span(source, start, _end(_REST_OF_LINE.match(text, start), start))
        case "/*":
            span = Span(source, start, _end(_BLOCK_COMMENT.match(text, start), start))
    return _broken(span, error)


def _stray(span: Span) -> FuseError:
    char = span.text
    shown = f"'{char}'" if char.isprintable() else "that does not show"
    name = unicodedata.name(char, "no name")
    return mistake("FUSE001", span, found=shown, code=f"U+{ord(char):04X}", name=name)


def _end(found: re.Match[str] | None, start: int) -> int:
    return start if found is None else found.end()


def _checked_name(token: Token) -> Token:
    """Qualified and Unicode names: no reserved part, no characters that only look like letters."""
    for offset, char in enumerate(token.text):
        if not (char in "_.'" or char.isalpha() or char.isdecimal() or _is_mark(char)):
            start = token.span.start + offset
            span = Span(token.span.source, start, start + 1)
            if char in _FOREIGN:
                return _broken(token.span, mistake("FUSE002", span, found=char, cure=_FOREIGN[char]))
            return _broken(token.span, _stray(span))
    reserved = [part for part in token.text.split(".") if part in RESERVED]
    if reserved and "." in token.text:
        return _broken(token.span, mistake("FUSE030", token.span, found=reserved[0]))
    # Two spellings of one accented letter are one name.
    return token._replace(text=unicodedata.normalize("NFC", token.text))


def _checked_number(source: Source, start: int, end: int) -> Token:
    text = source.text
    span = Span(source, start, end)
    follower = text[end : end + 1]
    if foreign := _HEX.match(text, start):
        span = Span(source, start, foreign.end())
        return _broken(span, mistake("FUSE007", span, found=foreign.group()))
    if follower == "." and not ("." in span.text and _END_OF_STATEMENT.match(text, end + 1)):
        span = Span(source, start, end + 1)
        return _broken(span, mistake("FUSE005", span, found=span.text, number=text[start:end]))
    if follower == "_":
        span = Span(source, start, end + 1)
        return _broken(span, mistake("FUSE009", span, found=span.text))
    if math.isinf(float(span.text)):
        return _broken(span, mistake("FUSE008", span))
    return Token("NUMBER", span.text, span)


def _checked_string(token: Token) -> Token:
    for escape in _ESCAPE.finditer(token.text):
        if escape.group(1) not in '"\\n':
            start = token.span.start + escape.start()
            span = Span(token.span.source, start, start + len(escape.group()))
            return _broken(token.span, mistake("FUSE004", span, found=escape.group()))
    return token
