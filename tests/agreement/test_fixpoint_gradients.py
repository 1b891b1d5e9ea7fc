"""Gradients of numeric fixpoints by the implicit rule, against central differences of the NumPy engine in float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import fuse_jax
from fuse_ref import DivergenceError, ExecutionConfig, Program
from fuse_ref.evaluate.runner import Runner
from fuse_torch import FuseModule
from tests.agreement.test_fixpoints import EQUILIBRIUM, HOPS, PATHS, SURFED, WIDEST

Backend: TypeAlias = Literal["jax", "torch"]
Values: TypeAlias = Mapping[str, np.ndarray]
BACKENDS: tuple[Backend, ...] = ("torch", "jax")
CONFIG = ExecutionConfig(precision="float64", tol=1e-13)


def jax_gradients(text: str, given: Values, wanted: Values, weight: np.ndarray) -> dict[str, np.ndarray]:
    with jax.enable_x64(True):
        function = fuse_jax.compile(text, config=CONFIG)
        (name,) = function.program.exports

        def loss(values: Mapping[str, jax.Array]) -> jax.Array:
            result = function({}, {**given, **values})[name]
            return jnp.sum(jnp.where(jnp.isfinite(result), result, 0) * weight)

        found = jax.jit(jax.grad(loss))({name: jnp.asarray(value) for name, value in wanted.items()})
        return {name: np.asarray(value) for name, value in found.items()}


def torch_gradients(text: str, given: Values, wanted: Values, weight: np.ndarray) -> dict[str, np.ndarray]:
    module = FuseModule(text, config=CONFIG)
    leaves = {name: torch.from_numpy(value).requires_grad_() for name, value in wanted.items()}
    result = module({**given, **leaves})
    torch.where(result.isfinite(), result, 0).mul(torch.from_numpy(weight)).sum().backward()
    return {name: np.asarray(leaf.grad) for name, leaf in leaves.items()}


GRADIENTS: dict[Backend, Callable[[str, Values, Values, np.ndarray], dict[str, np.ndarray]]] = {
    "torch": torch_gradients,
    "jax": jax_gradients,
}


def differences(runner: Runner, given: Values, wanted: Values, weight: np.ndarray) -> dict[str, np.ndarray]:
    def loss(values: Values) -> float:
        (result,) = (np.asarray(value) for value in runner({**given, **values}).values())
        return float(np.sum(np.where(np.isfinite(result), result, 0) * weight))

    found = {}
    for name, value in wanted.items():
        found[name] = np.zeros_like(value)
        for place in np.ndindex(value.shape):
            above, below = value.copy(), value.copy()
            above[place] += 1e-5
            below[place] -= 1e-5
            found[name][place] = (loss({**wanted, name: above}) - loss({**wanted, name: below})) / 2e-5
    return found


def check(backend: Backend, text: str, wanted: Values, given: Values, seed: int) -> None:
    runner = Program(text).compile("numpy", config=CONFIG)
    (result,) = (np.asarray(value) for value in runner({**given, **wanted}).values())
    weight = np.where(np.isfinite(result), np.random.default_rng(seed).normal(size=result.shape), 0)
    expected = differences(runner, given, wanted, weight)
    found = GRADIENTS[backend](text, given, wanted, weight)
    for name, gradient in expected.items():
        assert found[name].dtype == np.float64
        np.testing.assert_allclose(found[name], gradient, rtol=1e-6, atol=1e-8, err_msg=name)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("sizes", [(2, 4, 3), (1, 1, 1)])
def test_an_equilibrium_layer(backend: Backend, sizes: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(sum(sizes))
    batch, n, k = sizes
    values = {
        "W": rng.normal(size=(n, n)) * 0.3,
        "U": rng.normal(size=(n, k)),
        "X": rng.normal(size=(batch, k)),
    }
    check(backend, EQUILIBRIUM, values, {}, seed=0)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("text", [PATHS, WIDEST], ids=["shortest", "widest"])
def test_paths_through_arrays(backend: Backend, text: str) -> None:
    for n in (5, 3):
        check(backend, text, {"W": np.random.default_rng(n).uniform(0.1, 2, (n, n))}, {}, seed=n)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("listed", [False, True])
def test_paths_along_edges(backend: Backend, listed: bool) -> None:
    rng = np.random.default_rng(3)
    held = rng.random((6, 6)) < 0.3
    held[0, 1] = True
    held[:, 5] = False  # not reached: infinite, without a slope
    edges = np.argwhere(held) if listed else held
    check(backend, HOPS, {"W": rng.uniform(0.1, 2, (6, 6))}, {"Edge": edges}, seed=1)


@pytest.mark.parametrize("backend", BACKENDS)
def test_page_rank_over_links(backend: Backend) -> None:
    rng = np.random.default_rng(0)
    held = rng.random((5, 5)) < 0.4
    held[:, 0] = True
    check(backend, SURFED, {"B": rng.random(5)}, {"Link": np.argwhere(held)}, seed=2)


# JAX alone --------------------------------------------------------------------------------------


def test_jax_goes_forwards_twice_and_in_batches() -> None:
    rng = np.random.default_rng(0)
    w, x = rng.normal(size=(2, 2)) * 0.3, rng.normal(size=(1, 2))
    with jax.enable_x64(True):
        function = fuse_jax.compile("Z[b, i] = tanh(W[i, j] Z[b, j] + X[b, i])\nexport Z", config=CONFIG)

        def loss(w: jax.Array) -> jax.Array:
            return jnp.sum(function({}, {"W": w, "X": x})["Z"] ** 3)

        slope = jax.jit(jax.grad(loss))
        step = np.zeros((2, 2))
        step[0, 1] = 1e-5
        second = jax.jit(jax.hessian(loss))(w)[0, 1]
        np.testing.assert_allclose(second, (slope(w + step) - slope(w - step)) / 2e-5, rtol=1e-6, atol=1e-8)
        several = jax.jit(jax.vmap(jax.grad(loss)))(jnp.stack([w, w / 2]))
        np.testing.assert_allclose(several[1], slope(w / 2), rtol=1e-10)


def test_jax_says_what_goes_on_inside_compiled_code() -> None:
    function = fuse_jax.compile("R[i] = 2 A[i, j] R[j] + 1\nexport R", config=ExecutionConfig(max_iters=6))
    values = {"A": np.eye(1, dtype=np.float32)}
    with pytest.raises(DivergenceError, match="after max_iters=6 rounds"):
        function({}, values)
    with pytest.raises(jax.errors.JaxRuntimeError, match=r"0\.533, 0\.516, 0\.508"):
        jax.block_until_ready(jax.jit(function)({}, values))
    error = fuse_jax.last_error()
    assert isinstance(error, DivergenceError)
    np.testing.assert_allclose(error.residuals, [1, 2 / 3, 4 / 7, 8 / 15, 16 / 31, 32 / 63], rtol=1e-6)
    halved = {"A": np.full((1, 1), 0.25, np.float32)}
    assert jax.jit(function)({}, {"A": halved["A"] * 0})["R"].tolist() == [1.0]


def test_jax_has_no_gradient_where_nothing_settles() -> None:
    """The last iterate of what grows is a value; the sum of its changes is none."""
    config = ExecutionConfig(max_iters=20, on_divergence="last")
    function = fuse_jax.compile("R[i] = 2 A[i] R[i] + 1\nexport R", config=config)
    slope = jax.grad(lambda a: function({}, {"A": a})["R"].sum())
    assert np.isnan(slope(jnp.ones(1))).all()
    assert np.isfinite(slope(jnp.full(1, 0.1))).all()
