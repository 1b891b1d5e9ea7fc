"""Contractions that stand in several calls or equations in a bad order: the back end "fuse" against inductor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from benchmarks.measure import compare
from benchmarks.rivals import contraction_rivals as rivals
from benchmarks.table import Row, compared_row
from fuse_torch import FuseModule

__all__ = ["TITLE", "rows"]

TITLE = (
    'contractions in a bad order, float32: backend="inductor" as "hand-written", backend="fuse"; "best" is the order '
    "that an expert takes, eager"
)

MOST_RATIO = 0.1  # at least ten times as fast as inductor

_Call = Callable[..., torch.Tensor]


@dataclass(frozen=True, slots=True)
class _Case:
    what: str
    program: str
    written: _Call
    best: _Call
    shapes: tuple[tuple[int, ...], ...]


_LINEAR = """
input Q[p, d]
input K[q, d]
input V[q, v]
S[p, q] = Q[p, d] K[q, d]
Y[p, v] = S[p, q] V[q, v]
export Y
"""

_CHAIN = """
input A[a, b]
input B[b, c]
input C[c, d]
input D[d{last}]
X[a, c] = A[a, b] B[b, c]
Z[a, d] = X[a, c] C[c, d]
Y[a{last}] = Z[a, d] D[d{last}]
export Y
"""

_SQUARE = (768, 768)

_CASES = (
    _Case(
        "linear attention, p = 2048, d = 64",
        _LINEAR,
        rivals.linear_attention_as_written,
        rivals.linear_attention_at_best,
        ((2048, 64),) * 3,
    ),
    _Case(
        "three matrices and a vector, 768",
        _CHAIN.format(last=""),
        rivals.chain_as_written,
        rivals.chain_at_best,
        (_SQUARE, _SQUARE, _SQUARE, (768,)),
    ),
    _Case(
        "four matrices, 768, the last of 4 columns",
        _CHAIN.format(last=", e"),
        rivals.chain_as_written,
        rivals.chain_at_best,
        (_SQUARE, _SQUARE, _SQUARE, (768, 4)),
    ),
)


def _forward(call: _Call, given: list[torch.Tensor]) -> Callable[[], object]:
    @torch.no_grad()
    def run() -> object:
        return call(*given)

    return run


def _step(call: _Call, given: list[torch.Tensor]) -> Callable[[], object]:
    def run() -> object:
        return torch.autograd.grad(call(*given).sum(), given)

    return run


def rows() -> Iterator[Row]:
    torch.set_num_threads(1)
    for case in _CASES:
        torch.compiler.reset()
        given = [torch.randn(shape) / shape[-1] ** 0.5 for shape in case.shapes]
        inductor = torch.compile(case.written)
        for style, call in (("torch", case.written), ("program", FuseModule(case.program))):
            # A compiled function of its own: one that inductor compiled is found again by its code.
            fuse = torch.compile(_copied(call), backend="fuse")
            torch.testing.assert_close(fuse(*given), case.best(*given), rtol=1e-3, atol=1e-4)
            found = compare(_forward(inductor, given), _forward(fuse, given), calls=3, repetitions=15)
            yield compared_row(f"{case.what}: {style}", found, MOST_RATIO)
            best = compare(_forward(case.best, given), _forward(fuse, given), calls=10, repetitions=31)
            yield compared_row(f"{case.what}: {style}, best", best, None)  # calling compiled code included
        training = [tensor.clone().requires_grad_() for tensor in given]
        trained = torch.compile(_copied(case.written), backend="fuse")
        found = compare(_step(torch.compile(case.written), training), _step(trained, training), calls=2, repetitions=15)
        yield compared_row(f"{case.what}: torch, forward and backward", found, None)


def _copied(call: _Call) -> _Call:
    return call if isinstance(call, torch.nn.Module) else lambda *given: call(*given)
