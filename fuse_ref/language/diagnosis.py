"""A token that the grammar refuses -> the mistake behind it, in the words of whoever wrote it."""

from __future__ import annotations

from fuse_ref.errors import FuseError
from fuse_ref.language.tokens import Token
from fuse_ref.mistakes import mistake

__all__ = ["END", "diagnose"]

END = "$END"


def diagnose(tokens: tuple[Token, ...], at: int, expected: frozenset[str], start: str) -> FuseError:
    """The error for `tokens[at]`, where the grammar takes one of `expected`."""
    return mistake("FUSE010", tokens[at].span, found=f"'{tokens[at].text}'", expected=", ".join(sorted(expected)))
