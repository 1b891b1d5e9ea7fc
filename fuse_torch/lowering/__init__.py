"""From a plan to a graph of torch operations, and from the graph to Python code."""

from __future__ import annotations

from fuse_torch.lowering.lower import Lowered, lower

__all__ = ["Lowered", "lower"]
