"""Numbers of tuples that compiled code must not ask for."""

from __future__ import annotations

import sys

import torch

__all__ = ["open_count"]


def open_count(positions: torch.Tensor) -> torch.Tensor:
    """`positions` itself, marked so that code compiled for it is for any number of tuples, 0 and 1 among them.

    Where nothing was compiled yet in this process there is nothing to tell: loading Dynamo for it would take longer
    than everything else. A tensor that compiled code meets without the mark may cost a compilation each for its
    first size, for any, for 0 and for 1.
    """
    decorators = sys.modules.get("torch._dynamo.decorators")
    if decorators is not None and positions.dim() == 2 and not torch.compiler.is_compiling():
        decorators.mark_unbacked(positions, 0)
    return positions
