"""Gradients where differences say nothing: ties, corners, zeros. torch and JAX give the same, known values."""

from __future__ import annotations

import jax
import numpy as np
import pytest
import torch

import fuse_jax
from fuse_ref import ExecutionConfig
from fuse_torch import FuseModule
from tests.agreement.engines import x64

_DOUBLE = ExecutionConfig(precision="float64")
_THIRD = 1 / 3

# Program of X, values of X, gradient of the sum of all finite results.
KINKS = {
    # Ties are split evenly.
    "max=": ("Y[i] max= X[i, j]", [[1, 1, 0], [2, 2, 2]], [[0.5, 0.5, 0], [_THIRD, _THIRD, _THIRD]]),
    "max= of two axes": ("Y max= X[i, j]", [[1, 1, 0], [1, 1, 0]], [[0.25, 0.25, 0], [0.25, 0.25, 0]]),
    "min=": ("Y[i] min= X[i, j]", [[1, 1, 3], [2, 2, 2]], [[0.5, 0.5, 0], [_THIRD, _THIRD, _THIRD]]),
    "pooling, ragged": ("Y[x/2] max= X[x]", [1, 1, 2, 2, 3], [0.5, 0.5, 0.5, 0.5, 1]),
    "pooling of two axes": ("Y[x/2, y/2] max= X[x, y]", [[1, 1], [1, 1]], [[0.25, 0.25], [0.25, 0.25]]),
    "pooling with min=": ("Y[x/2] min= X[x]", [1, 1, 2, 3, 3], [0.5, 0.5, 1, 0, 1]),
    "explicit max": ("Y[i] = max(j: X[i, j])", [[1, 1, 0]], [[0.5, 0.5, 0]]),
    "explicit min": ("Y[i] = min(j: X[i, j])", [[1, 1, 3]], [[0.5, 0.5, 0]]),
    "two equations": ("Y[i] max= 3 X[i]\nY[i] max= X[i]**2", [3, 1], [0.5 * 3 + 0.5 * 6, 3]),
    "elementwise max": ("Y[i] = max(X[i], 1)", [1, 2, 0], [0.5, 1, 0]),
    "elementwise min": ("Y[i] = min(X[i], 1)", [1, 2, 0], [0.5, 0, 1]),
    "max of a tensor and its square": ("Y[i] = max(X[i], X[i]**2)", [1, 2, 0], [1.5, 4, 0.5]),
    # Corners take the side on which the function is 0 or flat; clip passes at its bounds.
    "relu": ("Y[i] = relu(X[i])", [0, 1, -1], [0, 1, 0]),
    "leaky_relu": ("Y[i] = leaky_relu(X[i])", [0, 1, -1], [0.01, 1, 0.01]),
    "abs": ("Y[i] = abs(X[i])", [0, 1, -1], [0, 1, -1]),
    "clip": ("Y[i] = clip(X[i], 0, 1)", [0, 1, 0.5, 2, -1], [1, 1, 1, 0, 0]),
    "steps": ("Y[i] = step(X[i]) + sign(X[i]) + floor(X[i]) + sig(X[i], 0)", [0, 1, -1], [0, 0, 0]),
    "casts": ("Y[i] = cast(X[i], float16) + cast(X[i], int64)", [0, 1], [1, 1]),
    # Zeros are no holes.
    "product with one zero": ("Y = prod(i: X[i])", [0, 3, 2], [6, 0, 0]),
    "product with two zeros": ("Y = prod(i: X[i])", [0, 0, 2], [0, 0, 0]),
    "prod=": ("Y prod= X[i]", [0, 3, 2], [6, 0, 0]),
    "powers": ("Y[i] = X[i]**2 + X[i]**3 + X[i]**0", [0, -1, 2], [0, 1, 16]),
    # Far out nothing overflows.
    "sig far out": ("Y[i] = sig(X[i])", [-1000, 1000], [0, 0]),
    "silu far out": ("Y[i] = silu(X[i])", [-1000, 1000], [0, 1]),
    "gelu far out": ('Y[i] = gelu(X[i]) + gelu(X[i], approximate="tanh")', [-1000, 1000], [0, 2]),
    "log_softmax far out": ("Y = sum(i: log_softmax(X[i], axis=i) (i == 0))", [-1000, 1000], [1, -1]),
    "lnorm of one value": ("Y[d] = lnorm(X[d])", [3], [0]),
    # What a function along an axis leaves out has no part in it.
    "topk of equal ones": ("Y[i] = topk(X[i], 2)", [1, 2, 1, 1], [1, 1, 0, 0]),
    "masked_softmax of nothing": ("Y[i] = masked_softmax(X[i], i > 5)", [1, 2], [0, 0]),
    "masked_softmax far out": ("Y = sum(i: masked_softmax(X[i], i < 2, axis=i) i)", [-1e4, 1e4, 1e5], [0, 0, 0]),
    "reduce_max of equal ones": ("Y = reduce_max(X[i])", [1, 1, 0], [0.5, 0.5, 0]),
    # Where no combination counts there is no gradient, and none of it is NaN.
    "max over nothing": ("Y[x] max= X[x, y] (y > 5)", [[1, 1], [1, 1]], [[0, 0], [0, 0]]),
    "avg over nothing": ("Y[x] avg= X[x, y] (y > x)", [[1, 1], [1, 1]], [[0, 1], [0, 0]]),
}


@pytest.mark.parametrize(("text", "at", "expected"), KINKS.values(), ids=KINKS.keys())
def test_torch(text: str, at: list[object], expected: list[object]) -> None:
    X = torch.tensor(np.asarray(at, float), requires_grad=True)
    result = FuseModule(text, config=_DOUBLE)(X=X)
    total = result[torch.isfinite(result)].sum()
    if total.requires_grad:
        total.backward()
    gradient = np.zeros(X.shape) if X.grad is None else X.grad.numpy()
    np.testing.assert_allclose(gradient, expected, rtol=1e-12)


@pytest.mark.parametrize(("text", "at", "expected"), KINKS.values(), ids=KINKS.keys())
def test_jax(text: str, at: list[object], expected: list[object]) -> None:
    with x64("float64"):
        function = fuse_jax.compile(text, config=_DOUBLE)

        def total(X: jax.Array) -> jax.Array:
            result = function({}, X=X)["Y"]
            return jax.numpy.where(jax.numpy.isfinite(result), result, 0).sum()

        gradient = jax.jit(jax.grad(total))(jax.numpy.asarray(np.asarray(at, float)))
    np.testing.assert_allclose(gradient, expected, rtol=1e-12)
