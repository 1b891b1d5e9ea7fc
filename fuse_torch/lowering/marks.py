"""Where the nodes of a graph come from: the tensor, its sizes and its place in the program, as meta of each node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch.fx import Node

from fuse_ref.plan.steps import Plan

__all__ = ["Marks"]


class Marks:
    """What a plan says about each of its tensors and values."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._tensors = {tensor.name for tensor in plan.program.tensors}
        self._spans = {tensor.name: tensor.span for tensor in plan.program.tensors}
        for equation in reversed(plan.program.equations):  # the first equation of a tensor says where it stands
            self._spans[equation.target.tensor] = equation.span
        self._meta: dict[str, Mapping[str, Any]] = {}

    def put(self, node: Node, tensor: str) -> None:
        """Mark `node` as part of what computes `tensor`, a tensor or a value of the plan."""
        node.meta.update(self.of(tensor))

    def of(self, tensor: str) -> Mapping[str, Any]:
        """The meta of a node of `tensor`."""
        found = self._meta.get(tensor)
        if found is None:
            found = self._meta[tensor] = self._made(tensor)
        return found

    def _made(self, tensor: str) -> Mapping[str, Any]:
        meta: dict[str, Any] = {"fuse_tensor": tensor}
        if tensor in self._tensors:
            meta["fuse_lengths"] = tuple(str(length) for length in self._plan.shape(tensor))
        span = self._spans.get(tensor)
        if span is not None:
            meta["fuse_span"] = f"{span}: {span.text}"
            # The form in which torch prints where a node comes from.
            first_line = span.text.partition("\n")[0]
            meta["stack_trace"] = f'  File "{span.source.name}", line {span.line}, in {tensor}\n    {first_line}'
        return meta
