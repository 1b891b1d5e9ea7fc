"""fuse_jax functions under jax.jit against JAX by hand under jax.jit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

import jax
import numpy as np

import fuse_jax
from benchmarks.dense import Pair, rows_of
from benchmarks.rivals import jax_rivals
from benchmarks.table import Row
from benchmarks.workloads import Workload, hints

__all__ = ["TITLE", "rows"]

TITLE = "JAX, float32, both sides under jax.jit; CPU time of the process"

Call = Callable[[Mapping[str, jax.Array]], jax.Array]


def _prepare(workload: Workload, given: dict[str, np.ndarray]) -> Pair:
    arrays = {name: jax.numpy.asarray(array) for name, array in given.items()}
    rival = getattr(jax_rivals, workload.name)
    function = fuse_jax.compile(workload.text, hints=hints(workload))
    (export,) = function.program.exports

    def by_hand(values: Mapping[str, jax.Array]) -> jax.Array:
        return rival(**values)

    def by_fuse(values: Mapping[str, jax.Array]) -> jax.Array:
        return function({}, values)[export]

    expected, found = jax.jit(by_hand)(arrays), jax.jit(by_fuse)(arrays)
    error = float(abs(found - expected).max() / abs(expected).max())
    assert error < workload.tolerance, (workload.name, error)
    make = _step if workload.parameters else _forward
    return {"jit": make(by_hand, arrays, workload)}, {"jit": make(by_fuse, arrays, workload)}


def _forward(call: Call, arrays: Mapping[str, jax.Array], workload: Workload) -> Callable[[], object]:
    jitted = jax.jit(call)
    return lambda: jitted(arrays).block_until_ready()


def _step(call: Call, arrays: Mapping[str, jax.Array], workload: Workload) -> Callable[[], object]:
    parameters = {name: arrays[name] for name in workload.parameters}
    data = {name: value for name, value in arrays.items() if name not in parameters}

    @jax.jit
    def step(values: Mapping[str, jax.Array]) -> Mapping[str, jax.Array]:
        slopes = jax.grad(lambda p: call({**data, **p}))(values)
        return jax.tree.map(lambda value, slope: value - 1e-6 * slope, values, slopes)

    return lambda: jax.block_until_ready(step(parameters))


def rows() -> Iterator[Row]:
    # XLA computes in threads of its own, which thread-CPU time would not count.
    yield from rows_of(_prepare, clock=time.process_time)
