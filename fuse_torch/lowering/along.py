"""Functions along one axis as torch calls: softmax and its kin, normalisation, cross-entropy."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TypeAlias

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
    "lnorm": _lnorm,
    "cross_entropy": _cross_entropy,
}


def lower_along(emit: Emitter, operation: Along) -> Value:
    output = operation.output
    return Value(ALONG[operation.function](emit, operation), output.lengths, output.dtype)
