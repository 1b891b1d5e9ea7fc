"""Estimated sums: what a sample of 5,000 terms costs, however many terms there are."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np

from benchmarks.measure import compare
from benchmarks.table import Row, compared_row
from fuse_ref import ExecutionConfig, Program

__all__ = ["TITLE", "rows"]

TITLE = "Monte Carlo projection of 5,000 samples, float32 (hand-written: the same estimate of 1e4 terms)"

_SAMPLES: Final = 5000
_MOST: Final = 1.25
_SIZES: Final = {"1e5": (250, 400), "1e6": (1000, 1000), "1e7": (2500, 4000), "1e8": (10_000, 10_000)}
_TEXT: Final = "S = sum(i, j: exp(-(A[i] - B[j])**2) / (1 + A[i]**2))"
_CONFIG: Final = ExecutionConfig(projection_strategy="monte_carlo", projection_samples=_SAMPLES)


def rows() -> Iterator[Row]:
    for kind, prepare in (
        ("NumPy", _numpy),
        ("torch", _torch),
        ("torch, gradient", _torch_gradient),
        ("JAX", _jax),
        ("JAX, gradient", _jax_gradient),
    ):
        few = prepare(*_drawn((100, 100)))
        for terms, sizes in _SIZES.items():
            found = compare(few, prepare(*_drawn(sizes)), calls=5, repetitions=21, clock=time.process_time)
            yield compared_row(f"{kind}: {terms} terms", found, _MOST)
    exact = Program(_TEXT).compile("numpy")
    A, B = _drawn((1000, 1000))
    found = compare(lambda: exact(A=A, B=B), _numpy(A, B), calls=1, repetitions=11)
    yield compared_row("NumPy: 1e6 terms, hand-written: all of them", found, None)


def _drawn(sizes: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=sizes[0]).astype("f"), rng.normal(size=sizes[1]).astype("f")


def _numpy(A: np.ndarray, B: np.ndarray) -> Callable[[], object]:
    runner = Program(_TEXT).compile("numpy", config=_CONFIG)
    return lambda: runner(A=A, B=B)


def _torch(A: np.ndarray, B: np.ndarray) -> Callable[[], object]:
    import torch

    from fuse_torch import FuseModule

    torch.set_num_threads(1)
    module, given = FuseModule(_TEXT, config=_CONFIG), (torch.tensor(A), torch.tensor(B))
    return lambda: module(A=given[0], B=given[1])


def _torch_gradient(A: np.ndarray, B: np.ndarray) -> Callable[[], object]:
    import torch

    from fuse_torch import FuseModule

    module = FuseModule(_TEXT, config=_CONFIG)
    first, second = torch.tensor(A, requires_grad=True), torch.tensor(B, requires_grad=True)
    return lambda: torch.autograd.grad(module(A=first, B=second), (first, second))


def _jax(A: np.ndarray, B: np.ndarray) -> Callable[[], object]:
    import jax

    import fuse_jax

    function = jax.jit(fuse_jax.compile(_TEXT, config=_CONFIG))
    given = {"A": jax.numpy.asarray(A), "B": jax.numpy.asarray(B)}
    return lambda: jax.block_until_ready(function({}, given))


def _jax_gradient(A: np.ndarray, B: np.ndarray) -> Callable[[], object]:
    import jax

    import fuse_jax

    function = fuse_jax.compile(_TEXT, config=_CONFIG)
    gradient = jax.jit(jax.grad(lambda given: function({}, given)["S"]))
    given = {"A": jax.numpy.asarray(A), "B": jax.numpy.asarray(B)}
    return lambda: jax.block_until_ready(gradient(given))
