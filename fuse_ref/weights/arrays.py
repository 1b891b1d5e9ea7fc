"""Arrays of other frameworks, told apart and turned into NumPy's without importing any of them."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np

__all__ = ["Framework", "framework_of", "numpy_array"]

Framework: TypeAlias = Literal["numpy", "torch", "jax"]


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
