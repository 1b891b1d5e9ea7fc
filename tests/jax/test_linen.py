"""`fuse_jax.linen.FuseModule`: init, apply, TrainState, and inside other linen modules."""

from __future__ import annotations

import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax.training.train_state import TrainState

from fuse_jax import AxisError, ExecutionConfig, InputError, Program
from fuse_jax.linen import FuseModule

MLP = """
input X[b, d]
axis h = 16, o = 1
param W1[h, d] ~ xavier(); param B1[h]; param W2[o, h] ~ xavier(); param B2[o]
H[b, h] = tanh(W1[h, d] X[b, d] + B1[h])
Y[b, o] = W2[o, h] H[b, h] + B2[o]
"""


def by_hand(variables: dict, x: np.ndarray) -> jax.Array:
    p = variables["params"]
    return jnp.tanh(x @ p["W1"].T + p["B1"]) @ p["W2"].T + p["B2"]


def test_init_and_apply_with_sizes_from_the_input() -> None:
    m = FuseModule(MLP)
    for d in (3, 5):
        x = np.random.default_rng(d).normal(size=(4, d)).astype(np.float32)
        variables = m.init(jax.random.key(0), x)
        assert {name: leaf.shape for name, leaf in variables["params"].items()} == {
            "W1": (16, d),
            "B1": (16,),
            "W2": (1, 16),
            "B2": (1,),
        }
        for result in (
            m.apply(variables, x),
            m.apply(variables, X=x),
            m.apply(variables, {"X": x}),
            jax.jit(m.apply)(variables, x),
        ):
            np.testing.assert_allclose(result, by_hand(variables, x), rtol=1e-5, atol=1e-6)
    with pytest.raises(AxisError, match="axis d is 5 in W1"):
        m.apply(variables, np.ones((4, 3), np.float32))
    with pytest.raises(InputError, match="2 inputs were given by position"):
        m.apply(variables, x, x)


def test_init_under_jit_and_eval_shape() -> None:
    m = FuseModule(MLP, sizes={"d": 3})
    x = np.ones((2, 3), np.float32)
    eager = m.init(jax.random.key(0), x)
    jitted = jax.jit(m.init)(jax.random.key(0), x)
    shapes = jax.eval_shape(m.init, jax.random.key(0), x)
    for name, leaf in eager["params"].items():
        np.testing.assert_array_equal(jitted["params"][name], leaf)
        assert shapes["params"][name].shape == leaf.shape
    assert float(jnp.abs(eager["params"]["W1"]).sum()) > 0


def test_trains_with_a_train_state() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, size=(64, 3)).astype(np.float32)
    y = (x[:, :1] * x[:, 1:2] + np.sin(2 * x[:, 2:])).astype(np.float32)
    m = FuseModule(MLP, config=ExecutionConfig())
    state = TrainState.create(apply_fn=m.apply, params=m.init(jax.random.key(1), x)["params"], tx=optax.adam(2e-2))

    @jax.jit
    def step(state, x, y):
        def loss(params):
            return jnp.mean((state.apply_fn({"params": params}, x) - y) ** 2)

        value, gradient = jax.value_and_grad(loss)(state.params)
        return state.apply_gradients(grads=gradient), value

    losses = []
    for _ in range(150):
        state, value = step(state, x, y)
        losses.append(float(value))
    assert losses[0] > 0.2
    assert losses[-1] < 0.02


def test_inside_another_module() -> None:
    class Model(linen.Module):
        @linen.compact
        def __call__(self, x):
            return FuseModule(Program(MLP), name="head")(linen.Dense(4)(x))

    x = np.ones((2, 6), np.float32)
    variables = Model().init(jax.random.key(0), x)
    assert set(variables["params"]) == {"Dense_0", "head"}
    dense = variables["params"]["Dense_0"]
    hidden = x @ dense["kernel"] + dense["bias"]
    expected = by_hand({"params": variables["params"]["head"]}, hidden)
    np.testing.assert_allclose(Model().apply(variables, x), expected, rtol=1e-5)


def test_several_exports_and_names() -> None:
    m = FuseModule("input A[i]; param name[i] ~ ones(); Y[i] = A[i] name[i]; Z[i] = 2 A[i]; export Y, Z")
    variables = m.init(jax.random.key(0), np.ones(2))
    assert set(variables["params"]) == {"name_"}
    result = m.apply(variables, np.ones(2))
    assert {name: value.tolist() for name, value in result.items()} == {"Y": [1, 1], "Z": [2, 2]}
    assert dict(m.names) == {"name": "name_"}
    assert m.plan == m.function.plan
