"""Fuse modules, eager or under the "fuse" back end, against torch by hand, eager or compiled by inductor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch

from benchmarks.dense import Pair, rows_of
from benchmarks.rivals import torch_rivals
from benchmarks.table import Row
from benchmarks.workloads import Workload, hints
from fuse_torch import FuseModule

__all__ = ["TITLE", "rows"]

TITLE = (
    'torch, float32, the faster of eager and compiled on both sides: by hand by inductor, FuseModule by backend="fuse"'
)

Call = Callable[..., torch.Tensor]


def _prepare(workload: Workload, given: dict[str, np.ndarray]) -> Pair:
    torch.compiler.reset()
    rival: Call = getattr(torch_rivals, workload.name)
    tensors = {name: torch.from_numpy(np.asarray(array)) for name, array in given.items()}
    compiled: Call = torch.compile(rival)
    module = FuseModule(workload.text, hints=hints(workload))
    fused: Call = torch.compile(module, backend="fuse")
    for name in workload.parameters:
        tensors[name].requires_grad_()
    expected = rival(**tensors).detach()
    for call in (module, fused):
        error = float((call(**tensors).detach() - expected).abs().max() / expected.abs().max())
        assert error < workload.tolerance, (workload.name, error)
    make = _step if workload.parameters else _forward
    return (
        {name: make(call, tensors, workload) for name, call in {"eager": rival, "inductor": compiled}.items()},
        {name: make(call, tensors, workload) for name, call in {"eager": module, "fuse": fused}.items()},
    )


def _forward(call: Call, tensors: Mapping[str, torch.Tensor], workload: Workload) -> Callable[[], object]:
    @torch.inference_mode()
    def run() -> object:
        return call(**tensors)

    return run


def _step(call: Call, tensors: Mapping[str, torch.Tensor], workload: Workload) -> Callable[[], object]:
    optimiser = torch.optim.SGD([tensors[name] for name in workload.parameters], lr=1e-6)

    def run() -> object:
        optimiser.zero_grad()
        call(**tensors).backward()
        optimiser.step()
        return None

    return run


def rows() -> Iterator[Row]:
    torch.set_num_threads(1)
    yield from rows_of(_prepare)
