"""What calls of a function may give, and what they are told."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fuse_jax
from fuse_jax import AxisError, DtypeError, FuseWarning, InputError, RuntimePolicies, UnboundTensorError
from tests.jax.programs import aligned


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


@pytest.mark.parametrize("make", [aligned, lambda *shape: np.zeros(shape, np.float32)], ids=["aligned", "plain"])
def test_the_callers_arrays_are_not_aliased(monkeypatch, make) -> None:
    """JAX keeps aligned memory that it is given, and reads other memory later than the caller may write to it.

    Whether that shows is a matter of time, so the test also looks at what JAX is given.
    """
    x, weights = make(512, 512), make(512, 512)
    seen: list[object] = []
    for module, name in ((jnp, "asarray"), (jnp, "array"), (jax, "device_put")):
        original = getattr(module, name)
        monkeypatch.setattr(module, name, lambda v, *a, _f=original, **k: seen.append(v) or _f(v, *a, **k))
    fn = fuse_jax.compile(
        "input X[i, j]; Z[i, j] = F[i, j]; export X, Z", policies=RuntimePolicies(weight_store={"F": weights})
    )
    result = fn({}, X=x)
    x += 1
    weights += 1
    for value in (*result.values(), *fn.constants.values()):
        assert not np.asarray(value).any()
    given = [value for value in seen if isinstance(value, np.ndarray)]
    assert len(given) >= 2
    assert not any(np.shares_memory(value, mine) for value in given for mine in (x, weights))


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
    for given in (np.array([[2], [0]]), np.array([[2], [-1], [0], [2]]), np.array([2, 0, -1, -1])):
        assert jax.jit(fn)({}, P=given, X=x)["Y"].tolist() == [1, 0, 3]
        assert fn({}, P=jnp.asarray(given), X=x)["Y"].tolist() == [1, 0, 3]
    with pytest.raises(DtypeError, match="relation P is traced and is float32"):
        jax.jit(fn)({}, P=np.array([2.0, 0.0]), X=x)
    with pytest.raises(DtypeError, match=r"is int32 of shape \(1, 2\)"):
        jax.jit(fn)({}, P=np.array([[2, 0]]), X=x)
    with pytest.raises(AxisError, match="axis x"):
        jax.jit(fn)({}, P=np.array([True]), X=x)  # would broadcast


def test_symbols_do_not_grow_from_call_to_call() -> None:
    fn = fuse_jax.compile("P(Ann); P(Bob); input Q(x); Z[x] = P(x) Q(x)")
    assert fn({}, Q=[("Bob",)])["Z"].tolist() == [0, 1]
    with pytest.raises(AxisError, match="symbol 'Dan' is not on axis x, which has 'Ann', 'Bob'"):
        fn({}, Q=[("Dan",)])
    with pytest.raises(AxisError, match="which has no symbols"):
        fuse_jax.compile("input Q(x); Z[x] = Q(x)")({}, Q=[("Dan",)])
