"""What torch itself computes in 16 bits where its operands have 16: done in float32, and rounded once."""

from __future__ import annotations

import torch

__all__ = ["added", "multiplied", "picked"]


def added(start: torch.Tensor, where: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """`start` with each of `values` added at its position. torch.index_add in bfloat16 stops counting at 256.

    Args:
        start: (rows, ...). where: (count,), int64. values: (count, ...).
    """
    if values.dtype.itemsize == 2:
        return torch.index_add(start.float(), 0, where, values.float()).to(values.dtype)
    return torch.index_add(start, 0, where, values)


def multiplied(values: torch.Tensor, dim: int) -> torch.Tensor:
    """The product along `dim`."""
    if values.dtype.itemsize == 2:
        return torch.prod(values, dim, dtype=torch.float32).to(values.dtype)
    return torch.prod(values, dim)


def picked(table: torch.Tensor, dim: int, index: torch.Tensor) -> torch.Tensor:
    """The rows of `table` along `dim` at positions `index`; the gradient of a row that is picked often is a sum."""
    if table.dtype.itemsize == 2 and table.requires_grad and torch.is_grad_enabled():
        return torch.index_select(table.float(), dim, index).to(table.dtype)
    return torch.index_select(table, dim, index)
