"""The operator `fuse_torch::stream`: a stream of the NumPy engine that compilers see as one node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from fuse_ref.analysis.lengths import evaluate
from fuse_torch.routing import find_routed, run_stream, stream_gradients

__all__ = ["stream_opaquely"]


def stream_opaquely(key: str, tensors: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """`run_stream` as a call of the operator."""
    return tuple(torch.ops.fuse_torch.stream(list(tensors), key))


_LIBRARY = torch.library.Library("fuse_torch", "FRAGMENT")
_LIBRARY.define("stream(Tensor[] tensors, str key) -> Tensor[]")
# The same without derivatives, and the derivatives: what compilers find in the graphs of both directions.
_LIBRARY.define("stream_forward(Tensor[] tensors, str key) -> Tensor[]")
_LIBRARY.define("stream_backward(Tensor[] gradients, Tensor[] tensors, SymInt[] wanted, str key) -> Tensor[]")


def _run(tensors: Sequence[torch.Tensor], key: str) -> list[torch.Tensor]:
    with torch.no_grad():
        return list(run_stream(find_routed(key), tuple(tensors)))


def _shapes(tensors: Sequence[torch.Tensor], key: str) -> list[torch.Tensor]:
    routed = find_routed(key)
    given = {name: tensor for (_, name), tensor in zip(routed.stream.inputs, tensors, strict=True)}
    made = []
    for name in routed.stream.results:
        lengths = routed.plan.shape(name)
        made.append(tensors[0].new_empty([evaluate(item, lambda t, k: given[t].shape[k]) for item in lengths]))
    return made


def _run_back(
    gradients: Sequence[torch.Tensor], tensors: Sequence[torch.Tensor], wanted: Sequence[int], key: str
) -> list[torch.Tensor]:
    return stream_gradients(find_routed(key), gradients, tensors, list(wanted))


def _shapes_back(
    gradients: Sequence[torch.Tensor], tensors: Sequence[torch.Tensor], wanted: Sequence[int], key: str
) -> list[torch.Tensor]:
    return [torch.empty_like(tensors[k], memory_format=torch.contiguous_format) for k in wanted]


class _Differentiable(torch.autograd.Function):
    """Once: nothing differentiates NumPy again."""

    @staticmethod
    def forward(ctx: Any, key: str, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        ctx.key = key
        ctx.save_for_backward(*tensors)
        return tuple(torch.ops.fuse_torch.stream_forward(list(tensors), key))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        tensors = ctx.saved_tensors
        wanted = [k for k, needed in enumerate(ctx.needs_input_grad[1:]) if needed]
        grads: list[torch.Tensor | None] = [None] * len(tensors)
        if wanted:
            made = torch.ops.fuse_torch.stream_backward(list(gradients), list(tensors), wanted, ctx.key)
            for k, gradient in zip(wanted, made, strict=True):
                grads[k] = gradient
        return (None, *grads)


def _differentiable(tensors: list[torch.Tensor], key: str) -> list[torch.Tensor]:
    return list(_Differentiable.apply(key, *tensors))


for _name, _kernel, _fake in (
    ("stream", _run, _shapes),
    ("stream_forward", _run, _shapes),
    ("stream_backward", _run_back, _shapes_back),
):
    torch.library.impl(f"fuse_torch::{_name}", "CompositeExplicitAutograd", _kernel, lib=_LIBRARY)
    torch.library.register_fake(f"fuse_torch::{_name}", _fake, lib=_LIBRARY)
_LIBRARY.impl("stream", _differentiable, "Autograd")
for _name in ("stream_forward", "stream_backward"):
    _LIBRARY.impl(_name, torch.library.fallthrough_kernel, "Autograd")
