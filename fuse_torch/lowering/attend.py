"""Attention in torch's fast form, and under torch.func in the one that every transformation takes."""

from __future__ import annotations

import torch
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

__all__ = ["attend"]


def attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *,
    attn_mask: torch.Tensor | None,
    is_causal: bool,
    scale: float,
) -> torch.Tensor:
    """`functional.scaled_dot_product_attention`, by products and a softmax inside `torch.func`.

    The fast kernels have a first derivative in reverse alone: `jacfwd` and `hessian` would end in them.

    Args:
        query: (batch, heads, rows, features). key: (batch, heads, positions, features).
        value: (batch, heads, positions, columns).
        attn_mask: True where a position takes part, or what is added to the scores; (batch, heads, rows, positions).
    """
    if not torch.compiler.is_compiling() and torch._C._functorch.peek_interpreter_stack() is not None:
        with sdpa_kernel(SDPBackend.MATH):
            return functional.scaled_dot_product_attention(
                query, key, value, attn_mask=attn_mask, is_causal=is_causal, scale=scale
            )
    return functional.scaled_dot_product_attention(
        query, key, value, attn_mask=attn_mask, is_causal=is_causal, scale=scale
    )
