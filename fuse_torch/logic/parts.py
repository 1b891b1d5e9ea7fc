"""The dense parts of a graph with routed calls, as graphs of their own."""

from __future__ import annotations

import operator

from torch.fx import GraphModule, Node
from torch.fx.passes.split_module import split_module

from fuse_torch.logic.crossing import cross

__all__ = ["dense_parts"]


def dense_parts(module: GraphModule) -> tuple[GraphModule, ...]:
    """What `module` computes between its routed calls, in order; itself where it has none.

    A part takes what it reads of the module's inputs and of what came before: tensors, sizes, types. What a call of
    rules gives comes as positions, (count, arity), or as truth values.
    """
    nodes = list(module.graph.nodes)
    if not any(node.target is cross for node in nodes):
        return (module,)
    number: dict[Node, int] = {}
    part = 0
    for node in nodes:
        if node.target is cross:
            part += 2
        number[node] = part - 1 if node.target is cross else part
        source = node.args[0] if node.target is operator.getitem else None
        if isinstance(source, Node) and source.target is cross:
            number[node] = number[source]
    whole = split_module(module, None, lambda node: number[node])
    dense = {f"submod_{k}" for k in number.values() if k % 2 == 0}
    return tuple(part for name, part in whole.named_children() if name in dense and isinstance(part, GraphModule))
