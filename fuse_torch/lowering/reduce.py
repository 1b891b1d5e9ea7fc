"""Projections, permutations and repetitions as torch calls."""

from __future__ import annotations

import math
from typing import assert_never

import torch
from torch.fx import Node

from fuse_ref.analysis.lengths import Fixed, Length
from fuse_ref.ir.nodes import Dtype
from fuse_ref.plan.steps import Expand, Permute, Reduce
from fuse_torch.lowering.emitter import Emitter, Number, Size, Value
from fuse_torch.lowering.narrow import multiplied

__all__ = ["lower_expand", "lower_permute", "lower_reduce", "neutral"]


def neutral(operator: str, dtype: Dtype) -> Number:
    """What a projection over nothing gives."""
    match operator:
        case "sum" | "avg" | "any":
            return 0
        case "prod":
            return 1
        case "max":
            return -math.inf if dtype == "float" else torch.iinfo(torch.int64).min
        case "min":
            return math.inf if dtype == "float" else torch.iinfo(torch.int64).max
        case _:
            raise AssertionError(f"no projection is called {operator}")


def lower_reduce(emit: Emitter, operation: Reduce) -> Value:
    output, operand = operation.output, operation.operand
    node, dtype = emit.operand(operand), emit.dtype(operand)
    if operation.operator != "any" and output.dtype == "float":
        node, dtype = emit.floating(node, dtype), "float"
    labels = operand.labels
    lengths = emit.lengths(operand)
    dims = tuple(position for position, label in enumerate(labels) if label not in output.labels)
    kept = tuple(label for label in labels if label in output.labels)
    if dims:
        gone = [lengths[labels[dim]] for dim in dims]
        match operation.operator:
            case "sum":
                node = emit.call(torch.sum, node, dims)
            case "avg":
                node = _mean(emit, node, dims, gone)
            case "max":
                node = emit.call(torch.amax, _never_empty(emit, node, labels, dims, gone, "max", dtype), dims)
            case "min":
                node = emit.call(torch.amin, _never_empty(emit, node, labels, dims, gone, "min", dtype), dims)
            case "prod":
                for dim in reversed(dims):
                    node = emit.call(multiplied, node, dim) if dtype == "float" else emit.call(torch.prod, node, dim)
            case "any":
                node = emit.call(torch.any, node, dims)
            case _:
                assert_never(operation.operator)
    return Value(emit.permuted(node, kept, output.labels), output.lengths, output.dtype)


def _mean(emit: Emitter, node: Node, dims: tuple[int, ...], gone: list[Length]) -> Node:
    if all(isinstance(length, Fixed) and length.value > 0 for length in gone):
        return emit.call(torch.mean, node, dims)
    # torch.mean of nothing is NaN; here it is 0.
    count: Size = 1
    for length in gone:
        count = emit.multiply(count, emit.size(length))
    return emit.call(torch.div, emit.call(torch.sum, node, dims), emit.maximum(count, 1))


def _never_empty(
    emit: Emitter,
    node: Node,
    labels: tuple[str, ...],
    dims: tuple[int, ...],
    gone: list[Length],
    operator: str,
    dtype: Dtype,
) -> Node:
    """`node` with one neutral element along every reduced dimension that has none: torch refuses those."""
    pads: dict[int, tuple[Size, Size]] = {}
    for dim, length in zip(dims, gone, strict=True):
        if not isinstance(length, Fixed) or length.value == 0:
            pads[dim] = (0, emit.maximum(emit.subtract(1, emit.size(length)), 0))
    return emit.padded(node, len(labels), pads, neutral(operator, dtype), shared=True)


def lower_permute(emit: Emitter, operation: Permute) -> Value:
    output, operand = operation.output, operation.operand
    node = emit.permuted(emit.operand(operand), operand.labels, output.labels)
    return Value(node, output.lengths, output.dtype)


def lower_expand(emit: Emitter, operation: Expand) -> Value:
    output, operand = operation.output, operation.operand
    node = emit.aligned(emit.operand(operand), operand.labels, output.labels)
    sizes = tuple(
        -1 if label in operand.labels else emit.size(length)
        for label, length in zip(output.labels, output.lengths, strict=True)
    )
    return Value(emit.method("expand", node, sizes), output.lengths, output.dtype)
