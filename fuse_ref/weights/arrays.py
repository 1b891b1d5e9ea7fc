"""Arrays of other frameworks, told apart and turned into NumPy's without importing any of them."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import numpy as np

__all__ = ["Framework", "framework_of", "narrow_type", "numpy_array", "widened"]

Framework: TypeAlias = Literal["numpy", "torch", "jax"]
_NARROW: Final = ("bfloat16", "float16")


def framework_of(value: object) -> Framework | None:
    """The framework that `value` is an array of; None for lists, numbers and everything else."""
    if isinstance(value, np.ndarray):
        return "numpy"
    for kind in type(value).__mro__:
        root = kind.__module__.partition(".")[0]
        if root == "torch" and kind.__name__ == "Tensor":
            return "torch"
        if root in ("jax", "jaxlib") and kind.__name__ in ("Array", "ArrayImpl", "Tracer"):
            return "jax"
    return None


def numpy_array(value: object) -> np.ndarray:
    """`value` as a NumPy array, shared where it can be. bfloat16 becomes float32.

    Raises:
        TypeError, ValueError: what NumPy raises when `value` is not an array of one type and shape.
    """
    if isinstance(value, np.ndarray):
        array = value
    elif framework_of(value) == "torch":
        tensor = value.detach().cpu()  # type: ignore[attr-defined]
        if str(tensor.dtype) == "torch.bfloat16":
            tensor = tensor.float()
        array = tensor.resolve_conj().resolve_neg().numpy()
    else:
        array = np.asarray(value)
    if array.dtype.name == "bfloat16":
        array = array.astype(np.float32)
    return array


def narrow_type(precision: str) -> np.dtype | None:
    """The NumPy type of a precision that stores 16 bits and computes in float32; None for those that compute as stored."""
    if precision == "bfloat16":
        import ml_dtypes  # a run in any other precision starts without it

        found: np.dtype = np.dtype(ml_dtypes.bfloat16)
        return found
    return np.dtype(np.float16) if precision == "float16" else None


def widened(array: np.ndarray) -> np.ndarray:
    """`array` itself, or as float32 where it has 16 bits: for code that computes in its operands' type."""
    return array.astype(np.float32) if array.dtype.name in _NARROW else array
