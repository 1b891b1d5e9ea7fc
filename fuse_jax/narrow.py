"""Runs in bfloat16 and float16: every operation reads 16 bits, computes in float32 and rounds its result once."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax
import numpy as np

from fuse_jax.dtypes import Numbers
from fuse_ref.plan.dataflow import reads
from fuse_ref.plan.steps import Attention, Concat, Contract, Convolve, DenseOperation, LiteralArray, Permute

__all__ = ["in_precision"]


def in_precision(
    operation: DenseOperation,
    values: Mapping[str, jax.Array],
    numbers: Numbers,
    apply: Callable[[Mapping[str, jax.Array], Numbers], jax.Array],
) -> jax.Array:
    """The result of an operation; `apply` computes it from values, in the types that it is given.

    Products take 16 bits as they are and add up in float32. Positions, and what is computed of positions alone, are
    not rounded before they meet a tensor: 300 and 301 are one number in bfloat16.
    """
    if not numbers.narrow:
        return apply(values, numbers)
    output = operation.output
    rounds = "~" not in output.out or any(values[name].dtype == numbers.precision for name in reads(operation))
    # The gradients of what is repeated or picked are sums, and so these move float32.
    if isinstance(operation, LiteralArray) or (rounds and isinstance(operation, Permute | Concat)):
        return apply(values, numbers).astype(numbers.dtype(output.dtype))
    if not isinstance(operation, Contract | Convolve | Attention):
        narrow = [name for name in reads(operation) if values[name].dtype == numbers.precision]
        values = {**values, **{name: values[name].astype(np.float32) for name in narrow}}
    made = apply(values, numbers.wide())
    return made.astype(numbers.dtype(output.dtype)) if rounds else made
