"""`Concat`: parts flattened to one dimension along the axis, then put one after another."""

from __future__ import annotations

import torch

from fuse_ref.plan.steps import Concat
from fuse_torch.lowering.emitter import Emitter, Value

__all__ = ["lower_concat"]


def lower_concat(emit: Emitter, operation: Concat) -> Value:
    """One `torch.cat`; a part that is alone is a view where its memory allows. Sizes may be open."""
    output = operation.output
    place = output.labels.index(operation.axis)
    nodes = []
    for part in operation.parts:
        wanted = (*output.labels[:place], *part.along, *output.labels[place + 1 :])
        node = emit.permuted(emit.operand(part.operand), part.operand.labels, wanted)
        if output.dtype == "float":
            node = emit.floating(node, emit.dtype(part.operand))
        if not part.along:
            node = emit.call(torch.unsqueeze, node, place)
        elif len(part.along) > 1:
            node = emit.call(torch.flatten, node, place, place + len(part.along) - 1)
        nodes.append(node)
    node = nodes[0] if len(nodes) == 1 else emit.call(torch.cat, tuple(nodes), place)
    return Value(node, output.lengths, output.dtype)
