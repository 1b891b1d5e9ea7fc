"""dropout draws from the call's key: functions under jit and grad, nnx and linen modules."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import fuse_jax
import fuse_jax.linen
import fuse_jax.nnx
from fuse_jax import InputError

DROP = "input X[i, j]\nY[i, j] = dropout(2 X[i, j], 0.25)"
TWICE = "input X[i]\nY[i] = dropout(X[i], 0.5)\nZ[i] = dropout(X[i], 0.5) + 10 dropout(X[i], 0.5)\nexport Y, Z"
KEY, OTHER = jax.random.key(1), jax.random.key(2)
X = np.random.default_rng(0).uniform(1, 2, (40, 50)).astype(np.float32)
LEARNED = "input X[b, d]\naxis d = 50, o = 4\nparam W[o, d]~normal(0, 1)\nY[b, o] = W[o, d] dropout(X[b, d], 0.5)"


def is_dropped(result: jax.Array, x: np.ndarray = X) -> None:
    kept = np.asarray(result) != 0
    assert 0.65 < kept.mean() < 0.85
    np.testing.assert_allclose(np.asarray(result)[kept], (2 * x / 0.75)[kept], rtol=1e-6)


def test_training_drops_and_scales() -> None:
    fn = fuse_jax.compile(DROP)
    result = fn({}, X=X, key=KEY, training=True)["Y"]
    is_dropped(result)
    is_dropped(fn({}, X=X + 1, key=KEY, training=True)["Y"], X + 1)
    assert jnp.array_equal(result, fn({}, X=X, key=KEY, training=True)["Y"])
    assert not jnp.array_equal(result, fn({}, X=X, key=OTHER, training=True)["Y"])
    assert jnp.array_equal(result != 0, fn.step({}, {}, {"X": X}, key=KEY, training=True)[0]["Y"] != 0)


def test_evaluation_needs_no_key() -> None:
    fn = fuse_jax.compile(DROP)
    for result in (fn({}, X=X), fn({}, X=X, key=KEY), jax.jit(fn)({}, {"X": X})):
        np.testing.assert_array_equal(result["Y"], 2 * X)


def test_training_without_a_key_says_so() -> None:
    with pytest.raises(InputError, match="call it with key=") as caught:
        fuse_jax.compile(DROP)({}, X=X, training=True)
    assert caught.value.code == "FUSE217"
    # Nothing is drawn here.
    assert fuse_jax.compile("Y[i] = 2 X[i] + dropout(X[i], 0)")({}, X=X[0], training=True)["Y"].shape == (50,)


def test_under_jit_training_may_be_fixed_or_traced() -> None:
    fn = fuse_jax.compile(DROP)
    expected = fn({}, X=X, key=KEY, training=True)["Y"]
    fixed = jax.jit(functools.partial(fn, training=True))({}, {"X": X}, key=KEY)["Y"]
    traced = jax.jit(fn)
    for training, right in ((True, expected), (False, 2 * X)):
        np.testing.assert_allclose(traced({}, {"X": X}, key=KEY, training=training)["Y"], right, rtol=1e-6)
    np.testing.assert_allclose(fixed, expected, rtol=1e-6)


def test_calls_draw_independently_even_equal_ones() -> None:
    result = fuse_jax.compile(TWICE)({}, X=np.ones(2000, np.float32), key=KEY, training=True)
    tens, ones = jnp.floor(result["Z"] / 20), jnp.remainder(result["Z"] / 2, 10)
    for first, second in ((tens, ones), (tens, result["Y"] / 2), (ones, result["Y"] / 2)):
        assert 0.2 < float((first * second).mean()) < 0.3  # both are kept in a quarter of the places


@pytest.mark.parametrize(("p", "expected"), [("0", 1.0), ("1", 0.0)])
def test_the_ends(p: str, expected: float) -> None:
    fn = fuse_jax.compile(f"Y[i] = dropout(X[i], {p})")

    def total(x: jax.Array) -> jax.Array:
        return fn({}, X=x, key=KEY, training=True)["Y"].sum()

    value, gradient = jax.jit(jax.value_and_grad(total))(jnp.ones(5))
    assert value == 5 * expected
    assert gradient.tolist() == [expected] * 5


def test_nnx_modules_drop_until_eval() -> None:
    m = fuse_jax.nnx.FuseModule(LEARNED, rngs=nnx.Rngs(0))
    first, second = m(X), m(X)
    assert not jnp.array_equal(first, second)
    in_jit = nnx.jit(lambda m, x: m(x))
    assert not jnp.array_equal(in_jit(m, X), in_jit(m, X))
    assert jnp.array_equal(m(X, rngs=KEY), m(X, rngs=KEY))
    right = X @ np.asarray(m.W[...]).T
    np.testing.assert_allclose(m(X, deterministic=True), right, rtol=1e-4, atol=1e-4)
    m.eval()
    np.testing.assert_allclose(m(X), right, rtol=1e-4, atol=1e-4)
    assert not jnp.array_equal(m(X, deterministic=False), m(X, deterministic=False))
    m.train()
    assert not jnp.array_equal(m(X), m(X))
    without = fuse_jax.nnx.FuseModule(LEARNED, rngs=nnx.Rngs(params=0))
    with pytest.raises(InputError, match="call it with key="):
        without(X)
    assert without(X, rngs=nnx.Rngs(dropout=3)).shape == (40, 4)


def test_linen_modules_draw_from_their_stream() -> None:
    m = fuse_jax.linen.FuseModule(LEARNED)
    variables = m.init(jax.random.key(0), X)
    right = X @ np.asarray(variables["params"]["W"]).T
    np.testing.assert_allclose(m.apply(variables, X, deterministic=True), right, rtol=1e-4, atol=1e-4)
    first = m.apply(variables, X, deterministic=False, rngs={"dropout": KEY})
    assert jnp.array_equal(first, m.apply(variables, X, deterministic=False, rngs={"dropout": KEY}))
    assert not jnp.array_equal(first, m.apply(variables, X, deterministic=False, rngs={"dropout": OTHER}))
    set_here = fuse_jax.linen.FuseModule(LEARNED, deterministic=True)
    np.testing.assert_allclose(set_here.apply(variables, X), right, rtol=1e-4, atol=1e-4)
    plain = fuse_jax.linen.FuseModule("input X[i]\nY[i] = 2 X[i]")
    assert plain.apply(plain.init(KEY, X[0]), X[0]).shape == (50,)
