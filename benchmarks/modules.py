"""A FuseModule called eagerly, against the same layer written by hand in torch."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from benchmarks.measure import compare
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


class _Layer(torch.nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.W = torch.nn.Parameter(torch.randn(size, size))
        self.B = torch.nn.Parameter(torch.randn(size))

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        return torch.relu(X @ self.W.T + self.B)


def rows() -> Iterator[Row]:
    torch.set_num_threads(1)
    for size, calls in ((4, 500), (512, 4)):
        hand = _Layer(size)
        fuse = FuseModule(_TEXT, sizes={"d": size, "o": size})
        fuse.load_state_dict(hand.state_dict())
        X = torch.randn(size, size)
        torch.testing.assert_close(fuse(X), hand(X))
        for grad in (True, False):
            with torch.set_grad_enabled(grad):
                found = compare(lambda: hand(X), lambda: fuse(X), calls=calls)  # noqa: B023
            what = f"{size}×{size}{'' if grad else ', no_grad'}"
            if size == 4:
                yield Row(
                    what,
                    duration(found.hand),
                    duration(found.fuse),
                    f"{found.over * 1e6:+.2f} µs",
                    f"{found.same_over * 1e6:+.2f} µs",
                    f"≤ {MOST_OVER * 1e6:g} µs",
                    found.over <= MOST_OVER,
                )
            else:
                yield ratio_row(what, found.hand, found.fuse, found.ratio, found.same, MOST_RATIO)
