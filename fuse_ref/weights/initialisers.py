"""First values of `param` tensors. xavier, kaiming and orthogonal are those of torch.nn.init, uniform and with gain 1.

Xavier: Glorot and Bengio 2010, eq. 16. Kaiming: He et al. 2015, eq. 10 and 15, for a uniform
distribution. Orthogonal: Saxe et al. 2014, by the QR decomposition of a normal matrix.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from typing import Final

import numpy as np

__all__ = ["INITIALISERS", "default_initialiser", "fans", "initialise"]


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """(fan_in, fan_out): the first axis is fan_out, the others together fan_in.

    A tensor of one axis is read like a matrix of one row (`w[j] X[j]`): fan_out is 1. A scalar has (1, 1).
    """
    if len(shape) < 2:
        return (shape[0] if shape else 1), 1
    return math.prod(shape[1:]), shape[0]


def default_initialiser(shape: tuple[int, ...]) -> str:
    """What a `param` line without `~` means: xavier for two axes and more, zeros for one axis or none."""
    return "xavier" if len(shape) >= 2 else "zeros"


def initialise(
    name: str, shape: tuple[int, ...], initialiser: tuple[str, tuple[float, ...]] | None, *, seed: int, dtype: np.dtype
) -> np.ndarray:
    """The first value of parameter `name`.

    It depends on seed, name, shape and initialiser alone: other parameters of the program do not
    matter. Numbers are drawn in float64 and rounded, so that float32 and float64 runs start alike.

    Args:
        initialiser: name and arguments, or None for the default of the shape.
    """
    kind, arguments = (default_initialiser(shape), ()) if initialiser is None else initialiser
    digest = hashlib.sha256(name.encode()).digest()
    random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, int.from_bytes(digest[:8], "little")])))
    return INITIALISERS[kind](random, shape, *arguments).astype(dtype)


def _zeros(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return np.zeros(shape)


def _ones(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return np.ones(shape)


def _normal(random: np.random.Generator, shape: tuple[int, ...], mean: float = 0.0, std: float = 1.0) -> np.ndarray:
    return mean + std * random.standard_normal(shape)


def _uniform(random: np.random.Generator, shape: tuple[int, ...], lo: float = 0.0, hi: float = 1.0) -> np.ndarray:
    return random.uniform(lo, hi, shape)


def _xavier(random: np.random.Generator, shape: tuple[int, ...], gain: float = 1.0) -> np.ndarray:
    bound = gain * math.sqrt(6 / max(1, sum(fans(shape))))
    return random.uniform(-bound, bound, shape)


def _kaiming(random: np.random.Generator, shape: tuple[int, ...], a: float = 0.0) -> np.ndarray:
    # `a` is the negative slope of the leaky_relu that follows; sqrt(5) is what nn.Linear uses.
    fan_in, _ = fans(shape)
    bound = math.sqrt(6 / ((1 + a * a) * max(1, fan_in)))
    return random.uniform(-bound, bound, shape)


def _orthogonal(random: np.random.Generator, shape: tuple[int, ...], gain: float = 1.0) -> np.ndarray:
    columns, rows = fans(shape)
    wide = rows < columns
    matrix = random.standard_normal((columns, rows) if wide else (rows, columns))
    orthogonal, triangular = np.linalg.qr(matrix)
    # Without the signs the result would not be uniform over orthogonal matrices (Mezzadri 2007, section 5).
    orthogonal *= np.where(np.diagonal(triangular) < 0, -1.0, 1.0)
    return gain * (orthogonal.T if wide else orthogonal).reshape(shape)


INITIALISERS: Final[dict[str, Callable[..., np.ndarray]]] = {
    "zeros": _zeros,
    "ones": _ones,
    "normal": _normal,
    "uniform": _uniform,
    "xavier": _xavier,
    "kaiming": _kaiming,
    "orthogonal": _orthogonal,
}
