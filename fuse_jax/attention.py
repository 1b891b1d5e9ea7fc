"""Attention as products and a softmax, which XLA joins itself."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fuse_jax.contract import align, as_factor, contract
from fuse_ref.plan.roles import attention_roles
from fuse_ref.plan.steps import Attention

__all__ = ["attend"]


def attend(operation: Attention, values: Mapping[str, jax.Array], shape: tuple[int, ...], dtype: np.dtype) -> jax.Array:
    """The attention of shape `shape` (the output's labels)."""
    roles = attention_roles(operation)
    query, key, value = operation.query, operation.key, operation.value
    if 0 in shape or values[key.value].shape[key.labels.index(operation.axis)] == 0:
        return jnp.zeros(shape, dtype)
    masks = [item for item in (operation.bias, operation.keep) if item is not None]
    present = {*query.labels, *key.labels, *(label for item in masks for label in item.labels)}
    labels = (*(label for label in (*roles.batch, *roles.rows) if label in present), operation.axis)
    scores = contract(
        as_factor(values[query.value], dtype),
        query.labels,
        as_factor(values[key.value], dtype),
        key.labels,
        tuple(label for label in labels if label in (*query.labels, *key.labels)),
        dtype,
    )
    scores = align(scores, [label for label in labels if label in (*query.labels, *key.labels)], labels)
    if operation.scale != 1:
        scores = scores * operation.scale
    if operation.bias is not None:
        scores = scores + align(values[operation.bias.value].astype(dtype), operation.bias.labels, labels)
    weights = jax.nn.softmax(_kept(operation, scores, values, labels), axis=-1)
    if operation.keep is not None and operation.empty == "zero":
        keep = align(values[operation.keep.value], operation.keep.labels, labels)
        weights = jnp.where(keep, weights, 0)
    factor = as_factor(values[value.value], dtype)
    return contract(weights.astype(factor.dtype), labels, factor, value.labels, operation.output.labels, dtype)


def _kept(
    operation: Attention, scores: jax.Array, values: Mapping[str, jax.Array], labels: tuple[str, ...]
) -> jax.Array:
    """The scores, lowest where the plan keeps nothing."""
    # Where a whole row goes, the lowest finite score makes all positions equal, and gradients stay numbers.
    lowest = -np.inf if operation.empty == "nan" else float(np.finfo(scores.dtype).min)
    if operation.keep is not None:
        keep = align(values[operation.keep.value], operation.keep.labels, labels)
        return jnp.where(keep, scores, jnp.asarray(lowest, scores.dtype))
    if operation.causal:
        row, last = labels.index(operation.causal), scores.ndim - 1
        position = lax.broadcasted_iota(jnp.int32, scores.shape, last)
        keep = position <= lax.broadcasted_iota(jnp.int32, scores.shape, row)
        return jnp.where(keep, scores, jnp.asarray(-np.inf, scores.dtype))
    return scores
