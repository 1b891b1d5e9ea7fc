"""Registered functions in JAX: under jit, grad and vmap."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fuse_jax
from fuse_ref import GradientError, OperatorError, Program, register_function
from tests.support.registered import PROGRAM, expected, expected_gradient, register_all

register_all()


def test_values_and_gradients() -> None:
    function = fuse_jax.compile(Program(PROGRAM))

    def total(x: jax.Array, b: jax.Array) -> jax.Array:
        return function({}, {"X": x, "B": b})["Y"].sum()

    rng = np.random.default_rng(0)
    for shape in ((2, 3), (4, 3), (1, 1), (0, 2)):
        x, b = rng.normal(size=shape).astype(np.float32), rng.normal(size=shape[1]).astype(np.float32)
        for run in (function, jax.jit(function)):
            np.testing.assert_allclose(run({}, {"X": x, "B": b})["Y"], expected(x, b), rtol=1e-5)
        for gradient in (jax.grad(total), jax.jit(jax.grad(total))):
            np.testing.assert_allclose(gradient(x, b), expected_gradient(x, b), rtol=1e-4, atol=1e-6)


def test_vmap() -> None:
    function = fuse_jax.compile(Program(PROGRAM))
    rng = np.random.default_rng(1)
    x, b = rng.normal(size=(5, 2, 3)).astype(np.float32), rng.normal(size=3).astype(np.float32)
    result = jax.vmap(lambda one: function({}, {"X": one, "B": b})["Y"])(x)
    np.testing.assert_allclose(result, expected(x, b), rtol=1e-4, atol=1e-6)
    gradient = jax.vmap(jax.grad(lambda one: function({}, {"X": one, "B": b})["Y"].sum()))(x)
    np.testing.assert_allclose(gradient, expected_gradient(x, b), rtol=1e-4, atol=1e-6)


def test_without_a_gradient() -> None:
    function = fuse_jax.compile(Program("Y[i] = test_steps(X[i])"))
    x = jnp.array([0.75, 1.2])
    assert function({}, {"X": x})["Y"].tolist() == [1.0, 2.0]
    with pytest.raises(GradientError, match="test_steps has no gradient"):
        jax.grad(lambda x: function({}, {"X": x})["Y"].sum())(x)


def test_second_gradients_and_forward_mode() -> None:
    function = fuse_jax.compile(Program("Y = test_cube(X)"))

    def value(x: jax.Array) -> jax.Array:
        return function({}, {"X": x})["Y"]

    assert float(jax.grad(jax.grad(value))(jnp.float32(2.0))) == 12.0
    assert float(jax.jvp(value, (jnp.float32(2.0),), (jnp.float32(1.0),))[1]) == 12.0


def test_a_jax_version_is_used() -> None:
    register_function("test_own_jax", numpy=lambda x: 0 * x, jax=jnp.tanh)
    function = fuse_jax.compile(Program("Y[i] = test_own_jax(X[i])"))
    x = np.array([0.5, -1.0], np.float32)
    np.testing.assert_allclose(jax.jit(function)({}, {"X": x})["Y"], np.tanh(x), rtol=1e-6)


def test_what_a_jax_version_gives_is_checked() -> None:
    register_function("test_total_jax", numpy=lambda x: x, jax=jnp.sum)
    with pytest.raises(OperatorError, match=r"gave the shape \(\) and not the shape \(2,\)"):
        fuse_jax.compile(Program("Y[i] = test_total_jax(X[i])"))({}, {"X": np.ones(2, np.float32)})
