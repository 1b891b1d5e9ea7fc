"""Registered functions in torch: their own torch version, or the NumPy one behind an operator.

The operator `fuse_torch::registered` is opaque to compilers, so that it works in eager mode, with
`fullgraph=True` and in exported programs alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch

from fuse_ref.evaluate.registered import call_registered, check_shape, gradients_of
from fuse_ref.evaluate.registration import find_registered
from fuse_ref.mistakes import mistake

__all__ = ["apply_registered"]


def apply_registered(name: str, *arguments: torch.Tensor) -> torch.Tensor:
    """The registered function `name`: shape of the arguments together, all of one type.

    Raises:
        OperatorError: the function gave something of another shape.
    """
    function = find_registered(name).torch
    if function is not None:
        result = cast(torch.Tensor, function(*arguments))
        check_shape(name, result.shape, torch.broadcast_shapes(*(argument.shape for argument in arguments)))
        return result.to(arguments[0].dtype)
    whole = torch.broadcast_tensors(*arguments) if len(arguments) > 1 else arguments
    value: torch.Tensor = torch.ops.fuse_torch.registered(list(whole), name)
    return value


def _array(tensor: torch.Tensor) -> np.ndarray:
    """On the host; types that NumPy lacks become float32."""
    tensor = tensor.detach()
    if tensor.dtype in (torch.bfloat16, torch.float16):
        tensor = tensor.float()
    array: np.ndarray = tensor.cpu().numpy()
    return array


def _tensor(array: np.ndarray, like: torch.Tensor) -> torch.Tensor:
    # A copy: the function may have given one of its arguments, which an operator must not return.
    return torch.tensor(array, dtype=like.dtype, device=like.device)


@torch.library.custom_op("fuse_torch::registered", mutates_args=())
def _call(arguments: Sequence[torch.Tensor], name: str) -> torch.Tensor:
    return _tensor(call_registered(name, [_array(item) for item in arguments]), arguments[0])


@torch.library.custom_op("fuse_torch::registered_gradient", mutates_args=())
def _gradient(arguments: Sequence[torch.Tensor], gradient: torch.Tensor, name: str) -> list[torch.Tensor]:
    found = gradients_of(name, [_array(item) for item in arguments], _array(gradient))
    return [_tensor(array, gradient) for array in found]


@_call.register_fake
def _shape(arguments: Sequence[torch.Tensor], name: str) -> torch.Tensor:
    return torch.empty_like(arguments[0], memory_format=torch.contiguous_format)


@_gradient.register_fake
def _shapes(arguments: Sequence[torch.Tensor], gradient: torch.Tensor, name: str) -> list[torch.Tensor]:
    return [torch.empty_like(gradient, memory_format=torch.contiguous_format) for _ in arguments]


def _keep(ctx: Any, inputs: tuple[Sequence[torch.Tensor], str], output: torch.Tensor) -> None:
    arguments, ctx.name = inputs
    ctx.save_for_backward(*arguments)


def _backward(ctx: Any, gradient: torch.Tensor) -> tuple[list[torch.Tensor], None]:
    entry = find_registered(ctx.name)
    arguments = ctx.saved_tensors
    if isinstance(entry.gradient, str):
        return [gradient * apply_registered(entry.gradient, *arguments)], None
    found: list[torch.Tensor] = torch.ops.fuse_torch.registered_gradient(list(arguments), gradient, ctx.name)
    return found, None


def _keep_name(ctx: Any, inputs: tuple[object, object, str], output: object) -> None:
    ctx.name = inputs[2]


def _no_backward(ctx: Any, *gradients: object) -> None:
    raise mistake("FUSE220", name=ctx.name, what="second gradient")


_call.register_autograd(_backward, setup_context=_keep)
_gradient.register_autograd(_no_backward, setup_context=_keep_name)


def _batched(info: Any, dims: Any, arguments: Sequence[torch.Tensor], name: str) -> tuple[torch.Tensor, int]:
    """All arguments have one shape within the batch, so the batch is one more dimension of each."""
    moved = [
        item.expand(info.batch_size, *item.shape) if dim is None else item.movedim(dim, 0)
        for item, dim in zip(arguments, dims[0], strict=True)
    ]
    return torch.ops.fuse_torch.registered(moved, name), 0


_call.register_vmap(_batched)
