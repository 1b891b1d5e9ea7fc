"""The most memory that a program holds beside its inputs, against hand-written code in the same framework.

NumPy: tracemalloc. torch: what its allocator reports to the profiler, eager and compiled. JAX: what XLA
says of compiled code, temporary values and results together. Nothing here is a time, so one run is enough.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np

from benchmarks.rivals import jax_rivals, numpy_rivals, torch_rivals
from benchmarks.table import Row
from benchmarks.workloads import WORKLOADS, Workload, draw, hints
from fuse_ref import InMemoryWeightStore, Program, RuntimePolicies

__all__ = ["TITLE", "rows"]

TITLE = "Peak memory beside the inputs, float32"

_MOST: Final = 1.1
_SMALL: Final = 1 << 16  # bytes: what calls themselves take is no part of the work


def rows() -> Iterator[Row]:
    for measure in (_numpy, _torch, _jax):
        for workload in WORKLOADS:
            yield from measure(workload, draw(workload))


def _row(kind: str, workload: Workload, hand: int, fuse: int) -> Row:
    ratio = (fuse + _SMALL) / (hand + _SMALL)
    met = round(ratio, 2) <= _MOST
    return Row(f"{kind}: {workload.what}", _amount(hand), _amount(fuse), f"{ratio:.3f}×", "", f"≤ {_MOST:g}×", met)


def _amount(count: int) -> str:
    return f"{count / 1e6:.3g} MB"


# NumPy -------------------------------------------------------------------------------------------


def _numpy(workload: Workload, given: dict[str, np.ndarray]) -> Iterator[Row]:
    rival = getattr(numpy_rivals, workload.name, None)
    if rival is None:
        return
    params = {name: given[name] for name in Program(workload.text).params}
    policies = RuntimePolicies(weight_store=InMemoryWeightStore(params)) if params else None
    runner = Program(workload.text).compile("numpy", hints=hints(workload), policies=policies)
    inputs = {name: array for name, array in given.items() if name not in params}
    hand, fuse = (_traced(call) for call in (lambda: rival(**given), lambda: runner(inputs)))
    yield _row("NumPy", workload, hand, fuse)


def _traced(call: Callable[[], object]) -> int:
    call()
    tracemalloc.start()
    try:
        start, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        result = call()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    del result
    return peak - start


# torch -------------------------------------------------------------------------------------------


def _torch(workload: Workload, given: dict[str, np.ndarray]) -> Iterator[Row]:
    import torch

    from fuse_torch import FuseModule

    rival = getattr(torch_rivals, workload.name)
    tensors = {name: torch.from_numpy(np.asarray(array)) for name, array in given.items()}
    for name in workload.parameters:
        tensors[name].requires_grad_()
    module = FuseModule(workload.text, hints=hints(workload))
    torch.compiler.reset()
    for kind, hand, fuse in (
        ("torch", rival, module),
        ("torch compiled", torch.compile(rival), torch.compile(module, backend="fuse")),
    ):
        sizes = [_reported(call, tensors, workload) for call in (hand, fuse)]
        yield _row(kind, workload, *sizes)


def _reported(call: Callable[..., object], tensors: dict[str, object], workload: Workload) -> int:
    import torch
    from torch.profiler import ProfilerActivity, profile

    def run() -> object:
        if not workload.parameters:
            with torch.inference_mode():
                return call(**tensors)
        result = call(**tensors)
        result.backward()  # type: ignore[attr-defined]
        for name in workload.parameters:
            tensors[name].grad = None  # type: ignore[attr-defined]
        return result

    run()
    run()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        result = run()
    del result
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = most = 0
    for event in sorted(events, key=lambda item: item.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return most


# JAX ---------------------------------------------------------------------------------------------


def _jax(workload: Workload, given: dict[str, np.ndarray]) -> Iterator[Row]:
    import jax

    import fuse_jax

    rival = getattr(jax_rivals, workload.name)
    function = fuse_jax.compile(Program(workload.text), hints=hints(workload))
    params = {name: given[name] for name in Program(workload.text).params}
    inputs = {name: array for name, array in given.items() if name not in params}
    trained = {name: given[name] for name in workload.parameters}
    rest = {name: array for name, array in given.items() if name not in trained}

    def by_hand(some: dict[str, np.ndarray], others: dict[str, np.ndarray]) -> jax.Array:
        value: jax.Array = rival(**some, **others)
        return value

    def by_fuse(some: dict[str, np.ndarray], others: dict[str, np.ndarray]) -> jax.Array:
        every = {**some, **others}
        (value,) = function({name: every[name] for name in params}, {name: every[name] for name in inputs}).values()
        return jax.numpy.asarray(value)

    sizes = []
    for call in (by_hand, by_fuse):
        whole = jax.value_and_grad(call) if trained else call
        analysis = jax.jit(whole).lower(trained, rest).compile().memory_analysis()
        sizes.append(analysis.temp_size_in_bytes + analysis.output_size_in_bytes)
    yield _row("JAX", workload, *sizes)
