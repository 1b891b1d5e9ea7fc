"""The grammar file: no ambiguity that the parser generator settles by itself, and one reading of every word."""

from __future__ import annotations

import logging
import random
import re
from importlib import resources
from typing import Any

import pytest
from lark import Lark
from lark.exceptions import UnexpectedToken

from fuse_ref.errors import FuseError
from fuse_ref.language import grammar as tables
from fuse_ref.language.automaton import Automaton, Reading, Refused
from fuse_ref.language.builder import Builder
from fuse_ref.language.layout import cut
from fuse_ref.language.stop import END
from fuse_ref.language.tokens import RESERVED, Scanner, Token
from fuse_ref.source import Source, Span

TEXT = resources.files("fuse_ref.language").joinpath("fuse.lark").read_text(encoding="utf-8")


def conflicts(text: str, caplog: pytest.LogCaptureFixture) -> list[str]:
    """What Lark says when it settles a shift/reduce conflict in silence."""
    caplog.clear()
    with caplog.at_level(logging.DEBUG, logger="lark"):
        Lark(text, parser="lalr", lexer="basic", start=["statement", "question"], maybe_placeholders=False, debug=True)
    return [record.getMessage() for record in caplog.records if "conflict" in record.getMessage().lower()]


def test_no_conflict_is_settled_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    assert conflicts(TEXT, caplog) == []


def test_the_test_above_can_fail(caplog: pytest.LogCaptureFixture) -> None:
    dangling = 'statement: "if" statement | "if" statement "else" statement | "x"\nquestion: "y"\n'
    assert conflicts(dangling, caplog) != []


def test_every_reserved_word_is_in_the_grammar() -> None:
    written = set(re.findall(r'^[A-Z]+: "([a-z]+)"', TEXT, re.MULTILINE))
    assert written | {"in"} == RESERVED


# fuse.json ---------------------------------------------------------------------------------------

FOUND = tables.grammar()


def test_the_tables_are_those_of_the_grammar() -> None:
    made = tables.made_by_lark(TEXT)
    kept = resources.files("fuse_ref.language").joinpath("fuse.json").read_text(encoding="utf-8")
    assert made == FOUND
    assert tables.written(made, TEXT) == kept, "python -m fuse_ref.language.grammar makes them again"
    assert {row.method for row in FOUND.reductions if row.method and not row.single} <= set(dir(Builder))


def test_tables_of_another_grammar_are_not_used(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = TEXT.replace('"export"', '"give"')
    assert other != TEXT
    kept = tables._data
    monkeypatch.setattr(tables, "_data", lambda name: other if name == "fuse.lark" else kept(name))
    with caplog.at_level(logging.WARNING):
        made = tables.grammar()
    assert ("EXPORT", "give") in made.terminals
    assert "fuse.json is of another fuse.lark" in caplog.text
    caplog.clear()
    monkeypatch.setattr(tables, "_data", lambda name: TEXT.replace("\n", "\r\n") if name == "fuse.lark" else kept(name))
    assert tables.grammar() == FOUND
    assert not caplog.text


def test_a_token_that_the_builder_would_not_see_is_refused() -> None:
    with pytest.raises(ValueError, match="has a name without '_'"):
        tables.made_by_lark('statement: "x"\nquestion: NAME\nNAME: /y/\n')


STATEMENTS = r"""
Y[i] = relu(W[i, j] X[j] + b[i]) * 2 - x / -3 ** -y ^ 2
Aunt(x, z) <- Sister(x, y), not Parent(y, z), x != z or y < 3 and (a (b + c) not d)
D[y] min= E(x, y), D[x].
sum= + sum(i, j: A[i+1, :, 2:3, k.] B[*t]) max(a, b, axis=q)
W = [[0.2, -1, [a]], []]; L = 4
Parent("Alice", Bob).
"runs/out.npz" = Y[i]
Ancestor(Alice, x)?
export Y, Z
axis d = 64, e = 2 * L, x = {Ann, "New York"}, n = {}
input X[b, p]: int64
param W[o, d] ~ normal(0, 0.02)
fn head(Q[p, k], K[q, k]) = softmax(Q[p, k] K[q, k], axis=q)
import "layers.fuse" as nn
Z[i] = case { x > 0 -> 1; not y -> *t; default -> const([1, 2]) }
"""


def changed(tokens: list[Token], draw: random.Random) -> list[Token]:
    """The tokens of a statement with one of them gone, doubled or in the place of another."""
    found = list(tokens)
    at, other = draw.randrange(len(found)), draw.randrange(len(found))
    match draw.randrange(3):
        case 0:
            del found[at]
        case 1:
            found.insert(other, found[at])
        case _:
            found[at] = found[other]
    return found


def read(feed: Any, accepts: Any, refused: type[Exception], tokens: list[Token]) -> tuple[object, int, object]:
    """What became of the tokens, how many were taken, and what could have followed."""
    for number, token in enumerate(tokens):
        try:
            value = feed(token)
        except refused:
            return None, number, frozenset(accepts())
        except FuseError as error:
            return str(error), number, None
    return value, len(tokens), None


def test_the_parser_reads_as_lark_does() -> None:
    lark = Lark(
        TEXT,
        parser="lalr",
        lexer="basic",
        start=["statement", "question"],
        maybe_placeholders=False,
        transformer=Builder(),  # only its methods are looked up
    )
    automaton = Automaton(FOUND, Builder())
    draw = random.Random(7)
    scanned, _ = Scanner(FOUND.terminals, FOUND.words).scan(Source(STATEMENTS))
    pieces = [list(piece.tokens) for piece in cut(scanned)]
    assert len(pieces) > 15
    ends = {"taken": 0, "refused": 0, "mistaken": 0}
    for piece in pieces:
        last = piece[-1].span
        for start in ("statement", "question"):
            for tokens in [piece, *(changed(piece, draw) for _ in range(25))]:
                whole = [*tokens, Token(END, "", Span(last.source, last.end, last.end))]
                reading, there = Reading(automaton, start), lark.parse_interactive(start=start)
                ours = read(reading.feed, reading.accepts, Refused, whole)
                theirs = read(there.feed_token, there.accepts, UnexpectedToken, whole)
                assert ours == theirs, [token.text for token in tokens]
                ends["refused" if ours[2] is not None else "mistaken" if isinstance(ours[0], str) else "taken"] += 1
    assert min(ends["taken"], ends["refused"]) > 50
    assert ends["mistaken"] > 0
