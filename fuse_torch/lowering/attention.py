"""Attention as functional.scaled_dot_product_attention."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence

import torch
from torch.fx import Node

from fuse_ref.analysis.lengths import Length
from fuse_ref.plan.roles import AttentionRoles, attention_roles
from fuse_ref.plan.steps import Attention, Operand
from fuse_torch.lowering.attend import attend
from fuse_torch.lowering.emitter import Emitter, Size, Value

__all__ = ["lower_attention"]


def lower_attention(emit: Emitter, operation: Attention) -> Value:
    roles, output = attention_roles(operation), operation.output
    lengths = dict(zip(output.labels, output.lengths, strict=True))
    for operand in (operation.query, operation.key, operation.value):
        lengths |= emit.lengths(operand)
    shaper = _Shaper(emit, roles, lengths)
    axis = (operation.axis,)
    query = shaper.stacked(operation.query, roles.rows, roles.features)
    key = shaper.stacked(operation.key, axis, roles.features)
    value = shaper.stacked(operation.value, axis, roles.columns)

    # The fast form of a causal mask; one beside other masks is one of them.
    fast = bool(operation.causal) and roles.rows == (operation.causal,)
    fast = fast and operation.bias is None and operation.keep is None
    kept = None if operation.keep is None else shaper.mask(operation.keep, axis)
    if operation.causal and not fast:
        causal = shaper.causal(operation)
        kept = causal if kept is None else emit.call(torch.logical_and, kept, causal)
    bias = None if operation.bias is None else shaper.mask(operation.bias, axis)
    node = emit.call(
        attend,
        query,
        key,
        value,
        attn_mask=_joined(emit, bias, kept),
        is_causal=fast,
        scale=operation.scale,
    )
    node = _empty(emit, operation, node, value, bias, kept)
    node = shaper.split(node)
    return Value(emit.permuted(node, roles.made, output.labels), output.lengths, output.dtype)


def _joined(emit: Emitter, bias: Node | None, kept: Node | None) -> Node | None:
    """Both masks as one."""
    if bias is None or kept is None:
        return kept if bias is None else bias
    return emit.call(torch.where, kept, bias, -math.inf)


def _empty(emit: Emitter, operation: Attention, node: Node, value: Node, bias: Node | None, kept: Node | None) -> Node:
    """Rows without any weight as the plan wants them: torch makes them 0."""
    if operation.bias is not None:
        assert bias is not None
        # A softmax of nothing but -inf is NaN.
        some = _some(emit, emit.call(operator.ne, bias, -math.inf))
        node = emit.call(torch.where, some, node, math.nan)
    if operation.keep is None or operation.empty == "zero":
        return node
    assert kept is not None
    some = _some(emit, kept)
    if operation.empty == "nan":
        return emit.call(torch.where, some, node, math.nan)
    # Not torch.mean, which is NaN, and warns, where there is no value.
    number = emit.maximum(emit.method("size", value, -2), 1)
    mean = emit.call(torch.div, emit.call(torch.sum, value, -2, keepdim=True), number)
    return emit.call(torch.where, some, node, mean)


def _some(emit: Emitter, holds: Node) -> Node:
    """Whether any position has weight. Where there are no positions at all, the sum over them is 0, so nothing lacks."""
    count = emit.call(torch.sum, holds, -1, keepdim=True)
    return emit.call(operator.ge, count, emit.minimum(emit.method("size", holds, -1), 1))


class _Shaper:
    """Operands as torch wants them: four dimensions (batch, batch, rows, last), by views where memory allows it."""

    def __init__(self, emit: Emitter, roles: AttentionRoles, lengths: dict[str, Length]) -> None:
        self.emit = emit
        self.roles = roles
        self.lengths = lengths

    def stacked(self, operand: Operand, middle: Sequence[str], last: Sequence[str]) -> Node:
        emit = self.emit
        wanted = (*self.roles.batch, *middle, *last)
        node = emit.floating(emit.operand(operand), emit.dtype(operand))
        node = emit.aligned(node, operand.labels, wanted, leading=True)
        if any(label not in operand.labels for label in self.roles.batch):
            node = emit.method("expand", node, tuple(emit.size(self.lengths[label]) for label in wanted))
        return self._four(node, middle, last)

    def mask(self, operand: Operand, axis: tuple[str]) -> Node:
        """Along the batch labels that it lacks a mask has one place."""
        emit, rows = self.emit, self.roles.rows
        wanted = (*self.roles.batch, *rows, *axis)
        node, dtype = emit.operand(operand), emit.dtype(operand)
        if dtype == "int64":  # a bias of positions alone
            node = emit.floating(node, dtype)
        node = emit.aligned(node, operand.labels, wanted, leading=True)
        lacks = {label for label in wanted if label not in operand.labels}
        batches = self.roles.batch[: max(1, len(self.roles.batch) - 1)]
        # Dimensions that are merged must have their sizes.
        for group in (rows, batches):
            if len(group) > 1 and 0 < len(lacks.intersection(group)) < len(group):
                lacks.difference_update(group)
        if len(rows) > 1:
            lacks.difference_update(rows)
        lacks.difference_update(axis)
        sizes = [1 if label in lacks else emit.size(self.lengths[label]) for label in wanted]
        if any(label not in operand.labels and label not in lacks for label in wanted):
            node = emit.method("expand", node, tuple(sizes))
        return self._four(node, rows, axis)

    def causal(self, operation: Attention) -> Node:
        """True where the position is at most the row's."""
        emit = self.emit
        axis = (operation.axis,)
        row = emit.arange(emit.size(self.lengths[operation.causal]), "int64")
        row = emit.aligned(row, (operation.causal,), self.roles.rows, leading=True)
        if len(self.roles.rows) > 1:
            sizes = tuple(emit.size(self.lengths[label]) for label in self.roles.rows)
            row = emit.call(torch.flatten, emit.method("expand", row, sizes))
        position = emit.arange(emit.size(self.lengths[axis[0]]), "int64")
        return emit.call(operator.le, position, emit.call(torch.unsqueeze, row, -1))

    def split(self, node: Node) -> Node:
        """The result's own dimensions again."""
        emit, roles = self.emit, self.roles
        for position, group in ((3, roles.columns), (2, roles.rows)):
            node = self._divided(node, position, group)
        if len(roles.batch) < 2:
            node = emit.call(torch.squeeze, node, 0)
            return node if roles.batch else emit.call(torch.squeeze, node, 0)
        return self._divided(node, 0, roles.batch[:-1])

    def _divided(self, node: Node, position: int, group: Sequence[str]) -> Node:
        if not group:
            return self.emit.call(torch.squeeze, node, position)
        if len(group) == 1:
            return node
        sizes: tuple[Size, ...] = tuple(self.emit.size(self.lengths[label]) for label in group)
        return self.emit.method("unflatten", node, position, sizes)

    def _four(self, node: Node, middle: Sequence[str], last: Sequence[str]) -> Node:
        emit, batch = self.emit, len(self.roles.batch)
        for position, group in ((batch + len(middle), last), (batch, middle)):
            if not group:
                node = emit.call(torch.unsqueeze, node, position)
            elif len(group) > 1:
                node = emit.call(torch.flatten, node, position, position + len(group) - 1)
        if batch > 2:
            return emit.call(torch.flatten, node, 0, batch - 2)
        for _ in range(2 - batch):
            node = emit.call(torch.unsqueeze, node, 0)
        return node
