"""Rows that are added where positions say: the product of a sparse matrix of ones with a matrix."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from fuse_torch.lowering.narrow import added

__all__ = ["add_rows"]


def add_rows(values: torch.Tensor, rows: torch.Tensor, picked: torch.Tensor, count: int, ordered: bool) -> torch.Tensor:
    """The sums, for each row below `count`, of `values[picked[k]]` over all k with that row.

    Sorted by row this is `embedding_bag`, forty times as fast as `index_add` on a CPU; the gradient is the same
    with the roles of `rows` and `picked` changed, three times as fast as torch's own.

    Args:
        values: (m, d), floating.
        rows, picked: (n,) positions, below `count` and below m.
        ordered: whether `rows` are sorted.

    Returns:
        (count, d).
    """
    if not torch.compiler.is_compiling() and torch._C._functorch.peek_interpreter_stack() is not None:
        # Every transformation of torch.func takes these.
        sums = values.new_zeros((count, values.shape[1]))
        return added(sums, rows, values.index_select(0, picked))
    result: torch.Tensor = _Added.apply(values, rows, picked, count, ordered)
    return result


class _Added(torch.autograd.Function):
    @staticmethod
    def forward(
        values: torch.Tensor, rows: torch.Tensor, picked: torch.Tensor, count: int, ordered: bool
    ) -> torch.Tensor:
        if not ordered:
            rows, order = torch.sort(rows, stable=True)
            picked = picked.index_select(0, order)
        starts = torch.searchsorted(rows.contiguous(), torch.arange(count + 1, device=rows.device))
        return functional.embedding_bag(
            picked.contiguous(), values.contiguous(), starts, mode="sum", include_last_offset=True
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        values, rows, picked, _, _ = inputs
        ctx.save_for_backward(rows, picked)
        ctx.count = values.shape[0]

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None, None, None]:
        rows, picked = ctx.saved_tensors
        return _Added.apply(gradient, picked, rows, ctx.count, False), None, None, None, None
