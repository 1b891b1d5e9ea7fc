"""First values of `param` tensors from a JAX key; the same definitions as `fuse_ref.weights.initialisers`.

Xavier: Glorot and Bengio 2010, eq. 16. Kaiming: He et al. 2015, eq. 10 and 15, for a uniform
distribution. Orthogonal: Saxe et al. 2014.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from typing import Final, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from fuse_ref.weights.initialisers import default_initialiser, fans

__all__ = ["INITIALISERS", "initialise"]

Initialiser: TypeAlias = tuple[str, tuple[float, ...]]  # name and arguments


def initialise(
    key: jax.Array, name: str, shape: tuple[int, ...], initialiser: Initialiser | None, dtype: np.dtype
) -> jax.Array:
    """The first value of parameter `name`.

    It depends on key, name, shape and initialiser alone: other parameters of the program do not matter.

    Args:
        initialiser: None for the default of the shape: xavier for two axes and more, else zeros.
    """
    kind, arguments = (default_initialiser(shape), ()) if initialiser is None else initialiser
    # hash() of a string differs from process to process; this number does not.
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little")
    return INITIALISERS[kind](jax.random.fold_in(key, number), shape, dtype, *arguments)


def _zeros(key: jax.Array, shape: tuple[int, ...], dtype: np.dtype) -> jax.Array:
    return jnp.zeros(shape, dtype)


def _ones(key: jax.Array, shape: tuple[int, ...], dtype: np.dtype) -> jax.Array:
    return jnp.ones(shape, dtype)


def _normal(key: jax.Array, shape: tuple[int, ...], dtype: np.dtype, mean: float = 0.0, std: float = 1.0) -> jax.Array:
    return mean + std * jax.random.normal(key, shape, dtype)


def _uniform(key: jax.Array, shape: tuple[int, ...], dtype: np.dtype, lo: float = 0.0, hi: float = 1.0) -> jax.Array:
    return jax.random.uniform(key, shape, dtype, lo, hi)


def _xavier(key: jax.Array, shape: tuple[int, ...], dtype: np.dtype, gain: float = 1.0) -> jax.Array:
    bound = gain * math.sqrt(6 / max(1, sum(fans(shape))))
    return jax.random.uniform(key, shape, dtype, -bound, bound)


def _kaiming(key: jax.Array, shape: tuple[int, ...], dtype: np.dtype, a: float = 0.0) -> jax.Array:
    fan_in, _ = fans(shape)
    bound = math.sqrt(6 / ((1 + a * a) * max(1, fan_in)))
    return jax.random.uniform(key, shape, dtype, -bound, bound)


def _orthogonal(key: jax.Array, shape: tuple[int, ...], dtype: np.dtype, gain: float = 1.0) -> jax.Array:
    columns, rows = fans(shape)
    wide = rows < columns
    matrix = jax.random.normal(key, (columns, rows) if wide else (rows, columns), dtype)
    orthogonal, triangular = jnp.linalg.qr(matrix)
    # Without the signs the result would not be uniform over orthogonal matrices (Mezzadri 2007, section 5).
    orthogonal = orthogonal * jnp.where(jnp.diagonal(triangular) < 0, -1, 1).astype(dtype)
    return gain * (orthogonal.T if wide else orthogonal).reshape(shape)


INITIALISERS: Final[dict[str, Callable[..., jax.Array]]] = {
    "zeros": _zeros,
    "ones": _ones,
    "normal": _normal,
    "uniform": _uniform,
    "xavier": _xavier,
    "kaiming": _kaiming,
    "orthogonal": _orthogonal,
}
