"""First values of parameters, by torch.nn.init and torch's default generator."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch.nn import init

from fuse_ref.ir.nodes import Tensor
from fuse_ref.weights.initialisers import default_initialiser

__all__ = ["INITIALISERS", "initialise_"]

Initialiser: TypeAlias = Callable[..., torch.Tensor]


def _xavier(matrix: torch.Tensor, gain: float = 1.0) -> torch.Tensor:
    return init.xavier_uniform_(matrix, gain)


def _kaiming(matrix: torch.Tensor, a: float = 0.0) -> torch.Tensor:
    return init.kaiming_uniform_(matrix, a)


# Those of the second table look at fan_in and fan_out: they get a matrix (fan_out, fan_in).
_BY_ELEMENT: dict[str, Initialiser] = {
    "zeros": init.zeros_,
    "ones": init.ones_,
    "normal": init.normal_,
    "uniform": init.uniform_,
}
_BY_MATRIX: dict[str, Initialiser] = {
    "xavier": _xavier,
    "kaiming": _kaiming,
    "orthogonal": init.orthogonal_,
}
INITIALISERS: dict[str, Initialiser] = {**_BY_ELEMENT, **_BY_MATRIX}


def initialise_(parameter: torch.Tensor, tensor: Tensor) -> None:
    """Fill `parameter` as the `param` line of `tensor` says.

    The first axis is fan_out and the others together are fan_in; a vector is read like a matrix of one
    row. Without an initialiser: xavier for two axes and more, zeros for one axis or none.
    """
    shape = tuple(parameter.shape)
    kind, arguments = tensor.initialiser or (default_initialiser(shape), ())
    if parameter.numel() == 0:
        return  # torch.nn.init warns about tensors without elements
    with torch.no_grad():
        if kind in _BY_ELEMENT:
            _BY_ELEMENT[kind](parameter, *arguments)
        else:
            rows = shape[0] if len(shape) > 1 else 1
            _BY_MATRIX[kind](parameter.view(rows, -1), *arguments)
