"""One seed is one sample: estimated sums are equal on NumPy, torch and JAX, and have gradients there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import fuse_jax
from fuse_jax.sampling import sample as by_jax
from fuse_ref import ExecutionConfig, Program
from fuse_ref.evaluate.sampling import sample as by_numpy
from fuse_ref.plan.sampling import seed_words
from fuse_torch import FuseModule
from fuse_torch.lowering.sampling import by_torch, sample

PROGRAM: Final = Program(
    """
    input T[x]: int64
    Y[i] = W[i, j] X[j] + W[i, 0]
    Z[i] avg= W[i, j] X[j]
    S[i] = sum(x, y: exp(-A[i, x, y]**2) / (1 + X[x+y]**2))
    G[i] = A[i, x, y] X[T[x]] y
    R[x] = relu(A[i, x, y] X[2*y])
    L[i] = softmax(A[i, x, y], axis=y) A[i, x, y]
    F[i] avg= (A[i, x, y] > 0) X[x+y]
    D[i, x] = sum(y: A[i, x, y] sum(j: W[i, j] X[j]))
    export Y, Z, S, G, R, L, F, D
    """
)
ONE: Final = Program("input X[b, d]\nparam W[d, e]\nY[b, e] = tanh(X[b, d] W[d, e])\nexport Y")


def monte_carlo(number: int, seed: int = 0, precision: str = "float64") -> ExecutionConfig:
    return ExecutionConfig(
        projection_strategy="monte_carlo",
        projection_samples=number,
        projection_seed=seed,
        precision=precision,  # type: ignore[arg-type]
    )


def given(seed: int, i: int, x: int, y: int, j: int, dtype: type = np.float64) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "W": rng.normal(size=(i, j)).astype(dtype),
        "X": rng.normal(size=j).astype(dtype),
        "A": rng.normal(size=(i, x, y)).astype(dtype),
        "T": rng.integers(0, max(1, j), x),
    }


SIZES = [(2, 5, 6, 30), (1, 4, 9, 41), (2, 0, 3, 12)]


@pytest.mark.parametrize(("precision", "number"), [("float32", 11), ("float64", 4), ("float64", 1000)])
def test_one_seed_is_one_estimate_on_every_engine(precision: str, number: int) -> None:
    config = monte_carlo(number, 12345678901, precision)
    dtype, tolerance = (np.float32, 1e-4) if precision == "float32" else (np.float64, 1e-10)
    with jax.enable_x64(precision == "float64"):
        runners = {name: PROGRAM.compile(name, config=config) for name in ("numpy", "torch", "jax")}  # type: ignore[arg-type]
        for seed, sizes in enumerate(SIZES):
            values = given(seed, *sizes, dtype=dtype)
            results = {name: runner(values) for name, runner in runners.items()}
            for tensor, expected in results["numpy"].items():
                for name in ("torch", "jax"):
                    found = np.asarray(results[name][tensor])
                    assert found.dtype == expected.dtype == dtype
                    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
        if number == 1000:
            plain = PROGRAM.compile("numpy", config=ExecutionConfig(precision=precision))(values)  # type: ignore[arg-type]
            for tensor, expected in plain.items():
                np.testing.assert_allclose(results["numpy"][tensor], expected, rtol=tolerance, atol=tolerance)


def test_many_variables_and_long_axes_agree() -> None:
    text = "axis x = 90_000, y = 70_000, z = 2_000_000_000\nS = sum(x, y, z: sin(x + 2*y) cos(z) / (1 + x))\nexport S"
    config = monte_carlo(300, 7)
    expected = Program(text).compile("numpy", config=config)()["S"]
    assert abs(expected) > 0
    assert float(Program(text).compile("torch", config=config)()["S"]) == pytest.approx(float(expected), rel=1e-9)
    with jax.enable_x64(True):
        assert float(Program(text).compile("jax", config=config)()["S"]) == pytest.approx(float(expected), rel=1e-9)
    # Without 64-bit numbers the sample is the same, to the rounding of positions as float32.
    short = "axis x = 90_000, y = 7_000\nS = sum(x, y: (x - 40_000) (y - 3_000))\nexport S"
    narrow = monte_carlo(300, 7, "float32")
    expected = Program(short).compile("numpy", config=narrow)()["S"]
    assert float(Program(short).compile("jax", config=narrow)()["S"]) == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize("sizes", [(1000,), (2**31 - 1,), (31, 7, 5), (0, 3)])
def test_the_arithmetic_of_every_engine_draws_the_same(sizes: tuple[int, ...]) -> None:
    for seed in (0, 7, 2**61 + 2**40 + 5):
        words, count = seed_words(seed), min(400, math.prod(sizes))
        expected = by_numpy(words, 77, sizes, count)
        for _ in range(2):
            assert (sample(torch.tensor(words), 77, sizes, count).numpy() == expected).all()
        assert (by_torch(torch.tensor(words), 77, sizes, count).numpy() == expected).all()
        assert (np.asarray(by_jax(jnp.asarray(words, np.uint32), 77, sizes, count)) == expected).all()
    kept = sample(torch.tensor(words), 77, sizes, count)
    kept.zero_()
    assert (sample(torch.tensor(words), 77, sizes, count).numpy() == expected).all()


# Gradients ----------------------------------------------------------------------------------------


def losses(values: Mapping[str, Any]) -> Any:
    total = 0
    for value in values.values():
        total = total + (value**2).sum()
    return total


def differences(config: ExecutionConfig, values: dict[str, np.ndarray], name: str, step: float = 1e-6) -> np.ndarray:
    """Central differences of the estimate, whose sample stays."""
    runner = PROGRAM.compile("numpy", config=config)
    found = np.zeros(values[name].size)
    for place in range(values[name].size):
        sides = []
        for sign in (1, -1):
            moved = values[name].copy()
            moved.reshape(-1)[place] += sign * step
            sides.append(losses(runner({**values, name: moved})))
        found[place] = (sides[0] - sides[1]) / (2 * step)
    return found.reshape(values[name].shape)


def test_gradients_of_the_sampled_terms() -> None:
    config = monte_carlo(5, 3)
    with jax.enable_x64(True):
        function = fuse_jax.compile(PROGRAM, config=config)
        gradient = jax.jit(jax.grad(lambda floats, T: losses(function({}, {**floats, "T": T}))))
        module = FuseModule(PROGRAM, config=config).double()
        for seed, sizes in enumerate([(2, 3, 4, 14), (2, 3, 4, 14)]):
            values = given(seed, *sizes)
            floats = {name: value for name, value in values.items() if name != "T"}
            by_jax = gradient(floats, values["T"])
            tensors = {name: torch.tensor(value, requires_grad=name != "T") for name, value in values.items()}
            losses(module(tensors)).backward()
            for name in floats:
                expected = differences(config, values, name)
                np.testing.assert_allclose(by_jax[name], expected, rtol=1e-5, atol=1e-6)
                grad = tensors[name].grad
                assert grad is not None
                np.testing.assert_allclose(grad.numpy(), expected, rtol=1e-5, atol=1e-6)


# Compiled torch -----------------------------------------------------------------------------------


def test_compiled_modules_draw_the_same() -> None:
    torch.compiler.reset()
    module = FuseModule(PROGRAM, config=monte_carlo(7, 9, "float32"))
    compiled = torch.compile(module, backend="fuse", fullgraph=True, dynamic=True, options={"fuse.inner": "aot_eager"})
    for seed, sizes in enumerate([(2, 5, 6, 30), (3, 4, 9, 41)]):
        values = {name: torch.tensor(value) for name, value in given(seed, *sizes, dtype=np.float32).items()}
        expected, found = module(values), compiled(values)
        for tensor, value in expected.items():
            torch.testing.assert_close(found[tensor], value)


def test_a_module_takes_new_seeds_without_another_compilation() -> None:
    torch.compiler.reset()
    config = monte_carlo(3, 11, "float32")
    module = FuseModule(ONE, sizes={"d": 20, "e": 2}, config=config)
    compiled = torch.compile(module, backend="fuse", fullgraph=True, options={"fuse.inner": "aot_eager"})
    X = torch.randn(4, 20)
    first = compiled(X)
    weights = {"W": module.W.detach().numpy()}
    assert module.projection_seed == 11
    seen = [first]
    with torch.compiler.set_stance("fail_on_recompile"):
        for seed in (12, 2**40, 11):
            module.projection_seed = seed
            seen.append(compiled(X))
            torch.testing.assert_close(seen[-1], module(X))
    torch.testing.assert_close(seen[-1], first)
    assert len({value.detach().numpy().tobytes() for value in seen}) == 3
    params = {name: jnp.asarray(value) for name, value in weights.items()}
    for seed, value in ((12, seen[1]), (2**40, seen[2])):
        function = fuse_jax.compile(ONE, sizes={"d": 20, "e": 2}, config=monte_carlo(3, seed, "float32"))
        np.testing.assert_allclose(function(params, X=X.numpy())["Y"], value.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_a_training_draws_anew_in_each_step() -> None:
    """Stochastic gradients of a mean over 192 residuals, 20 of them drawn, come to what made the targets."""
    text = "input X[b, d]\ninput T[b, o]\nparam W[o, d] ~ zeros()\nY[b, o] = W[o, d] X[b, d]\n"
    settings = ExecutionConfig(projection_strategy="monte_carlo", projection_samples={"Loss": 20})
    module = FuseModule(f"{text}Loss avg= (T[b, o] - Y[b, o])**2\nexport Loss", sizes={"d": 5, "o": 3}, config=settings)
    rng = np.random.default_rng(0)
    X, weights = rng.normal(size=(64, 5)), rng.normal(size=(3, 5))
    given = {"X": torch.tensor(X, dtype=torch.float32), "T": torch.tensor(X @ weights.T, dtype=torch.float32)}
    optimiser = torch.optim.SGD(module.parameters(), lr=0.2)
    losses = []
    for step in range(150):
        module.projection_seed = step
        optimiser.zero_grad()
        loss = module(given)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert np.mean(losses[:5]) > 1
    np.testing.assert_allclose(module.W.detach().numpy(), weights, atol=0.02)
    assert losses[-1] < 1e-3


def test_what_reads_a_recurrence_is_estimated_and_the_recurrence_exact() -> None:
    program = Program("H[i, t+1] = tanh(W[i, j] H[j, t] + V[i, t])\nY[i] = sum(t: H[i, t]**2)\nexport H, Y")
    rng = np.random.default_rng(0)
    exact, found = ExecutionConfig(precision="float64"), []
    with jax.enable_x64(True):
        for size in (9, 6):
            given = {"W": rng.normal(size=(5, 5)), "V": rng.normal(size=(5, size))}
            expected = program.compile("numpy", config=exact)(given)["H"]
            for name in ("numpy", "torch", "jax"):
                result = program.compile(name, config=monte_carlo(3, 2))(given)  # type: ignore[arg-type]
                np.testing.assert_allclose(result["H"], expected, rtol=1e-10)
                found.append(np.asarray(result["Y"]))
            np.testing.assert_allclose(found[-1], found[-3], rtol=1e-10)
            np.testing.assert_allclose(found[-2], found[-3], rtol=1e-10)
            assert np.abs(found[-1] - (expected**2).sum(1)).max() > 1e-3


def test_every_engine_tells_standard_errors() -> None:
    values = given(0, 2, 5, 6, 30)
    told = []
    with jax.enable_x64(True):
        for name in ("numpy", "torch", "jax"):
            runner = PROGRAM.compile(name, config=monte_carlo(6, 1))  # type: ignore[arg-type]
            runner(values)
            told.append(runner.explain().estimates)
    assert len(told[0]) == len(PROGRAM.exports)
    assert told[0] == told[1] == told[2]


def test_seeds_where_calls_list_tuples() -> None:
    """A plan for listed tuples draws less: what it has from a relation is exact."""
    program = Program(
        "input E(x, y)\ninput Z[y, d]\ninput V[k]\nN[x, d] = E(x, y) Z[y, d]\nQ[x, d] = N[x, d] + V[k]\nexport Q"
    )
    rng = np.random.default_rng(0)
    E, Z, V = rng.random((5, 6)) < 0.4, rng.normal(size=(6, 2)), rng.normal(size=30)
    rows = np.argwhere(E)
    module = FuseModule(program, config=monte_carlo(4, 3)).double()
    given = {"Z": torch.tensor(Z), "V": torch.tensor(V)}
    for seed in (3, 8):
        module.projection_seed = seed
        config = monte_carlo(4, seed)
        for relation in (E, rows):
            found = module(E=torch.tensor(relation), **given)
            expected = program.compile("numpy", config=config)(E=relation, Z=Z, V=V)["Q"]
            np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10)
            with jax.enable_x64(True):
                by_function = fuse_jax.compile(program, config=config)({}, E=relation, Z=Z, V=V)["Q"]
            np.testing.assert_allclose(by_function, expected, rtol=1e-10)


def test_seeds_of_modules() -> None:
    module = FuseModule(ONE, sizes={"d": 20, "e": 2}, config=monte_carlo(3, 11, "float32"))
    assert set(module.state_dict()) == {"W"}
    for wrong in (-1, 1.5, True):
        with pytest.raises(fuse_jax.ConfigError, match="projection_seed must be a whole number"):
            module.projection_seed = wrong  # type: ignore[assignment]
    plain = FuseModule(ONE, sizes={"d": 20, "e": 2})
    plain.projection_seed = 3  # nothing is drawn, so nothing changes
    assert plain.projection_seed == 3


# JAX ----------------------------------------------------------------------------------------------


def test_keys_of_jax_draw_anew() -> None:
    function = fuse_jax.compile(ONE, sizes={"d": 20, "e": 2}, config=monte_carlo(3, 11, "float32"))
    params = function.init(jax.random.key(0))
    X = np.random.default_rng(0).normal(size=(4, 20)).astype("f")
    traces: list[int] = []

    @jax.jit
    def call(params: Any, X: Any, key: Any) -> Any:
        traces.append(1)
        return function(params, X=X, key=key)["Y"]

    found = [call(params, X, jax.random.key(seed)) for seed in (0, 1, 2, 0)]
    assert len(traces) == 1
    assert len({np.asarray(value).tobytes() for value in found}) == 3
    np.testing.assert_array_equal(found[0], found[3])
    np.testing.assert_allclose(function(params, X=X, key=jax.random.key(1))["Y"], found[1], rtol=1e-6)
    # Without a key it is the seed of the configuration.
    np.testing.assert_allclose(function(params, X=X)["Y"], jax.jit(function)(params, {"X": X})["Y"], rtol=1e-6)


def test_transformations_of_jax_and_torch() -> None:
    config = monte_carlo(3, 5, "float32")
    X = np.random.default_rng(0).normal(size=(6, 20)).astype("f")
    function = fuse_jax.compile(ONE, sizes={"d": 20, "e": 2}, config=config)
    params = function.init(jax.random.key(0))
    whole = function(params, X=X)["Y"]
    apart = jax.vmap(lambda row: function(params, X=row[None])["Y"][0])(X)
    np.testing.assert_allclose(apart, whole, rtol=1e-5, atol=1e-6)
    module = FuseModule(ONE, sizes={"d": 20, "e": 2}, config=config)
    rows = torch.vmap(lambda row: module(row[None])[0])(torch.tensor(X))
    torch.testing.assert_close(rows, module(torch.tensor(X)))
    exported = torch.export.export(module, (torch.tensor(X),)).module()
    torch.testing.assert_close(exported(torch.tensor(X)), module(torch.tensor(X)))
