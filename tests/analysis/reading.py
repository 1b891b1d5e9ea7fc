"""From text to what analysis says about it, with numbers for the shapes of a call."""

from __future__ import annotations

from collections.abc import Mapping

from fuse_ref.analysis.lengths import Length, evaluate
from fuse_ref.analysis.shapes import Shapes, find_shapes
from fuse_ref.errors import FuseError
from fuse_ref.ir.from_syntax import build_program
from fuse_ref.ir.nodes import ProgramIR
from fuse_ref.language.parser import parse
from fuse_ref.source import Source

__all__ = ["length", "program_of", "shapes_of", "sizes_of"]


def program_of(text: str) -> ProgramIR:
    """The meaning of `text`, which has no mistakes."""
    errors: list[FuseError] = []
    program = build_program(parse(Source(text), errors), errors)
    assert not errors, errors[0]
    return program


def shapes_of(text: str, **sizes: int) -> Shapes:
    """Shapes and ranges of `text` with the axes of `sizes` declared."""
    shapes = find_shapes(program_of(text), sizes=sizes)
    assert not shapes.errors, shapes.errors[0]
    assert not shapes.unsized, shapes.unsized[0]
    return shapes


def length(item: Length, given: Mapping[str, tuple[int, ...]]) -> int:
    return evaluate(item, lambda tensor, position: given[tensor][position])


def sizes_of(shapes: Shapes, tensor: str, given: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
    """The shape of `tensor` in a call with these given shapes."""
    return tuple(length(item, given) for item in shapes.tensors[tensor])
