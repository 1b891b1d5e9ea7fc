"""Registered functions and their gradients on NumPy arrays, with what they give checked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fuse_ref.evaluate.registration import find_registered
from fuse_ref.mistakes import mistake

__all__ = ["call_registered", "check_shape", "gradients_of"]


def call_registered(name: str, arguments: Sequence[np.ndarray | np.generic | float]) -> np.ndarray:
    """The value of a registered function; shape of its arguments together, their type.

    Raises:
        OperatorError: the function gave something of another shape, or no numbers.
    """
    entry = find_registered(name)
    dtype = np.result_type(*arguments)
    arrays = [np.asarray(argument, dtype) for argument in arguments]
    result = np.asarray(entry.numpy(*arrays))
    checked = _checked(name, result, np.broadcast_shapes(*(array.shape for array in arrays)), dtype)
    # Whoever runs the program may write into the result, and it may be an argument or a part of one.
    return checked.copy() if any(np.may_share_memory(checked, array) for array in arrays) else checked


def gradients_of(name: str, arguments: Sequence[np.ndarray], gradient: np.ndarray) -> tuple[np.ndarray, ...]:
    """The gradients of the arguments, which have one shape, for `gradient` of the result.

    Raises:
        GradientError: the function has no gradient.
        OperatorError: its gradient gave something of another shape or number.
    """
    entry = find_registered(name)
    if not callable(entry.gradient):
        raise mistake("FUSE220", name=name, what="gradient")
    found = entry.gradient(*arguments, gradient)
    parts: tuple[object, ...] = tuple(found) if isinstance(found, tuple | list) else (found,)
    if len(parts) != len(arguments):
        got = f"{len(parts)} gradient{'' if len(parts) == 1 else 's'}"
        raise mistake("FUSE222", name=name, got=got, expected=f"{len(arguments)}, one for each argument")
    zero = np.zeros_like(gradient)
    return tuple(
        zero if part is None else _checked(name, np.asarray(part), gradient.shape, gradient.dtype) for part in parts
    )


def check_shape(name: str, got: Sequence[int], expected: Sequence[int]) -> None:
    """Stop where a registered function changed the shape.

    Raises:
        OperatorError: the shapes differ.
    """
    if tuple(got) != tuple(expected):
        raise mistake("FUSE222", name=name, got=f"the shape {tuple(got)}", expected=f"the shape {tuple(expected)}")


def _checked(name: str, result: np.ndarray, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    if result.dtype.kind not in "fiub":
        raise mistake("FUSE222", name=name, got=f"an array of {result.dtype}", expected="numbers")
    check_shape(name, result.shape, shape)
    return result.astype(dtype, copy=False)
