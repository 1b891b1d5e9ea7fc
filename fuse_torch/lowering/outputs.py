"""Outputs that share no memory with inputs, parameters or each other: a caller may write into what it gets."""

from __future__ import annotations

import operator

import torch
from torch.fx import Node
from torch.nn import functional

from fuse_torch.logic.crossing import cross
from fuse_torch.lowering.emitter import Emitter
from fuse_torch.registered import apply_registered

__all__ = ["independent_outputs"]

# Calls whose result may be a view of their first argument.
_VIEW_FUNCTIONS = {operator.getitem, torch.diagonal, torch.flatten, torch.permute, torch.select, torch.unsqueeze}
_VIEW_METHODS = {"expand", "reshape", "to", "transpose", "unflatten", "unfold"}
# Calls that may give back an argument itself: dropout that is off, and what others wrote.
_PASSES_ON = {functional.dropout, apply_registered}


def independent_outputs(emit: Emitter, nodes: list[Node]) -> list[Node]:
    """`nodes`, copied where they are views of what came in or of another output."""
    taken: set[Node] = set()
    results: list[Node] = []
    for node in nodes:
        base, repeats = _base(node)
        if base.op in ("placeholder", "get_attr") or base.target in _PASSES_ON or base in taken or repeats:
            copy = emit.method("clone", node, memory_format=torch.contiguous_format)
            copy.meta.update(node.meta)
            node = copy
        taken.add(base)
        results.append(node)
    return results


def _base(node: Node) -> tuple[Node, bool]:
    """The node that owns the memory, and whether one element of it appears several times."""
    repeats = False
    while True:
        is_view = (node.op == "call_function" and node.target in _VIEW_FUNCTIONS) or (
            node.op == "call_method" and node.target in _VIEW_METHODS
        )
        if not is_view:
            return node, repeats
        repeats = repeats or node.target in ("expand", "unfold")
        source = node.args[0]
        assert isinstance(source, Node)
        if source.target is cross:
            return node, repeats  # what rules give is nobody else's
        node = source
