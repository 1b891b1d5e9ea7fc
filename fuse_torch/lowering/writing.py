"""Writes to computed positions of a new array: padding and reshaping where positions are regular, else scattering."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

import torch
from torch.fx import Node

from fuse_ref.ir.nodes import Dtype
from fuse_ref.plan.steps import Write, WriteIndex
from fuse_torch.lowering.emitter import Emitter, Number, Size, Value
from fuse_torch.lowering.gathering import lower_scatter
from fuse_torch.lowering.reduce import neutral

__all__ = ["lower_write"]

_SMALL = 4  # places along one dimension that a small block has


@dataclass(slots=True)
class _Block:
    """The written values on their way to the target's dimensions."""

    node: Node
    labels: tuple[str, ...]
    counts: dict[str, Size]
    dtype: Dtype


def lower_write(emit: Emitter, operation: Write) -> Value:
    output, operand = operation.output, operation.operand
    node, dtype = emit.operand(operand), emit.dtype(operand)
    if output.dtype == "float":
        node, dtype = emit.floating(node, dtype), "float"
    counts = {label: emit.size(length) for label, length in emit.lengths(operand).items()}
    block = _Block(node, operand.labels, counts, dtype)
    targets = [emit.size(length) for length in output.lengths]
    fill = neutral(operation.operator, dtype)
    if _is_regular(operation):
        result = _regular(emit, operation, block, targets, fill)
    else:
        result = lower_scatter(emit, operation, node, dtype, fill)
    return Value(result, output.lengths, output.dtype)


def _is_regular(operation: Write) -> bool:
    """Each variable writes along one dimension, and each dimension has at most one variable."""
    labels = [label for index in operation.indices for label, _ in index.terms]
    if any(len(index.terms) > 1 or index.gather is not None for index in operation.indices):
        return False
    return len(labels) == len(set(labels)) and set(labels) == set(operation.operand.labels)


def _regular(emit: Emitter, operation: Write, block: _Block, targets: list[Size], fill: Number) -> Node:
    wanted = [index.terms[0][0] if index.terms else None for index in operation.indices]
    node = emit.permuted(block.node, block.labels, [label for label in wanted if label is not None])
    for dim, label in enumerate(wanted):
        if label is None:
            node = emit.call(torch.unsqueeze, node, dim)
    ndim = len(targets)
    pads: dict[int, tuple[Size, Size]] = {}
    for dim, (index, target) in enumerate(zip(operation.indices, targets, strict=True)):
        node, count, offset = _stretched(emit, node, dim, index, block, ndim, fill)
        pads[dim] = _room(emit, offset, count, emit.multiply(target, index.divisor))
    node = emit.padded(node, ndim, pads, fill)
    pooled = [dim for dim, index in enumerate(operation.indices) if index.divisor > 1]
    for dim in reversed(pooled):
        node = emit.method("unflatten", node, dim, (targets[dim], operation.indices[dim].divisor))
    if not pooled:
        return node
    # One reduction over all blocks at once, so that ties share the gradient evenly.
    return _combined(emit, operation, node, tuple(dim + 1 + earlier for earlier, dim in enumerate(pooled)))


def _stretched(
    emit: Emitter, node: Node, dim: int, index: WriteIndex, block: _Block, ndim: int, fill: Number
) -> tuple[Node, Size, Size]:
    """The dimension with its elements at their distances; its size, and the position of its first element."""
    offset = emit.size(index.offset)
    if not index.terms:
        return node, 1, offset
    label, coefficient = index.terms[0]
    count, step = block.counts[label], abs(coefficient)
    if coefficient < 0:
        node = emit.call(torch.flip, node, (dim,))
        offset = emit.subtract(offset, emit.multiply(emit.subtract(count, 1), step))
    if step > 1:
        node = emit.call(torch.unsqueeze, node, dim + 1)
        node = emit.padded(node, ndim + 1, {dim + 1: (0, step - 1)}, fill)
        node = emit.call(torch.flatten, node, dim, dim + 1)
        count = emit.multiply(count, step)
    return node, count, offset


def _room(emit: Emitter, offset: Size, count: Size, room: Size) -> tuple[Size, Size]:
    """Padding that puts `count` elements at `offset` of `room` places; what lies outside is cropped."""
    if isinstance(offset, int) and offset == 0:
        return 0, emit.subtract(room, count)
    # A block that lies wholly outside may not be cropped by more than it has.
    before = emit.minimum(emit.maximum(offset, emit.subtract(0, count)), room)
    after = emit.subtract(emit.subtract(room, before), count)
    return before, emit.maximum(after, emit.subtract(0, count))


def _combined(emit: Emitter, operation: Write, node: Node, dims: tuple[int, ...]) -> Node:
    """The elements of each block as one; before each of `dims` lies the dimension of its blocks."""
    divisors = [operation.indices[dim - 1 - earlier].divisor for earlier, dim in enumerate(dims)]
    if operation.operator != "prod" and max(divisors) <= _SMALL:
        # Over few places side by side torch reduces element by element, over the first dimensions whole arrays.
        others = tuple(k for k in range(len(operation.indices) + len(dims)) if k not in dims)
        node = emit.method("contiguous", emit.call(torch.permute, node, (*dims, *others)))
        dims = tuple(range(len(dims)))
    match operation.operator:
        case "sum":
            return emit.call(torch.sum, node, dims)
        case "max":
            return emit.call(torch.amax, node, dims)
        case "min":
            return emit.call(torch.amin, node, dims)
        case "prod":
            for dim in reversed(dims):
                node = emit.call(torch.prod, node, dim)
            return node
        case _:
            assert_never(operation.operator)
