"""Programs of the JAX tests, each with the same thing written by hand in jnp."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

__all__ = ["ATTENTION", "LAYER", "OPEN", "aligned", "attention", "inputs", "layer"]

LAYER = """
input X[b, d]
axis d = 4, o = 3
param W[o, d]
param B[o] ~ uniform(-1, 1)
Y[b, o] = relu(W[o, d] X[b, d] + B[o])
"""
ATTENTION = """
input X[p, d]
axis d = 4, k = 3
param WQ[k, d]; param WK[k, d]; param WV[d', d]
Q[p, k] = WQ[k, d] X[p, d]
K[p, k] = WK[k, d] X[p, d]
V[p, d'] = WV[d', d] X[p, d]
A[p, p'.] = softmax(Q[p, k] K[p', k] / sqrt(3))
Y[p, d'] = A[p, p'] V[p', d']
export Y
"""


def layer(params: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    return jnp.maximum(x @ params["W"].T + params["B"], 0)


def attention(params: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    q, k, v = x @ params["WQ"].T, x @ params["WK"].T, x @ params["WV"].T
    return jax.nn.softmax(q @ k.T / jnp.sqrt(3.0), axis=-1) @ v


OPEN = "input X[b, d]; param W[o, d]; Y[b, o] = W[o, d] X[b, d]"


def inputs(seed: int, n: int = 5, d: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def aligned(*shape: int) -> np.ndarray:
    """Zeros at an address that is a multiple of 64: memory that JAX takes over as it is, unless told to copy."""
    size = int(np.prod(shape)) * 4
    raw = np.zeros(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size].view(np.float32).reshape(shape)
