"""Numbers of tuples that compiled code must not ask for."""

from __future__ import annotations

import sys

import torch
from torch._library.fake_impl import allocate_size
from torch._subclasses.fake_tensor import DynamicOutputShapeException

__all__ = ["open_count", "unknown_count"]


def open_count(positions: torch.Tensor) -> torch.Tensor:
    """`positions`, row after row, marked so that code compiled for it is for any number of tuples, 0 and 1 among them.

    Where nothing was compiled yet in this process there is nothing to tell: loading Dynamo for it would take longer
    than everything else. A tensor that compiled code meets without the mark may cost a compilation each for its
    first size, for any, for 0 and for 1.
    """
    if positions.dim() == 2 and positions.stride() != (positions.shape[1], 1):
        # Compiled code is made for strides, and NumPy has others for arrays without elements.
        positions = positions.new_empty(positions.shape).copy_(positions)
    decorators = sys.modules.get("torch._dynamo.decorators")
    if decorators is not None and positions.dim() == 2 and not torch.compiler.is_compiling():
        decorators.mark_unbacked(positions, 0)
    return positions


def unknown_count() -> torch.SymInt:
    """A number of tuples, in what tells a compiler the shapes of an operator's results.

    torch's own call refuses outside of `fullgraph=True` and exports, and Dynamo would end the graph there: but
    nothing in code after the operator asks for the number, and so one graph may go on.
    """
    context = torch.library.get_ctx()
    try:
        size: torch.SymInt = context.new_dynamic_size()
    except DynamicOutputShapeException:
        if context._shape_env is None:
            raise
        size = allocate_size(context._shape_env)
    return size
