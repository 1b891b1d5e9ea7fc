"""Functions along one axis as torch calls: softmax and its kin, normalisation, cross-entropy."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch.fx import Node
from torch.nn import functional

from fuse_ref.plan.steps import Along, Operand
from fuse_torch.lowering.emitter import Emitter, Value

__all__ = ["ALONG", "AlongFunction", "lower_along"]

# (emitter, operation) -> result with the operation's output labels
AlongFunction: TypeAlias = Callable[[Emitter, Along], Node]


def _first(operation: Along) -> Operand:
    operand = operation.operands[0]
    assert isinstance(operand, Operand)
    return operand


def _floating(emit: Emitter, operand: Operand) -> Node:
    return emit.floating(emit.operand(operand), emit.dtype(operand))


def _softmax(function: Callable[..., torch.Tensor]) -> AlongFunction:
    def row(emit: Emitter, operation: Along) -> Node:
        x = _first(operation)
        result = emit.call(function, _floating(emit, x), x.labels.index(operation.axis))
        return emit.permuted(result, x.labels, operation.output.labels)

    return row


def _lnorm(emit: Emitter, operation: Along) -> Node:
    x, eps = _first(operation), operation.operands[1]
    node, labels, axis = _floating(emit, x), x.labels, operation.axis
    if not isinstance(eps, Operand):
        # layer_norm works on the last dimension; bringing the axis there and back is a view.
        inner = (*(label for label in labels if label != axis), axis)
        length = emit.size(emit.lengths(x)[axis])
        moved = emit.permuted(node, labels, inner)
        result = emit.call(functional.layer_norm, moved, (length,), None, None, float(eps))
        return emit.permuted(result, inner, operation.output.labels)
    dim = labels.index(axis)
    # Not var_mean, which warns where a batch is empty.
    centred = emit.call(operator.sub, node, emit.call(torch.mean, node, (dim,), keepdim=True))
    variance = emit.call(torch.mean, emit.call(torch.square, centred), (dim,), keepdim=True)
    centred = emit.aligned(centred, labels, operation.output.labels)
    shift = emit.aligned(_floating(emit, eps), eps.labels, operation.output.labels)
    spread = emit.call(operator.add, emit.aligned(variance, labels, operation.output.labels), shift)
    return emit.call(operator.mul, centred, emit.call(torch.rsqrt, spread))


def _masked_softmax(emit: Emitter, operation: Along) -> Node:
    x, mask = _first(operation), operation.operands[1]
    assert isinstance(mask, Operand)
    output = operation.output.labels
    dim = output.index(operation.axis) - len(output)
    node = emit.aligned(_floating(emit, x), x.labels, output)
    keeps = emit.aligned(emit.operand(mask), mask.labels, output)
    some = emit.call(torch.any, keeps, dim, keepdim=True)
    # -inf alone would make a row NaN where nothing is kept, and its gradient too: such a row is a constant.
    masked = emit.call(torch.where, keeps, node, float("-inf"))
    weights = emit.call(torch.softmax, emit.call(torch.where, some, masked, 0.0), dim)
    return emit.call(torch.where, some, weights, 0.0)


def _rmsnorm(emit: Emitter, operation: Along) -> Node:
    x, eps = _first(operation), operation.operands[1]
    node, labels, axis = _floating(emit, x), x.labels, operation.axis
    if not isinstance(eps, Operand):
        inner = (*(label for label in labels if label != axis), axis)
        length = emit.size(emit.lengths(x)[axis])
        result = emit.call(functional.rms_norm, emit.permuted(node, labels, inner), (length,), None, float(eps))
        return emit.permuted(result, inner, operation.output.labels)
    output = operation.output.labels
    square = emit.call(torch.mean, emit.call(torch.square, node), (labels.index(axis),), keepdim=True)
    shift = emit.aligned(_floating(emit, eps), eps.labels, output)
    scale = emit.call(torch.rsqrt, emit.call(operator.add, emit.aligned(square, labels, output), shift))
    return emit.call(operator.mul, emit.aligned(node, labels, output), scale)


def _cumsum(emit: Emitter, operation: Along) -> Node:
    x = _first(operation)
    result = emit.call(torch.cumsum, _floating(emit, x), x.labels.index(operation.axis))
    return emit.permuted(result, x.labels, operation.output.labels)


def _topk(emit: Emitter, operation: Along) -> Node:
    x, k = _first(operation), operation.operands[1]
    assert isinstance(k, int)
    node, dim = _floating(emit, x), x.labels.index(operation.axis)
    if k == 0:
        return emit.permuted(emit.call(torch.zeros_like, node), x.labels, operation.output.labels)
    fixed = emit.method("detach", node)
    count = emit.minimum(k, emit.size(emit.lengths(x)[operation.axis]))
    # torch.topk takes equal values in any order: only the lowest value that it keeps is used.
    largest = emit.call(operator.getitem, emit.call(torch.topk, fixed, count, dim), 0)
    last = tuple(slice(-1, None) if place == dim else slice(None) for place in range(len(x.labels)))
    lowest = emit.call(operator.getitem, largest, last)
    above, equal = emit.call(operator.gt, fixed, lowest), emit.call(operator.eq, fixed, lowest)
    room = emit.call(operator.sub, count, emit.call(torch.sum, above, (dim,), keepdim=True))
    first = emit.call(torch.logical_and, equal, emit.call(operator.le, emit.call(torch.cumsum, equal, dim), room))
    kept = emit.call(torch.logical_or, above, first)
    return emit.permuted(emit.call(torch.where, kept, node, 0.0), x.labels, operation.output.labels)


def _rope(emit: Emitter, operation: Along) -> Node:
    x, position, base = _first(operation), operation.operands[1], operation.operands[2]
    assert not isinstance(base, Operand)
    axis, length = operation.axis, emit.size(emit.lengths(x)[operation.axis])
    inner = (*(label for label in operation.output.labels if label != axis), axis)
    # In float64, since an error of an angle grows with the position.
    steps = emit.call(torch.arange, emit.floor_divide(length, 2), dtype=torch.float64, device=emit.device())
    slope, count = -2 * math.log(base), emit.maximum(length, 1)
    rate = slope / count if isinstance(count, int) else emit.call(operator.truediv, slope, count)
    wide = emit.wide()  # an angle of 300 has no digit behind the point in bfloat16
    speeds = emit.method("to", emit.call(torch.exp, emit.call(operator.mul, steps, rate)), wide)

    def half(node: Node, start: int) -> Node:
        return emit.call(operator.getitem, node, (..., slice(start, None, 2)))

    first_angle: Node
    if isinstance(position, Operand):
        given = emit.operand(position)
        given = given if emit.dtype(position) == "float" else emit.method("to", given, wide)
        place = emit.aligned(given, position.labels, inner)
        varies = axis in position.labels
        first_angle = emit.call(operator.mul, half(place, 0) if varies else place, speeds)
        second_angle = emit.call(operator.mul, half(place, 1), speeds) if varies else first_angle
    else:
        first_angle = second_angle = emit.call(operator.mul, speeds, position)
    node = emit.aligned(_floating(emit, x), x.labels, inner)
    first, second = half(node, 0), half(node, 1)

    def turned(one: Node, other: Node, angle: Node, combine: Callable[..., Any]) -> Node:
        along = emit.call(operator.mul, one, emit.call(torch.cos, angle))
        return emit.call(combine, along, emit.call(operator.mul, other, emit.call(torch.sin, angle)))

    pair = [
        turned(first, second, first_angle, operator.sub),
        turned(second, first, second_angle, operator.add),
    ]
    result = emit.call(torch.flatten, emit.call(torch.stack, pair, -1), -2)
    result = emit.method("to", result, emit.precision())
    return emit.permuted(result, inner, operation.output.labels)


def _argmax(emit: Emitter, operation: Along) -> Node:
    x = _first(operation)
    result = emit.call(torch.argmax, emit.operand(x), x.labels.index(operation.axis))
    left = tuple(label for label in x.labels if label != operation.axis)
    return emit.permuted(result, left, operation.output.labels)


def _cross_entropy(emit: Emitter, operation: Along) -> Node:
    logits, target = _first(operation), operation.operands[1]
    assert isinstance(target, Operand)
    output, axis = operation.output.labels, operation.axis
    inner = (*output, axis)
    logs = emit.call(torch.log_softmax, _floating(emit, logits), logits.labels.index(axis))
    logs = emit.aligned(logs, logits.labels, inner, leading=True)
    if axis in target.labels:
        weights = emit.aligned(_floating(emit, target), target.labels, inner)
        return emit.call(operator.neg, emit.call(torch.sum, emit.call(operator.mul, logs, weights), -1))
    classes = emit.operand(target)
    if emit.dtype(target) != "int64":
        classes = emit.method("to", classes, torch.int64)
    classes = emit.aligned(emit.call(torch.unsqueeze, classes, -1), (*target.labels, axis), inner, leading=True)
    # gather does not broadcast; take_along_dim would, but fixes open sizes when it is compiled.
    logs = _repeated(emit, operation, logs, logits)
    classes = _repeated(emit, operation, classes, target)
    taken = emit.call(torch.gather, logs, -1, classes)
    scores = (emit.operand(logits), logits.labels.index(axis))
    taken.meta["fuse_classes"] = (emit.operand(target), target.value, scores, axis)  # for checked runs
    return emit.call(operator.neg, emit.call(torch.squeeze, taken, -1))


def _repeated(emit: Emitter, operation: Along, node: Node, operand: Operand) -> Node:
    """`node`, with the output's dimensions and the axis, repeated along those that `operand` lacks."""
    output = operation.output
    if all(label in operand.labels for label in output.labels):
        return node
    sizes = [
        -1 if label in operand.labels else emit.size(length)
        for label, length in zip(output.labels, output.lengths, strict=True)
    ]
    return emit.method("expand", node, (*sizes, -1))


ALONG: dict[str, AlongFunction] = {
    "softmax": _softmax(torch.softmax),
    "log_softmax": _softmax(torch.log_softmax),
    "masked_softmax": _masked_softmax,
    "lnorm": _lnorm,
    "rmsnorm": _rmsnorm,
    "cumsum": _cumsum,
    "topk": _topk,
    "rope": _rope,
    "argmax": _argmax,
    "cross_entropy": _cross_entropy,
}


def lower_along(emit: Emitter, operation: Along) -> Value:
    output = operation.output
    return Value(ALONG[operation.function](emit, operation), output.lengths, output.dtype)
