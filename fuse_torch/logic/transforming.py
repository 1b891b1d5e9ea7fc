"""Routed calls under `torch.func`: truth has no slope, and a batch is worked off call by call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from fuse_ref.mistakes import mistake

if TYPE_CHECKING:
    from fuse_torch.logic.crossing import Crossing

__all__ = ["transformed"]


def transformed(
    crossing: Crossing,
    handles: Sequence[Any],
    values: Sequence[torch.Tensor],
    sizes: Sequence[int],
    device: torch.device,
) -> list[torch.Tensor]:
    """The results of a call whose tensors may belong to a transformation.

    Raises:
        RouteError: a batch whose elements derive relations of which tuples are needed.
    """
    places = [k for k, item in enumerate(handles) if isinstance(item, torch.Tensor)]
    tensors = [handles[k].detach() for k in places] + [value.detach() for value in values]
    found = _Transformed.apply(crossing, tuple(handles), tuple(places), tuple(sizes), device, *tensors)
    return list(found)


class _Transformed(torch.autograd.Function):
    @staticmethod
    def forward(
        crossing: Crossing,
        handles: tuple[Any, ...],
        places: tuple[int, ...],
        sizes: tuple[int, ...],
        device: torch.device,
        *tensors: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        given = list(handles)
        for place, tensor in zip(places, tensors, strict=False):
            given[place] = tensor
        return tuple(crossing.run(given, tensors[len(places) :], sizes, device))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[torch.Tensor, ...]) -> None:
        ctx.mark_non_differentiable(*output)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[None, ...]:
        return (None,) * len(ctx.needs_input_grad)

    @staticmethod
    def vmap(
        info: Any,
        in_dims: tuple[Any, ...],
        crossing: Crossing,
        handles: tuple[Any, ...],
        places: tuple[int, ...],
        sizes: tuple[int, ...],
        device: torch.device,
        *tensors: torch.Tensor,
    ) -> tuple[tuple[torch.Tensor, ...], tuple[int, ...]]:
        listed = [item.name for item in crossing.results if item.form == "tuples"]
        if listed:
            reason = (
                f"each element of the batch has other tuples of {listed[0]}, and tensors of one batch have one size; "
                'logic="dense" takes batches'
            )
            raise mistake("FUSE202", None, setting="torch.func.vmap", reason=reason)
        calls = []
        for k in range(info.batch_size):
            own = [t if dim is None else t.select(dim, k) for t, dim in zip(tensors, in_dims[5:], strict=True)]
            calls.append(_Transformed.apply(crossing, handles, places, sizes, device, *own))
        return tuple(map(torch.stack, zip(*calls, strict=True))), (0,) * len(crossing.results)
