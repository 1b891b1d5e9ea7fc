"""Gradients of maxima and minima under jit, where XLA may compute an element twice and round it in two ways."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fuse_jax
from fuse_jax.extremes import extreme
from fuse_ref import ExecutionConfig
from tests.support.xla import fully_optimised

_DOUBLE = ExecutionConfig(precision="float64")


@pytest.fixture(autouse=True)
def _as_users_have_it() -> Iterator[None]:
    with fully_optimised():
        yield


@pytest.mark.parametrize("operator", ["max", "min"])
@pytest.mark.parametrize(
    "left",
    [
        "U[k, j] = {}(i: lnorm(T[i, j, k] + V[4-i], eps=0.1, axis=i) i)",
        "U[k, j] {}= softmax(T[i, j, k], axis=i) (i + 1)",
    ],
)
def test_what_feeds_an_extreme_may_be_computed_twice(left: str, operator: str) -> None:
    """Plain jnp.max loses part of the gradient in about half of these (jax issue 40564)."""
    with jax.enable_x64(True):
        function = fuse_jax.compile(left.format(operator), config=_DOUBLE)

        def total(T: jax.Array, V: jax.Array) -> jax.Array:
            inputs = {"T": T, "V": V} if "V" in left else {"T": T}
            return function({}, inputs)["U"].sum()

        compiled = jax.jit(jax.grad(total))
        for seed in range(12):
            rng = np.random.default_rng(seed)
            T, V = jnp.asarray(rng.uniform(-1, 1, (3, 2, 2))), jnp.asarray(rng.uniform(-1, 1, 5))
            with jax.disable_jit():
                expected = jax.grad(total)(T, V)
            np.testing.assert_allclose(compiled(T, V), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ties_share_and_near_values_do_not(dtype: type) -> None:
    with jax.enable_x64(dtype is np.float64):
        value = jnp.asarray([[1, 1, 0], [2, 2 * (1 - 1e-4), 2], [-np.inf, -np.inf, -np.inf]], dtype)
        gradient = jax.jit(jax.grad(lambda x: jnp.where(jnp.isfinite(m := extreme("max", (1,), x)), m, 0).sum()))(value)
        np.testing.assert_allclose(gradient, [[0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0, 0]], rtol=1e-6)
        both = jax.grad(lambda x: extreme("min", (0, 1), x))(value[:2])
        np.testing.assert_allclose(both, [[0, 0, 1], [0, 0, 0]])


def test_whole_numbers_and_mapped_axes() -> None:
    np.testing.assert_array_equal(extreme("max", (0,), jnp.asarray([[1, 5], [3, 2]])), [3, 5])
    rows = jnp.asarray([[1.0, 4.0, 2.0], [7.0, 0.0, 7.0]])
    gradients = jax.vmap(jax.grad(lambda row: extreme("max", (0,), row)))(rows)
    np.testing.assert_allclose(gradients, [[0, 1, 0], [0.5, 0, 0.5]])
