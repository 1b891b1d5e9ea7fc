"""Reads at computed positions as views: select, slice, flip, unfold, diagonal; zeros outside by padding.

Every dimension of the source is first turned into one dimension per variable of its index. A
variable that several dimensions have then lies on a diagonal. Nothing is copied unless a read may leave
the source, runs backwards, or repeats positions by a quotient. Gathers are `gathering`'s.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch.fx import Node

from fuse_ref.analysis.lengths import Fixed
from fuse_ref.plan.steps import Index, ReadIndex
from fuse_torch.lowering.emitter import Emitter, Size, Value
from fuse_torch.lowering.gathering import lower_gather

__all__ = ["lower_index"]


@dataclass(frozen=True, slots=True)
class _Term:
    label: str
    step: int  # >= 1; a negative coefficient reads the reversed dimension
    reversed: bool
    count: Size
    open: bool  # the count is a node
    full: bool  # the count is known and not 0


@dataclass(frozen=True, slots=True)
class _Reach:
    """The stretch of one source dimension that an index reads."""

    terms: tuple[_Term, ...]  # outermost first: open counts before known ones, since unfold wants known windows
    inside: bool  # nothing is read outside the source
    low: Size  # first position read
    widths: tuple[Size, ...]  # widths[k]: positions that terms[k:] together span; the last is 1

    @property
    def full(self) -> bool:
        return all(term.full for term in self.terms)


@dataclass(slots=True)
class _View:
    """The source on its way to the output's dimensions."""

    node: Node
    dims: list[str | int] = field(default_factory=list)  # labels, and positions of source dimensions still to do

    def replace(self, node: Node, dim: int, label: str | int) -> None:
        self.node = node
        self.dims[dim] = label


def lower_index(emit: Emitter, operation: Index) -> Value:
    if any(index.gather is not None for index in operation.indices):
        return lower_gather(emit, operation)
    output = operation.output
    known = {
        label: isinstance(length, Fixed) and length.value > 0
        for label, length in zip(output.labels, output.lengths, strict=True)
    }
    counts = {label: emit.size(length) for label, length in zip(output.labels, output.lengths, strict=True)}
    source = emit.values[operation.source]
    sizes = [emit.size(length) for length in source.lengths]
    node = source.node
    for dim, index in enumerate(operation.indices):
        if index.divisor > 1:
            # Read at p // k, the source is what it is at p with each position k times.
            node = emit.method("repeat_interleave", node, index.divisor, dim)
            sizes[dim] = emit.multiply(sizes[dim], index.divisor)
    reaches = [_reach(emit, index, counts, known) for index in operation.indices]
    pads = [_pad(emit, reach, size) for reach, size in zip(reaches, sizes, strict=True)]
    view = _View(emit.padded(node, len(sizes), dict(enumerate(pads)), 0), list(range(len(sizes))))
    for position, (reach, (before, after), size) in enumerate(zip(reaches, pads, sizes, strict=True)):
        start = emit.add(reach.low, before)
        exact = after == 0 and before == 0 and start == 0
        _open_dimension(emit, view, position, reach, start, size if exact else None)
    for label in output.labels:
        _merge(emit, view, label)
    labels = [str(label) for label in view.dims]
    return Value(emit.permuted(view.node, labels, output.labels), output.lengths, output.dtype)


def _reach(emit: Emitter, index: ReadIndex, counts: dict[str, Size], known: dict[str, bool]) -> _Reach:
    terms = [
        _Term(label, abs(factor), factor < 0, counts[label], not isinstance(counts[label], int), known[label])
        for label, factor in index.terms
    ]
    terms.sort(key=lambda term: not term.open)
    low = emit.size(index.offset)
    widths: list[Size] = [1]
    full = True
    for term in reversed(terms):
        distance = emit.multiply(emit.subtract(term.count, 1), term.step)
        # Where a variable has no positions, its window is still one wide while the view is made.
        inner = widths[0] if full else emit.maximum(widths[0], 1)
        widths.insert(0, emit.add(inner, distance))
        full = full and term.full
        if term.reversed:
            low = emit.subtract(low, distance)
    return _Reach(tuple(terms), index.inside, low, tuple(widths))


def _pad(emit: Emitter, reach: _Reach, size: Size) -> tuple[Size, Size]:
    """How many zeros the dimension needs before and after it."""
    before: Size = 0 if reach.inside else emit.maximum(emit.subtract(0, reach.low), 0)
    needs_window = len(reach.terms) > 1 and not reach.full
    if reach.inside and not needs_window:
        return before, 0
    needed = reach.widths[0]
    if needs_window:
        # A window may be longer than the dimension where a range is empty, and unfold refuses that.
        needed = _span(emit, reach)
    return before, emit.maximum(emit.subtract(emit.add(reach.low, needed), size), 0)


def _span(emit: Emitter, reach: _Reach) -> Size:
    """How many positions of the dimension the windows take."""
    if reach.full:
        return reach.widths[0]
    return emit.maximum(reach.widths[0], emit.maximum(reach.widths[1], 1))


def _open_dimension(emit: Emitter, view: _View, position: int, reach: _Reach, start: Size, size: Size | None) -> None:
    """Turn source dimension `position` into one dimension per term. `size` is known where nothing was padded."""
    dim = view.dims.index(position)
    if not reach.terms:
        view.node = emit.call(torch.select, view.node, dim, start)
        del view.dims[dim]
        return
    *outer, last = reach.terms
    if outer:
        span = _span(emit, reach)
        if size is None or size != span:
            view.node = emit.sliced(view.node, dim, start, emit.add(start, span))
        start, size = 0, None
    for term, width in zip(outer, reach.widths[1:], strict=False):
        window = width if reach.full else emit.maximum(width, 1)
        view.replace(emit.method("unfold", view.node, dim, window, term.step), dim, term.label)
        if not reach.full:
            view.node = emit.sliced(view.node, dim, 0, term.count)
        _turn(emit, view, dim, term)
        view.dims.append(position)
        dim = len(view.dims) - 1
    if outer:
        size = last.count if last.full and last.step == 1 else None  # the window is exactly as wide
    if size is None or size != last.count or last.step != 1:
        stop = emit.add(start, emit.multiply(last.count, last.step))
        view.node = emit.sliced(view.node, dim, start, stop, last.step)
    view.dims[dim] = last.label
    _turn(emit, view, dim, last)


def _turn(emit: Emitter, view: _View, dim: int, term: _Term) -> None:
    if term.reversed:
        view.node = emit.call(torch.flip, view.node, (dim,))


def _merge(emit: Emitter, view: _View, label: str) -> None:
    """Bring the dimensions that `label` has into one: their diagonal, which torch puts last."""
    while view.dims.count(label) > 1:
        first = view.dims.index(label)
        second = view.dims.index(label, first + 1)
        view.node = emit.call(torch.diagonal, view.node, 0, first, second)
        del view.dims[second], view.dims[first]
        view.dims.append(label)
