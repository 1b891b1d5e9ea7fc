"""The grammar file: no ambiguity that the parser generator settles by itself, and one reading of every word."""

from __future__ import annotations

import logging
import re
from importlib import resources

import pytest
from lark import Lark

from fuse_ref.language.tokens import RESERVED

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
