"""Streams in JAX: the state is a value that a step takes and gives."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fuse_jax
from fuse_ref import InputError, Program
from tests.support.recurrence_programs import numbers

TEXT = """
axis i = 3
param W[i, j] ~ normal(0, 0.5)
input U[i, t]
H[i, *t+1] = tanh(W[i, j] H[j, *t] + 0.2 H[i, *t-2] + U[i, t])
S[0] = 2
S[*t+1] = 0.5 S[*t] + H[i, *t+1]
export H, S
"""


def test_steps_equal_one_call_and_the_runner() -> None:
    function = fuse_jax.compile(TEXT)
    params = function.init(jax.random.key(0))
    inputs = numbers(0)(3, 12).astype(np.float32)
    whole = function(params, {"U": inputs})
    reference = Program(TEXT).compile("numpy", policies=None)
    state = function.initial_state()
    assert {name: value.shape for name, value in state.items()} == {"H": (3, 3), "S": (1,), "S~fresh": ()}
    step = jax.jit(function.step)
    for start, stop in ((0, 1), (1, 2), (2, 12)):
        made, state = step(params, state, {"U": inputs[:, start:stop]})
    for name, value in whole.items():
        np.testing.assert_allclose(made[name], value, 1e-6, 1e-6)
    assert reference.plan.streams[0].tensor == "H"
    again, _ = function.step(params, {}, {"U": inputs})
    np.testing.assert_allclose(again["S"], whole["S"], 1e-6)


def test_step_by_step_is_compiled_once_and_has_gradients() -> None:
    function = fuse_jax.compile(TEXT)
    params = function.init(jax.random.key(0))
    inputs = numbers(1)(6, 3, 1).astype(np.float32)
    traces = 0

    @jax.jit
    def step(state, u):  # type: ignore[no-untyped-def]
        nonlocal traces
        traces += 1
        return function.step(params, state, {"U": u})

    state = function.initial_state()
    for u in inputs:
        made, state = step(state, u)
    assert traces == 1

    def last(params, us):  # type: ignore[no-untyped-def]
        _, outputs = jax.lax.scan(
            lambda state, u: function.step(params, state, {"U": u})[::-1], function.initial_state(), us
        )
        return outputs["H"][-1].sum()

    def at_once(params, us):  # type: ignore[no-untyped-def]
        return function(params, {"U": jnp.moveaxis(us[..., 0], 0, 1)})["H"].sum()

    np.testing.assert_allclose(last(params, inputs), made["H"].sum(), 1e-5)
    one, other = (jax.grad(f, argnums=(0, 1))(params, inputs) for f in (last, at_once))
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, 1e-4, 1e-6)


def test_a_given_start_and_wrong_states() -> None:
    function = fuse_jax.compile("H[i, *t+1] = 0.5 H[i, *t] + U[i, t]\nexport H")
    assert function({}, U=np.ones((2, 1)), H=[2.0, 4.0])["H"].tolist() == [2, 3]
    _, state = function.step({}, {}, {"U": np.ones((2, 1))})
    with pytest.raises(InputError, match=r"the state of H has shape \(1, 2\), but this call needs \(1, 3\)"):
        function.step({}, state, {"U": np.ones((3, 1))})
    with pytest.raises(InputError, match="no stream of that name"):
        function.step({}, {"U": np.ones(2)}, {"U": np.ones((2, 1))})
