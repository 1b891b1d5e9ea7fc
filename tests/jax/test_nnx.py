"""`fuse_jax.nnx.FuseModule`: called like a FuseModule, trained like any nnx module."""

from __future__ import annotations

import copy

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import fuse_jax
from fuse_jax import AxisError, ConfigError, InputError
from fuse_jax.nnx import FuseModule

MLP = """
input X[b, d]
axis d = 3, h = 16, o = 1
param W1[h, d] ~ xavier(); param B1[h]; param W2[o, h] ~ xavier(); param B2[o]
H[b, h] = tanh(W1[h, d] X[b, d] + B1[h])
Y[b, o] = W2[o, h] H[b, h] + B2[o]
"""


def data(n: int = 64) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).uniform(-1, 1, size=(n, 3)).astype(np.float32)
    return x, (x[:, :1] * x[:, 1:2] + np.sin(2 * x[:, 2:])).astype(np.float32)


def by_hand(m: FuseModule, x: np.ndarray) -> jax.Array:
    return jnp.tanh(x @ m.W1[...].T + m.B1[...]) @ m.W2[...].T + m.B2[...]


def test_called_like_a_torch_module() -> None:
    m = FuseModule(MLP, rngs=nnx.Rngs(0))
    for seed in range(2):
        x = np.random.default_rng(seed).normal(size=(4 + seed, 3)).astype(np.float32)
        for result in (m(x), m(X=x), m({"X": x}), nnx.jit(lambda m, x: m(x))(m, x), jax.jit(lambda m, x: m(x))(m, x)):
            np.testing.assert_allclose(result, by_hand(m, x), rtol=1e-5, atol=1e-6)
    two = FuseModule("input A[i]; input B[i]; Y[i] = A[i] - B[i]; Z[i] = 2 A[i]; export Y, Z", rngs=nnx.Rngs(0))
    result = two(np.ones(2), np.zeros(2))
    assert list(result) == ["Y", "Z"]
    assert result["Y"].tolist() == [1, 1]
    assert two(np.ones(2), B=np.ones(2))["Y"].tolist() == [0, 0]
    with pytest.raises(InputError, match="3 inputs were given by position, but the program has 2: A, B"):
        two(np.ones(2), np.ones(2), np.ones(2))
    with pytest.raises(InputError, match="A is given twice"):
        two(np.ones(2), A=np.ones(2))
    with pytest.raises(AxisError, match="axis i"):
        two(np.ones(2), np.ones(1))


def test_trains_with_optax() -> None:
    x, y = data()
    m = FuseModule(MLP, rngs=nnx.Rngs(1))
    optimizer = nnx.Optimizer(m, optax.adam(2e-2), wrt=nnx.Param)

    @nnx.jit
    def step(m, optimizer, x, y):
        loss, gradient = nnx.value_and_grad(lambda m: jnp.mean((m(x) - y) ** 2))(m)
        optimizer.update(m, gradient)
        return loss

    losses = [float(step(m, optimizer, x, y)) for _ in range(150)]
    assert losses[0] > 0.2
    assert losses[-1] < 0.02


def test_split_merge_and_state() -> None:
    m = FuseModule(MLP, rngs=nnx.Rngs(0))
    x, _ = data(4)
    graph, state = nnx.split(m)
    assert set(nnx.to_pure_dict(state)) == {"W1", "B1", "W2", "B2"}
    other_graph, other_state = nnx.split(FuseModule(MLP, rngs=nnx.Rngs(5)))
    assert graph == other_graph  # one program: modules share compiled code
    assert hash(graph) == hash(other_graph)
    np.testing.assert_array_equal(nnx.merge(graph, state)(x), m(x))
    assert not np.allclose(nnx.merge(graph, other_state)(x), m(x))

    traces = []

    @jax.jit
    def forward(graph, state, x):
        traces.append(1)
        return nnx.merge(graph, state)(x)

    forward(graph, state, x)
    forward(other_graph, other_state, x)
    assert len(traces) == 1
    abstract = nnx.eval_shape(lambda: FuseModule(MLP, rngs=nnx.Rngs(0)))
    assert abstract.W1.shape == (16, 3)
    np.testing.assert_array_equal(copy.deepcopy(m)(x), m(x))


def test_inside_another_module() -> None:
    class Model(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.first = nnx.Linear(5, 3, rngs=rngs)
            self.second = FuseModule(MLP, rngs=rngs)

        def __call__(self, x):
            return self.second(self.first(x))

    model = Model(nnx.Rngs(0))
    x = np.ones((2, 5), np.float32)
    np.testing.assert_allclose(model(x), by_hand(model.second, model.first(x)), rtol=1e-5)
    gradient = nnx.grad(lambda m: m(x).sum())(model)
    assert gradient["second"]["W2"].shape == (1, 16)
    assert float(jnp.abs(gradient["first"]["kernel"][...]).sum()) > 0


def test_names_that_the_module_uses_itself() -> None:
    m = FuseModule(
        "axis i = 2; param program[i] ~ ones(); param p'[i] ~ ones(); Y[i] = program[i] + p'[i]", rngs=nnx.Rngs(0)
    )
    assert dict(m.names) == {"program": "program_", "p'": "p'"}
    assert m.names["program_"] == "program"
    assert m.program_.shape == (2,)
    assert m().tolist() == [2, 2]
    with pytest.raises(ConfigError, match="program and program_ would both be program_"):
        FuseModule("axis i = 2; param program[i]; param program_[i]; Y[i] = program[i] program_[i]", rngs=nnx.Rngs(0))


def test_sizes_are_needed_when_a_module_is_built() -> None:
    text = "input X[b, d]; param W[o, d]; Y[b, o] = W[o, d] X[b, d]"
    with pytest.raises(AxisError, match="size of axis o of parameter W is not known yet"):
        FuseModule(text, rngs=nnx.Rngs(0))
    assert FuseModule(text, rngs=nnx.Rngs(0), sizes={"o": 2, "d": 3})(np.ones((4, 3))).shape == (4, 2)


def test_it_holds_what_the_function_does() -> None:
    m = FuseModule(MLP, rngs=nnx.Rngs(0))
    params = {name: getattr(m, attribute)[...] for name, attribute in m.names.items()}
    x, _ = data(3)
    np.testing.assert_array_equal(fuse_jax.compile(MLP)(params, X=x)["Y"], m(x))
    assert m.plan == m.function.plan
    assert m.program.exports.keys() == {"Y"}
