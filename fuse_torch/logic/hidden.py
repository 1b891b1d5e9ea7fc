"""Routed calls in generated code: functions that Dynamo leaves alone, each with its reason, or one operator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch.fx import Graph

from fuse_ref.config import Breaks
from fuse_torch.facts import Facts
from fuse_torch.logic.crossing import cross, find_crossing
from fuse_torch.logic.operator import cross_opaquely
from fuse_torch.logic.portable import text_of

__all__ = ["hide_crossings"]

_Cross: TypeAlias = Callable[..., list[torch.Tensor]]


def hide_crossings(graph: Graph, breaks: Breaks) -> bool:
    """Make the routed calls of `graph` fit for compiled code; whether there are any."""
    nodes = [node for node in graph.nodes if node.op == "call_function" and node.target is cross]
    for number, node in enumerate(nodes):
        key = node.args[0]
        assert isinstance(key, str)
        made = _opaque(key) if breaks == "opaque" else _hidden(find_crossing(key).reason)
        # Generated code finds functions by their names.
        made.__name__ = made.__qualname__ = f"run_rules_{number}"
        node.target = made
    return bool(nodes)


def _hidden(reason: str) -> _Cross:
    """`cross` with the reason why a graph ends there."""

    @torch.compiler.disable(reason=reason)
    def run(
        key: str, handles: Sequence[Any], values: Sequence[torch.Tensor], sizes: Sequence[int], device: torch.device
    ) -> list[torch.Tensor]:
        return cross(key, handles, values, sizes, device)

    return run


def _opaque(key: str) -> _Cross:
    """`cross` as one operator in compiled code, where it is given tensors or `Facts`."""
    text, equations = text_of(key), find_crossing(key).equations
    # Symbols can be looked up in Python alone.
    in_python = _hidden(
        f"fuse: «{equations}» tuples of a relation are read in NumPy; an operator takes tensors and Facts"
    )

    def run(
        key: str, handles: Sequence[Any], values: Sequence[torch.Tensor], sizes: Sequence[int], device: torch.device
    ) -> list[torch.Tensor]:
        if torch.compiler.is_compiling() and all(isinstance(item, torch.Tensor | Facts) for item in handles):
            return cross_opaquely(key, text, handles, values, sizes, device)
        # Hidden in eager mode too: a caller that Dynamo gave up may still have it look at what is called.
        return in_python(key, handles, values, sizes, device)

    return run
