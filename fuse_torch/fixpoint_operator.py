"""The operator `fuse_torch::fixpoint`: a numeric fixpoint that compilers see as one node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from fuse_torch.fixpoint import find_iteration, gradients_of, precisely

__all__ = ["iterate_opaquely"]


def iterate_opaquely(
    key: str, states: tuple[torch.Tensor, ...], given: tuple[torch.Tensor, ...]
) -> tuple[torch.Tensor, ...]:
    """`iterate` as a call of the operator."""
    precision = given[-1].dtype
    own = [value.to(precision) if value.dtype.is_floating_point else value for value in given]
    return tuple(torch.ops.fuse_torch.fixpoint(list(states), own, key))


_LIBRARY = torch.library.Library("fuse_torch", "FRAGMENT")
_LIBRARY.define("fixpoint(Tensor[] states, Tensor[] given, str key) -> Tensor[]")
# The same without derivatives, and the derivatives: what compilers find in the graphs of both directions.
_LIBRARY.define("fixpoint_forward(Tensor[] states, Tensor[] given, str key) -> Tensor[]")
_LIBRARY.define(
    "fixpoint_backward(Tensor[] gradients, Tensor[] found, Tensor[] given, SymInt[] wanted, str key) -> Tensor[]"
)


def _run(states: Sequence[torch.Tensor], given: Sequence[torch.Tensor], key: str) -> list[torch.Tensor]:
    with torch.no_grad(), precisely(states[0].device):
        return list(find_iteration(key).solve(tuple(states), tuple(given)))


def _shapes(states: Sequence[torch.Tensor], given: Sequence[torch.Tensor], key: str) -> list[torch.Tensor]:
    return [torch.empty_like(state, memory_format=torch.contiguous_format) for state in states]


def _run_back(
    gradients: Sequence[torch.Tensor],
    found: Sequence[torch.Tensor],
    given: Sequence[torch.Tensor],
    wanted: Sequence[int],
    key: str,
) -> list[torch.Tensor]:
    iteration = find_iteration(key)
    with torch.no_grad(), precisely(found[0].device):
        made = gradients_of(iteration, iteration, tuple(found), tuple(given), tuple(gradients), list(wanted))
    return [item.clone(memory_format=torch.contiguous_format) for item in made]


def _shapes_back(
    gradients: Sequence[torch.Tensor],
    found: Sequence[torch.Tensor],
    given: Sequence[torch.Tensor],
    wanted: Sequence[int],
    key: str,
) -> list[torch.Tensor]:
    return [torch.empty_like(given[k], memory_format=torch.contiguous_format) for k in wanted]


class _Differentiable(torch.autograd.Function):
    """Once: compilers differentiate no further."""

    @staticmethod
    def forward(ctx: Any, key: str, count: int, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        found: list[torch.Tensor] = torch.ops.fuse_torch.fixpoint_forward(tensors[:count], tensors[count:], key)
        ctx.save_for_backward(*found, *tensors[count:])
        ctx.key, ctx.count = key, count
        ctx.mark_non_differentiable(*(value for value in found if not value.dtype.is_floating_point))
        return tuple(found)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        saved = ctx.saved_tensors
        found, given = saved[: ctx.count], saved[ctx.count :]
        own = [g for g, value in zip(gradients, found, strict=True) if value.dtype.is_floating_point]
        needed = ctx.needs_input_grad[2 + ctx.count :]
        wanted = [k for k, want in enumerate(needed[:-1]) if want and given[k].dtype.is_floating_point]
        grads: list[torch.Tensor | None] = [None] * len(given)
        if wanted:
            made = torch.ops.fuse_torch.fixpoint_backward(own, list(found), list(given), wanted, ctx.key)
            for k, gradient in zip(wanted, made, strict=True):
                grads[k] = gradient
        return (None, None, *(None,) * ctx.count, *grads)


def _differentiable(states: list[torch.Tensor], given: list[torch.Tensor], key: str) -> list[torch.Tensor]:
    return list(_Differentiable.apply(key, len(states), *states, *given))


for _name, _kernel, _fake in (
    ("fixpoint", _run, _shapes),
    ("fixpoint_forward", _run, _shapes),
    ("fixpoint_backward", _run_back, _shapes_back),
):
    torch.library.impl(f"fuse_torch::{_name}", "CompositeExplicitAutograd", _kernel, lib=_LIBRARY)
    torch.library.register_fake(f"fuse_torch::{_name}", _fake, lib=_LIBRARY)
_LIBRARY.impl("fixpoint", _differentiable, "Autograd")
for _name in ("fixpoint_forward", "fixpoint_backward"):
    _LIBRARY.impl(_name, torch.library.fallthrough_kernel, "Autograd")
