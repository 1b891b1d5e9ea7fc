"""A token that the grammar refuses -> the mistake behind it, in the words of whoever wrote it.

The parser says where it stopped and what it would have taken. Each function below knows one kind of
mistake and returns it, or None; they are asked in the order of `_KINDS`, the last takes all.
"""

from __future__ import annotations

from collections.abc import Callable

from fuse_ref.errors import FuseError
from fuse_ref.language.layout import DEFINITION_SIGNS, PROJECTORS
from fuse_ref.language.stop import CLOSING, END, EXPECTS_VALUE, OPENING, OPERATORS, Stop
from fuse_ref.language.tokens import FOREIGN_WORDS, RESERVED, Token
from fuse_ref.mistakes import mistake

__all__ = ["diagnose", "python_condition"]

_COMPARISONS = frozenset({"LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL", "SAME", "DIFFERENT"})

# What a statement that begins with a keyword looks like.
_FORMS = {
    "EXPORT": "export Y, Z",
    "AXIS": "axis d = 64, or axis x = {Ann, Bob}",
    "INPUT": "input X[b, d], or input X[b, d]: int64, or input Edge(x, y)",
    "PARAM": "param W[o, d] ~ xavier()",
    "FN": "fn head(Q[p, k]) = …",
    "IMPORT": 'import "layers.fuse", or import "layers.fuse" as nn',
}


def diagnose(tokens: tuple[Token, ...], at: int, expected: frozenset[str], start: str) -> FuseError:
    """The error for `tokens[at]`, where the grammar takes one of `expected`.

    Args:
        tokens: one statement, ended by a token of type `END`.
        start: "statement", or "question" for the text of a query.
    """
    stop = Stop(tokens, at, expected)
    if start == "question":
        return _question(stop)
    for kind in _KINDS:
        error = kind(stop)
        if error is not None:
            return error
    return stop.error("FUSE010", found=stop.name, expected=_expectation(stop.expected))


def python_condition(tokens: tuple[Token, ...]) -> FuseError | None:
    """`X if C else Z` is a product of five names to the grammar; nobody means that."""
    words = {token.text: token for token in tokens if token.type == "NAME" and token.text in {"if", "else", "then"}}
    if "if" not in words or len(words) == 1:
        return None
    return mistake("FUSE028", words["if"].span, found="if", cure=FOREIGN_WORDS["if"])


def _question(stop: Stop) -> FuseError:
    for kind in (_reserved_word, _touching, _missing_value, _colon):
        error = kind(stop)
        if error is not None:
            return error
    return stop.error("FUSE074")


# Kinds of mistakes -------------------------------------------------------------------------------


def _line_begins_with_operator(stop: Stop) -> FuseError | None:
    if stop.at or stop.found.type not in OPERATORS | DEFINITION_SIGNS | {"CLOSE_BRACE"}:
        return None
    return stop.error("FUSE015", found=stop.found.text)


def _operator(stop: Stop) -> FuseError | None:
    """`Y[i] max = …`, `Y[i] mean= …`"""
    found, following = stop.found, stop.following
    if stop.at == 0 or stop.inside or stop.sign is not None or following.type != "EQUAL" or stop.first in _FORMS:
        return None
    if found.type in PROJECTORS - {"SUM"}:
        return mistake("FUSE023", found.span.to(following.span), word=found.text)
    if found.type in {"SUM", "NAME"} and found.span.end == following.span.start:
        cure = {"sum": "'=' sums already", "mean": "write 'avg='"}.get(found.text)
        return mistake("FUSE027", found.span.to(following.span), cure=cure, found=found.text)
    return None


def _foreign_word(stop: Stop) -> FuseError | None:
    """`def f(x): …`, `let Y = 3`"""
    cure = FOREIGN_WORDS.get(stop.tokens[0].text)
    if stop.at == 1 and cure is not None and stop.found.type in {"NAME", "STRING", "NUMBER"}:
        return mistake("FUSE028", stop.tokens[0].span, found=stop.tokens[0].text, cure=cure)
    return None


def _reserved_word(stop: Stop) -> FuseError | None:
    found, before = stop.found, stop.before
    if found.text in RESERVED and "NAME" in stop.expected and found.type not in {"AND", "OR", "AS", "NOT"}:
        if found.type == "AXIS" and stop.inside == "index" and stop.following.type == "EQUAL":
            return stop.error("FUSE039", found=found.text)
        if found.type == "DEFAULT" and stop.inside == "case":
            return None
        return stop.error("FUSE030", found=found.text)
    if before is None:
        return None
    # A word that was read as a keyword, in a place where a name makes sense.
    stands_as_name = found.type in DEFINITION_SIGNS | {"OPEN_SQUARE", "CLOSE_ROUND", "CLOSE_SQUARE", "COMMA"}
    statement = stop.at == 1 and before.type in _FORMS and stands_as_name
    projector = before.type in PROJECTORS and found.type != "OPEN_ROUND"
    argument = before.type == "AXIS" and stop.at > 1 and stands_as_name
    if statement or projector or argument:
        cure = f"a projection is written {before.text}(i: …)" if projector and not stands_as_name else None
        return mistake("FUSE030", before.span, found=before.text, cure=cure)
    return None


def _touching(stop: Stop) -> FuseError | None:
    before, found = stop.before, stop.found
    if before is None:
        return None
    if found.type == "OPEN_SQUARE":
        if before.type == "NAME":
            return stop.error("FUSE031", name=before.text)
        if before.type in {"CLOSE_ROUND", "CLOSE_SQUARE"} and stop.inside != "array":
            return stop.error("FUSE033", before=stop.term.text)
    if found.type == "OPEN_ROUND" and (before.type in PROJECTORS or before.type == "NAME"):
        return stop.error("FUSE032", name=before.text)
    return None


def _case(stop: Stop) -> FuseError | None:
    before, found = stop.before, stop.found
    if before is not None and before.type == "CASE":
        return stop.error("FUSE053", found=stop.name)
    if stop.inside != "case":
        return None
    if found.type == "CLOSE_BRACE" and before is not None and before.type == "OPEN_BRACE":
        return mistake("FUSE050", before.span.to(found.span))
    if found.type == "EQUAL" and "THEN" in stop.expected:
        return stop.error("FUSE020")
    unfinished = found.type in {"CLOSE_BRACE", "SEMICOLON"} and "THEN" in stop.expected
    if unfinished or found.type in {"COMMA", "COLON", "THEN", "DEFAULT", "EQUAL"}:
        return stop.error("FUSE053", found=stop.name)
    return None


def _literal(stop: Stop) -> FuseError | None:
    if stop.inside == "array":
        return stop.error("FUSE048", found=stop.name)
    if stop.found.type == "OPEN_SQUARE" and stop.wants_value:
        return mistake("FUSE047", stop.bracketed, found=stop.bracketed.text)
    if stop.before is not None and stop.before.type == "CLOSE_SQUARE" and stop.term.text.startswith("["):
        # `Y = [1, 2] X[i]`: the parser took the literal for the whole right-hand side.
        return mistake("FUSE047", stop.term, found=stop.term.text)
    return None


def _keyword_statement(stop: Stop) -> FuseError | None:
    """Statements with a keyword have one form each."""
    before, found, kind = stop.before, stop.name, stop.found.type
    if stop.first not in _FORMS or before is None:
        return None
    if kind == "FINAL_DOT":
        return stop.error("FUSE026")
    headless = stop.sign is None or stop.first != "FN"
    if kind == END and headless and "TILDE" not in stop.seen and before.type not in EXPECTS_VALUE - {"COMMA"}:
        return stop.error("FUSE060", keyword=stop.tokens[0].text, form=_FORMS[stop.first])
    match stop.first:
        case "EXPORT":
            return stop.error("FUSE061", found=found)
        case "IMPORT":
            complete = END in stop.expected and kind in {"STRING", "IMPORT", "NAME"}
            return stop.error("FUSE016" if complete else "FUSE072", found=found)
        case "AXIS" if _between_axis_items(stop):
            return stop.error("FUSE062", found=found)
        case "FN" if stop.sign is None and (not stop.inside or stop.at <= 3):
            return stop.error("FUSE071", found=found)
        case "PARAM" if "TILDE" in stop.seen and not stop.inside:
            return None if kind == END and before.type in OPERATORS else stop.error("FUSE068", found=found)
        case "PARAM" if kind == "EQUAL" and not stop.inside:
            return stop.error("FUSE067")
        case "PARAM" | "INPUT" if not stop.inside:
            what = "parameter" if stop.first == "PARAM" else "input"
            return stop.error("FUSE065", found=found, what=what, form=_FORMS[stop.first])
        case _:
            return None


def _between_axis_items(stop: Stop) -> bool:
    """Whether the parser stopped at an axis line's own signs, not inside one of its sizes."""
    if stop.inside or stop.before is None:
        return stop.inside == "axis"
    if "EQUAL" in stop.expected and "PLUS" not in stop.expected:
        return True
    own_signs = DEFINITION_SIGNS | {"OPEN_SQUARE", "OPEN_INDEX", "OPEN_BRACE"}
    return stop.found.type in own_signs or stop.before.type in {"AXIS", "COMMA", "CLOSE_BRACE"}


def _sink(stop: Stop) -> FuseError | None:
    return stop.error("FUSE077") if stop.first == "STRING" and stop.at == 1 else None


def _definition_sign(stop: Stop) -> FuseError | None:
    found, kind, sign = stop.found, stop.found.type, stop.sign
    if kind not in DEFINITION_SIGNS:
        return None
    if kind == "ARROW" and stop.inside:
        return stop.error("FUSE022", found=found.text)
    if kind == "EQUAL" and stop.inside == "index" and stop.before is not None:
        return stop.error("FUSE039", found=stop.before.text)
    if kind == "EQUAL" and (stop.inside or (sign is not None and sign.type == "ARROW")):
        return stop.error("FUSE020")
    if stop.inside:
        return None
    return stop.error("FUSE024", sign=found.text) if sign is None else stop.error("FUSE021", found=found.text)


def _question_mark(stop: Stop) -> FuseError | None:
    if stop.found.type == "QUESTION":
        return stop.error("FUSE074" if stop.at else "FUSE075")
    asks = stop.tokens[-2].type == "QUESTION" and stop.before is not None and stop.before.type != "QUESTION"
    return stop.error("FUSE074") if asks and stop.sign is None and not stop.inside else None


def _left_side(stop: Stop) -> FuseError | None:
    """The parser stopped outside brackets, before any definition sign."""
    before, kind = stop.before, stop.found.type
    if stop.sign is not None or stop.inside or stop.first in _FORMS:
        return None
    match kind:
        case "THEN" if stop.at:
            return stop.error("FUSE025")
        case "TILDE" if stop.at:
            return stop.error("FUSE078")
        case _:
            pass
    if before is not None and before.type in OPERATORS | {"FINAL_DOT", "QUESTION", "DOT"}:
        return None
    if kind in _COMPARISONS and stop.later_sign is None:
        return stop.error("FUSE019", found=stop.found.text)
    if kind not in OPERATORS | PROJECTORS | {END, "FINAL_DOT", "NAME", "NUMBER", "STRING", "NOT", "OPEN_ROUND", "CASE"}:
        return None
    if stop.later_sign is not None:
        return mistake("FUSE024", stop.whole, sign=stop.later_sign.text)
    if kind in {END, "FINAL_DOT"} and before is not None and before.type == "CLOSE_SQUARE" and stop.first == "NAME":
        name, text = stop.tokens[0].text, stop.term.text
        return mistake("FUSE018", stop.term, found=text, fact=f"{name}({text[len(name) + 1 : -1]})")
    if kind == "FINAL_DOT":
        return None
    cure = None
    if stop.whole.text.endswith(".fuse"):
        cure = "this looks like the name of a file: Program.from_file reads it"
    return mistake("FUSE017", stop.whole, cure=cure, sign="=")


def _negation(stop: Stop) -> FuseError | None:
    after_not = stop.before is not None and stop.before.type == "NOT"
    return stop.error("FUSE041", found=stop.name) if after_not and stop.found.type not in CLOSING | {END} else None


def _tilde(stop: Stop) -> FuseError | None:
    return stop.error("FUSE078") if stop.found.type == "TILDE" else None


def _dot(stop: Stop) -> FuseError | None:
    before, following = stop.before, stop.following
    if stop.found.type == "DOT" and before is not None:
        if stop.inside in {"index", "call"}:
            return stop.error("FUSE046", found=f"'{stop.item.text}'")
        if before.type in CLOSING and following.type in {"NAME", "STRING", *_FORMS}:
            # Two facts on a line, each with its dot.
            return mistake("FUSE016", following.span, found=f"'{following.text}'")
    return stop.error("FUSE026") if stop.found.type in {"DOT", "FINAL_DOT"} else None


def _brace(stop: Stop) -> FuseError | None:
    return stop.error("FUSE057") if stop.found.type == "OPEN_BRACE" and stop.wants_value else None


def _colon(stop: Stop) -> FuseError | None:
    if stop.found.type != "COLON":
        return None
    following = stop.following
    if following.type == "MINUS" and following.span.start == stop.found.span.end and stop.before is not None:
        return mistake("FUSE022", stop.found.span.to(following.span), found=":-")
    return stop.error("FUSE043")


def _virtual(stop: Stop) -> FuseError | None:
    """`*` where a value should stand is read as the beginning of `*t`."""
    at = stop.at
    if stop.found.type in {"OPEN_INDEX", "OPEN_CALL"} and at > 2 and stop.tokens[at - 2].type == "STAR":
        earlier = stop.tokens[at - 3]  # `A[i] + * B[i]`
        return mistake("FUSE014", earlier.span, before=earlier.text)
    if stop.before is None or stop.before.type != "STAR" or stop.expected != {"NAME"}:
        return None
    if at > 1 and stop.tokens[at - 2].type in EXPECTS_VALUE and stop.inside != "index":
        earlier = stop.tokens[at - 2]  # `A[i] + * 3`
        return mistake("FUSE014", earlier.span, before=earlier.text)
    return stop.error("FUSE010", found=stop.name, expected="the name of a stream's index after '*'")


def _missing_value(stop: Stop) -> FuseError | None:
    found, before = stop.found, stop.before
    if before is None:
        return None
    if found.type == "PLUS" and stop.wants_value:
        return stop.error("FUSE042")
    if found.type == "CLOSE_SQUARE" and before.type == "OPEN_INDEX":
        name = stop.tokens[stop.at - 2]
        return mistake("FUSE034", name.span.to(found.span), name=name.text)
    ends_here = found.type in CLOSING | OPERATORS | {END, "SEMICOLON", "QUESTION", "FINAL_DOT"}
    if ends_here and before.type in EXPECTS_VALUE | OPENING | {"COLON", "SEMICOLON"}:
        return mistake("FUSE014", before.span, before=before.text)
    return None


def _after_the_end(stop: Stop) -> FuseError | None:
    return stop.error("FUSE016", found=stop.name) if END in stop.expected and stop.found.type != END else None


_KINDS: tuple[Callable[[Stop], FuseError | None], ...] = (
    _line_begins_with_operator,
    _operator,
    _foreign_word,
    _reserved_word,
    _touching,
    _case,
    _keyword_statement,
    _literal,
    _sink,
    _definition_sign,
    _question_mark,
    _left_side,
    _negation,
    _tilde,
    _dot,
    _brace,
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
    if "PLUS" in expected:
        parts.append("an operator")
    elif "NUMBER" in expected:
        parts.append("a value")
    elif "NAME" in expected:
        parts.append("a name")
    elif "STRING" in expected:
        parts.append("a text in quotes")
    signs = [words for kind, words in _SIGNS.items() if kind in expected]
    if len(signs) > 1:
        # A name could also become a call or a named argument; that is not what one has forgotten.
        beside_the_point = {"'('"} | ({"'='"} if "PLUS" in expected else set())
        signs = [words for words in signs if words not in beside_the_point]
    parts.extend(signs)
    return " or ".join(", ".join(parts).rsplit(", ", 1)) if parts else "the end of the statement"
