"""Contractions in the order in which equations are written, and in the order that an expert takes."""

from __future__ import annotations

from torch import Tensor

__all__ = ["chain_as_written", "chain_at_best", "linear_attention_as_written", "linear_attention_at_best"]


def linear_attention_as_written(Q: Tensor, K: Tensor, V: Tensor) -> Tensor:
    scores = Q @ K.T
    return scores @ V


def linear_attention_at_best(Q: Tensor, K: Tensor, V: Tensor) -> Tensor:
    return Q @ (K.T @ V)


def chain_as_written(A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    return A @ B @ C @ D


def chain_at_best(A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """Wide and not thin: products with few columns take BLAS several times as long as those with few rows."""
    if D.dim() == 1:
        return A @ (B @ (C @ D))
    return (((D.T @ C.T) @ B.T) @ A.T).T.contiguous()
