"""Zeros, or neutral elements, round an array only where it needs some: torch copies even where it adds none."""

from __future__ import annotations

import torch

__all__ = ["padded"]


def padded(x: torch.Tensor, pads: tuple[int, ...], value: float | bool) -> torch.Tensor:
    """`torch.constant_pad_nd`, or `x` itself where every pad is surely 0.

    While a graph is traced a pad may be an expression of open sizes. Whether it is 0 is asked without a guard,
    so that no size is fixed by asking: where it is not known, zeros are added, perhaps none.

    Args:
        x: an array of any shape.
        pads: before and after each dimension, counted from the last one; negative ones crop.
    """
    if torch.compiler.is_compiling():
        # Imported here since it takes longer than all of this package, and torch has loaded it when it traces.
        from torch.fx.experimental.symbolic_shapes import guard_or_false

        needed = any(not guard_or_false(pad == 0) for pad in pads)
    else:
        needed = any(pads)
    return torch.constant_pad_nd(x, pads, value) if needed else x
