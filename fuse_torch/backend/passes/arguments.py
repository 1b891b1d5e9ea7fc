"""Arguments of calls: by name, and what kind of value they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.fx import Node

from fuse_torch.backend.passes.graph import sizes, tensor_of

__all__ = ["are_tensors", "arguments_of", "is_number", "rank_of", "sizes_of"]


def arguments_of(node: Node, *names: str) -> Mapping[str, Any] | None:
    """Arguments by name; None where there are more or others."""
    if len(node.args) > len(names) or not set(node.kwargs) <= set(names):
        return None
    return {**dict(zip(names, node.args, strict=False)), **node.kwargs}


def are_tensors(*nodes: Any) -> bool:
    return all(isinstance(node, Node) and tensor_of(node) is not None for node in nodes)


def sizes_of(node: Node) -> tuple[int, ...]:
    found = sizes(node)
    return () if found is None else found


def rank_of(node: Node) -> int:
    value = tensor_of(node)
    return 0 if value is None else value.dim()


def is_number(value: Any) -> bool:
    """A number of Python, or the node of one: not a tensor."""
    if isinstance(value, Node):
        return isinstance(value.meta.get("example_value"), (int, float, torch.SymInt, torch.SymFloat))
    return isinstance(value, (int, float)) and not isinstance(value, bool)
