"""Products, projections and alignment of values whose dimensions have labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias, assert_never

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fuse_jax.extremes import extreme

__all__ = ["Projector", "align", "as_factor", "contract", "full_precision", "neutral", "project", "reduce"]

Projector: TypeAlias = Literal["sum", "max", "min", "avg", "prod", "any"]


def align(value: jax.Array, labels: Sequence[str], order: Sequence[str]) -> jax.Array:
    """`value` with one dimension per label of `order`: size 1 where it lacks the label.

    Args:
        value: one dimension per label of `labels`.
        labels: distinct, all of them in `order`.
    """
    present = [label for label in order if label in labels]
    value = lax.transpose(value, [labels.index(label) for label in present])
    missing = [position for position, label in enumerate(order) if label not in labels]
    return lax.expand_dims(value, missing)


def as_factor(value: jax.Array, dtype: np.dtype) -> jax.Array:
    """`value` as a factor of a product in `dtype`: 16 bits stay, which accelerators multiply many times faster."""
    stays = dtype == np.float32 and value.dtype.itemsize == 2 and jnp.issubdtype(value.dtype, jnp.floating)
    return value if stays else value.astype(dtype)


def contract(
    left: jax.Array,
    left_labels: Sequence[str],
    right: jax.Array,
    right_labels: Sequence[str],
    output: Sequence[str],
    dtype: np.dtype,
) -> jax.Array:
    """Product of two operands, summed over the labels that `output` lacks; accumulated in `dtype`."""
    # An index of one operand alone is summed before the product, which is smaller by its length.
    left, left_labels = _sum_alone(left, left_labels, (*right_labels, *output), dtype)
    right, right_labels = _sum_alone(right, right_labels, (*left_labels, *output), dtype)
    if left.dtype != right.dtype:
        left, right = left.astype(dtype), right.astype(dtype)
    shared = [label for label in left_labels if label in right_labels]
    summed = [label for label in shared if label not in output]
    if not summed:
        return align(left, left_labels, output).astype(dtype) * align(right, right_labels, output).astype(dtype)
    batch = [label for label in output if label in shared]
    if batch and len(shared) == len(left_labels) == len(right_labels):
        # Rows times rows: XLA makes one loop of it, where its batched dot calls a kernel for every row.
        every = [*output, *summed]
        product = align(left, left_labels, every).astype(dtype) * align(right, right_labels, every).astype(dtype)
        return jnp.sum(product, axis=tuple(range(len(output), len(every))), dtype=dtype)
    if _leads(right_labels, left_labels, output):
        left, left_labels, right, right_labels = right, right_labels, left, left_labels
    product = lax.dot_general(
        left,
        right,
        dimension_numbers=(
            ([left_labels.index(label) for label in summed], [right_labels.index(label) for label in summed]),
            ([left_labels.index(label) for label in batch], [right_labels.index(label) for label in batch]),
        ),
        precision=full_precision(left.dtype),
        preferred_element_type=dtype,
    )
    made = [
        *batch,
        *(label for label in left_labels if label not in shared),
        *(label for label in right_labels if label not in shared),
    ]
    return lax.transpose(product, [made.index(label) for label in output])


def _sum_alone(
    value: jax.Array, labels: Sequence[str], kept: Sequence[str], dtype: np.dtype
) -> tuple[jax.Array, list[str]]:
    alone = [position for position, label in enumerate(labels) if label not in kept]
    remaining = [label for label in labels if label in kept]
    return (jnp.sum(value, axis=tuple(alone), dtype=dtype) if alone else value), remaining


def _leads(first: Sequence[str], second: Sequence[str], output: Sequence[str]) -> bool:
    """Whether the labels of `first` alone come before those of `second` alone: no transpose is needed then."""
    order = [label in first for label in output if (label in first) != (label in second)]
    return bool(order) and order[0]


def full_precision(dtype: np.dtype) -> lax.Precision | None:
    """Full precision unless the user chose another: accelerators round float32 products to 10 bits by default."""
    if dtype == np.float32 and jax.config.jax_default_matmul_precision is None:
        return lax.Precision.HIGHEST
    return None


def neutral(operator: Projector, dtype: np.dtype) -> float | int | bool:
    """What an empty projection gives, in the range of `dtype`."""
    match operator:
        case "sum" | "avg":
            return 0
        case "prod":
            return 1
        case "any":
            return False
        case "max":
            return -np.inf if np.issubdtype(dtype, np.floating) else int(np.iinfo(dtype).min)
        case "min":
            return np.inf if np.issubdtype(dtype, np.floating) else int(np.iinfo(dtype).max)
        case _:
            assert_never(operator)


_REDUCTIONS: dict[str, Callable[..., jax.Array]] = {
    "sum": jnp.sum,
    "avg": jnp.mean,
    "prod": jnp.prod,
    "any": jnp.any,
}


def reduce(operator: Projector, value: jax.Array, axes: Sequence[int]) -> jax.Array:
    """`value` combined over `axes` by `operator`; the neutral element where they are empty."""
    if not axes:
        return value
    if any(value.shape[axis] == 0 for axis in axes):
        shape = [size for axis, size in enumerate(value.shape) if axis not in axes]
        return jnp.full(shape, neutral(operator, value.dtype), dtype=value.dtype)
    if operator == "max" or operator == "min":
        return extreme(operator, tuple(axes), value)
    result = _REDUCTIONS[operator](value, axis=tuple(axes))
    # NumPy's rule would widen small integers; the plan says the type.
    return result if operator == "avg" else result.astype(value.dtype)


def project(operator: Projector, value: jax.Array, labels: Sequence[str], output: Sequence[str]) -> jax.Array:
    """`value` combined over the labels that `output` lacks, in the output's order."""
    result = reduce(operator, value, [position for position, label in enumerate(labels) if label not in output])
    return align(result, [label for label in labels if label in output], output)
