"""Values of a relation's tuples, combined, as torch calls: the cost follows the number of tuples, which stays open."""

from __future__ import annotations

import operator
from collections.abc import Sequence

import torch
from torch.fx import Node

from fuse_ref.analysis.lengths import Length
from fuse_ref.ir.nodes import Dtype
from fuse_ref.plan.operations import Aggregate, InnerMap, InnerValue, Operand
from fuse_torch.lowering.emitter import Argument, Emitter, Size, Value
from fuse_torch.lowering.narrow import picked
from fuse_torch.lowering.operations import ELEMENTWISE, KEEPS_TYPES
from fuse_torch.lowering.reduce import neutral
from fuse_torch.lowering.segments import add_rows
from fuse_torch.registered import apply_registered

__all__ = ["lower_aggregate"]

_EACH = "~tuple"  # the label of the tuples


def lower_aggregate(emit: Emitter, operation: Aggregate) -> Value:
    """One Aggregate; the positions of its relation are in `emit.tuples`."""
    return _Aggregate(emit, operation).lower()


class _Aggregate:
    def __init__(self, emit: Emitter, operation: Aggregate) -> None:
        self.emit = emit
        self.operation = operation
        self.positions = emit.tuples[operation.relation]
        self.lengths: dict[str, Length] = dict(zip(operation.output.labels, operation.output.lengths, strict=True))
        for operand in operation.operands:
            self.lengths.update(emit.lengths(operand))
        labels = (label for operand in operation.operands for label in operand.labels)
        self.dense = tuple(dict.fromkeys(label for label in labels if label not in operation.columns))
        self.stays = [label for label in operation.columns if label in operation.output.labels]
        self.columns: dict[str, Node] = {}

    def lower(self) -> Value:
        operation, emit = self.operation, self.emit
        rows: Size = 1
        for label in self.stays:
            rows = emit.multiply(rows, emit.size(self.lengths[label]))
        # Positions come in lexicographic order.
        ordered = self.stays == list(operation.columns[: len(self.stays)])
        plain = operation.operator == "sum" and not operation.inner and len(operation.operands) == 1
        looked_up = self._looked_up(operation.operands[0]) if plain else []
        if plain and looked_up:
            (operand,) = operation.operands
            table, left = self._table(operand, looked_up)
            table = self._summed(emit.floating(table, emit.dtype(operand)), ["~", *left])
            left = [label for label in left if label in operation.output.labels]
            found = self._added(table, len(left), self._place(self.stays), self._place(looked_up), rows, ordered)
            return self._result(found, left)
        left = [label for label in self.dense if label in operation.output.labels]
        values = self._values()
        keys = self._place(self.stays)
        if operation.operator == "sum":
            every = emit.call(torch.arange, self._count(), device=emit.device())
            values = self._summed(values, [_EACH, *self.dense])
            return self._result(self._added(values, len(left), keys, every, rows, ordered), left)
        return self._result(self._scattered(values, keys, rows, left), left)

    # Positions ------------------------------------------------------------------------------------

    def _column(self, label: str) -> Node:
        if label not in self.columns:
            self.columns[label] = self.emit.call(torch.select, self.positions, 1, self.operation.columns.index(label))
        return self.columns[label]

    def _count(self) -> Node:
        return self.emit.method("size", self.positions, 0)

    def _place(self, labels: Sequence[str]) -> Node:
        """Where each tuple is among all positions of `labels`, the last fastest."""
        emit = self.emit
        place: Node | None = None
        for label in labels:
            column = self._column(label)
            if place is not None:
                place = emit.call(operator.mul, place, emit.size(self.lengths[label]))
                column = emit.call(operator.add, place, column)
            place = column
        if place is None:
            place = emit.call(torch.zeros, (self._count(),), dtype=torch.int64, device=emit.device())
        return place

    def _looked_up(self, operand: Operand) -> list[str]:
        return [label for label in operand.labels if label in self.operation.columns]

    # Values ---------------------------------------------------------------------------------------

    def _table(self, operand: Operand, looked_up: Sequence[str]) -> tuple[Node, list[str]]:
        """The operand with one dimension for all labels that are looked up, and its other labels in order."""
        emit = self.emit
        rest = [label for label in self.dense if label in operand.labels]
        node = emit.permuted(emit.operand(operand), operand.labels, [*looked_up, *rest])
        if len(looked_up) > 1:
            node = emit.call(torch.flatten, node, 0, len(looked_up) - 1)
        return node, rest

    def _values(self) -> Node:
        """What each tuple gives: one dimension for the tuples, one for each dense label."""
        emit, operation = self.emit, self.operation
        labels = [_EACH, *self.dense]
        values: list[tuple[Node, Dtype]] = []
        for operand in operation.operands:
            looked_up = self._looked_up(operand)
            node, rest = self._table(operand, looked_up)
            if looked_up:
                node = emit.call(picked, node, 0, self._place(looked_up))
                rest = [_EACH, *rest]
            values.append((emit.aligned(node, rest, labels), emit.dtype(operand)))
        for item in operation.inner:
            values.append((self._inner(item, values), item.dtype))
        if operation.inner:
            node = emit.floating(*values[-1])
        elif values:
            node = emit.floating(*values[0])
            for other in values[1:]:
                node = emit.call(operator.mul, node, emit.floating(*other))
        else:
            node = emit.full((), 1, "float")
        return emit.method("expand", node, (self._count(), *(emit.size(self.lengths[label]) for label in self.dense)))

    def _inner(self, item: InnerMap, values: Sequence[tuple[Node, Dtype]]) -> Node:
        emit = self.emit
        arguments: list[Argument] = []
        for k, argument in enumerate(item.arguments):
            if not isinstance(argument, InnerValue):
                arguments.append(argument)
                continue
            node, dtype = values[argument.number]
            condition = item.function == "where" and k == 0
            if (
                item.dtype == "float"
                and not condition
                and (item.function == "where" or item.function not in KEEPS_TYPES)
            ):
                node = emit.floating(node, dtype)
            arguments.append(node)
        if not any(isinstance(argument, Node) for argument in arguments):
            first = arguments[0]
            assert not isinstance(first, Node)
            arguments[0] = emit.full((), first, "float")
        row = ELEMENTWISE.get(item.function)
        if row is None:
            tensors = [a if isinstance(a, Node) else emit.full((), a, "float") for a in arguments]
            return emit.call(apply_registered, item.function, *tensors)
        return row(emit, arguments, dict(item.options))

    # Combining ------------------------------------------------------------------------------------

    def _summed(self, node: Node, labels: Sequence[str]) -> Node:
        """Without the dense labels that the output lacks."""
        kept = {labels[0], *self.operation.output.labels}
        dims = tuple(k for k, label in enumerate(labels) if label not in kept)
        return self.emit.call(torch.sum, node, dims) if dims else node

    def _added(self, values: Node, left: int, rows: Node, picked: Node, count: Size, ordered: bool) -> Node:
        """(count, all dense labels that stay)."""
        emit = self.emit
        if left == 0:
            values = emit.call(torch.unsqueeze, values, 1)
        elif left > 1:
            values = emit.call(torch.flatten, values, 1)
        return emit.call(add_rows, values, rows, picked, count, ordered)

    def _scattered(self, values: Node, keys: Node, rows: Size, left: Sequence[str]) -> Node:
        """The dense labels that the output lacks are combined with the tuples: they may have no positions."""
        emit, operation = self.emit, self.operation
        gone = [label for label in self.dense if label not in left]
        ways = {"max": "amax", "min": "amin", "prod": "prod"}
        values = emit.permuted(values, [_EACH, *self.dense], [_EACH, *gone, *left])
        sizes = [emit.size(self.lengths[label]) for label in (*gone, *left)]
        keys = emit.method("reshape", keys, (-1, *(1 for _ in sizes)))
        keys = emit.method("expand", keys, (self._count(), *sizes))
        if gone:
            values = emit.call(torch.flatten, values, 0, len(gone))
            keys = emit.call(torch.flatten, keys, 0, len(gone))
        start = emit.full((rows, *(emit.size(self.lengths[label]) for label in left)), self._neutral(), "float")
        return emit.call(torch.scatter_reduce, start, 0, keys, values, ways[operation.operator], include_self=False)

    def _neutral(self) -> float | int:
        return neutral(self.operation.operator, "float")

    def _result(self, found: Node, left: Sequence[str]) -> Value:
        emit, output = self.emit, self.operation.output
        labels = [*self.stays, *left]
        sizes = tuple(emit.size(self.lengths[label]) for label in labels)
        node = emit.method("reshape", found, sizes)
        return Value(emit.permuted(node, labels, output.labels), output.lengths, output.dtype)
