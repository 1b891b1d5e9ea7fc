"""memory_limit in JAX functions: a call that would hold too much is a loop over blocks, also in its gradient."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fuse_jax
from fuse_jax.function import FuseFunction
from fuse_ref import ExecutionConfig, LimitError, NonFiniteError

ATTENTION = """\
input Q[p, d]
input K[q, d]
input V[q, v]
S[p, q] = exp(Q[p, d] K[q, d])
Y[p, v] = S[p, q] V[q, v]
"""
# A sum over blocks, a result that no block changes, one that is joined, and a parameter of open size.
MANY = """\
input X[b, d]
param W[d, o]
E[b, o, k] = relu(X[b, d] W[d, o]) exp(Z[k])
L = E[b, o, k] E[b, o, k]
M = W[d, o] W[d, o]
R[b] max= E[b, o, k]
export L, M, R
"""
DROPPED = "input X[i, j]\ninput Z[k]\nY[i] = sum(j, k: dropout(exp(X[i, j] Z[k]), 0.5))\nexport Y"


def limited(limit: int | None, **more: Any) -> ExecutionConfig:
    return ExecutionConfig(memory_limit=limit, disabled_passes=("replan",), **more)


def given(text: str, sizes: tuple[int, int], seed: int, dtype: str = "float32") -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    p, q = sizes
    shapes = {"Q": (p, 4), "K": (q, 4), "V": (q, 3)} if text == ATTENTION else {"X": (p, 4), "Z": (q,), "W": (4, 3)}
    return {name: 0.3 * rng.normal(size=shape).astype(dtype) for name, shape in shapes.items()}


def near(one: Any, two: Any, tolerance: float) -> None:
    ones, twos = jax.tree.leaves(one), jax.tree.leaves(two)
    assert len(ones) == len(twos)
    for a, b in zip(ones, twos, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("text", "limit", "sizes"),
    [
        (ATTENTION, 9_000, [(60, 50), (1, 50), (0, 50)]),
        (MANY, 6_000, [(41, 29), (3, 1)]),
    ],
)
def test_blocks_give_what_the_whole_gives(text: str, limit: int, sizes: list[tuple[int, int]], dtype: str) -> None:
    with jax.enable_x64(dtype == "float64"):
        factor = 2 if dtype == "float64" else 1
        whole = fuse_jax.compile(text, config=limited(None, precision=dtype))
        split = fuse_jax.compile(text, config=limited(limit * factor, precision=dtype))

        def outcome(function: FuseFunction, values: dict[str, jax.Array]) -> Any:
            params = {name: value for name, value in values.items() if name == "W"}
            made = function(params, {name: value for name, value in values.items() if name != "W"})
            return sum((value * value).sum() for value in made.values()), made

        calls = [
            jax.jit(jax.value_and_grad(functools.partial(outcome, function), has_aux=True))
            for function in (split, whole)
        ]
        for number, size in enumerate(sizes):
            for seed in (number, 100 + number):
                values = {name: jnp.asarray(value) for name, value in given(text, size, seed, dtype).items()}
                found, expected = (call(values) for call in calls)
                near(found, expected, 1e-4 if dtype == "float32" else 1e-10)
        values = {name: jnp.asarray(value) for name, value in given(text, sizes[0], 7, dtype).items()}
        loop = str(jax.make_jaxpr(lambda v: outcome(split, v)[0])(values))
        assert loop.count("scan") >= 1
        assert "scan" not in str(jax.make_jaxpr(lambda v: outcome(whole, v)[0])(values))


def test_a_loop_holds_one_block_in_both_directions() -> None:
    limit = 700_000
    shapes = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((800, 4), (700, 4), (700, 3))]
    held = {}
    for name, config in (("whole", limited(None)), ("split", limited(limit))):
        function = fuse_jax.compile(ATTENTION, config=config)

        def result(q: jax.Array, k: jax.Array, v: jax.Array, f: FuseFunction = function) -> jax.Array:
            return f({}, Q=q, K=k, V=v)["Y"]

        def gradient(*values: jax.Array, f: Any = result) -> Any:
            return jax.grad(lambda *v: (f(*v) ** 2).sum(), argnums=(0, 1, 2))(*values)

        for kind, call in (("forward", result), ("gradient", gradient)):
            analysis = jax.jit(call).lower(*shapes).compile().memory_analysis()
            held[name, kind] = (
                analysis.temp_size_in_bytes + analysis.argument_size_in_bytes + analysis.output_size_in_bytes
            )
    assert held["split", "forward"] <= limit < 2_240_000 <= held["whole", "forward"]
    assert held["split", "gradient"] <= 2 * limit < 4_480_000 <= held["whole", "gradient"]


def test_what_does_not_fit_is_refused_with_the_numbers() -> None:
    function = fuse_jax.compile("Y[i, j] = X[i] X[j]", config=limited(2_000))
    assert function({}, {"X": np.ones(10)})["Y"].shape == (10, 10)
    for call in (function, jax.jit(function)):
        with pytest.raises(LimitError, match=r"40400 bytes at once, more than memory_limit=2000.*\(100, 100\)"):
            call({}, {"X": np.ones(100)})
    assert jax.jit(function)({}, {"X": np.ones(12)})["Y"].shape == (12, 12)


def test_each_block_draws_its_own_noise_and_the_gradient_sees_it() -> None:
    function = fuse_jax.compile(DROPPED, config=limited(20_000))

    def total(x: jax.Array, key: jax.Array) -> jax.Array:
        return function({}, {"X": x, "Z": jnp.ones(30)}, key=key, training=True)["Y"]

    def backwards(x: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        rows, back = jax.vjp(lambda x: total(x, key), x)
        return rows, back(jnp.ones(20))[0]

    x = jnp.zeros((20, 30))
    compiled = jax.jit(backwards)
    for seed in (1, 2):
        rows, gradient = compiled(x, jax.random.key(seed))
        np.testing.assert_allclose(gradient.sum(1), rows, rtol=1e-5)
        assert len({float(row) for row in rows}) > 10
        assert 0.45 < float(rows.mean()) / (2 * 900) < 0.55
    np.testing.assert_allclose(function({}, {"X": x, "Z": jnp.ones(30)})["Y"], np.full(20, 900.0))


def test_checked_calls_and_mapped_ones_run_in_blocks() -> None:
    values = given(ATTENTION, (60, 50), 3)
    split, checked = (fuse_jax.compile(ATTENTION, config=limited(9_000, checked=flag)) for flag in (False, True))
    expected = split({}, values)["Y"]
    near(checked({}, values)["Y"], expected, 1e-5)
    values["K"][45] = 1e6
    with pytest.raises(NonFiniteError, match="S holds inf"):
        checked({}, values)
    values = given(ATTENTION, (60, 50), 3)
    rows = jax.vmap(lambda q: split({}, Q=q, K=values["K"], V=values["V"])["Y"])(np.stack([values["Q"]] * 2))
    near(rows, np.stack([expected] * 2), 1e-5)
