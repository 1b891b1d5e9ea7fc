"""Convolutions as lax.conv_general_dilated, or as sums of shifted products where XLA has no fast kernel."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fuse_jax.contract import as_factor, full_precision
from fuse_ref.analysis.lengths import Length
from fuse_ref.plan.roles import ConvolutionRoles, convolution_roles
from fuse_ref.plan.steps import Convolve

__all__ = ["convolve"]

_TAPS: Final = 64  # shifted products at most
_SMALL: Final = 4  # channels times filters of a group: fewer leave nothing to a product of matrices


def convolve(
    operation: Convolve,
    image: jax.Array,
    weights: jax.Array,
    shape: tuple[int, ...],
    measure: Callable[[Length], int],
    dtype: np.dtype,
) -> jax.Array:
    """The convolution of shape `shape` (the output's labels)."""
    roles = convolution_roles(operation)
    lengths = dict(zip(operation.image.labels, image.shape, strict=True))
    lengths |= dict(zip(operation.filter.labels, weights.shape, strict=True))
    lengths |= dict(zip(operation.output.labels, shape, strict=True))

    def count(labels: Sequence[str]) -> int:
        return math.prod(lengths[label] for label in labels)

    if 0 in shape or count(roles.channels) == 0 or count(roles.taps) == 0:
        return jnp.zeros(shape, dtype)
    image = lax.transpose(image, [operation.image.labels.index(label) for label in roles.image])
    weights = lax.transpose(weights, [operation.filter.labels.index(label) for label in roles.filter])
    image, weights = as_factor(image, dtype), as_factor(weights, dtype)
    if image.dtype != weights.dtype:
        image, weights = image.astype(dtype), weights.astype(dtype)
    starts = [measure(window.offset) for window in operation.windows]
    sizes = (count(roles.batch), count(roles.groups), count(roles.channels), count(roles.filters))
    small = sizes[2] * sizes[3] <= _SMALL or dtype == np.float64
    lower = _shifted if small and count(roles.taps) <= _TAPS else _library
    result = lower(operation, roles, lengths, starts, image, weights, sizes)
    result = result.reshape([lengths[label] for label in roles.made])
    return lax.transpose(result, [roles.made.index(label) for label in operation.output.labels])


def _library(
    operation: Convolve,
    roles: ConvolutionRoles,
    lengths: dict[str, int],
    starts: Sequence[int],
    image: jax.Array,
    weights: jax.Array,
    sizes: tuple[int, int, int, int],
) -> jax.Array:
    batch, groups, channels, filters = sizes
    windows = operation.windows
    image = image.reshape(batch, groups * channels, *(lengths[label] for label in roles.sources))
    weights = weights.reshape(groups * filters, channels, *(lengths[label] for label in roles.taps))
    weights = lax.rev(weights, [2 + k for k, window in enumerate(windows) if window.dilation < 0])
    padding = []
    for window, start in zip(windows, starts, strict=True):
        reach = abs(window.dilation) * (lengths[window.tap] - 1)
        low = start - reach if window.dilation < 0 else start
        end = low + window.stride * (lengths[window.place] - 1) + reach + 1
        padding.append((-low, end - lengths[window.source]))
    return lax.conv_general_dilated(
        image,
        weights,
        window_strides=[window.stride for window in windows],
        padding=padding,
        rhs_dilation=[abs(window.dilation) for window in windows],
        feature_group_count=groups,
        precision=full_precision(image.dtype),
        preferred_element_type=np.float32 if image.dtype.itemsize == 2 else None,
    )


def _shifted(
    operation: Convolve,
    roles: ConvolutionRoles,
    lengths: dict[str, int],
    starts: Sequence[int],
    image: jax.Array,
    weights: jax.Array,
    sizes: tuple[int, int, int, int],
) -> jax.Array:
    """One product of matrices per tap; XLA joins those of few channels into one loop."""
    batch, groups, channels, filters = sizes
    image = image.reshape(batch, groups, channels, *(lengths[label] for label in roles.sources))
    weights = weights.reshape(groups, filters, channels, *(lengths[label] for label in roles.taps))
    padding = [(0, 0, 0)] * 3
    firsts = []
    for window, start in zip(operation.windows, starts, strict=True):
        reach = window.dilation * (lengths[window.tap] - 1)
        low = start + min(0, reach)
        high = start + window.stride * (lengths[window.place] - 1) + max(0, reach)
        before, after = max(0, -low), max(0, high - lengths[window.source] + 1)
        padding.append((before, after, 0))
        firsts.append(start + before)
    if image.dtype.itemsize == 2:
        image, weights = image.astype(np.float32), weights.astype(np.float32)
    image = lax.pad(image, jnp.zeros((), image.dtype), padding)
    total: jax.Array | None = None
    for taps in np.ndindex(*(lengths[label] for label in roles.taps)):
        low_corner = [f + w.dilation * t for f, w, t in zip(firsts, operation.windows, taps, strict=True)]
        ends = [
            low + window.stride * (lengths[window.place] - 1) + 1
            for low, window in zip(low_corner, operation.windows, strict=True)
        ]
        part = lax.slice(
            image,
            [0, 0, 0, *low_corner],
            [*image.shape[:3], *ends],
            [1, 1, 1, *(window.stride for window in operation.windows)],
        )
        one = weights[(..., *taps)]
        if channels == 1:
            places = [1] * len(operation.windows)
            product = part * one.reshape(1, groups, filters, *places)
        else:
            product = jnp.einsum("bgc...,gfc->bgf...", part, one, precision=full_precision(image.dtype))
        total = product if total is None else total + product
    assert total is not None, "an empty filter was dealt with"
    return total
