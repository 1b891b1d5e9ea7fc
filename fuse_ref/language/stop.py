"""The place where the parser stopped, and what stands around it."""

from __future__ import annotations

from fuse_ref.errors import FuseError
from fuse_ref.language.layout import DEFINITION_SIGNS
from fuse_ref.language.tokens import Token
from fuse_ref.mistakes import mistake
from fuse_ref.records import dataclass
from fuse_ref.source import Span

__all__ = ["CLOSING", "END", "EXPECTS_VALUE", "OPENING", "OPERATORS", "Stop"]

END = "$END"

OPENING = frozenset({"OPEN_ROUND", "OPEN_CALL", "OPEN_SQUARE", "OPEN_INDEX", "OPEN_BRACE"})
CLOSING = frozenset({"CLOSE_ROUND", "CLOSE_SQUARE", "CLOSE_BRACE"})
OPERATORS = frozenset(
    {"PLUS", "MINUS", "STAR", "SLASH", "POWER", "AND", "OR", "COMMA", "THEN"}
    | {"LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL", "SAME", "DIFFERENT"}
)
# After these a value has to follow.
EXPECTS_VALUE = OPERATORS | DEFINITION_SIGNS | {"NOT", "TILDE"}


@dataclass(frozen=True, slots=True)
class Stop:
    tokens: tuple[Token, ...]  # of the statement; the last has the type END
    at: int  # index of the token that the grammar refused
    expected: frozenset[str]  # types of the tokens that would have gone on

    @property
    def found(self) -> Token:
        return self.tokens[self.at]

    @property
    def before(self) -> Token | None:
        return self.tokens[self.at - 1] if self.at else None

    @property
    def following(self) -> Token:
        return self.tokens[min(self.at + 1, len(self.tokens) - 1)]

    @property
    def first(self) -> str:
        """The type of the statement's first token."""
        return self.tokens[0].type

    @property
    def seen(self) -> frozenset[str]:
        """The types of the tokens before this place."""
        return frozenset(token.type for token in self.tokens[: self.at])

    @property
    def wants_value(self) -> bool:
        return "NUMBER" in self.expected

    @property
    def name(self) -> str:
        """What was found, as a message says it."""
        return "the end of the statement" if self.found.type == END else f"'{self.found.text}'"

    @property
    def inside(self) -> str:
        """What the innermost open bracket holds: index, call, case, axis, array, parenthesis; "" outside brackets."""
        depth = 0
        for at in range(self.at - 1, -1, -1):
            kind = self.tokens[at].type
            depth += (kind in CLOSING) - (kind in OPENING)
            if depth < 0:
                break
        else:
            return ""
        match kind:
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

    @property
    def sign(self) -> Token | None:
        """The definition sign before this place, outside brackets."""
        depth = 0
        for token in self.tokens[: self.at]:
            depth += (token.type in OPENING) - (token.type in CLOSING)
            if depth == 0 and token.type in DEFINITION_SIGNS:
                return token
        return None

    @property
    def later_sign(self) -> Token | None:
        """The first definition sign from here on."""
        return next((token for token in self.tokens[self.at :] if token.type in DEFINITION_SIGNS), None)

    # Stretches of text ---------------------------------------------------------------------------

    @property
    def whole(self) -> Span:
        """The statement."""
        return self.tokens[0].span.to(self.tokens[-1].span)

    @property
    def term(self) -> Span:
        """The bracketed term that ends right before this place, with the name before its bracket."""
        depth = 0
        for at in range(self.at - 1, -1, -1):
            kind = self.tokens[at].type
            depth += (kind in CLOSING) - (kind in OPENING)
            if depth == 0:
                named = kind in {"OPEN_CALL", "OPEN_INDEX"} and at > 0
                return self.tokens[at - 1 if named else at].span.to(self.tokens[self.at - 1].span)
        return self.whole

    @property
    def item(self) -> Span:
        """The part of the index or argument before this place."""
        depth = 0
        for at in range(self.at - 1, -1, -1):
            kind = self.tokens[at].type
            depth += (kind in CLOSING) - (kind in OPENING)
            if depth < 0 or (depth == 0 and kind == "COMMA"):
                return self.tokens[at + 1].span.to(self.tokens[self.at - 1].span)
        return self.whole

    @property
    def bracketed(self) -> Span:
        """From the bracket that stands here to the one that closes it."""
        depth = 0
        for token in self.tokens[self.at :]:
            depth += (token.type in OPENING) - (token.type in CLOSING)
            if depth == 0:
                return self.found.span.to(token.span)
        return self.found.span

    def error(self, code: str, *, cure: str | None = None, **values: object) -> FuseError:
        """The mistake at this place; at the end of a statement its last token is shown."""
        token = self.tokens[self.at - 1] if self.found.type == END and self.at else self.found
        return mistake(code, token.span, cure=cure, **values)
