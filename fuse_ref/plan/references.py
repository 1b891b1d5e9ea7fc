"""Reads of tensors: plain ones are operands as they stand, others become Index operations, gathers at most two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import assert_never

from fuse_ref.analysis.lengths import Fixed, Length, linear
from fuse_ref.analysis.shapes import ScopeShapes
from fuse_ref.analysis.words import index_text
from fuse_ref.ir.index import Affine, FromEnd, Gather, Quotient, SliceIndex, Symbol, Virtual
from fuse_ref.ir.index import Index as IndexForm
from fuse_ref.ir.nodes import ArrayLiteral, Axis, Dtype, Read, Tensor
from fuse_ref.plan.bounds import Bounds, within
from fuse_ref.plan.sampling import Sampling
from fuse_ref.plan.steps import Index, LiteralArray, Output, ReadIndex, WriteIndex
from fuse_ref.plan.values import Builder, Unsupported, Value, combined
from fuse_ref.records import dataclass

__all__ = ["Tensors", "affine_position", "position_labels", "position_of", "read_literal", "read_tensor", "slice_start"]


@dataclass(frozen=True, slots=True)
class Tensors:
    """What lowering asks about tensors."""

    specs: Mapping[str, Tensor]
    axes: Mapping[str, Axis]
    shapes: Mapping[str, tuple[Length, ...]]
    dtypes: Mapping[str, Dtype]
    bounds: Mapping[str, Bounds]  # of integer tensors whose values are known to keep to some
    sparse: frozenset[str] = frozenset()  # relations that there are tuples of
    counts: bool = False  # whether what makes a conjunction true is counted, by contractions
    sampling: Sampling | None = None  # sums and averages with many terms are estimated
    cyclic: frozenset[str] = frozenset()  # of the group at hand: what reads them is made tuple by tuple


def position_of(symbol: str, axis: Axis) -> int:
    """The position of a symbol on its axis."""
    assert axis.symbols is not None, f"axis {axis.name} has no symbols"
    return axis.symbols.index(symbol)


def read_tensor(builder: Builder, tensors: Tensors, shapes: ScopeShapes, read: Read) -> Value:
    """The elements that `read` names, one dimension for each of its variables."""
    spec = tensors.specs[read.tensor]
    lengths = tensors.shapes[read.tensor]
    axes = tuple(tensors.axes[name] for name in spec.axes)
    dtype = tensors.dtypes[read.tensor]
    return _Reader(builder, tensors, shapes, read.tensor, 0).read(read.indices, lengths, axes, dtype)


def read_literal(builder: Builder, tensors: Tensors, shapes: ScopeShapes, literal: ArrayLiteral) -> Value:
    """An array written in the equation, read by the variables that fill its axes."""
    sizes = literal.shape
    lengths = tuple(Fixed(size) for size in sizes)
    labels = tuple(f"{position}" for position in range(len(lengths)))
    made = builder.add(LiteralArray(Output("", labels, lengths, "float"), literal.values))
    if not literal.indices:
        return made
    axes = (None,) * len(sizes)
    return _Reader(builder, tensors, shapes, made.name, sizes).read(literal.indices, lengths, axes, "float")


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads of one tensor in one equation."""

    builder: Builder
    tensors: Tensors
    shapes: ScopeShapes
    source: str
    sizes: tuple[int, ...] | int  # the shape of a written array, or 0 for a tensor

    def read(
        self,
        indices: tuple[IndexForm, ...],
        lengths: tuple[Length, ...],
        axes: tuple[Axis | None, ...],
        dtype: Dtype,
    ) -> Value:
        labels = tuple(index.variable for index in indices if isinstance(index, Affine) and index.variable is not None)
        plain = (
            len(labels) == len(indices)
            and len(set(labels)) == len(labels)
            and self.builder.drawn.keys().isdisjoint(labels)
        )
        if plain and all(self.shapes.ranges[v] == length for v, length in zip(labels, lengths, strict=True)):
            return Value(self.source, labels, dtype)
        positions = []
        for dimension, (index, length, axis) in enumerate(zip(indices, lengths, axes, strict=True)):
            tensor = self.source if self.sizes == 0 else None
            size = 0 if isinstance(self.sizes, int) else self.sizes[dimension]
            inside = self.shapes.inside(tensor, size, dimension, index, length)
            positions.append(self._position(index, length, axis, inside))
        if all(position.gather is None for position in positions):
            return self._index(Value(self.source, (), dtype), positions)
        return self._gathered(positions, lengths, dtype)

    def _index(self, source: Value, positions: Sequence[ReadIndex], made: Mapping[str, Length] | None = None) -> Value:
        """`source` read at `positions`. Labels that are no variables have the lengths that `made` tells."""
        found = dict.fromkeys(label for position in positions for label in position_labels(position))
        lengths = {**self.builder.ranges, **(made or {})}
        output = Output("", tuple(found), tuple(lengths[label] for label in found), source.dtype)
        return self.builder.add(Index(output, source.name, tuple(positions)))

    def _gathered(self, positions: list[ReadIndex], lengths: tuple[Length, ...], dtype: Dtype) -> Value:
        """A read with gathers: what is affine is a read of its own, before it where that costs no copy."""
        group = _gathered_dimensions(positions)
        rest = [k for k in range(len(positions)) if k not in group]
        source = Value(self.source, (), dtype)
        if all(self._whole(positions[k], lengths[k]) for k in rest):
            return self._index(source, positions)
        # While one part is read, a dimension of the other stands under a made-up label.
        made = {f"{k}": length for k, length in enumerate(lengths)}
        whole = [ReadIndex(((f"{k}", 1),), Fixed(0), True) for k in range(len(positions))]
        if all(positions[k].inside and positions[k].divisor == 1 for k in rest):
            viewed = self._index(source, [whole[k] if k in group else positions[k] for k in range(len(whole))], made)
            by_label = {f"{k}": positions[k] for k in group}
            picks = [by_label.get(label, ReadIndex(((label, 1),), Fixed(0), True)) for label in viewed.labels]
            return self._index(viewed, picks)
        picked = self._index(source, [positions[k] if k in group else whole[k] for k in range(len(whole))], made)
        affine = {f"{k}": positions[k] for k in rest}
        return self._index(
            picked, [affine.get(label, ReadIndex(((label, 1),), Fixed(0), True)) for label in picked.labels]
        )

    def _whole(self, position: ReadIndex, length: Length) -> bool:
        """Whether a dimension is read plainly by a label that no other dimension has."""
        return (
            len(position.terms) == 1
            and position == ReadIndex(((position.terms[0][0], 1),), Fixed(0), position.inside)
            and self.builder.ranges[position.terms[0][0]] == length
        )

    def _position(self, index: IndexForm, length: Length, axis: Axis | None, inside: bool) -> ReadIndex:
        match index:
            case Affine(terms, offset):
                # A constant beyond the end is an error of its own, so constants are inside.
                return affine_position(self.builder, terms, Fixed(offset), inside=inside or (not terms and offset >= 0))
            case FromEnd(distance):
                return ReadIndex((), linear([(length, 1)], -distance), True)
            case Symbol(name):
                assert axis is not None
                return ReadIndex((), Fixed(position_of(name, axis)), True)
            case SliceIndex(variable, start, _, step):
                return affine_position(self.builder, ((variable, step),), slice_start(start, length), inside=True)
            case Quotient(Affine(terms, offset), divisor):
                return affine_position(self.builder, terms, Fixed(offset), inside=inside, divisor=divisor)
            case Gather(read, offset):
                positions = read_tensor(self.builder, self.tensors, self.shapes, read).operand
                words = (self.source, index_text(index))
                inside = within(self.tensors.bounds, index, length)
                return ReadIndex((), Fixed(offset), inside, gather=positions, words=words)
            case Virtual(variable, _):
                raise Unsupported(f"{self.source} is a stream along *{variable}, and streams do not run yet")
            case _:
                assert_never(index)


def affine_position(
    builder: Builder, terms: tuple[tuple[str, int], ...], offset: Length, *, inside: bool, divisor: int = 1
) -> ReadIndex:
    """Where a computed index reads; a variable that a sample stands for is looked up there."""
    drawn = [(builder.drawn[variable], coefficient) for variable, coefficient in terms if variable in builder.drawn]
    if not drawn:
        return ReadIndex(terms, offset, inside, divisor)
    kept = tuple((variable, coefficient) for variable, coefficient in terms if variable not in builder.drawn)
    return ReadIndex(kept, offset, inside, divisor, gather=combined(builder, drawn).operand)


def _gathered_dimensions(positions: Sequence[ReadIndex]) -> frozenset[int]:
    """The dimensions that are gathered, with those that share a label with one of them."""
    found = {k for k, position in enumerate(positions) if position.gather is not None}
    labels = {label for k in found for label in position_labels(positions[k])}
    grown = True
    while grown:
        more = {k for k, p in enumerate(positions) if k not in found and not labels.isdisjoint(position_labels(p))}
        labels.update(label for k in more for label in position_labels(positions[k]))
        found |= more
        grown = bool(more)
    return frozenset(found)


def position_labels(position: ReadIndex | WriteIndex) -> tuple[str, ...]:
    """The labels that a position depends on."""
    gathered = () if position.gather is None else position.gather.labels
    return (*(label for label, _ in position.terms), *gathered)


def slice_start(start: int | None, length: Length) -> Length:
    """Where a slice begins; negative bounds count from the end."""
    return linear([(length, 1)], start) if start is not None and start < 0 else Fixed(start or 0)
