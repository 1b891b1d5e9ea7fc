"""Constants, state, limits, devices and checked runs of functions."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import fuse_jax
from fuse_jax import (
    AxisError,
    CapacityError,
    ExecutionConfig,
    FuseError,
    InputError,
    NonFiniteError,
    Program,
    RouteError,
    RuntimePolicies,
)
from tests.jax.programs import LAYER, inputs, layer


def test_sources_and_stored_weights_are_constants(tmp_path) -> None:
    table = np.arange(6.0).reshape(2, 3)
    np.save(tmp_path / "table.npy", table)
    program = Program('T[i, j] = "table.npy"; input X[j]; Y[i] = T[i, j] F[j] X[j]', path=tmp_path / "p.fuse")
    fn = fuse_jax.compile(program, policies=RuntimePolicies(weight_store={"F": np.full(3, 2.0)}))
    assert {name: value.dtype for name, value in fn.constants.items()} == {"T": np.float32, "F": np.float32}
    for x in (np.ones(3), np.array([1.0, -1.0, 2.0])):
        np.testing.assert_allclose(fn({}, X=x)["Y"], table @ (2 * x))
    # First used inside a trace, they must not belong to it.
    fresh = fuse_jax.compile(program, policies=RuntimePolicies(weight_store={"F": np.full(3, 2.0)}))
    for call in (jax.jit(fresh), fresh, jax.jit(lambda params, X: fresh(params, X=X + 0))):
        np.testing.assert_allclose(call({}, X=np.ones(3))["Y"], table @ np.full(3, 2.0))
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
        fuse_jax.compile("input U[t]; H[t+1] = tanh(dropout(H[t], 0.1) + U[t])")
    # A query is no export: it does not run in a function.
    assert fuse_jax.compile("input X[i]; Y[i] = 2 X[i]; Y[0]?")({}, X=np.ones(2))["Y"].tolist() == [2, 2]


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
