"""Reads of tensors: plain ones are operands as they stand, others become Index operations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fuse_ref.analysis.lengths import Fixed, Length, linear
from fuse_ref.analysis.shapes import ScopeShapes
from fuse_ref.analysis.words import reference_text
from fuse_ref.ir.index import Affine, FromEnd, Gather, Quotient, SliceIndex, Symbol, Virtual
from fuse_ref.ir.index import Index as IndexForm
from fuse_ref.ir.nodes import ArrayLiteral, Axis, Dtype, Read, Tensor
from fuse_ref.plan.steps import Index, LiteralArray, Output, ReadIndex
from fuse_ref.plan.values import Builder, Unsupported, Value

__all__ = ["Tensors", "position_of", "read_literal", "read_tensor", "slice_start"]


@dataclass(frozen=True, slots=True)
class Tensors:
    """What lowering asks about tensors."""

    specs: Mapping[str, Tensor]
    axes: Mapping[str, Axis]
    shapes: Mapping[str, tuple[Length, ...]]
    dtypes: Mapping[str, Dtype]


def position_of(symbol: str, axis: Axis) -> int:
    """The position of a symbol on its axis."""
    assert axis.symbols is not None, f"axis {axis.name} has no symbols"
    return axis.symbols.index(symbol)


def read_tensor(builder: Builder, tensors: Tensors, shapes: ScopeShapes, read: Read) -> Value:
    """The elements that `read` names, one dimension for each of its variables."""
    spec = tensors.specs[read.tensor]
    lengths = tensors.shapes[read.tensor]
    axes = tuple(tensors.axes[name] for name in spec.axes)
    return _read(builder, shapes, read.tensor, 0, tensors.dtypes[read.tensor], read.indices, lengths, axes)


def read_literal(builder: Builder, shapes: ScopeShapes, literal: ArrayLiteral) -> Value:
    """An array written in the equation, read by the variables that fill its axes."""
    lengths = tuple(Fixed(size) for size in literal.shape)
    labels = tuple(f"{position}" for position in range(len(lengths)))
    made = builder.add(LiteralArray(Output("", labels, lengths, "float"), literal.values))
    if not literal.indices:
        return made
    sizes = literal.shape
    return _read(builder, shapes, made.name, sizes, "float", literal.indices, lengths, (None,) * len(sizes))


def _read(
    builder: Builder,
    shapes: ScopeShapes,
    source: str,
    sizes: tuple[int, ...] | int,
    dtype: Dtype,
    indices: tuple[IndexForm, ...],
    lengths: tuple[Length, ...],
    axes: tuple[Axis | None, ...],
) -> Value:
    """`sizes` is the shape of a written array, or 0 for a tensor."""
    labels = tuple(index.variable for index in indices if isinstance(index, Affine) and index.variable is not None)
    plain = len(labels) == len(indices) and len(set(labels)) == len(labels)
    if plain and all(shapes.ranges[v] == length for v, length in zip(labels, lengths, strict=True)):
        return Value(source, labels, dtype)
    found: dict[str, None] = {}
    positions = []
    for dimension, (index, length, axis) in enumerate(zip(indices, lengths, axes, strict=True)):
        tensor = source if sizes == 0 else None
        size = 0 if isinstance(sizes, int) else sizes[dimension]
        inside = shapes.inside(tensor, size, dimension, index, length)
        position = _position(index, length, axis, inside, source)
        found.update((variable, None) for variable, _ in position.terms)
        positions.append(position)
    return builder.add(Index(builder.output(found, dtype), source, tuple(positions)))


def slice_start(start: int | None, length: Length) -> Length:
    """Where a slice begins; negative bounds count from the end."""
    return linear([(length, 1)], start) if start is not None and start < 0 else Fixed(start or 0)


def _position(index: IndexForm, length: Length, axis: Axis | None, inside: bool, source: str) -> ReadIndex:
    match index:
        case Affine(terms, offset):
            # A constant beyond the end is an error of its own, so constants are inside.
            return ReadIndex(terms, Fixed(offset), inside or (not terms and offset >= 0))
        case FromEnd(distance):
            return ReadIndex((), linear([(length, 1)], -distance), True)
        case Symbol(name):
            assert axis is not None
            return ReadIndex((), Fixed(position_of(name, axis)), True)
        case SliceIndex(variable, start, _, step):
            return ReadIndex(((variable, step),), slice_start(start, length), True)
        case Quotient():
            raise Unsupported(f"reading at a quotient, as in {source}[i/2], is not supported by the dense engines yet")
        case Gather(read, _):
            text = f"{source}[{reference_text(read.tensor, read.indices)}]"
            raise Unsupported(f"an integer tensor as index, as in {text}, is not supported by the dense engines yet")
        case Virtual(variable, _):
            raise Unsupported(f"{source} is a stream along *{variable}, and streams do not run yet")
