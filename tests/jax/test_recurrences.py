"""Recurrences in JAX: as on NumPy, unrolled and as a scan, in compiled code and outside, with their gradients."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fuse_jax
from fuse_ref import ExecutionConfig, Program
from tests.support.recurrence_programs import PROGRAMS, numbers


@pytest.mark.parametrize("name", PROGRAMS)
def test_as_on_numpy(name: str) -> None:
    item = PROGRAMS[name]
    program = Program(item.text)
    reference, runner = program.compile("numpy"), program.compile("jax")
    for seed, length in ((0, 3), (1, 12)):
        given = {key: value.astype(np.float32) for key, value in item.inputs(numbers(seed), length).items()}
        found, wanted = runner(given), reference(given)
        for key, value in found.items():
            np.testing.assert_allclose(np.asarray(value), wanted[key], 2e-4, 2e-4, err_msg=f"{key}, length {length}")


@pytest.mark.parametrize("length", [4, 20])
def test_gradients(length: int) -> None:
    text = "H[i, t+1] = tanh(W[i, j] H[j, t] + U[i, t])\nL = H[i, t]**2\nexport L"
    with jax.enable_x64(True):
        function = fuse_jax.compile(Program(text), config=ExecutionConfig(precision="float64"))
    draw = numbers(3)
    given = {"W": draw(3, 3), "U": draw(3, length)}

    def by_hand(w: jax.Array, u: jax.Array) -> jax.Array:
        h, total = jnp.zeros(3), jnp.asarray(0.0)
        for t in range(length):
            h = jnp.tanh(w @ h + u[:, t])
            total = total + (h**2).sum()
        return total

    def ours(w: jax.Array, u: jax.Array) -> jax.Array:
        return function({}, {"W": w, "U": u})["L"]

    with jax.enable_x64(True):
        wanted = jax.grad(by_hand, argnums=(0, 1))(given["W"], given["U"])
        for run in (ours, jax.jit(ours)):
            found = jax.grad(run, argnums=(0, 1))(given["W"], given["U"])
            for one, other in zip(found, wanted, strict=True):
                np.testing.assert_allclose(one, other, 1e-9, 1e-12)


def test_a_long_one_is_a_scan() -> None:
    function = fuse_jax.compile(Program("H[t+1] = tanh(0.5 H[t] + U[t])\nexport H"))
    assert "scan[" in str(jax.make_jaxpr(lambda u: function({}, {"U": u})["H"])(jnp.ones(9)))
    assert "scan[" not in str(jax.make_jaxpr(lambda u: function({}, {"U": u})["H"])(jnp.ones(8)))
