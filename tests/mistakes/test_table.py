"""Every row of the table of mistakes, replayed: its type, its code, its words, its place."""

from __future__ import annotations

import re
from string import Formatter

import numpy as np
import pytest

import fuse_ref
from fuse_ref import errors
from fuse_ref.errors import FuseError, FuseWarning
from fuse_ref.mistakes import MISTAKES, Example, Mistake
from fuse_ref.source import excerpt

EXAMPLES = [(row, number) for _, row in sorted(MISTAKES.items()) for number in range(len(row.examples))]

# Error classes that no row makes yet: their engines are not there. This list only ever gets shorter.
WITHOUT_ROW = {"ExportError"}


def names_in_scope() -> dict[str, object]:
    return {"np": np, "fuse_ref": fuse_ref, **{name: getattr(fuse_ref, name) for name in fuse_ref.__all__}}


def replay(row: Mistake, example: Example) -> FuseError:
    if example.program:
        with pytest.raises(FuseError) as caught:
            fuse_ref.Program(example.program)
    else:
        scope = names_in_scope()
        with pytest.raises(FuseError) as caught:
            exec(example.python, scope)
    return caught.value


@pytest.mark.parametrize(("row", "number"), EXAMPLES, ids=[f"{row.code}-{number}" for row, number in EXAMPLES])
def test_example(row: Mistake, number: int) -> None:
    example = row.examples[number]
    error = replay(row, example)
    assert error.code == row.code, str(error)
    assert type(error) is row.error
    assert example.shows in str(error)
    assert str(error).splitlines()[0].endswith(f"{row.code}: {error.message}".splitlines()[0])
    if example.program:
        assert error.span is not None, "a mistake in a program's text has a place"
        assert error.span.source.text == example.program
        assert excerpt(error.span) in str(error)
        assert 0 <= error.span.start <= error.span.end <= len(example.program)


@pytest.mark.parametrize("row", MISTAKES.values(), ids=MISTAKES)
def test_row(row: Mistake) -> None:
    assert re.fullmatch(r"FUSE[0-3]\d\d", row.code)
    assert issubclass(row.error, FuseError)
    assert row.title
    assert not row.title.endswith(".")
    assert row.sentence
    assert not row.sentence.endswith(".")
    assert row.examples
    for example in row.examples:
        assert bool(example.program) != bool(example.python)
        assert example.shows
    for template in (row.sentence, row.cure):
        assert all(gap is None or gap.isidentifier() for _, gap, _, _ in Formatter().parse(template))


def test_every_error_class_has_a_row() -> None:
    classes = {
        name
        for name in errors.__all__
        if not issubclass(getattr(errors, name), FuseWarning) and getattr(errors, name) is not FuseError
    }
    assert classes - {row.error.__name__ for row in MISTAKES.values()} == WITHOUT_ROW
    assert len(WITHOUT_ROW) <= 2
