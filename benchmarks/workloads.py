"""The programs that are timed against hand-written code, with the shapes of what they are given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fuse_ref import Program

__all__ = ["MLP", "MLP_SIZES", "WORKLOADS", "Workload", "draw", "hints"]


@dataclass(frozen=True, slots=True)
class Workload:
    """One problem. The rivals of each framework have a function of this name, with these arguments in this order.

    Attributes:
        name: of the functions in `benchmarks/rivals/`.
        what: the row's text.
        text: the Fuse program; it exports one tensor.
        shapes: of everything that the program is given, parameters and inputs alike.
        parameters: those that a training step updates; () for a forward pass alone.
        calls: a measurement's number of calls.
        tolerance: relative to the largest element, of Fuse against the rival, in float32.
    """

    name: str
    what: str
    text: str
    shapes: Mapping[str, tuple[int, ...]]
    parameters: tuple[str, ...] = ()
    calls: int = 2
    tolerance: float = 1e-4


_ATTENTION = """
Comp[p, q.] = softmax(Q[p, k] K[q, k] / sqrt(64))
Y[p, v] = Comp[p, q] V[q, v]
export Y
"""

# Four heads of 64 over 128 positions of 256 features, norms after the sums, as in the paper of 2017.
_BLOCK = """
axis h = 4, k = 64, p = 128, d = 256, f = 1024
Query[b, h, p, k] = WQ[h, k, d] X[b, p, d]
Key[b, h, p, k] = WK[h, k, d] X[b, p, d]
Value[b, h, p, k] = WV[h, k, d] X[b, p, d]
Comp[b, h, p, p'.] = softmax(Query[b, h, p, k] Key[b, h, p', k] / 8)
Heads[b, h, p, k] = Comp[b, h, p, p'] Value[b, h, p', k]
Mid[b, p, d.] = lnorm(WO[d, h, k] Heads[b, h, p, k] + X[b, p, d])
Hidden[b, p, f] = relu(W1[f, d] Mid[b, p, d] + B1[f])
Y[b, p, d.] = lnorm(W2[d, f] Hidden[b, p, f] + B2[d] + Mid[b, p, d])
"""

_BLOCK_SHAPES = {
    "X": (4, 128, 256),
    "WQ": (4, 64, 256),
    "WK": (4, 64, 256),
    "WV": (4, 64, 256),
    "WO": (256, 4, 64),
    "W1": (1024, 256),
    "B1": (1024,),
    "W2": (256, 1024),
    "B2": (256,),
}

_CHAIN = (1000, 20, 800, 30, 600, 10, 1000)


def _attention_shapes(positions: int) -> dict[str, tuple[int, ...]]:
    return dict.fromkeys("QKV", (positions, 64))


WORKLOADS: tuple[Workload, ...] = (
    Workload("attention", "attention, 512 positions of 64", _ATTENTION, _attention_shapes(512), calls=4),
    Workload("attention", "attention, 2048 positions of 64", _ATTENTION, _attention_shapes(2048), calls=1),
    Workload("block", "transformer block, 4 × 128 × 256", _BLOCK + "export Y", _BLOCK_SHAPES, calls=1, tolerance=1e-3),
    Workload(
        "block_loss",
        "the same, training step",
        _BLOCK + "Loss = mse(Y[b, p, d], Target[b, p, d])\nexport Loss",
        {**_BLOCK_SHAPES, "Target": (4, 128, 256)},
        tuple(name for name in _BLOCK_SHAPES if name != "X"),
        calls=1,
        tolerance=1e-3,
    ),
    Workload(
        "tucker",
        "Tucker, 128³ from 32³",
        "A[i, j, k] = M[i, p] N[j, q] O[k, r] C[p, q, r]",
        {"M": (128, 32), "N": (128, 32), "O": (128, 32), "C": (32, 32, 32)},
        calls=4,
    ),
    Workload(
        "cp",
        "CP, 128³ of rank 32",
        "A[i, j, k] = M[i, r] N[j, r] O[k, r]",
        {"M": (128, 32), "N": (128, 32), "O": (128, 32)},
        calls=4,
    ),
    Workload(
        "cp_fit",
        "CP, 96³ onto rank 32",
        "G[r] = T[i, j, k] M[i, r] N[j, r] O[k, r]",
        {"T": (96, 96, 96), "M": (96, 32), "N": (96, 32), "O": (96, 32)},
        calls=8,
    ),
    Workload(
        "chain",
        "six factors, 1000·20·800·30·600·10·1000",
        "Y[a, g] = A[a, b] B[b, c] C[c, d] D[d, e] E[e, f] F[f, g]",
        {name: (_CHAIN[k], _CHAIN[k + 1]) for k, name in enumerate("ABCDEF")},
        calls=4,
    ),
    Workload(
        "convolution",
        "convolution 3 × 3, 8 × 32 → 64 × 64 × 64",
        "Y[b, o, x, y] = Filter[o, c, dx, dy] Image[b, c, x+dx, y+dy]",
        {"Image": (8, 32, 66, 66), "Filter": (64, 32, 3, 3)},
        calls=1,
    ),
    Workload(
        "gram",
        "Gaussian Gram, 2000 × 2000 of 64",
        "K[i, i'] = exp(-(X[i, j] - X[i', j])**2 / 64)",
        {"X": (2000, 64)},
        calls=1,
    ),
    Workload(
        "kernel_machine",
        "kernel machine, 1000 queries, 2000 points of 64",
        "KQ[q, i] = exp(-(Q[q, j] - X[i, j])**2 / 64)\nY[q] = sig(A[i] T[i] KQ[q, i] + Bias)\nexport Y",
        {"Q": (1000, 64), "X": (2000, 64), "A": (2000,), "T": (2000,), "Bias": ()},
        calls=1,
    ),
)

MLP = """
H[b, h] = relu(W1[h, d] X[b, d] + B1[h])
Y[b, o] = W2[o, h] H[b, h] + B2[o]
export Y
"""

# The small one has no target: it shows the cost of a call, not of the work.
MLP_SIZES: tuple[tuple[str, dict[str, tuple[int, ...]], int, float | None], ...] = (
    (
        "MLP, 128 × 256-512-10",
        {"X": (128, 256), "W1": (512, 256), "B1": (512,), "W2": (10, 512), "B2": (10,)},
        8,
        1.2,
    ),
    ("MLP, 4 × 8-8-4", {"X": (4, 8), "W1": (8, 8), "B1": (8,), "W2": (4, 8), "B2": (4,)}, 200, None),
)


def draw(workload: Workload) -> dict[str, np.ndarray]:
    """float32 values, each row divided by the root of its length, so that long products stay near 1.

    Points of kernels and what is attended to keep variance 1.
    """
    rng = np.random.default_rng(0)
    given = {}
    for name, shape in workload.shapes.items():
        value = rng.standard_normal(shape, dtype=np.float32)
        scale = 1.0 if name in ("X", "Q", "K", "V", "Image", "Target") or not shape else shape[-1] ** -0.5
        given[name] = value * np.float32(scale)
    return given


def hints(workload: Workload) -> dict[str, int]:
    """The size of every open axis, as a user gives them who knows the sizes: orders of products follow them."""
    program = Program(workload.text)
    letters = {axis.name: axis.letters for axis in program.ir.axes if axis.size is None}
    found: dict[str, int] = {}
    for tensor in program.ir.tensors:
        for axis, size in zip(tensor.axes, workload.shapes.get(tensor.name, ()), strict=False):
            found.update((letter, size) for letter in letters.get(axis, ()))
    return found
