"""A Runner on JAX: the same as on NumPy, compiled once for each set of shapes."""

from __future__ import annotations

import logging
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fuse_jax
from fuse_jax import AxisError, ConfigError, ExecutionConfig, NonFiniteError, Program
from tests.jax.programs import aligned

CNN = """
input Image[b, x, y]
input Target[b]: int64
axis f = 4, dx = 3, dy = 3, c = 3
param Filter[f, dx, dy] ~ kaiming()
param Head[c, f, x, y] ~ normal(0, 0.1)
Conv[b, f, x, y] = relu(Filter[f, dx, dy] Image[b, x+dx, y+dy])
Pool[b, f, x/2, y/2] max= Conv[b, f, x, y]
Logits[b, c] = Head[c, f, x, y] Pool[b, f, x, y]
Loss = cross_entropy(Logits[b, c], Target[b], axis=c)
export Logits, Loss
"""


def batch(seed: int, n: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {"Image": rng.normal(size=(n, 8, 8)).astype(np.float32), "Target": rng.integers(0, 3, size=n)}


def test_agrees_with_numpy_and_compiles_once_per_shape(caplog) -> None:
    program = Program(CNN)
    sizes = {"x": 3, "y": 3} if False else None
    on_jax, on_numpy = (program.compile(backend=name, sizes=sizes) for name in ("jax", "numpy"))
    with caplog.at_level(logging.INFO, "fuse.jax"):
        for seed, n in [(0, 5), (1, 5), (2, 2), (3, 5)]:
            given = batch(seed, n)
            result, expected = on_jax(given), on_numpy(given)
            assert list(result) == ["Logits", "Loss"]
            assert isinstance(result["Logits"], jax.Array)
            for name in result:
                np.testing.assert_allclose(result[name], expected[name], rtol=1e-4, atol=1e-5)
    assert on_jax.backend == "jax"
    assert len([record for record in caplog.records if "compiling" in record.message]) == 2


def test_backend_auto_follows_jax_arrays() -> None:
    runner = Program("Y[i] = 2 X[i]").compile()
    assert runner.backend == "auto"
    result = runner(X=jnp.ones(3))
    assert runner.backend == "jax"
    assert isinstance(result["Y"], jax.Array)
    assert runner(X=jnp.arange(4))["Y"].tolist() == [0, 2, 4, 6]


def test_wrong_sizes() -> None:
    runner = Program("Y[i] = A[i] + B[i]").compile(backend="jax")
    assert runner(A=np.ones(3), B=np.ones(3))["Y"].tolist() == [2, 2, 2]
    for wrong in (1, 4):
        with pytest.raises(AxisError, match="axis i"):
            runner(A=np.ones(3), B=np.ones(wrong))


def test_float64() -> None:
    program, config = Program("Y[i] = X[i] / 3"), ExecutionConfig(precision="float64")
    with pytest.raises(ConfigError, match="which JAX has switched off"):
        program.compile(backend="jax", config=config)(X=np.ones(2))
    with jax.enable_x64(True):
        result = program.compile(backend="jax", config=config)(X=np.ones(2))["Y"]
    assert result.dtype == np.float64
    assert result.tolist() == [1 / 3, 1 / 3]


def test_checked() -> None:
    runner = Program("Y[i] = log(X[i])").compile(backend="jax", config=ExecutionConfig(checked=True))
    assert runner(X=[1.0])["Y"].tolist() == [0]
    with pytest.raises(NonFiniteError, match="Y holds -inf"):
        runner(X=[1.0, 0.0])


def test_weights_are_arguments_not_constants() -> None:
    """A compiled function that held them would be large, and slow to compile."""
    program = Program("axis i = 300, j = 300; param W[i, j]; input X[j]; Y[i] = W[i, j] X[j]")
    plan = program.plan()
    executable = fuse_jax.ENGINE.prepare(plan, ExecutionConfig(), ("Y",))
    values = {"W": jnp.ones((300, 300)), "X": jnp.ones(300)}
    assert executable(values)["Y"].tolist() == [300] * 300
    text = jax.jit(executable).lower(values).as_text()
    assert len(text) < 10_000


def test_the_engines_arrays() -> None:
    engine, config = fuse_jax.ENGINE, ExecutionConfig()
    assert engine.name == "jax"
    array = engine.asarray([[1, 2], [3, 4]], "float", config)
    assert isinstance(array, jax.Array)
    assert array.dtype == np.float32
    assert engine.to_numpy(array).tolist() == [[1, 2], [3, 4]]
    for size in (256, 1024, 2048) * 3:
        source = aligned(size, size)
        array = engine.asarray(source, "float", config)
        source += 1
        assert not np.asarray(array).any()


def test_threads() -> None:
    runner = Program(CNN).compile(backend="jax")
    expected = {n: {k: np.asarray(v) for k, v in runner(batch(n, n)).items()} for n in (2, 3)}
    failures: list[int] = []

    def work(n: int) -> None:
        for _ in range(4):
            result = runner(batch(n, n))
            if not all(np.array_equal(result[name], value) for name, value in expected[n].items()):
                failures.append(n)

    threads = [threading.Thread(target=work, args=(2 + number % 2,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
