"""Gathers and scatters under jit, vmap and grad: never round to the end, repeated positions, second derivatives."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

import fuse_jax
from fuse_ref import ExecutionConfig, Program

ROWS = "Y[p, d] = E[X[p], d]"
INDEX = np.array([0, 2, -1, 2, 9, 1])


def test_negative_positions_never_count_from_the_end() -> None:
    function = jax.jit(fuse_jax.compile(Program(ROWS)))
    table = np.arange(6.0, dtype=np.float32).reshape(3, 2)
    found = function({}, {"E": table, "X": np.array([-1, 2, -3, 3])})["Y"]
    np.testing.assert_array_equal(found, [[0, 0], [4, 5], [0, 0], [0, 0]])
    gradient = jax.grad(lambda e: function({}, {"E": e, "X": np.array([-1, 2, -3, 2])})["Y"].sum())(jnp.asarray(table))
    np.testing.assert_array_equal(gradient, [[0, 0], [0, 0], [2, 2]])


def test_new_values_are_no_new_trace() -> None:
    traces = []
    inner = fuse_jax.compile(Program(ROWS))

    def call(given: dict[str, jax.Array]) -> jax.Array:
        traces.append(1)
        return inner({}, given)["Y"]

    jitted = jax.jit(call)
    table = np.ones((3, 2), np.float32)
    for start in range(4):
        jitted({"E": table, "X": np.arange(start, start + 3)})
    assert len(traces) == 1


@pytest.mark.parametrize("operator", ["max=", "prod="])  # the two with rules of our own
def test_first_and_second_derivatives(operator: str) -> None:
    text = f"axis n = 4\nY[X[p], d] {operator} Z[p, d] E[X[p]-1, d]\nO[n, d] = Y[n, d]\nexport O"
    with jax.enable_x64(True):
        function = fuse_jax.compile(Program(text), config=ExecutionConfig(precision="float64"))

        @jax.jit
        def call(values: jax.Array, table: jax.Array) -> jax.Array:
            found = function({}, {"Z": values, "E": table, "X": INDEX})["O"]
            return jnp.where(jnp.isfinite(found), found, 0)

        rng = np.random.default_rng(4)
        check_grads(call, (rng.normal(size=(6, 2)), rng.normal(size=(3, 2))), order=2, modes=["rev"])


@pytest.mark.parametrize("zeros", [1, 2])
def test_gradients_of_products_with_zeros(zeros: int) -> None:
    text = "axis n = 2\nY[X[p]] prod= Z[p]\nO[n] = Y[n]\nexport O"
    function = fuse_jax.compile(Program(text))
    values, index = np.array([2.0, 3.0, 4.0, 5.0], np.float32), np.array([0, 0, 0, 1])
    values[:zeros] = 0
    gradient = jax.grad(lambda z: function({}, {"Z": z, "X": index})["O"].sum())(jnp.asarray(values))
    np.testing.assert_array_equal(gradient, [12, 0, 0, 1] if zeros == 1 else [0, 0, 0, 1])


def test_ties_share_the_gradient() -> None:
    text = "axis n = 2\nY[X[p]] max= Z[p]\nO[n] = Y[n]\nexport O"
    function = fuse_jax.compile(Program(text))
    index = np.array([0, 0, 0, 1])
    gradient = jax.grad(lambda z: function({}, {"Z": z, "X": index})["O"].sum())(jnp.array([3.0, 3.0, 1.0, 2.0]))
    np.testing.assert_array_equal(gradient, [0.5, 0.5, 0, 1])


@pytest.mark.parametrize("operator", ["=", "min="])
def test_vmap_of_scatters(operator: str) -> None:
    text = f"axis n = 4\nY[X[p], d] {operator} Z[p, d]\nO[n, d] = Y[n, d]\nexport O"
    function = fuse_jax.compile(Program(text))
    rng = np.random.default_rng(5)
    values = rng.normal(size=(3, 6, 2)).astype(np.float32)
    index = rng.integers(-1, 5, (3, 6))

    def call(values: jax.Array, index: jax.Array) -> jax.Array:
        return function({}, {"Z": values, "X": index})["O"]

    each = jnp.stack([call(v, i) for v, i in zip(values, index, strict=True)])
    np.testing.assert_allclose(jax.jit(jax.vmap(call))(values, index), each, rtol=1e-6)
    slopes = jax.vmap(jax.grad(lambda v, i: jnp.where(jnp.isfinite(o := call(v, i)), o, 0).sum()))(values, index)
    assert slopes.shape == values.shape
