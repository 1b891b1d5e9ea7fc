"""The workloads in JAX as an expert writes them: matrix products in the best order, lax convolution."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array, lax

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


def attention(Q: Array, K: Array, V: Array) -> Array:
    return jax.nn.softmax(Q @ K.T * 0.125, axis=-1) @ V


def _normalise(x: Array) -> Array:
    mean = x.mean(-1, keepdims=True)
    variance = jnp.square(x - mean).mean(-1, keepdims=True)
    return (x - mean) * lax.rsqrt(variance + 1e-5)


def block(X: Array, WQ: Array, WK: Array, WV: Array, WO: Array, W1: Array, B1: Array, W2: Array, B2: Array) -> Array:
    b, p, d = X.shape
    h, k, _ = WQ.shape

    def heads(W: Array) -> Array:
        return (X @ W.reshape(h * k, d).T).reshape(b, p, h, k).transpose(0, 2, 1, 3)

    scores = jax.nn.softmax(heads(WQ) @ heads(WK).transpose(0, 1, 3, 2) * 0.125, axis=-1)
    joined = (scores @ heads(WV)).transpose(0, 2, 1, 3).reshape(b, p, h * k)
    middle = _normalise(joined @ WO.reshape(d, h * k).T + X)
    hidden = jax.nn.relu(middle @ W1.T + B1)
    return _normalise(hidden @ W2.T + B2 + middle)


def block_loss(
    X: Array,
    WQ: Array,
    WK: Array,
    WV: Array,
    WO: Array,
    W1: Array,
    B1: Array,
    W2: Array,
    B2: Array,
    Target: Array,
) -> Array:
    return jnp.square(block(X, WQ, WK, WV, WO, W1, B1, W2, B2) - Target).mean()


def tucker(M: Array, N: Array, O: Array, C: Array) -> Array:  # noqa: E741
    p, q, r = C.shape
    first = (M @ C.reshape(p, q * r)).reshape(-1, q, r)
    return jnp.matmul(jnp.matmul(N, first), O.T)


def cp(M: Array, N: Array, O: Array) -> Array:  # noqa: E741
    pairs = (M[:, None, :] * N[None, :, :]).reshape(-1, M.shape[1])
    return (pairs @ O.T).reshape(len(M), len(N), len(O))


def cp_fit(T: Array, M: Array, N: Array, O: Array) -> Array:  # noqa: E741
    i, j, k = T.shape
    first = (T.reshape(i * j, k) @ O).reshape(i, j, -1)
    return ((first * N).sum(1) * M).sum(0)


def chain(A: Array, B: Array, C: Array, D: Array, E: Array, F: Array) -> Array:
    return (A @ ((B @ C) @ (D @ E))) @ F


def convolution(Image: Array, Filter: Array) -> Array:
    return lax.conv_general_dilated(Image, Filter, (1, 1), "VALID", dimension_numbers=("NCHW", "OIHW", "NCHW"))


def _gaussian(Q: Array, X: Array, scale: float) -> Array:
    right = jnp.square(X).sum(1)
    left = jnp.square(Q).sum(1, keepdims=True)
    return jnp.exp((2 * (Q @ X.T) - left - right) / scale)


def gram(X: Array) -> Array:
    return _gaussian(X, X, 64.0)


def kernel_machine(Q: Array, X: Array, A: Array, T: Array, Bias: Array) -> Array:
    return jax.nn.sigmoid(_gaussian(Q, X, 64.0) @ (A * T) + Bias)
