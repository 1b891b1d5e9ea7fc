"""A FuseModule called eagerly, against the same layer written by hand in torch."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import torch

from benchmarks.measure import Comparison, compare
from benchmarks.table import Row, duration, ratio_row
from fuse_torch import FuseModule

__all__ = ["TITLE", "rows"]

TITLE = "FuseModule, eager, all checks on: relu(X Wᵀ + b)"

MOST_OVER = 8e-6  # seconds a call at 4×4
MOST_RATIO = 1.03  # at 512×512

_TEXT = """
input X[b, d]
param W[o, d] ~ xavier()
param B[o] ~ zeros()
Y[b, o] = relu(W[o, d] X[b, d] + B[o])
export Y
"""


class _Plain(torch.nn.Module):
    """The layer as its formula."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.W = torch.nn.Parameter(torch.randn(size, size))
        self.B = torch.nn.Parameter(torch.randn(size))

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        return torch.relu(X @ self.W.T + self.B)


class _Linear(_Plain):
    """The layer by the one call that torch has for it."""

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        return torch.relu(torch.nn.functional.linear(X, self.W, self.B))


def _function(W: torch.Tensor, B: torch.Tensor, X: torch.Tensor) -> torch.Tensor:
    return torch.relu(torch.nn.functional.linear(X, W, B))


def rows() -> Iterator[Row]:
    torch.set_num_threads(1)
    for size, calls in ((4, 500), (512, 4)):
        plain, linear = _Plain(size), _Linear(size)
        linear.load_state_dict(plain.state_dict())
        # The last one is no module at all: tensors at hand, nothing looked up.
        styles = {"X @ W.T + b": plain, "F.linear": linear, "function": functools.partial(_function, plain.W, plain.B)}
        for style, hand in styles.items():
            fuse = FuseModule(_TEXT, sizes={"d": size, "o": size})
            fuse.load_state_dict(plain.state_dict())
            X = torch.randn(size, size)
            torch.testing.assert_close(fuse(X), hand(X))
            for grad in (True, False):
                with torch.set_grad_enabled(grad):
                    found = compare(functools.partial(hand, X), functools.partial(fuse, X), calls=calls)
                yield _row(f"{size}×{size}, {style}{'' if grad else ', no_grad'}", size, found)


def _row(what: str, size: int, found: Comparison) -> Row:
    if size > 4:
        return ratio_row(what, found.hand, found.fuse, found.ratio, found.same, MOST_RATIO)
    return Row(
        what,
        duration(found.hand),
        duration(found.fuse),
        f"{found.over * 1e6:+.2f} µs",
        f"{found.same_over * 1e6:+.2f} µs",
        f"≤ {MOST_OVER * 1e6:g} µs",
        found.over <= MOST_OVER,
    )
