"""The NumPy engine against NumPy as a careful person writes it: in place, in the best order."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.measure import compare
from benchmarks.table import Row, ratio_row
from fuse_ref import Program

__all__ = ["TITLE", "rows"]

TITLE = "NumPy engine, float32"

MOST_RATIO = 1.2

_ATTENTION = """
axis k = 64
Comp[p, q.] = softmax(Q[p, k] K[q, k] / sqrt(64))
Y[p, v] = Comp[p, q] V[q, v]
export Y
"""

_MLP = """
H[b, h] = relu(W1[h, d] X[b, d] + B1[h])
Y[b, o] = W2[o, h] H[b, h] + B2[o]
export Y
"""

_SIX = "Y[a, g] = A[a, b] B[b, c] C[c, d] D[d, e] E[e, f] F[f, g]"


def _attention(Q: np.ndarray, K: np.ndarray, V: np.ndarray) -> np.ndarray:
    scores = Q @ K.T
    scores *= np.float32(0.125)
    scores -= scores.max(axis=1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=1, keepdims=True)
    return scores @ V


def _mlp(X: np.ndarray, W1: np.ndarray, B1: np.ndarray, W2: np.ndarray, B2: np.ndarray) -> np.ndarray:
    hidden = X @ W1.T
    hidden += B1
    np.maximum(hidden, 0, out=hidden)
    result = hidden @ W2.T
    result += B2
    return result


def _six(A: np.ndarray, B: np.ndarray, C: np.ndarray, D: np.ndarray, E: np.ndarray, F: np.ndarray) -> np.ndarray:
    # The cheapest order: everything passes through the two narrow places, b = 20 and f = 10.
    return (A @ ((B @ C) @ (D @ E))) @ F


_CASES: tuple[tuple[str, str, Callable[..., np.ndarray], dict[str, tuple[int, ...]], int], ...] = (
    ("attention, p = q = 512, k = v = 64", _ATTENTION, _attention, {"Q": (512, 64), "K": (512, 64), "V": (512, 64)}, 4),
    (
        "MLP, 128 × 256-512-10",
        _MLP,
        _mlp,
        {"X": (128, 256), "W1": (512, 256), "B1": (512,), "W2": (10, 512), "B2": (10,)},
        8,
    ),
    (
        "MLP, 4 × 8-8-4",
        _MLP,
        _mlp,
        {"X": (4, 8), "W1": (8, 8), "B1": (8,), "W2": (4, 8), "B2": (4,)},
        200,
    ),
    (
        "six factors, 1000·20·800·30·600·10·1000",
        _SIX,
        _six,
        {"A": (1000, 20), "B": (20, 800), "C": (800, 30), "D": (30, 600), "E": (600, 10), "F": (10, 1000)},
        2,
    ),
)


def rows() -> Iterator[Row]:
    rng = np.random.default_rng(0)
    for what, text, hand, shapes, calls in _CASES:
        # Divided by the length of a row, so that long products stay near 1.
        given = {
            name: rng.standard_normal(shape, dtype=np.float32) / np.float32(shape[-1] ** 0.5)
            for name, shape in shapes.items()
        }
        sizes = dict(zip("abcdefg", (1000, 20, 800, 30, 600, 10, 1000), strict=True))
        runner = Program(text).compile("numpy", hints=sizes if text == _SIX else None)
        np.testing.assert_allclose(runner(given)["Y"], hand(**given), rtol=1e-4, atol=1e-4)
        found = compare(lambda: hand(**given), lambda: runner(given), calls=calls)  # noqa: B023
        # The small one is told without a target: it shows the cost of a call, not of the work.
        most = None if "4 × 8" in what else MOST_RATIO
        yield ratio_row(what, found.hand, found.fuse, found.ratio, found.same, most)
