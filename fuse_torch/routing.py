"""Streams that the NumPy engine runs between two graphs of torch: the call, and its gradient by the gradient program.

On the CPU a loop of NumPy over the steps is faster than one of torch, which pays for autograd at every operation of
every step. The way back runs the program's symbolic gradient, so that it is a loop of NumPy too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import torch

from fuse_ref.config import ExecutionConfig
from fuse_ref.evaluate.runner import Runner
from fuse_ref.gradients.generate import generate_gradient_program
from fuse_ref.gradients.groups import StreamProgram
from fuse_ref.mistakes import mistake
from fuse_ref.plan.steps import Plan
from fuse_ref.program import Program

__all__ = ["Routed", "find_routed", "register", "run_stream", "stream_gradients", "stream_values"]

_Tensors: TypeAlias = tuple[torch.Tensor, ...]
_PRECISIONS: Final = {torch.float32: "float32", torch.float64: "float64"}


class Routed:
    """A stream that leaves the graph.

    Args:
        key: the same for equal streams of equal plans.
        stream: as a program.
        equations: as the program has them.
        plan: of it.
        native: the same as a function of torch, whose first argument nobody reads.
    """

    def __init__(
        self, key: str, stream: StreamProgram, equations: str, native: Callable[..., _Tensors], plan: Plan
    ) -> None:
        self.key = key
        self.plan = plan
        self.native = native
        self.stream = stream
        self.equations = equations
        self._lock = threading.Lock()
        self._runners: dict[tuple[str, tuple[str, ...] | None], Runner] = {}

    @property
    def reason(self) -> str:
        """Why a graph breaks here, in the form that `report()` takes apart."""
        return f"fuse: «{self.equations}» the NumPy engine runs streams on the CPU"

    def runner(self, dtype: torch.dtype, wanted: tuple[str, ...] | None = None) -> Runner:
        """What runs the stream, or its gradient with respect to `wanted`."""
        precision = _PRECISIONS[dtype]
        with self._lock:
            found = self._runners.get((precision, wanted))
            if found is None:
                program = self.stream.program if wanted is None else self._gradient(wanted)
                found = program.compile("numpy", config=ExecutionConfig(precision=precision))  # type: ignore[arg-type]
                self._runners[precision, wanted] = found
            return found

    def _gradient(self, wanted: tuple[str, ...]) -> Program:
        seeds = {}
        for name in self.stream.results:
            letters = ", ".join(f"q{k}" for k in range(len(self.stream.program.ir.tensor(name).axes)))
            seeds[f"{name}[{letters}]"] = f"{self.seed(name)}[{letters}]"
        return generate_gradient_program(self.stream.program, seeds, wanted)

    def seed(self, name: str) -> str:
        """What the gradient program calls the gradient that reaches a stream."""
        taken = {tensor.name for tensor in self.stream.program.ir.tensors}
        stem = name.rstrip("'")
        wanted = f"Seed_{stem}"
        while wanted in taken:
            wanted += "_"
        return wanted


def stream_values(routed: Routed, tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """The streams with all their positions, in new memory."""
    found = routed.runner(_dtype(tensors))(_arrays(routed, tensors))
    return [torch.from_numpy(found[name]) for name in routed.stream.results]


def stream_gradients(
    routed: Routed, gradients: Sequence[torch.Tensor], tensors: Sequence[torch.Tensor], wanted: Sequence[int]
) -> list[torch.Tensor]:
    """The gradients of the tensors at the places `wanted`.

    Args:
        gradients: one for each stream.
    """
    names = tuple(routed.stream.floats[k] for k in wanted)
    runner = routed.runner(_dtype(tensors), names)
    given = _arrays(routed, tensors)
    for name, gradient in zip(routed.stream.results, gradients, strict=True):
        given[routed.seed(name)] = gradient.detach().contiguous().numpy()
    found = list(runner(given).values())
    return [torch.from_numpy(value) for value in found]


def _dtype(tensors: Sequence[torch.Tensor]) -> torch.dtype:
    found = tensors[0].dtype
    for tensor in tensors:
        found = torch.promote_types(found, tensor.dtype)
    return found


def _arrays(routed: Routed, tensors: Sequence[torch.Tensor]) -> dict[str, np.ndarray]:
    return {name: tensor.detach().numpy() for (_, name), tensor in zip(routed.stream.inputs, tensors, strict=True)}


class _Stream(torch.autograd.Function):
    """First order only: the gradient comes out of NumPy, which nothing differentiates again."""

    @staticmethod
    def forward(ctx: Any, routed: Routed, *tensors: torch.Tensor) -> _Tensors:
        ctx.routed = routed
        ctx.save_for_backward(*tensors)
        return tuple(stream_values(routed, tensors))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        tensors = ctx.saved_tensors
        wanted = [k for k, needed in enumerate(ctx.needs_input_grad[1:]) if needed]
        grads: list[torch.Tensor | None] = [None] * len(tensors)
        if wanted:
            for k, gradient in zip(wanted, stream_gradients(ctx.routed, gradients, tensors, wanted), strict=True):
                grads[k] = gradient.to(tensors[k].dtype)
        return (None, *grads)


def run_stream(routed: Routed, tensors: _Tensors) -> _Tensors:
    """The streams, with first-order gradients.

    On an accelerator, in other precisions than NumPy's own, and inside torch.func, torch's own loop runs.
    """
    transformed = torch._C._functorch.peek_interpreter_stack() is not None
    same = all(t.dtype is tensors[0].dtype and t.device.type == "cpu" for t in tensors)
    if transformed or not same or tensors[0].dtype not in _PRECISIONS or torch.is_autocast_enabled("cpu"):
        return routed.native(None, *tensors)
    found: _Tensors = _Stream.apply(routed, *tensors)
    return found


# By name ----------------------------------------------------------------------------------------

_ROUTED: Final[dict[str, Routed]] = {}


def register(routed: Routed) -> Routed:
    """Lets operators find `routed` by its key; the one that is known already where there is one."""
    return _ROUTED.setdefault(routed.key, routed)


def find_routed(key: str) -> Routed:
    """What was registered under `key`.

    Raises:
        RouteError: nothing was: the key is another process's.
    """
    if key not in _ROUTED:
        reason = "its equations are known in the process that exported them alone; build the module here too"
        raise mistake("FUSE202", None, setting="the operator fuse_torch::stream", reason=reason)
    return _ROUTED[key]
