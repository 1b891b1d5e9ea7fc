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
from fuse_jax import (
    AxisError,
    CapacityError,
    ConfigError,
    DtypeError,
    ExecutionConfig,
    FuseError,
    FuseWarning,
    InMemoryWeightStore,
    InputError,
    NonFiniteError,
    Program,
    RouteError,
    RuntimePolicies,
    UnboundTensorError,
)

LAYER = """
input X[b, d]
axis d = 4, o = 3
param W[o, d]
param B[o] ~ uniform(-1, 1)
Y[b, o] = relu(W[o, d] X[b, d] + B[o])
"""
ATTENTION = """
input X[p, d]
axis d = 4, k = 3
param WQ[k, d]; param WK[k, d]; param WV[d', d]
Q[p, k] = WQ[k, d] X[p, d]
K[p, k] = WK[k, d] X[p, d]
V[p, d'] = WV[d', d] X[p, d]
A[p, p'.] = softmax(Q[p, k] K[p', k] / sqrt(3))
Y[p, d'] = A[p, p'] V[p', d']
export Y
"""


def layer(params: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    return jnp.maximum(x @ params["W"].T + params["B"], 0)


def attention(params: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    q, k, v = x @ params["WQ"].T, x @ params["WK"].T, x @ params["WV"].T
    return jax.nn.softmax(q @ k.T / jnp.sqrt(3.0), axis=-1) @ v


PROGRAMS = [pytest.param(LAYER, layer, id="layer"), pytest.param(ATTENTION, attention, id="attention")]


def inputs(seed: int, n: int = 5, d: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


@pytest.mark.parametrize(("text", "by_hand"), PROGRAMS)
def test_calls_and_transformations_agree_with_jnp(text, by_hand) -> None:
    fn = fuse_jax.compile(text)
    params = fn.init(jax.random.key(1))
    jitted = jax.jit(fn)
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


# Parameters ------------------------------------------------------------------------------------


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


OPEN = "input X[b, d]; param W[o, d]; Y[b, o] = W[o, d] X[b, d]"


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


# Inputs ----------------------------------------------------------------------------------------


def test_wrong_sizes_are_axis_errors_under_jit_too() -> None:
    fn = fuse_jax.compile("input A[i, k]; input B[k, j]; Y[i, j] = A[i, k] B[k, j]")
    for call in (fn, jax.jit(fn)):
        np.testing.assert_allclose(call({}, A=np.ones((2, 3)), B=np.ones((3, 2)))["Y"], 3)
        with pytest.raises(AxisError, match="axis k"):
            call({}, A=np.ones((2, 3)), B=np.ones((4, 2)))
        with pytest.raises(AxisError, match="axis k"):
            call({}, A=np.ones((2, 3)), B=np.ones((1, 2)))  # would broadcast
        with pytest.raises(AxisError, match="A has 2 axes"):
            call({}, A=np.ones(3), B=np.ones((3, 2)))


def test_types_are_cast_as_a_runner_does_and_integers_never() -> None:
    fn = fuse_jax.compile("input X[i]; input T[i]: int64; Y[i] = X[i] / 2; N[i] = T[i] + 1; export Y, N")
    result = fn({}, X=[1, 2, 3], T=np.array([1, 2, 3], np.uint8))
    assert result["Y"].dtype == np.float32
    assert result["Y"].tolist() == [0.5, 1, 1.5]
    assert result["N"].dtype == np.int32
    assert result["N"].tolist() == [2, 3, 4]
    with pytest.raises(DtypeError, match="T takes"):
        fn({}, X=[1.0], T=[1.0])
    with pytest.raises(DtypeError, match="X takes"):
        fn({}, X=[1j], T=[1])
    with pytest.raises(DtypeError, match="T holds 4294967296, which int32 cannot hold"):
        fn({}, X=[1.0], T=np.array([2**32]))
    with jax.enable_x64(True):
        assert fn({}, X=[1.0], T=np.array([2**32]))["N"].tolist() == [2**32 + 1]


def test_names_of_inputs_are_checked() -> None:
    fn = fuse_jax.compile("input X[i]; Y[i] = X[i] F[i]; Z[i] = Y[i]")
    good = {"X": np.ones(2), "F": np.ones(2)}
    with pytest.raises(InputError, match="input X is declared, but the call does not give it"):
        fn({}, F=np.ones(2))
    with pytest.raises(UnboundTensorError, match="F is used, but neither defined"):
        fn({}, X=np.ones(2))
    with pytest.raises(InputError, match="Y cannot be given: the program defines it"):
        fn({}, good, Y=np.ones(2))
    with pytest.raises(InputError, match="X is given twice"):
        fn({}, good, X=np.ones(2))
    with pytest.raises(InputError, match="inputs must be a mapping"):
        fn({}, np.ones(2))
    with pytest.warns(FuseWarning, match="input Q is ignored"):
        assert fn({}, good, Q=np.ones(7))["Z"].tolist() == [1, 1]


def test_tensors_may_be_called_key_or_training() -> None:
    fn = fuse_jax.compile("input key[i]; input training[i]; Y[i] = key[i] + training[i]")
    assert fn({}, {"key": np.ones(2), "training": np.ones(2)})["Y"].tolist() == [2, 2]


def test_the_callers_arrays_are_not_aliased() -> None:
    """Aligned NumPy memory would otherwise be taken over by JAX as it is."""
    x = np.zeros((512, 512), np.float32)
    weights = np.zeros((512, 512), np.float32)
    fn = fuse_jax.compile(
        "input X[i, j]; Y[i, j] = X[i, j]; Z[i, j] = F[i, j]; export X, Y, Z",
        policies=RuntimePolicies(weight_store={"F": weights}),
    )
    result = fn({}, X=x)
    constants = fn.constants
    x += 1
    weights += 1
    for value in (*result.values(), *constants.values()):
        assert not np.asarray(value).any()


# Functions as values ---------------------------------------------------------------------------


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


# Constants, state, limits ----------------------------------------------------------------------


def test_sources_and_stored_weights_are_constants(tmp_path) -> None:
    table = np.arange(6.0).reshape(2, 3)
    np.save(tmp_path / "table.npy", table)
    program = Program('T[i, j] = "table.npy"; input X[j]; Y[i] = T[i, j] F[j] X[j]', path=tmp_path / "p.fuse")
    fn = fuse_jax.compile(program, policies=RuntimePolicies(weight_store={"F": np.full(3, 2.0)}))
    assert {name: value.dtype for name, value in fn.constants.items()} == {"T": np.float32, "F": np.float32}
    for x in (np.ones(3), np.array([1.0, -1.0, 2.0])):
        np.testing.assert_allclose(fn({}, X=x)["Y"], table @ (2 * x))
    # Given beside the params they are arguments of the compiled code.
    doubled = {name: 2 * value for name, value in fn.constants.items()}
    np.testing.assert_allclose(jax.jit(fn)(doubled, X=np.ones(3))["Y"], 4 * table @ np.full(3, 2.0))
    with pytest.raises(AxisError, match=r"T has shape \(3, 3\), but the function was compiled for \(2, 3\)"):
        fn({"T": np.ones((3, 3))}, X=np.ones(3))
    other = tmp_path / "other"
    other.mkdir()
    np.save(other / "table.npy", 5 * table)
    moved = Program(program.source, path=other / "p.fuse")
    policies = RuntimePolicies()
    assert fuse_jax.compile(moved, policies=policies) != fuse_jax.compile(program, policies=policies)


def test_a_program_without_streams_has_no_state() -> None:
    fn = fuse_jax.compile(LAYER)
    params = fn.init(jax.random.key(0))
    assert fn.initial_state() == {}
    outputs, state = jax.jit(fn.step)(params, {}, {"X": inputs(0)})
    assert state == {}
    np.testing.assert_allclose(outputs["Y"], layer(params, inputs(0)), rtol=1e-5, atol=1e-6)
    with pytest.raises(InputError, match="no stream of that name"):
        fn.step(params, {"H": np.ones(2)}, {"X": inputs(0)})


def test_a_step_that_cannot_run_is_refused_when_compiling() -> None:
    with pytest.raises(RouteError, match=r"Recurrence of H.*jax engine"):
        fuse_jax.compile("input U[t]; H[t+1] = tanh(H[t] + U[t])")
    # A query is no export: it does not run in a function.
    assert fuse_jax.compile("input X[i]; Y[i] = 2 X[i]; Y[0]?")({}, X=np.ones(2))["Y"].tolist() == [2, 2]


def test_settings_without_an_engine_are_refused() -> None:
    with pytest.raises(RouteError, match="bfloat16"):
        fuse_jax.compile(LAYER, config=ExecutionConfig(precision="bfloat16"))
    with pytest.raises(RouteError, match="monte_carlo"):
        fuse_jax.compile(LAYER, config=ExecutionConfig(projection_strategy="monte_carlo", projection_samples=2))


def test_devices() -> None:
    fn = fuse_jax.compile(LAYER, config=ExecutionConfig(device="cpu"))
    params = fn.init(jax.random.key(0))
    assert fn(params, X=inputs(0))["Y"].devices() == {jax.devices("cpu")[0]}
    with pytest.raises(fuse_jax.DeviceError, match="the jax engine cannot run on device 'tpu'"):
        fuse_jax.compile(LAYER, config=ExecutionConfig(device="tpu"))
    with pytest.raises(fuse_jax.DeviceError, match="there are cpu:0"):
        fuse_jax.compile(LAYER, config=ExecutionConfig(device="cpu:9"))


def test_boolean_exports_keep_to_the_dense_limit() -> None:
    text = "input B(x, y); export B; Y[x] = B[x, y]"
    value = np.array([[True, False, True], [False, False, False]])
    assert fuse_jax.compile(text)({}, B=value)["B"].dtype == bool
    with pytest.raises(CapacityError, match="6 elements"):
        fuse_jax.compile(text, config=ExecutionConfig(dense_limit=5))({}, B=value)


def test_checked_names_the_tensor() -> None:
    fn = fuse_jax.compile(
        "input X[i]; Y[i] = log(X[i]); Z[i] = Y[i] + 1; export Z", config=ExecutionConfig(checked=True)
    )
    assert np.isfinite(fn({}, X=[1.0, 2.0])["Z"]).all()
    with pytest.raises(NonFiniteError, match=r"Y holds -inf at \[1\]"):
        fn({}, X=[1.0, 0.0])


def test_checked_inside_a_users_jit_keeps_the_original_error(capfd) -> None:
    fn = fuse_jax.compile("input X[i]; Y[i] = log(X[i])", config=ExecutionConfig(checked=True))
    jitted = jax.jit(fn)
    assert np.isfinite(jitted({}, X=np.ones(2))["Y"]).all()
    with pytest.raises(jax.errors.JaxRuntimeError, match=r"Y holds NaN at \[0\]"):
        jax.block_until_ready(jitted({}, X=np.array([-1.0, 1.0])))
    error = fuse_jax.last_error()
    assert isinstance(error, NonFiniteError)
    assert error.code == "FUSE207"
    assert error.span is not None


def test_checked_finds_classes_that_do_not_exist() -> None:
    text = "input X[e, c]; input T[e]: int64; Loss = cross_entropy(X[e, c], T[e], axis=c)"
    fn = fuse_jax.compile(text, config=ExecutionConfig(checked=True))
    assert np.isfinite(fn({}, X=np.ones((2, 3)), T=[0, 2])["Loss"])
    for bad in (3, -1):
        with pytest.raises(AxisError, match=f"a class of T is {bad}, but axis c has the positions 0 to 2"):
            fn({}, X=np.ones((2, 3)), T=[0, bad])
    assert np.isnan(fuse_jax.compile(text)({}, X=np.ones((2, 3)), T=[0, 3])["Loss"])


def test_errors_of_programs_are_fuse_errors() -> None:
    with pytest.raises(FuseError):
        fuse_jax.compile("Y[i] = ")


def test_relations_are_given_as_truth_values_positions_or_symbols() -> None:
    fn = fuse_jax.compile("axis x = {Ann, Bob, Cid}; input P(x); input X[x]; Y[x] = P(x) X[x]")
    x = np.array([1.0, 2.0, 3.0])
    for given in (np.array([True, False, True]), np.array([[2], [0], [2]]), [("Ann",), ("Cid",)], [0, 2]):
        assert fn({}, P=given, X=x)["Y"].tolist() == [1, 0, 3]
    assert fn({}, P=np.zeros(3, bool), X=x)["Y"].tolist() == [0, 0, 0]
    assert jax.jit(fn)({}, P=np.array([False, True, True]), X=x)["Y"].tolist() == [0, 2, 3]
    with pytest.raises(AxisError, match="did you mean 'Ann'"):
        fn({}, P=[("Anne",)], X=x)
    with pytest.raises(AxisError):
        fn({}, P=[5], X=x)
    with pytest.raises(DtypeError, match="relation P is traced and holds int32"):
        jax.jit(fn)({}, P=np.array([[2], [0]]), X=x)
    with pytest.raises(AxisError, match="axis x"):
        jax.jit(fn)({}, P=np.array([True]), X=x)  # would broadcast


def test_symbols_do_not_grow_from_call_to_call() -> None:
    fn = fuse_jax.compile("P(Ann); P(Bob); input Q(x); Z[x] = P(x) Q(x)")
    assert fn({}, Q=[("Bob",)])["Z"].tolist() == [0, 1]
    with pytest.raises(AxisError, match="symbol 'Dan' is not on axis x, which has 'Ann', 'Bob'"):
        fn({}, Q=[("Dan",)])
    with pytest.raises(AxisError, match="which has no symbols"):
        fuse_jax.compile("input Q(x); Z[x] = Q(x)")({}, Q=[("Dan",)])
