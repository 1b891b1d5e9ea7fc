"""Tokens -> the tokens of each statement: line ends, brackets, touching names, arrows, final dots."""

from __future__ import annotations

from fuse_ref.errors import FuseError
from fuse_ref.language.tokens import BROKEN, Token
from fuse_ref.mistakes import mistake
from fuse_ref.records import dataclass
from fuse_ref.source import Span

__all__ = ["DEFINITION_SIGNS", "MAX_BRACKETS", "PROJECTORS", "StatementTokens", "cut"]

MAX_BRACKETS = 256  # inside each other; more is no text that a person wrote

PROJECTORS = frozenset({"SUM", "MAX", "MIN", "AVG", "PROD"})
DEFINITION_SIGNS = frozenset({"EQUAL", "PLUS_EQUAL", "MAX_EQUAL", "MIN_EQUAL", "AVG_EQUAL", "PROD_EQUAL", "ARROW"})

_OPENING = {"OPEN_ROUND": "CLOSE_ROUND", "OPEN_SQUARE": "CLOSE_SQUARE", "OPEN_BRACE": "CLOSE_BRACE"}
_CLOSING = frozenset(_OPENING.values())
# After these a statement goes on in the next line.
_GOES_ON = (
    DEFINITION_SIGNS
    | {"PLUS", "MINUS", "STAR", "SLASH", "POWER", "AND", "OR", "NOT", "COMMA", "THEN", "TILDE"}
    | {"LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL", "SAME", "DIFFERENT"}
)
_KEYWORDS = frozenset({"EXPORT", "AXIS", "INPUT", "PARAM", "FN", "IMPORT"})


@dataclass(frozen=True, slots=True)
class StatementTokens:
    """One statement, ready for the parser."""

    tokens: tuple[Token, ...]  # not empty
    error: FuseError | None  # why it cannot be parsed


def cut(tokens: list[Token]) -> list[StatementTokens]:
    """The statements of a file in text order, without those that are empty."""
    return _Layout(tokens).run()


class _Layout:
    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.never_closed = _never_closed(tokens)
        self.statements: list[StatementTokens] = []
        self.current: list[Token] = []
        self.open: list[Token] = []
        self.error: FuseError | None = None
        self.defined = False  # a definition sign was read

    def run(self) -> list[StatementTokens]:
        for at, token in enumerate(self.tokens):
            kind = token.type
            match kind:
                case "LINE_END":
                    self._line_end(at)
                case "SEMICOLON":
                    self._semicolon(token)
                case "OPEN_ROUND" | "OPEN_SQUARE" | "OPEN_BRACE":
                    self._opening(token)
                case "CLOSE_ROUND" | "CLOSE_SQUARE" | "CLOSE_BRACE":
                    self._closing(token)
                case "ARROW":
                    self._arrow(token)
                case "DOT" if not self.open and self._ends_statement(at + 1):
                    self.current.append(token._replace(type="FINAL_DOT"))
                case _:
                    if kind == BROKEN:
                        self._fail(token.error)
                    elif kind in DEFINITION_SIGNS and not self.open:
                        self.defined = True
                    self.current.append(token)
        self._end()
        return self.statements

    def _fail(self, error: FuseError | None) -> None:
        self.error = self.error or error

    def _end(self) -> None:
        if self.open:
            opener = self.open[-1]
            closer = {"(": ")", "[": "]", "{": "}"}[opener.text]
            self._fail(mistake("FUSE011", opener.span, found=opener.text, closer=closer))
        if self.current:
            self.statements.append(StatementTokens(tuple(self.current), self.error))
        self.current, self.open, self.error, self.defined = [], [], None, False

    def _line_end(self, at: int) -> None:
        if not self.current:
            return
        goes_on = self.current[-1].type in _GOES_ON
        if self.open:
            # A bracket was forgotten when the next line can only be a statement of its own. Where no later
            # bracket closes it, a line that looks like one is enough.
            goes_on = goes_on or self.current[-1].span.start == self.open[-1].span.start
            unclosed = any(opener.span.start in self.never_closed for opener in self.open)
            defines = self._defines(at + 1)
            if (not goes_on and (defines or (unclosed and self._begins_line(at + 1)))) or (
                unclosed and defines and self._begins_line(at + 1)
            ):
                self._end()
        elif not goes_on or (self.current[0].type != "AXIS" and self._defines(at + 1)):
            self._end()

    def _semicolon(self, token: Token) -> None:
        if self.open and (self.open[-1].type == "OPEN_BRACE" or self.open[-1].span.start not in self.never_closed):
            self.current.append(token)
        else:
            self._end()

    def _opening(self, token: Token) -> None:
        kind = token.type
        if self.current:
            before = self.current[-1]
            if before.span.end == token.span.start:
                if kind == "OPEN_ROUND" and (before.type == "NAME" or before.type in PROJECTORS):
                    kind = "OPEN_CALL"
                elif kind == "OPEN_SQUARE" and before.type == "NAME":
                    kind = "OPEN_INDEX"
        self.open.append(token)
        if len(self.open) > MAX_BRACKETS:
            self._fail(mistake("FUSE080", token.span, limit=MAX_BRACKETS))
        self.current.append(token if kind == token.type else token._replace(type=kind))

    def _closing(self, token: Token) -> None:
        if not self.open:
            self._fail(mistake("FUSE012", token.span, found=token.text))
        elif _OPENING[self.open[-1].type] == token.type:
            self.open.pop()
        else:
            self._fail(mistake("FUSE013", token.span, found=token.text, opener=self.open[-1].text))
            # The nearest bracket that this one does close is taken as closed.
            kinds = [_OPENING[opener.type] for opener in self.open]
            if token.type in kinds:
                del self.open[len(kinds) - 1 - kinds[::-1].index(token.type) :]
            else:
                self.open.pop()
        self.current.append(token)

    def _arrow(self, token: Token) -> None:
        if not self.open and (not self.defined or token.text == "←"):
            self.defined = True
            self.current.append(token)
            return
        source, start = token.span.source, token.span.start
        if token.text == "←":
            self.current.append(token)
            return
        first = "LESS" if token.text[0] == "<" else "COLON"
        self.current.append(Token(first, token.text[0], Span(source, start, start + 1)))
        self.current.append(Token("MINUS", token.text[1], Span(source, start + 1, start + 2)))

    # Looking ahead ------------------------------------------------------------------------------

    def _ends_statement(self, at: int) -> bool:
        return at >= len(self.tokens) or self.tokens[at].type in {"LINE_END", "SEMICOLON"}

    def _begins_line(self, at: int) -> bool:
        """Whether the next line with text begins at its left edge with a name or keyword."""
        following = self._next_token(at)
        return following is not None and following.span.column == 1 and following.type in _KEYWORDS | {"NAME", "STRING"}

    def _next_token(self, at: int) -> Token | None:
        for token in self.tokens[at : at + 50]:
            if token.type != "LINE_END":
                return token
        return None

    def _defines(self, at: int) -> bool:
        """Whether the next line with text is a statement of its own: `export …`, `Y[i] = …`."""
        tokens = self.tokens
        while at < len(tokens) and tokens[at].type == "LINE_END":
            at += 1
        if at >= len(tokens):
            return False
        if tokens[at].type in _KEYWORDS:
            # `axis=j` is a keyword argument.
            return at + 1 < len(tokens) and tokens[at + 1].type in {"NAME", "STRING"}
        if tokens[at].type != "NAME":
            return False
        end = tokens[at].span.end
        at += 1
        if at < len(tokens) and tokens[at].type in {"OPEN_ROUND", "OPEN_SQUARE"} and tokens[at].span.start == end:
            depth = 0
            while at < len(tokens) and tokens[at].type != "LINE_END":
                depth += (tokens[at].type in _OPENING) - (tokens[at].type in _CLOSING)
                at += 1
                if depth == 0:
                    break
        if at >= len(tokens) or tokens[at].type not in DEFINITION_SIGNS:
            return False
        if tokens[at].text != "<-":
            return True
        # `<-` can be a comparison with a negative number; with a space and a name behind it nobody means that.
        follower = tokens[at + 1] if at + 1 < len(tokens) else None
        return follower is not None and follower.type in {"NAME", "NOT"} and follower.span.start > tokens[at].span.end


def _never_closed(tokens: list[Token]) -> frozenset[int]:
    """Where the brackets stand that nothing closes."""
    open_: list[Token] = []
    for token in tokens:
        if token.type in _OPENING:
            open_.append(token)
        elif token.type in _CLOSING and open_ and _OPENING[open_[-1].type] == token.type:
            open_.pop()
    return frozenset(token.span.start for token in open_)
