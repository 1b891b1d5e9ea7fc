"""`fn.init` and the params of a call."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fuse_jax
from fuse_jax import AxisError, DtypeError, InMemoryWeightStore, InputError, RuntimePolicies, UnboundTensorError
from tests.jax.programs import LAYER, OPEN, inputs


def test_init_is_a_function_of_key_and_name_alone() -> None:
    fn = fuse_jax.compile(LAYER)
    key = jax.random.key(3)
    first, again, other = fn.init(key), fn.init(key), fn.init(jax.random.key(4))
    for name in ("W", "B"):
        np.testing.assert_array_equal(first[name], again[name])
        assert not np.array_equal(first[name], other[name])
    alone = fuse_jax.compile("axis o = 3, d = 4; param W[o, d]; Y[o] = W[o, d]").init(key)
    np.testing.assert_array_equal(alone["W"], first["W"])
    np.testing.assert_array_equal(jax.jit(fn.init)(key)["W"], first["W"])
    shapes = jax.eval_shape(fn.init, key)
    assert {name: (leaf.shape, leaf.dtype) for name, leaf in shapes.items()} == {
        "W": ((3, 4), np.float32),
        "B": ((3,), np.float32),
    }


def test_init_does_not_depend_on_the_process() -> None:
    """Python's own hash of a name would; these numbers pin the stream."""
    params = fuse_jax.compile("axis i = 3; param W[i] ~ normal(0, 1); Y[i] = W[i]").init(jax.random.key(0))
    key = jax.random.fold_in(jax.random.key(0), 0x0DF4B5FC)  # first 4 bytes, little end first, of SHA-256("W")
    np.testing.assert_array_equal(params["W"], jax.random.normal(key, (3,)))


INITIALISERS = {
    "zeros()": (0.0, 0.0),
    "ones()": (1.0, 1.0),
    "uniform(-3, 5)": (-3.0, 5.0),
    "xavier()": (-np.sqrt(6 / 800), np.sqrt(6 / 800)),
    "kaiming()": (-np.sqrt(6 / 500), np.sqrt(6 / 500)),
}


@pytest.mark.parametrize("initialiser", INITIALISERS)
def test_initialisers_fill_their_range(initialiser: str) -> None:
    """First axis fan_out 300, the rest fan_in 20 * 25 = 500."""
    fn = fuse_jax.compile(f"axis o = 300, c = 20, d = 25; param W[o, c, d] ~ {initialiser}; Y[o] = W[o, c, d]")
    values = np.asarray(fn.init(jax.random.key(0))["W"])
    low, high = INITIALISERS[initialiser]
    assert values.min() >= low - 1e-6
    assert values.max() <= high + 1e-6
    # Uniform: the ends are nearly reached, and the mean and variance are those of the distribution.
    assert values.min() == pytest.approx(low, abs=1e-3 * (high - low))
    assert values.max() == pytest.approx(high, abs=1e-3 * (high - low))
    assert values.mean() == pytest.approx((low + high) / 2, abs=1e-2 * (high - low))
    assert values.std() == pytest.approx((high - low) / np.sqrt(12), rel=1e-2, abs=1e-6)


def test_normal_and_defaults() -> None:
    fn = fuse_jax.compile(
        "axis o = 300, d = 500; param W[o, d] ~ normal(2, 3); param V[o, d]; param B[o]; Y[o] = W[o,d] V[o,d] + B[o]"
    )
    params = fn.init(jax.random.key(0))
    assert float(params["W"].mean()) == pytest.approx(2, abs=0.05)
    assert float(params["W"].std()) == pytest.approx(3, abs=0.05)
    assert float(params["V"].max()) == pytest.approx(np.sqrt(6 / 800), rel=1e-3)
    assert not params["B"].any()


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 2, 3), (12, 2, 3)])
def test_orthogonal(shape: tuple[int, ...]) -> None:
    letters = "abc"[: len(shape)]
    sizes = dict(zip(letters, shape, strict=True))
    index = ", ".join(letters)
    fn = fuse_jax.compile(f"param W[{index}] ~ orthogonal(); Y[a] = W[{index}]", sizes=sizes)
    matrix = np.asarray(fn.init(jax.random.key(0))["W"]).reshape(shape[0], -1)
    rows, columns = matrix.shape
    product = matrix @ matrix.T if rows < columns else matrix.T @ matrix
    np.testing.assert_allclose(product, np.eye(min(rows, columns)), atol=1e-5)


def test_open_sizes_of_parameters_come_from_init() -> None:
    fn = fuse_jax.compile(OPEN)
    for sizes in ({"o": 2, "d": 3}, {"o": 4, "d": 5}):
        params = fn.init(jax.random.key(0), **sizes)
        assert params["W"].shape == (sizes["o"], sizes["d"])
        x = inputs(0, 3, sizes["d"])
        np.testing.assert_allclose(fn(params, X=x)["Y"], x @ params["W"].T, rtol=1e-5)
    params = fn.init(jax.random.key(0), {"X": jax.ShapeDtypeStruct((9, 6), np.float32)}, o=2)
    assert params["W"].shape == (2, 6)
    with pytest.raises(AxisError, match="size of axis o of parameter W is not known yet"):
        fn.init(jax.random.key(0), {"X": inputs(0)})
    with pytest.raises(AxisError, match="size of axis d of parameter V is not known yet: X gives it"):
        fuse_jax.compile("input X[b, d]; param V[d]; Y[b] = V[d] X[b, d]").init(jax.random.key(0))


def test_init_refuses_sizes_that_do_not_fit() -> None:
    fn = fuse_jax.compile(LAYER)
    with pytest.raises(AxisError, match="axis d is 4"):
        fn.init(jax.random.key(0), d=5)
    with pytest.raises(AxisError, match="names no axis"):
        fn.init(jax.random.key(0), q=5)
    with pytest.raises(AxisError, match="X has 2 axes"):
        fn.init(jax.random.key(0), {"X": np.ones(4)})


def test_the_weight_store_gives_first_values() -> None:
    weights = {"W": np.arange(12.0).reshape(3, 4), "unused": np.ones(2)}
    fn = fuse_jax.compile(LAYER, policies=RuntimePolicies(weight_store=InMemoryWeightStore(weights)))
    params = fn.init(jax.random.key(0))
    assert params["W"].dtype == np.float32
    np.testing.assert_array_equal(params["W"], weights["W"])
    assert params.keys() == {"W", "B"}
    wrong = RuntimePolicies(weight_store={"W": np.ones((3, 5))})
    with pytest.raises(AxisError):
        fuse_jax.compile(LAYER, policies=wrong).init(jax.random.key(0))


def test_params_are_checked() -> None:
    fn = fuse_jax.compile(LAYER)
    params = fn.init(jax.random.key(0))
    x = inputs(0)
    with pytest.raises(UnboundTensorError, match="parameter B is not in params, which have W"):
        fn({"W": params["W"]}, X=x)
    with pytest.raises(
        InputError, match="params have w, which is no parameter of the program; its parameters are W, B"
    ):
        fn({**params, "w": x}, X=x)
    with pytest.raises(AxisError, match=r"axis o is 4 in W \(line 4\) but 3"):
        jax.jit(fn)({**params, "W": params["W"].T}, X=x)
    with pytest.raises(AxisError, match=r"axis o is 1 in B \(line 5\) but 3"):
        fn({**params, "B": jnp.ones(1)}, X=x)  # would broadcast
    with pytest.raises(DtypeError, match="parameter B must hold floating-point numbers"):
        fn({**params, "B": np.ones(3, np.int32)}, X=x)
    with pytest.raises(InputError, match="params must be a mapping from names to arrays, but ndarray was given"):
        fn(x)


def test_params_of_another_float_type_are_cast_and_keep_their_gradient_type() -> None:
    fn = fuse_jax.compile(LAYER)
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), fn.init(jax.random.key(0)))
    assert fn(params, X=inputs(0))["Y"].dtype == np.float32
    gradient = jax.grad(lambda p: fn(p, X=inputs(0))["Y"].sum())(params)
    assert gradient["W"].dtype == jnp.bfloat16
