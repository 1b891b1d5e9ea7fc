"""Emits scaled_dot_product_attention for attention that was found, with exact masks."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch.fx import Graph, Node
from torch.nn import functional

from fuse_torch.backend.passes.contraction import Factor, Writer, layout_of
from fuse_torch.backend.passes.graph import Emitter, Size, hint, tensor_of
from fuse_torch.backend.passes.products import Labels, Scale
from fuse_torch.backend.passes.scores import Filled

if TYPE_CHECKING:
    from fuse_torch.backend.passes.attention import Attention

__all__ = ["attend"]


def attend(graph: Graph, found: Attention) -> None:
    """Replace the calls of `found`."""
    _Writing(graph, found).run()


class _Writing:
    """The replacement of one attention."""

    def __init__(self, graph: Graph, found: Attention) -> None:
        self.graph = graph
        self.found = found
        self.emit = Emitter(graph, found.root)
        self.like = found.root.meta["example_value"]
        self.sizes: dict[int, Size] = {}
        self.sources: dict[int, tuple[Node, int]] = {}
        for node, labels in (found.query, found.key, found.values):
            for dim, (label, size) in enumerate(zip(labels, node.meta["example_value"].shape, strict=True)):
                self.sizes[label] = size
                self.sources[label] = (node, dim)
        self.write = Writer(self.emit, self.sizes)

    def run(self) -> None:
        found = self.found
        scale = self._scale()
        query, key, values = (self.emit.cast(node, self.like.dtype) for node, _ in self._operands())
        query = self._scaled(query, scale is None)
        tensors = [
            self._arranged(Factor(node, labels), own)
            for node, labels, own in (
                (query, found.query[1], (found.row, found.inner)),
                (key, found.key[1], (found.column, found.inner)),
                (values, found.values[1], (found.column, found.value)),
            )
        ]
        mask, causal, rows, dropped = self._mask()
        settings: dict[str, Any] = {"scale": 1.0 if scale is None else scale}
        if causal:
            settings["is_causal"] = True
        if mask is not None:
            settings["attn_mask"] = mask
        made = self.emit.call(functional.scaled_dot_product_attention, *tensors, **settings)
        if rows is not None:
            made = self._rows(made, rows, tensors[2], dropped)
        made = self._returned(made)
        found.root.replace_all_uses_with(made)
        for node in found.members:
            self.graph.erase_node(node)
        # A guard stands above its mask, which is still in use.
        for node in dict.fromkeys(found.views):
            if not node.users:
                self.graph.erase_node(node)

    def _operands(self) -> tuple[tuple[Node, Labels], ...]:
        return self.found.query, self.found.key, self.found.values

    # Factors -----------------------------------------------------------------------------------

    def _scale(self) -> float | None:
        """All factors as one number; None where one is not known while compiling, or none is positive."""
        product = 1.0
        for scale in self.found.scores.scales:
            if not isinstance(scale.value, (int, float)):
                return None
            product = product * scale.value if scale.function is operator.mul else product / (scale.value or math.nan)
        return product if 0 < product < math.inf else None

    def _scaled(self, query: Node, apply: bool) -> Node:
        if apply:
            for scale in self.found.scores.scales:
                query = self._applied(scale, query)
        return query

    def _applied(self, scale: Scale, node: Node) -> Node:
        return self.emit.call(scale.function, node, scale.value, shape=node.meta["example_value"].shape)

    # Dimensions --------------------------------------------------------------------------------

    def _size(self, label: int) -> Node | int:
        size = self.sizes[label]
        known = size if isinstance(size, int) else size.node.maybe_as_int()
        if known is not None:
            return int(known)
        node, dim = self.sources[label]
        made = self.emit.method("size", node, dim)
        made.meta["example_value"] = size
        return made

    def _arranged(self, factor: Factor, own: tuple[int, int]) -> Node:
        """The operand as (batch, heads, rows, columns): as views, unless many batch dimensions become one."""
        batch = self.found.batch
        factor = self.write.without(
            factor, [label for label in factor.labels if label not in (*batch, *own)], single=True
        )
        present = tuple(label for label in batch if label in factor.labels)
        node = self.write.permuted(factor, (*present, *own)).node
        for dim, label in enumerate(batch):
            if label not in present:
                node = self.emit.call(torch.unsqueeze, node, dim)
        if len(present) < len(batch) and any(hint(self.sizes[label]) != 1 for label in batch if label not in present):
            node = self.emit.method("expand", node, *(self._size(label) for label in batch), -1, -1)
        if len(batch) > 2:
            return self.emit.call(torch.flatten, node, 0, len(batch) - 2)
        return self._four(node, len(batch))

    def _four(self, node: Node, batch: int) -> Node:
        if batch == 0:
            node = self.emit.call(torch.unsqueeze, node, 0)
        return self.emit.call(torch.unsqueeze, node, 1 if batch == 1 else 0) if batch < 2 else node

    def _returned(self, node: Node) -> Node:
        """The result as the author has it: its dimensions in their order."""
        found = self.found
        batch, like = found.batch, self.like
        if len(batch) > 2:
            node = self.emit.method("unflatten", node, 0, tuple(self._size(label) for label in batch[:-1]))
        elif len(batch) == 1:
            node = self.emit.call(torch.squeeze, node, 1)
        elif not batch:
            node = self.emit.call(torch.squeeze, node, (0, 1))
        made = (*batch, found.row, found.value)
        node.meta["example_value"] = self.emit.fake([self.sizes[label] for label in made])
        factor = Factor(node, made)
        if _layout_matters(found.root):
            layout = layout_of(like, found.output) or found.output
            factor = self.write.permuted(factor, layout)
            dense = self.emit.method("contiguous", factor.node, shape=[self.sizes[label] for label in layout])
            factor = Factor(dense, layout)
        return self.write.permuted(factor, found.output).node

    # Masks -------------------------------------------------------------------------------------

    def _mask(self) -> tuple[Node | None, bool, Node | None, float]:
        """(mask, whether it is the causal one, which rows keep anything, what masked scores were set to)."""
        scores = self.found.scores
        if self.found.is_causal:
            return None, True, None, -math.inf
        if not scores.added:
            keep: Node | None = None
            for item in scores.filled:
                one = self._kept(item)
                keep = one if keep is None else self.emit.call(torch.logical_and, keep, one)
            value = scores.filled[-1].value if scores.filled else -math.inf
            if keep is None or (len(scores.filled) == 1 and self._fills(scores.filled[0])):
                return keep, False, None, value
            rows = self.emit.method("any", keep, -1, keepdim=True)
            empty = self.emit.call(torch.logical_not, rows)
            return self.emit.call(torch.logical_or, keep, empty), False, rows, value
        mask = self._sum_of_added()
        finite = self.emit.call(torch.ne, mask, -math.inf)
        rows = self.emit.method("any", finite, -1, keepdim=True)
        mask = self.emit.call(torch.where, rows, mask, 0.0)
        return mask, False, rows, -math.inf

    def _fills(self, item: Filled) -> bool:
        band = self.found.band(item)
        return band is not None and band.fills_rows

    def _kept(self, item: Filled) -> Node:
        mask = self._placed(item.mask)
        if item.kept is None:
            return self.emit.call(torch.eq, mask, 0)
        return mask if item.kept else self.emit.call(torch.logical_not, mask)

    def _sum_of_added(self) -> Node:
        total: Node | None = None
        for item in self.found.scores.added:
            mask = self._placed(item.mask)
            for scale in item.scales:
                mask = self.emit.call(scale.function, mask, scale.value)
            total = mask if total is None else self.emit.call(torch.add, total, mask)
        assert total is not None
        return total

    def _placed(self, mask: Node) -> Node:
        """The mask as (batch or 1, heads or 1, rows or 1, columns or 1)."""
        found = self.found
        value = tensor_of(mask)
        assert value is not None
        order = (*found.batch, found.row, found.column)
        output = found.scores.product.output
        labels = output[len(output) - value.dim() :]
        dims = [labels.index(label) for label in order if label in labels]
        node = mask if dims == sorted(dims) else self.emit.call(torch.permute, mask, tuple(dims))
        for dim, label in enumerate(order):
            if label not in labels:
                node = self.emit.call(torch.unsqueeze, node, dim)
        if len(found.batch) > 2:  # all of size 1
            return self.emit.call(torch.flatten, node, 0, len(found.batch) - 2)
        return self._four(node, len(found.batch))

    def _rows(self, made: Node, rows: Node, values: Node, value: float) -> Node:
        """Give rows without any score kept what a softmax of equal numbers gives: NaN for -inf, else the mean.

        The author may have asked for 0 instead.
        """
        if self.found.scores.guard is not None:
            return self.emit.call(torch.where, rows, made, 0.0)
        ones = self.emit.method("to", rows, self.like.dtype)
        nan = self.emit.call(torch.div, ones, ones)  # 1/1 or 0/0
        if self.found.scores.added:  # gradients become NaN as well
            return self.emit.call(torch.mul, made, nan)
        # No gradient comes to scores that were set: it does to the values.
        mean = self.emit.call(torch.mean, values, -2, keepdim=True)
        if value == -math.inf:
            mean = self.emit.call(torch.mul, mean, nan)
        return self.emit.call(torch.where, rows, made, mean)


_VIEWS = frozenset({"transpose", "permute", "swapaxes", "swapdims"})
_ANY_LAYOUT = frozenset(
    {"contiguous", "reshape", "clone", "flatten", "linear", "matmul", "einsum", "add", "mul", "sum", "bmm", "mm"}
    | {"layer_norm", "dropout", "concat", "cat"}
)


def _layout_matters(node: Node) -> bool:
    """Whether something may ask how the result lies in memory: the caller, or a `view` that splits dimensions."""
    users: Sequence[Node] = list(node.users)
    for user in users:
        name = str(user.target) if user.op == "call_method" else str(getattr(user.target, "__name__", ""))
        if user.op.startswith("call_") and name in _VIEWS:
            if _layout_matters(user):
                return True
        elif not (user.op.startswith("call_") and name in _ANY_LAYOUT):
            return True
    return False
