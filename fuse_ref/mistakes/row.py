"""The shape of a row in the table of mistakes."""

from __future__ import annotations

from fuse_ref.errors import FuseError
from fuse_ref.records import dataclass

__all__ = ["Example", "Mistake"]


@dataclass(frozen=True, slots=True)
class Example:
    """A way to make the mistake and what the user then reads.

    Exactly one of `program` and `python` is given.
    """

    shows: str  # a part of the message that pins the words, values in their places
    program: str = ""  # Fuse text; Program(text) must raise the error
    python: str = ""  # Python text run with fuse_ref's public names and np in scope; must raise the error


@dataclass(frozen=True, slots=True)
class Mistake:
    code: str  # FUSE and three digits
    error: type[FuseError]
    title: str  # a few words, a heading of docs/errors.md
    sentence: str  # str.format template of the message
    cure: str  # str.format template, "" where there is no likely fix
    examples: tuple[Example, ...]  # at least one
