"""The workloads in torch as an expert writes them: SDPA, conv2d, layer_norm, matrix products in the best order."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "attention",
    "block",
    "block_loss",
    "chain",
    "convolution",
    "cp",
    "cp_fit",
    "gram",
    "kernel_machine",
    "tucker",
]


def attention(Q: Tensor, K: Tensor, V: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(Q[None, None], K[None, None], V[None, None])[0, 0]


def block(
    X: Tensor, WQ: Tensor, WK: Tensor, WV: Tensor, WO: Tensor, W1: Tensor, B1: Tensor, W2: Tensor, B2: Tensor
) -> Tensor:
    b, p, d = X.shape
    h, k, _ = WQ.shape

    def heads(W: Tensor) -> Tensor:
        return F.linear(X, W.reshape(h * k, d)).view(b, p, h, k).transpose(1, 2)

    mixed = F.scaled_dot_product_attention(heads(WQ), heads(WK), heads(WV))
    joined = mixed.transpose(1, 2).reshape(b, p, h * k)
    middle = F.layer_norm(F.linear(joined, WO.reshape(d, h * k)) + X, (d,))
    hidden = torch.relu(F.linear(middle, W1, B1))
    return F.layer_norm(F.linear(hidden, W2, B2) + middle, (d,))


def block_loss(
    X: Tensor,
    WQ: Tensor,
    WK: Tensor,
    WV: Tensor,
    WO: Tensor,
    W1: Tensor,
    B1: Tensor,
    W2: Tensor,
    B2: Tensor,
    Target: Tensor,
) -> Tensor:
    return F.mse_loss(block(X, WQ, WK, WV, WO, W1, B1, W2, B2), Target)


def tucker(M: Tensor, N: Tensor, O: Tensor, C: Tensor) -> Tensor:  # noqa: E741
    p, q, r = C.shape
    first = (M @ C.reshape(p, q * r)).view(-1, q, r)
    return torch.matmul(torch.matmul(N, first), O.T)


def cp(M: Tensor, N: Tensor, O: Tensor) -> Tensor:  # noqa: E741
    pairs = (M[:, None, :] * N[None, :, :]).view(-1, M.shape[1])
    return (pairs @ O.T).view(len(M), len(N), len(O))


def cp_fit(T: Tensor, M: Tensor, N: Tensor, O: Tensor) -> Tensor:  # noqa: E741
    i, j, k = T.shape
    first = (T.reshape(i * j, k) @ O).view(i, j, -1)
    return ((first * N).sum(1) * M).sum(0)


def chain(A: Tensor, B: Tensor, C: Tensor, D: Tensor, E: Tensor, F: Tensor) -> Tensor:
    return (A @ ((B @ C) @ (D @ E))) @ F


def convolution(Image: Tensor, Filter: Tensor) -> Tensor:
    return F.conv2d(Image, Filter)


def _gaussian(Q: Tensor, X: Tensor, scale: float) -> Tensor:
    right = X.square().sum(1)
    left = Q.square().sum(1, keepdim=True)
    return torch.exp((2 * (Q @ X.T) - left - right) / scale)


def gram(X: Tensor) -> Tensor:
    return _gaussian(X, X, 64.0)


def kernel_machine(Q: Tensor, X: Tensor, A: Tensor, T: Tensor, Bias: Tensor) -> Tensor:
    return torch.sigmoid(_gaussian(Q, X, 64.0) @ (A * T) + Bias)
