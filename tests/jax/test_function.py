"""`fuse_jax.compile`: programs as pure functions, against jnp written by hand."""

from __future__ import annotations

import copy
import pickle
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fuse_jax
import fuse_ref
from fuse_jax import ConfigError, ExecutionConfig, Program, RuntimePolicies
from tests.jax.programs import ATTENTION, LAYER, OPEN, attention, inputs, layer

PROGRAMS = [pytest.param(LAYER, layer, id="layer"), pytest.param(ATTENTION, attention, id="attention")]


@pytest.mark.parametrize(("text", "by_hand"), PROGRAMS)
def test_calls_and_transformations_agree_with_jnp(text, by_hand) -> None:
    fn = fuse_jax.compile(text)
    params = fn.init(jax.random.key(1))
    jitted, by_hand = (
        jax.jit(fn),
        jax.jit(by_hand),
    )  # by hand it is compiled whole: its operations are not what is tested
    for seed, n in [(0, 5), (1, 5), (2, 1), (3, 0)]:
        x = inputs(seed, n)
        expected = by_hand(params, x)
        for result in (fn(params, X=x), jitted(params, X=x), fn(params, {"X": x})):
            assert list(result) == ["Y"]
            assert result["Y"].dtype == np.float32
            np.testing.assert_allclose(result["Y"], expected, rtol=1e-5, atol=1e-6)
    x = inputs(4)
    gradient = jax.jit(jax.grad(lambda p: jnp.sum(fn(p, X=x)["Y"] ** 2)))(params)
    expected = jax.grad(lambda p: jnp.sum(by_hand(p, x) ** 2))(params)
    assert gradient.keys() == params.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(gradient[name], value, rtol=1e-4, atol=1e-5)
    batch = np.stack([inputs(5), inputs(6), inputs(7)])
    mapped = jax.vmap(lambda x: fn(params, X=x)["Y"])(batch)
    np.testing.assert_allclose(mapped, jax.vmap(lambda x: by_hand(params, x))(batch), rtol=1e-5, atol=1e-6)
    jacobian = jax.jacfwd(lambda x: fn(params, X=x)["Y"])(x)
    np.testing.assert_allclose(jacobian, jax.jacfwd(lambda x: by_hand(params, x))(x), rtol=1e-4, atol=1e-5)
    _, scanned = jax.lax.scan(lambda carry, x: (carry, fn(params, X=x)["Y"]), 0, batch)
    np.testing.assert_allclose(scanned, mapped, rtol=1e-5, atol=1e-6)


def test_per_sample_gradients_and_ensembles() -> None:
    fn = fuse_jax.compile(LAYER)
    many = jax.vmap(fn.init)(jax.random.split(jax.random.key(0), 3))
    assert many["W"].shape == (3, 3, 4)
    x = inputs(0)
    outputs = jax.vmap(lambda p: fn(p, X=x)["Y"])(many)
    for number in range(3):
        one = {name: value[number] for name, value in many.items()}
        np.testing.assert_allclose(outputs[number], layer(one, x), rtol=1e-5, atol=1e-6)
    params = fn.init(jax.random.key(1))
    each = jax.vmap(jax.grad(lambda p, row: jnp.sum(fn(p, X=row[None])["Y"] ** 2)), (None, 0))(params, x)
    whole = jax.grad(lambda p: jnp.sum(fn(p, X=x)["Y"] ** 2))(params)
    np.testing.assert_allclose(each["W"].sum(0), whole["W"], rtol=1e-4, atol=1e-5)


def test_float64_is_float64_throughout() -> None:
    with jax.enable_x64(True):
        fn = fuse_jax.compile(ATTENTION, config=ExecutionConfig(precision="float64"))
        params = fn.init(jax.random.key(0))
        x = inputs(0).astype(np.float64)
        result = jax.jit(fn)(params, X=x)["Y"]
        assert {value.dtype for value in params.values()} == {np.dtype(np.float64)}
        assert result.dtype == np.float64
        np.testing.assert_allclose(result, attention(params, x), rtol=1e-12)
        constants = jax.make_jaxpr(fn)(params, {"X": x})
        assert "f32" not in str(constants)


def test_float32_stays_float32_where_jax_has_float64() -> None:
    with jax.enable_x64(True):
        fn = fuse_jax.compile(ATTENTION)
        params = fn.init(jax.random.key(0))
        assert "f64" not in str(jax.make_jaxpr(fn)(params, {"X": inputs(0)}))
        assert fn(params, X=inputs(0).astype(np.float64))["Y"].dtype == np.float32


def test_float64_while_switched_off_is_an_error() -> None:
    config = ExecutionConfig(precision="float64")
    with pytest.raises(ConfigError, match="which JAX has switched off"):
        fuse_jax.compile(LAYER, config=config)
    with jax.enable_x64(True):
        fn = fuse_jax.compile(LAYER, config=config)
        params = fn.init(jax.random.key(0))
    with pytest.raises(ConfigError, match="jax_enable_x64"):
        fn(params, X=inputs(0))


def test_auto_precision_follows_the_inputs() -> None:
    with jax.enable_x64(True):
        fn = fuse_jax.compile("input X[i]; Y[i] = X[i] / 3", config=ExecutionConfig(precision="auto"))
        assert fn({}, X=np.ones(2))["Y"].dtype == np.float64
        assert fn({}, X=np.ones(2, np.float32))["Y"].dtype == np.float32


def test_equal_functions_are_equal_and_compile_once() -> None:
    one, two = (
        fuse_jax.compile(LAYER),
        fuse_jax.compile("# again\n" + LAYER.replace("axis d = 4, o = 3", "axis d=4,o=3")),
    )
    assert one == two
    assert hash(one) == hash(two)
    traces = []

    @jax.jit
    def call(params, x):
        traces.append(x.shape)
        return one(params, X=x)["Y"]

    params = one.init(jax.random.key(0))
    for seed in range(3):
        call(params, inputs(seed))
    assert traces == [(5, 4)]
    call(params, inputs(0, 7))
    assert len(traces) == 2

    static = jax.jit(lambda fn, params, x: traces.append(fn) or fn(params, X=x)["Y"], static_argnums=0)
    for fn in (one, two, fuse_jax.compile(LAYER)):
        static(fn, params, inputs(0))
    assert len(traces) == 3


def test_other_functions_are_not_equal() -> None:
    fn = fuse_jax.compile(OPEN, sizes={"o": 2})
    others = [
        fuse_jax.compile(OPEN, sizes={"o": 3}),
        fuse_jax.compile(OPEN, sizes={"o": 2}, config=ExecutionConfig(checked=True)),
        fuse_jax.compile(OPEN, sizes={"o": 2}, policies=RuntimePolicies(weight_store={"W": np.ones((2, 3))})),
        fuse_jax.compile(OPEN.replace("X[b, d]; ", "X[b, d]; axis o = 2; "), sizes={}),
        "fn",
    ]
    for other in others:
        assert fn != other
    assert fn == fuse_jax.compile(Program(OPEN), sizes={"o": 2})


def test_functions_copy_pickle_and_print() -> None:
    fn = fuse_jax.compile(LAYER)
    assert copy.deepcopy(fn) is fn
    again = pickle.loads(pickle.dumps(fn))
    assert again == fn
    params = fn.init(jax.random.key(0))
    np.testing.assert_array_equal(again(params, X=inputs(0))["Y"], fn(params, X=inputs(0))["Y"])
    assert repr(fn) == "<FuseFunction (params {W, B}, X) -> Y>"
    assert str(fn.plan)


def test_threads() -> None:
    fn = fuse_jax.compile(ATTENTION)
    params = fn.init(jax.random.key(0))
    jitted = jax.jit(fn)
    failures: list[str] = []

    def work(seed: int) -> None:
        for turn in range(5):
            x = inputs(10 * seed + turn, 3 + seed % 2)
            result = jitted(params, X=x)["Y"] if seed % 3 else fn(params, X=x)["Y"]
            if not np.allclose(result, attention(params, x), rtol=1e-4, atol=1e-5):
                failures.append(f"{seed}.{turn}")

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_every_public_name_of_fuse_ref_is_here_too() -> None:
    assert set(fuse_ref.__all__) | {"compile", "last_error"} == set(fuse_jax.__all__)
    for name in fuse_ref.__all__:
        assert getattr(fuse_jax, name) is getattr(fuse_ref, name)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        fuse_jax.nothing  # noqa: B018
