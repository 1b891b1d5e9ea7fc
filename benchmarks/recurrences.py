"""Recurrences of 512 steps over 128 units against loops and scans written by hand, and streams against nn.RNN."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import numpy as np

from benchmarks.measure import compare
from benchmarks.table import Row, compared_row
from fuse_ref import ExecutionConfig, Program
from fuse_ref.config import RoutePreference

__all__ = ["TITLE", "rows"]

TITLE = "recurrences, 512 steps of 128 units, float32 (hand-written: a NumPy loop, lax.scan under jax.jit, nn.RNN)"

_STEPS: Final = 512
_UNITS: Final = 128
_RNN: Final = "H[i, t+1] = tanh(W[i, j] H[j, t] + V[i, j] U[j, t] + B[i])\nexport H"

# Weights as nn.RNN has them; a stream, which torch on the CPU hands to the NumPy engine.
_STREAM: Final = f"""
axis i = {_UNITS}, j = {_UNITS}
input U[t, j]
param W[i, i2]
param V[i, j]
param B[i]
H[i, *t+1] = tanh(W[i, i2] H[i2, *t] + V[i, j] U[t, j] + B[i])
Y[t, i] = H[i, *t+1]
export Y
"""

_Pair = tuple[Callable[[], object], Callable[[], object]]


def rows() -> Iterator[Row]:
    given = _drawn()
    yield compared_row("NumPy: tanh RNN", compare(*_numpy(given), calls=3, repetitions=21), 1.5)
    # XLA computes in threads of its own, which thread-CPU time would not count.
    for what, pair in (("JAX: tanh RNN", _jax(given)), ("JAX: tanh RNN, gradient", _jax_gradient(given))):
        yield compared_row(what, compare(*pair, calls=3, repetitions=21, clock=time.process_time), 1.1)
    ways: tuple[tuple[RoutePreference, float | None], ...] = (("auto", 1.0), ("native", None))
    for what, train in (("inference", False), ("training", True)):
        for route, most in ways:
            pair = _torch(given["U"].T.copy(), route, train=train)
            yield compared_row(f'torch: stream, {what}, route="{route}"', compare(*pair, calls=2, repetitions=21), most)


def _torch(inputs: np.ndarray, route: RoutePreference, *, train: bool) -> _Pair:
    import torch

    from fuse_torch import FuseModule

    module = FuseModule(_STREAM, config=ExecutionConfig(route=route))
    layer = torch.nn.RNN(_UNITS, _UNITS)
    names = {"W": "weight_hh_l0", "V": "weight_ih_l0", "B": "bias_ih_l0"}
    with torch.no_grad():
        layer.bias_hh_l0.zero_()
        for name, own in names.items():
            getattr(module, name).copy_(getattr(layer, own))
    given = torch.from_numpy(inputs)

    def forward() -> torch.Tensor:
        module.reset_state()
        found: torch.Tensor = module(given)
        return found

    def step(run: Callable[[], torch.Tensor]) -> Callable[[], object]:
        return lambda: (run() ** 2).sum().backward()

    def infer(run: Callable[[], torch.Tensor]) -> Callable[[], object]:
        return torch.no_grad()(run)

    by_hand: Callable[[], torch.Tensor] = lambda: layer(given)[0]  # noqa: E731
    assert (by_hand() - forward()).abs().max() < 1e-5
    kind = step if train else infer
    return kind(by_hand), kind(forward)


def _drawn() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = {"W": (_UNITS, _UNITS), "V": (_UNITS, _UNITS), "U": (_UNITS, _STEPS), "B": (_UNITS,)}
    return {name: (rng.normal(size=shape) / 12).astype("f") for name, shape in shapes.items()}


def _numpy(given: dict[str, np.ndarray]) -> _Pair:
    W, V, U, B = (given[name] for name in "WVUB")
    runner = Program(_RNN).compile("numpy")

    def by_hand() -> np.ndarray:
        inputs = (V @ U).T + B
        states = np.zeros((_STEPS + 1, _UNITS), np.float32)
        h = states[0]
        for t in range(_STEPS):
            h = states[t + 1] = np.tanh(W @ h + inputs[t])
        return states.T

    def by_fuse() -> np.ndarray:
        found: np.ndarray = runner(given)["H"]
        return found

    assert np.abs(by_hand() - by_fuse()).max() < 1e-5
    return by_hand, by_fuse


def _jax(given: dict[str, np.ndarray]) -> _Pair:
    import jax

    import fuse_jax

    function = fuse_jax.compile(_RNN)
    arrays = {name: jax.numpy.asarray(value) for name, value in given.items()}
    one, other = jax.jit(_scan), jax.jit(lambda values: function({}, values)["H"])
    assert np.abs(np.asarray(one(arrays) - other(arrays))).max() < 1e-5
    return lambda: jax.block_until_ready(one(arrays)), lambda: jax.block_until_ready(other(arrays))


def _jax_gradient(given: dict[str, np.ndarray]) -> _Pair:
    import jax

    import fuse_jax

    function = fuse_jax.compile(_RNN)
    arrays = {name: jax.numpy.asarray(value) for name, value in given.items()}
    one = jax.jit(jax.grad(lambda values: (_scan(values) ** 2).sum()))
    other = jax.jit(jax.grad(lambda values: (function({}, values)["H"] ** 2).sum()))
    return lambda: jax.block_until_ready(one(arrays)), lambda: jax.block_until_ready(other(arrays))


def _scan(values: Mapping[str, Any]) -> Any:
    import jax

    W, V, U, B = (values[name] for name in "WVUB")

    def step(h: Any, x: Any) -> tuple[Any, Any]:
        h = jax.numpy.tanh(W @ h + x)
        return h, h

    start = jax.numpy.zeros(_UNITS, W.dtype)
    _, states = jax.lax.scan(step, start, (V @ U).T + B)
    return jax.numpy.concatenate([start[None], states]).T
