"""Text -> syntax tree: `parse` for a file, `parse_query` for a question."""

from __future__ import annotations

import threading
from functools import cache
from typing import Any, NamedTuple

from fuse_ref.errors import FuseError
from fuse_ref.language import syntax_tree as st
from fuse_ref.language.automaton import Automaton, Reading, Refused
from fuse_ref.language.builder import Builder
from fuse_ref.language.checks import check_question, check_statement
from fuse_ref.language.diagnosis import diagnose, python_condition
from fuse_ref.language.grammar import grammar
from fuse_ref.language.layout import StatementTokens, cut
from fuse_ref.language.stop import END
from fuse_ref.language.tokens import Scanner, Token
from fuse_ref.mistakes import mistake
from fuse_ref.source import Source, Span

__all__ = ["parse", "parse_query", "parse_with_comments"]

_BUILDING = threading.Lock()


class _Tools(NamedTuple):
    automaton: Automaton
    scanner: Scanner


@cache
def _make_tools() -> _Tools:
    found = grammar()
    return _Tools(Automaton(found, Builder()), Scanner(found.terminals, found.words))


def _tools() -> _Tools:
    """What reads text, made once per process."""
    with _BUILDING:
        return _make_tools()


def parse(source: Source, errors: list[FuseError] | None = None) -> st.Module:
    """The syntax tree of a whole file.

    Args:
        source: the program's text.
        errors: takes every mistake of the text, in text order; then the tree holds the statements
            without one. When it is None the first mistake is raised, with the rest in `.others`.

    Raises:
        SyntaxFuseError: the text does not follow the grammar, and `errors` is None.
    """
    return _parse(source, errors)[0]


def parse_with_comments(source: Source) -> tuple[st.Module, tuple[Span, ...]]:
    """`parse`, and the places of the comments in text order."""
    return _parse(source, None)


def _parse(source: Source, errors: list[FuseError] | None) -> tuple[st.Module, tuple[Span, ...]]:
    tools = _tools()
    found: list[FuseError] = []
    tokens, comments = tools.scanner.scan(source)
    statements = []
    for piece in cut(tokens):
        statement = _parse_piece(tools.automaton, piece, "statement", found)
        if statement is not None and (error := python_condition(piece.tokens)) is not None:
            found.append(error)
            continue
        if statement is not None:
            before = len(found)
            check_statement(statement, found)
            if len(found) == before:
                statements.append(statement)
    if errors is not None:
        errors.extend(found)
    elif found:
        found[0].others = tuple(found[1:])
        raise found[0]
    return st.Module(tuple(statements)), tuple(comment.span for comment in comments)


def parse_query(source: Source) -> st.Target:
    """What `Ancestor(Alice, x)?` asks for; the question mark may be left out.

    Raises:
        SyntaxFuseError: the text is not one reference.
    """
    tools = _tools()
    found: list[FuseError] = []
    tokens, _ = tools.scanner.scan(source)
    pieces = cut(tokens)
    if len(pieces) != 1:
        text = pieces[1].tokens[0].span if pieces else Span(source, 0, len(source.text))
        raise mistake("FUSE076", text)
    target: st.Target | None = _parse_piece(tools.automaton, pieces[0], "question", found)
    if target is not None:
        check_question(target, found)
    if found or target is None:
        found[0].others = tuple(found[1:])
        raise found[0]
    return target


def _parse_piece(automaton: Automaton, piece: StatementTokens, start: str, errors: list[FuseError]) -> Any:
    """The tree of one statement, or None with a new error in `errors`."""
    if piece.error is not None:
        errors.append(piece.error)
        return None
    reading = Reading(automaton, start)
    feed = reading.feed
    tokens = piece.tokens
    last = tokens[-1].span
    end = Token(END, "", Span(last.source, last.end, last.end))
    fed = 0
    try:
        for token in tokens:
            feed(token)
            fed += 1
        return feed(end)
    except Refused:
        errors.append(diagnose((*tokens, end), fed, reading.accepts(), start))
    except FuseError as error:
        errors.append(error)
    return None
