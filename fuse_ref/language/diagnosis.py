"""A token that the grammar refuses -> the mistake behind it, in the words of whoever wrote it.

The parser says where it stopped and what it would have taken. Each function below knows one kind of
mistake and returns it, or None; they are asked in the order of `_KINDS`, the last takes all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fuse_ref.errors import FuseError
from fuse_ref.language.layout import DEFINITION_SIGNS, PROJECTORS
from fuse_ref.language.tokens import RESERVED, Token
from fuse_ref.mistakes import mistake
from fuse_ref.source import Span

__all__ = ["END", "diagnose"]

END = "$END"

_OPENING = frozenset({"OPEN_ROUND", "OPEN_CALL", "OPEN_SQUARE", "OPEN_INDEX", "OPEN_BRACE"})
_CLOSING = frozenset({"CLOSE_ROUND", "CLOSE_SQUARE", "CLOSE_BRACE"})
# After these a value has to follow, and these have one before them.
_OPERATORS = frozenset(
    {"PLUS", "MINUS", "STAR", "SLASH", "POWER", "AND", "OR", "COMMA", "THEN"}
    | {"LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL", "SAME", "DIFFERENT"}
)
_EXPECTS_VALUE = _OPERATORS | DEFINITION_SIGNS | {"NOT", "TILDE"}

# What a statement that begins with a keyword looks like.
_FORMS = {
    "EXPORT": "export Y, Z",
    "AXIS": "axis d = 64, or axis x = {Ann, Bob}",
    "INPUT": "input X[b, d], or input X[b, d]: int64, or input Edge(x, y)",
    "PARAM": "param W[o, d] ~ xavier()",
    "FN": "fn head(Q[p, k]) = …",
    "IMPORT": 'import "layers.fuse", or import "layers.fuse" as nn',
}


@dataclass(frozen=True, slots=True)
class _Stop:
    """Where the parser stopped."""

    tokens: tuple[Token, ...]  # of the statement, and END
    at: int
    expected: frozenset[str]  # types of the tokens that would have gone on

    @property
    def found(self) -> Token:
        return self.tokens[self.at]

    @property
    def before(self) -> Token | None:
        return self.tokens[self.at - 1] if self.at else None

    @property
    def first(self) -> str:
        return self.tokens[0].type

    @property
    def wants_value(self) -> bool:
        return "NUMBER" in self.expected

    @property
    def name(self) -> str:
        return "the end of the statement" if self.found.type == END else f"'{self.found.text}'"

    def opener(self) -> int | None:
        """Index of the innermost bracket that is open here."""
        depth = 0
        for at in range(self.at - 1, -1, -1):
            kind = self.tokens[at].type
            if kind in _CLOSING:
                depth += 1
            elif kind in _OPENING:
                if depth == 0:
                    return at
                depth -= 1
        return None

    def inside(self) -> str:
        """What the innermost open bracket holds: index, call, projection, case, axis, array, parenthesis, or ""."""
        at = self.opener()
        if at is None:
            return ""
        match self.tokens[at].type:
            case "OPEN_INDEX":
                return "index"
            case "OPEN_CALL":
                return "call"
            case "OPEN_BRACE":
                return "case" if at and self.tokens[at - 1].type == "CASE" else "axis"
            case "OPEN_SQUARE":
                return "array"
            case _:
                return "parenthesis"

    def sign(self) -> Token | None:
        """The definition sign before this place, outside brackets."""
        depth = 0
        for token in self.tokens[: self.at]:
            depth += (token.type in _OPENING) - (token.type in _CLOSING)
            if depth == 0 and token.type in DEFINITION_SIGNS:
                return token
        return None

    def error(self, code: str, *, cure: str | None = None, **values: object) -> FuseError:
        """The mistake at this place; at the end of a statement the last token is shown."""
        token = self.tokens[self.at - 1] if self.found.type == END and self.at else self.found
        return mistake(code, token.span, cure=cure, **values)


def diagnose(tokens: tuple[Token, ...], at: int, expected: frozenset[str], start: str) -> FuseError:
    """The error for `tokens[at]`, where the grammar takes one of `expected`.

    Args:
        tokens: one statement, ended by a token of type `END`.
        start: "statement", or "question" for the text of a query.
    """
    stop = _Stop(tokens, at, expected)
    if start == "question":
        return _question(stop)
    for kind in _KINDS:
        error = kind(stop)
        if error is not None:
            return error
    return stop.error("FUSE010", found=stop.name, expected=_expectation(stop.expected))


def _question(stop: _Stop) -> FuseError:
    for kind in (_reserved_word, _touching, _missing_value, _colon):
        error = kind(stop)
        if error is not None:
            return error
    return stop.error("FUSE074")


# Kinds of mistakes -------------------------------------------------------------------------------


def _line_begins_with_operator(stop: _Stop) -> FuseError | None:
    if stop.at == 0 and stop.found.type in _OPERATORS | {"CLOSE_BRACE"} | DEFINITION_SIGNS:
        if len(stop.tokens) > 2 and stop.found.type == "STAR" and _defines_later(stop):
            return None
        return stop.error("FUSE015", found=stop.found.text)
    return None


def _defines_later(stop: _Stop) -> bool:
    return any(token.type in DEFINITION_SIGNS for token in stop.tokens[stop.at :])


def _reserved_word(stop: _Stop) -> FuseError | None:
    found, before = stop.found, stop.before
    if found.text in RESERVED and "NAME" in stop.expected and found.type not in {"AND", "OR", "AS", "NOT"}:
        if found.type == "AXIS" and stop.inside() == "index" and stop.tokens[stop.at + 1].type == "EQUAL":
            return stop.error("FUSE039", found=found.text)
        return stop.error("FUSE030", found=found.text)
    if before is None or before.text not in RESERVED:
        return None
    # A keyword that was read as one, in a place where a name makes sense.
    stands_as_name = found.type in DEFINITION_SIGNS | {"OPEN_SQUARE", "CLOSE_ROUND", "CLOSE_SQUARE", "COMMA"}
    begins = stop.at == 1 and before.type in _FORMS and stands_as_name
    projector = before.type in PROJECTORS and found.type != "OPEN_ROUND"
    special = before.type in {"IN", "AS", "DEFAULT", "AXIS"} and stop.at > 1 and stands_as_name
    if begins or projector or special:
        return mistake("FUSE030", before.span, found=before.text)
    return None


def _spaced_operator(stop: _Stop) -> FuseError | None:
    before, found = stop.before, stop.found
    if before is not None and before.type in PROJECTORS and found.type == "EQUAL" and stop.at > 1 and not stop.inside():
        span = before.span.to(found.span)
        return mistake("FUSE023", span, word=before.text)
    # The parser stops at the word already when a target stands before it.
    following = stop.tokens[stop.at + 1] if stop.at + 1 < len(stop.tokens) else None
    if found.type in PROJECTORS - {"SUM"} and following is not None and following.type == "EQUAL" and stop.at:
        return mistake("FUSE023", found.span.to(following.span), word=found.text)
    return None


def _touching(stop: _Stop) -> FuseError | None:
    before, found = stop.before, stop.found
    if before is None:
        return None
    if found.type == "OPEN_SQUARE":
        if before.type == "NAME":
            return stop.error("FUSE031", name=before.text)
        if before.type in _CLOSING - {"CLOSE_BRACE"} and stop.inside() != "array":
            start = _term_start(stop)
            return stop.error("FUSE033", before=Span(before.span.source, start, before.span.end).text)
    if found.type == "OPEN_ROUND" and (before.type in PROJECTORS or before.type == "NAME"):
        return stop.error("FUSE032", name=before.text)
    return None


def _term_start(stop: _Stop) -> int:
    """Where the bracketed term begins that ends right before this place."""
    depth = 0
    for at in range(stop.at - 1, -1, -1):
        kind = stop.tokens[at].type
        depth += (kind in _CLOSING) - (kind in _OPENING)
        if depth == 0:
            named = kind in {"OPEN_CALL", "OPEN_INDEX"} and at > 0
            return stop.tokens[at - 1 if named else at].span.start
    return stop.tokens[0].span.start


def _keyword_statement(stop: _Stop) -> FuseError | None:
    """Statements with a keyword have one form each."""
    if stop.first not in _FORMS or stop.at == 0:
        return None
    found, kind = stop.name, stop.found.type
    if kind == "FINAL_DOT":
        return stop.error("FUSE026")
    incomplete = kind == END and END not in stop.expected and stop.before is not None
    if incomplete and (stop.first != "FN" or stop.sign() is None) and "TILDE" not in _types(stop):
        unfinished_value = stop.before is not None and stop.before.type in _EXPECTS_VALUE - {"COMMA"}
        if not unfinished_value:
            return stop.error("FUSE060", keyword=stop.tokens[0].text, form=_FORMS[stop.first])
    match stop.first:
        case "EXPORT":
            return stop.error("FUSE061", found=found)
        case "IMPORT":
            complete = END in stop.expected and kind in {"STRING", "IMPORT", "NAME"}
            return stop.error("FUSE016" if complete else "FUSE072", found=found)
        case "AXIS" if _in_head(stop):
            return stop.error("FUSE062", found=found)
        case "FN" if stop.sign() is None and (not stop.inside() or stop.at <= 3):
            return stop.error("FUSE071", found=found)
        case "PARAM" if "TILDE" in _types(stop):
            if kind == END and stop.before is not None and stop.before.type in _OPERATORS:
                return None
            if stop.inside() == "":
                return stop.error("FUSE068", found=found)
        case "PARAM" if kind == "EQUAL" and not stop.inside():
            return stop.error("FUSE067")
        case "PARAM" | "INPUT" if not stop.inside():
            what = "parameter" if stop.first == "PARAM" else "input"
            return stop.error("FUSE065", found=found, what=what, form=_FORMS[stop.first])
        case _:
            pass
    return None


def _types(stop: _Stop) -> frozenset[str]:
    return frozenset(token.type for token in stop.tokens[: stop.at])


def _in_head(stop: _Stop) -> bool:
    """Whether the parser stopped at an axis line's own signs, not inside one of its sizes."""
    if stop.inside():
        return stop.inside() == "axis"
    before = stop.before
    return stop.found.type in DEFINITION_SIGNS | {"OPEN_SQUARE", "OPEN_INDEX", "OPEN_BRACE"} or (
        before is not None and before.type in {"AXIS", "COMMA", "CLOSE_BRACE"}
    )


def _sink(stop: _Stop) -> FuseError | None:
    if stop.first == "STRING" and stop.at == 1:
        return stop.error("FUSE077")
    return None


def _question_mark(stop: _Stop) -> FuseError | None:
    if stop.found.type == "QUESTION":
        return stop.error("FUSE074" if stop.at else "FUSE075")
    if stop.before is not None and stop.before.type == "QUESTION":
        return None
    if stop.tokens[-2].type == "QUESTION" and stop.sign() is None and not stop.inside() and stop.at:
        return stop.error("FUSE074")
    return None


def _definition_sign(stop: _Stop) -> FuseError | None:
    found, kind = stop.found, stop.found.type
    if kind not in DEFINITION_SIGNS:
        return None
    if kind == "ARROW" and stop.inside():
        return stop.error("FUSE022", found=found.text)
    if kind == "EQUAL" and stop.inside() == "index":
        word = stop.before.text if stop.before is not None else ""
        return stop.error("FUSE039", found=word)
    sign = stop.sign()
    if kind == "EQUAL" and (stop.inside() or (sign is not None and sign.type == "ARROW")):
        return stop.error("FUSE020")
    if stop.inside():
        return None
    if sign is not None:
        return stop.error("FUSE021", found=found.text)
    return stop.error("FUSE024", sign=found.text)


def _left_side(stop: _Stop) -> FuseError | None:
    """The parser stopped in what should be a left-hand side."""
    if stop.sign() is not None or stop.inside() or stop.first in _FORMS:
        return None
    kind = stop.found.type
    if kind == "SAME" and stop.at:
        return stop.error("FUSE019")
    if kind == "THEN" and stop.at:
        return stop.error("FUSE025")
    if kind == "TILDE" and stop.at:
        return stop.error("FUSE078")
    if kind == "COLON" and stop.at:
        return None
    if kind in {"DOT", "FINAL_DOT"} or (
        stop.before is not None and stop.before.type in {"FINAL_DOT", "QUESTION", "DOT"}
    ):
        return None
    later = [token for token in stop.tokens[stop.at :] if token.type in DEFINITION_SIGNS]
    if later and kind in _OPERATORS | {
        "NAME",
        "NUMBER",
        "NOT",
        "OPEN_ROUND",
        "OPEN_SQUARE",
        "MINUS",
        *PROJECTORS,
        "CASE",
    }:
        return mistake("FUSE024", _whole(stop), sign=later[0].text)
    if kind == END and len(stop.tokens) > 2 and stop.tokens[1].type == "OPEN_INDEX":
        text = _whole(stop).text
        fact = f"{stop.tokens[0].text}({text[len(stop.tokens[0].text) + 1 : -1]})"
        return mistake("FUSE018", _whole(stop), found=text, fact=fact)
    if kind in _OPERATORS | {END, "NAME", "NUMBER", "STRING", "NOT", "OPEN_ROUND", "CASE", *PROJECTORS}:
        if stop.before is not None and stop.before.type in _OPERATORS:
            return None
        return mistake("FUSE017", _whole(stop), sign="=")
    return None


def _whole(stop: _Stop) -> Span:
    return stop.tokens[0].span.to(stop.tokens[-1].span)


def _case(stop: _Stop) -> FuseError | None:
    before, found = stop.before, stop.found
    if before is not None and before.type == "CASE":
        return stop.error("FUSE053", found=stop.name)
    if stop.inside() != "case":
        return None
    if found.type == "CLOSE_BRACE" and before is not None and before.type == "OPEN_BRACE":
        return mistake("FUSE050", before.span.to(found.span))
    if found.type in {"COMMA", "COLON", "THEN", "DEFAULT", "EQUAL"} or (
        found.type in {"CLOSE_BRACE", "SEMICOLON"} and "THEN" in stop.expected
    ):
        if found.type == "EQUAL" and "THEN" in stop.expected:
            return stop.error("FUSE020")
        return stop.error("FUSE053", found=stop.name)
    return None


def _array(stop: _Stop) -> FuseError | None:
    before = stop.before
    if stop.inside() == "array" and stop.found.type != END:
        return stop.error("FUSE048", found=stop.name)
    if stop.found.type == "OPEN_SQUARE" and stop.wants_value:
        return mistake("FUSE047", _bracketed(stop.tokens, stop.at), found=_bracketed(stop.tokens, stop.at).text)
    if before is not None and before.type == "CLOSE_SQUARE":
        # `Y = [1, 2] X[i]`: the parser took the literal for the whole right-hand side.
        start = _term_start(stop)
        literal = Span(before.span.source, start, before.span.end)
        if any(token.type == "OPEN_SQUARE" and token.span.start == start for token in stop.tokens):
            return mistake("FUSE047", literal, found=literal.text)
    return None


def _bracketed(tokens: tuple[Token, ...], at: int) -> Span:
    depth = 0
    for token in tokens[at:]:
        depth += (token.type in _OPENING) - (token.type in _CLOSING)
        if depth == 0:
            return tokens[at].span.to(token.span)
    return tokens[at].span


def _negation(stop: _Stop) -> FuseError | None:
    if stop.before is not None and stop.before.type == "NOT" and stop.found.type != END:
        if stop.found.type in _CLOSING:
            return None
        return stop.error("FUSE041", found=stop.name)
    return None


def _tilde(stop: _Stop) -> FuseError | None:
    return stop.error("FUSE078") if stop.found.type == "TILDE" else None


def _dot(stop: _Stop) -> FuseError | None:
    if stop.found.type == "FINAL_DOT":
        return stop.error("FUSE026")
    if stop.found.type == "DOT":
        before = stop.before
        if stop.inside() in {"index", "call"} and before is not None:
            start = _item_start(stop)
            return stop.error("FUSE046", found=f"'{Span(before.span.source, start, before.span.end).text}'")
        following = stop.tokens[stop.at + 1]
        if END in stop.expected or "FINAL_DOT" in stop.expected:
            complete = following.type in {"NAME", "EXPORT", "INPUT", "AXIS", "PARAM", "FN", "IMPORT", "STRING"}
            if complete and before is not None and before.type in _CLOSING:
                return mistake("FUSE016", following.span, found=f"'{following.text}'")
        return stop.error("FUSE026")
    return None


def _item_start(stop: _Stop) -> int:
    """Where the index or argument begins that the parser stopped in."""
    depth = 0
    for at in range(stop.at - 1, -1, -1):
        kind = stop.tokens[at].type
        depth += (kind in _CLOSING) - (kind in _OPENING)
        if depth < 0 or (depth == 0 and kind == "COMMA"):
            return stop.tokens[at + 1].span.start
    return stop.tokens[0].span.start


def _colon(stop: _Stop) -> FuseError | None:
    if stop.found.type != "COLON":
        return None
    following = stop.tokens[stop.at + 1]
    if following.type == "MINUS" and following.span.start == stop.found.span.end and stop.before is not None:
        return mistake("FUSE022", stop.found.span.to(following.span), found=":-")
    return stop.error("FUSE043")


def _virtual(stop: _Stop) -> FuseError | None:
    """`*` where a value should stand is read as the beginning of `*t`."""
    before = stop.before
    if stop.found.type in {"OPEN_INDEX", "OPEN_CALL"} and stop.at > 2 and stop.tokens[stop.at - 2].type == "STAR":
        # `A[i] + * B[i]`: the parser took `*B` for a stream's index.
        earlier = stop.tokens[stop.at - 3]
        return mistake("FUSE014", earlier.span, before=earlier.text)
    if before is None or before.type != "STAR" or stop.expected != {"NAME"}:
        return None
    earlier = stop.tokens[stop.at - 2] if stop.at > 1 else None
    if earlier is not None and earlier.type in _EXPECTS_VALUE and stop.inside() != "index":
        return mistake("FUSE014", earlier.span, before=earlier.text)
    return stop.error("FUSE010", found=stop.name, expected="the name of a stream's index after '*'")


def _missing_value(stop: _Stop) -> FuseError | None:
    found, before = stop.found, stop.before
    if before is None:
        return None
    if found.type == "PLUS" and stop.wants_value:
        return stop.error("FUSE042")
    if found.type == "CLOSE_SQUARE" and before.type == "OPEN_INDEX":
        name = stop.tokens[stop.at - 2]
        return mistake("FUSE034", name.span.to(found.span), name=name.text)
    ends_here = found.type in _CLOSING | _OPERATORS | {END, "SEMICOLON", "QUESTION", "FINAL_DOT"}
    if ends_here and (before.type in _EXPECTS_VALUE or before.type in _OPENING | {"COLON", "SEMICOLON"}):
        return mistake("FUSE014", before.span, before=before.text)
    return None


def _after_the_end(stop: _Stop) -> FuseError | None:
    if END in stop.expected and stop.found.type != END and not stop.inside():
        return stop.error("FUSE016", found=stop.name)
    return None


_KINDS: tuple[Callable[[_Stop], FuseError | None], ...] = (
    _line_begins_with_operator,
    _spaced_operator,
    _reserved_word,
    _touching,
    _case,
    _array,
    _keyword_statement,
    _sink,
    _definition_sign,
    _question_mark,
    _left_side,
    _negation,
    _tilde,
    _dot,
    _colon,
    _virtual,
    _missing_value,
    _after_the_end,
)

# Words for what could have stood there -----------------------------------------------------------

_SIGNS = {
    "CLOSE_ROUND": "')'",
    "CLOSE_SQUARE": "']'",
    "CLOSE_BRACE": "'}'",
    "COMMA": "','",
    "EQUAL": "'='",
    "THEN": "'->'",
    "SEMICOLON": "';'",
    "OPEN_BRACE": "'{'",
    "OPEN_CALL": "'('",
    "COLON": "':'",
    END: "the end of the statement",
}


def _expectation(expected: frozenset[str]) -> str:
    parts = []
    if "NUMBER" in expected:
        parts.append("a value")
    elif "NAME" in expected:
        parts.append("a name")
    elif "STRING" in expected:
        parts.append("a text in quotes")
    if "PLUS" in expected:
        parts.append("an operator")
    signs = [words for kind, words in _SIGNS.items() if kind in expected]
    parts.extend(signs if len(signs) == 1 else (words for words in signs if words != _SIGNS["OPEN_CALL"]))
    return " or ".join(", ".join(parts).rsplit(", ", 1)) if parts else "the end of the statement"
