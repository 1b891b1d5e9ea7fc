"""Runners: calls, types, parameters and relations that a call gives."""

from __future__ import annotations

import numpy as np
import pytest

from fuse_ref import (
    AxisError,
    DtypeError,
    ExecutionConfig,
    FuseWarning,
    InMemoryWeightStore,
    InputError,
    Program,
    RuntimePolicies,
    UnboundTensorError,
)

LAYER = "input X[b, j]\nY[b, i] = relu(W[i, j] X[b, j] + B[i])\nexport Y"


def stored(**weights: object) -> RuntimePolicies:
    return RuntimePolicies(weight_store=InMemoryWeightStore(weights))


# Calls ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_calls_with_new_values_and_sizes(precision: str) -> None:
    runner = Program(LAYER).compile(config=ExecutionConfig(precision=precision))  # type: ignore[arg-type]
    random = np.random.default_rng(0)
    for b, j, i in ((3, 4, 2), (3, 4, 2), (1, 1, 1), (0, 4, 2), (5, 2, 3)):
        w, x, bias = random.normal(size=(i, j)), random.normal(size=(b, j)), random.normal(size=i)
        result = runner({"X": x}, W=w, B=bias)
        assert list(result) == ["Y"]
        assert result["Y"].dtype == np.dtype(precision)
        np.testing.assert_allclose(result["Y"], np.maximum(x @ w.T + bias, 0), rtol=1e-4, atol=1e-6)


def test_run_is_the_same_call_and_a_tensor_may_be_called_inputs() -> None:
    runner = Program("Y[i] = 2 inputs[i] self[i]").compile()
    assert runner.run(inputs=[1.0], self=[3.0])["Y"].tolist() == [6]
    assert runner({"inputs": [1.0], "self": [2.0]})["Y"].tolist() == [4]


def test_exports_come_in_text_order_and_are_independent() -> None:
    runner = Program("A[i] = 2 X[i]; B[i, j] = X[i] X[j]; C[i] = X[i]; export C, B, A, X").compile()
    x = np.array([1.0, 2.0], np.float32)
    result = runner(X=x)
    assert list(result) == ["C", "B", "A", "X"]
    result["C"][...] = 9
    result["X"][...] = 9
    assert x.tolist() == [1, 2]
    assert runner(X=x)["C"].tolist() == [1, 2]


def test_inputs_are_not_changed() -> None:
    runner = Program("P[i.] = softmax(2 X[i] + 1); Y[i] = exp(P[i])**2").compile()
    x = np.linspace(-1, 1, 50_000, dtype=np.float32)
    before = x.copy()
    runner(X=x)
    assert (x == before).all()
    x.flags.writeable = False
    runner(X=x)


def test_empty_batches_everywhere() -> None:
    text = """
    H[b, i] = gelu(W[i, j] X[b, j])
    P[b, i.] = softmax(H[b, i])
    M[i] max= H[b, i]
    S[i] = sum(b: H[b, i])
    A[i] avg= H[b, i]
    export P, M, S, A
    """
    result = Program(text).compile()(X=np.zeros((0, 3)), W=np.ones((2, 3)))
    assert result["P"].shape == (0, 2)
    assert result["M"].tolist() == [-np.inf, -np.inf]
    assert result["S"].tolist() == [0, 0]
    assert result["A"].tolist() == [0, 0]


def test_a_size_of_one_is_not_repeated() -> None:
    runner = Program(LAYER).compile()
    with pytest.raises(AxisError, match="axis i is 1 in B"):
        runner(X=np.ones((2, 3)), W=np.ones((4, 3)), B=np.ones(1))
    with pytest.raises(AxisError, match="axis j is 1 in W"):
        runner(X=np.ones((2, 3)), W=np.ones((4, 1)), B=np.ones(4))
    # After a good call as well: what was checked is a shape, not the first call.
    runner(X=np.ones((2, 3)), W=np.ones((4, 3)), B=np.ones(4))
    with pytest.raises(AxisError, match="axis i is 1 in B"):
        runner(X=np.ones((2, 3)), W=np.ones((4, 3)), B=np.ones(1))
    with pytest.raises(AxisError, match="B has 1 axis"):
        runner(X=np.ones((2, 3)), W=np.ones((4, 3)), B=np.ones((4, 1)))


# What is missing, unknown, doubled --------------------------------------------------------------


def test_missing_inputs() -> None:
    runner = Program(LAYER).compile()
    with pytest.raises(InputError, match="input X is declared, but the call does not give it") as caught:
        runner(W=np.ones((1, 1)), B=[1.0])
    assert caught.value.code == "FUSE300"
    assert caught.value.span is not None
    assert caught.value.span.line == 1
    with pytest.raises(UnboundTensorError, match="W is used, but neither defined") as unbound:
        runner(X=np.ones((1, 1)), B=[1.0])
    assert unbound.value.code == "FUSE301"
    assert unbound.value.span is not None
    assert unbound.value.span.line == 2
    with pytest.raises(UnboundTensorError, match=r"the call gives 'Ww': did you mean 'W'\?"):
        runner(X=np.ones((1, 1)), B=[1.0], Ww=[[1.0]])


def test_inputs_that_the_program_does_not_use() -> None:
    runner = Program("Y[i] = 2 Query[i]").compile()
    with pytest.warns(FuseWarning, match="input Key is ignored: the program does not use it") as seen:
        assert runner(Query=[1.0], Key=[2.0])["Y"].tolist() == [2]
    assert seen[0].filename == __file__


def test_inputs_for_what_the_program_makes() -> None:
    runner = Program("axis i = 2; param W[i]; Y[i] = W[i] X[i] V[i]").compile(policies=stored(V=[1.0, 2.0]))
    for name, words in (
        ("Y", "the program defines it"),
        ("W", "it is a parameter"),
        ("V", "it comes from the weight store"),
    ):
        with pytest.raises(InputError, match=f"{name} cannot be given: {words}") as caught:
            runner({"X": [1.0, 2.0], name: [1.0, 2.0]})
        assert caught.value.code == "FUSE308"


def test_wrong_ways_to_call() -> None:
    runner = Program("Y[i] = 2 X[i]").compile()
    with pytest.raises(InputError, match="inputs must be a mapping from names to arrays, but list was given"):
        runner([1.0])  # type: ignore[arg-type]
    with pytest.raises(InputError, match="X is given twice"):
        runner({"X": [1.0]}, X=[1.0])


# Types ------------------------------------------------------------------------------------------


def test_numbers_are_cast_and_the_cast_is_told() -> None:
    runner = Program("Y[i] = X[i] W[i]").compile()
    runner(X=np.array([1, 2]), W=np.array([0.5, 0.25]))
    assert runner.explain().casts == (("X", "int64", "float32"), ("W", "float64", "float32"))
    assert "cast: X from int64 to float32" in str(runner.explain())
    runner(X=np.array([1, 2], np.float32), W=[True, False])
    assert runner.explain().casts == ()


def test_whole_numbers_are_never_made_of_others() -> None:
    runner = Program("input T[i]: int64\nY[i] = 2 T[i]").compile()
    assert runner(T=np.array([1, 2], np.uint8))["Y"].tolist() == [2, 4]
    assert runner(T=[])["Y"].shape == (0,)
    for value in ([1.5], np.array([1.0])):
        with pytest.raises(DtypeError, match="T takes int64 values, but float64 was given") as caught:
            runner(T=value)
    assert caught.value.code == "FUSE303"
    with pytest.raises(DtypeError, match="T holds 18446744073709551615, which int64 cannot hold"):
        runner(T=np.array([2**64 - 1], np.uint64))
    # Beyond what float32 can hold exactly, whole numbers still add exactly.
    exact = Program("input T[i]: int64\nS = sum(i: T[i])").compile()
    assert exact(T=[2**53, 1])["S"].item() == 2**53 + 1


@pytest.mark.parametrize("value", [np.array([1j]), ["a"], np.array([object()])])
def test_what_is_no_number(value: object) -> None:
    with pytest.raises(DtypeError, match="X takes numbers, but"):
        Program("Y[i] = 2 X[i]").compile()(X=value)


def test_ragged_rows() -> None:
    with pytest.raises(DtypeError, match="X cannot be made an array") as caught:
        Program("Y[i] = X[i, j]").compile()(X=[[1.0], [1.0, 2.0]])
    assert caught.value.code == "FUSE304"


def test_masked_arrays_have_no_values_where_they_are_masked() -> None:
    masked = np.ma.masked_array(np.ones(2), mask=[True, False])
    with pytest.raises(DtypeError, match="X cannot be made an array: a masked array") as caught:
        Program("Y[i] = 2 X[i]").compile()(X=masked)
    assert caught.value.code == "FUSE304"


def test_names_of_inputs_are_text() -> None:
    with pytest.raises(InputError, match="inputs must be a mapping from names to arrays, but one from int was given"):
        Program("Y[i] = 2 X[i]").compile()({1: np.ones(2)})


def test_precision_auto() -> None:
    runner = Program("Y[i] = X[i] W[i]").compile(config=ExecutionConfig(precision="auto"))
    double, single = np.array([0.1]), np.array([0.1], np.float32)
    assert runner.explain().precision is None
    assert runner(X=double, W=double)["Y"].dtype == np.float64
    assert runner.explain().precision == "float64"
    assert runner(X=double, W=single)["Y"].dtype == np.float32
    assert runner(X=[0.1], W=[0.2])["Y"].dtype == np.float32
    assert runner(X=double, W=[0.2])["Y"].item() == pytest.approx(0.02, rel=1e-15)


# Parameters and weights -------------------------------------------------------------------------


def test_parameters_are_drawn_once_and_from_the_seed() -> None:
    text = "axis o = 3\nparam W[o, d] ~ xavier()\nparam B[o]\nY[o] = W[o, d] X[d] + B[o]\nexport Y, W, B"
    runner = Program(text).compile()
    first = runner(X=[1.0, 2.0])
    second = runner(X=[3.0, 4.0])
    np.testing.assert_array_equal(first["W"], second["W"])
    np.testing.assert_allclose(second["Y"], first["W"] @ [3, 4], rtol=1e-6)
    assert first["B"].tolist() == [0, 0, 0]
    assert np.abs(first["W"]).max() <= np.sqrt(6 / 5)
    again = Program(text).compile()(X=[1.0, 2.0])
    np.testing.assert_array_equal(again["W"], first["W"])
    other = Program(text).compile(config=ExecutionConfig(seed=1))(X=[1.0, 2.0])
    assert (other["W"] != first["W"]).all()
    double = Program(text).compile(config=ExecutionConfig(precision="float64"))(X=[1.0, 2.0])
    np.testing.assert_array_equal(double["W"].astype(np.float32), first["W"])


def test_a_parameter_keeps_its_size() -> None:
    runner = Program("axis o = 3\nparam W[o, d]\nY[o] = W[o, d] X[d]").compile()
    runner(X=[1.0, 2.0])
    with pytest.raises(AxisError, match=r"W was made as \(3, 2\) for the sizes of the first call") as caught:
        runner(X=[1.0, 2.0, 3.0])
    assert caught.value.code == "FUSE311"
    assert "`axis d = 2`" in str(caught.value)
    assert runner(X=[0.0, 0.0])["Y"].tolist() == [0, 0, 0]


def test_parameters_and_free_tensors_from_the_store() -> None:
    text = "param W[o, d]\nY[o] = W[o, d] V[d] X[d]"
    runner = Program(text).compile(policies=stored(W=[[1, 2], [3, 4]], V=np.array([1.0, 10.0])))
    assert runner(X=[1.0, 1.0])["Y"].tolist() == [21, 43]
    assert runner(X=[0.0, 2.0])["Y"].tolist() == [40, 80]
    with pytest.raises(AxisError, match="axis d is 3 in X"):
        runner(X=np.ones(3))
    with pytest.raises(AxisError, match="axis o"):
        Program(f"axis o = 5\n{text}").compile(policies=stored(W=np.ones((2, 2)), V=np.ones(2)))


def test_a_store_that_fits_no_better_is_refused() -> None:
    with pytest.raises(AxisError, match="W has 2 axes"):
        Program("param W[o, d]\nY[o] = W[o, d] X[d]").compile(policies=stored(W=[1.0]))
    runner = Program("input T[e]: int64\nY[e] = T[e] V[e]").compile(policies=stored(V=[1.0]))
    with pytest.raises(DtypeError, match="T takes int64 values"):
        runner(T=[0.5])


# Boolean inputs ---------------------------------------------------------------------------------

EDGES = "input Edge(x, y)\nOut[x] = Edge(x, y)\nexport Out, Edge"
DENSE = np.array([[False, True, True], [False, False, False], [True, False, False]])


@pytest.mark.parametrize(
    "value",
    [
        DENSE,
        np.argwhere(DENSE),
        np.argwhere(DENSE).astype(np.uint8)[[0, 1, 1, 2]],
        [(0, 1), (0, 2), (2, 0)],
        {(0, 1), (0, 2), (2, 0)},
        [[np.int64(0), 1], [0, 2], [2, 0]],
    ],
)
def test_forms_of_a_relation(value: object) -> None:
    runner = Program(EDGES).compile()
    for _ in range(2):
        result = runner(Edge=value)
        assert result["Out"].tolist() == [2, 0, 1]
        assert result["Edge"].rows == ((0, 1), (0, 2), (2, 0))
        assert result["Edge"].positions.tolist() == np.argwhere(DENSE).tolist()
        assert result["Edge"].positions.dtype == np.int64
        np.testing.assert_array_equal(result["Edge"].dense(), DENSE)
        np.testing.assert_array_equal(np.asarray(result["Edge"]), DENSE)
        assert len(result["Edge"]) == 3


def test_symbols() -> None:
    runner = Program(EDGES).compile()
    result = runner(Edge=[("Ann", "Bob"), ("Ann", "Cid"), ("Bob", "Ann")])
    assert set(result["Edge"]) == {("Ann", "Bob"), ("Ann", "Cid"), ("Bob", "Ann")}
    assert result["Out"].sum() == 3
    again = runner(Edge=np.array([["Zoe", "Yan"]]))
    assert again["Edge"].rows == (("Zoe", "Yan"),)


def test_declared_symbols_come_first_and_are_all() -> None:
    runner = Program("axis x = {Ann, Bob}\ninput P(x)\nY[x] = P(x)\nexport Y, P").compile()
    assert runner(P=["Bob"])["Y"].tolist() == [0, 1]
    assert runner(P=[("Bob",), ("Ann",), ("Bob",)])["P"].rows == (("Ann",), ("Bob",))
    assert runner(P=[1])["Y"].tolist() == [0, 1]
    assert runner(P=[])["Y"].tolist() == [0, 0]
    with pytest.raises(AxisError, match=r"did you mean 'Bob'\?") as caught:
        runner(P=["Bop"])
    assert caught.value.code == "FUSE306"
    with pytest.raises(AxisError, match="2 in P is not on axis x, which has the positions 0 to 1"):
        runner(P=[2])


def test_relations_are_as_long_as_the_tensors_they_join() -> None:
    runner = Program("input Near(n, m)\nAgg[n, d] = Near(n, m) Z[m, d]\nexport Agg").compile()
    result = runner(Near=[(0, 1), (1, 0)], Z=np.arange(8.0).reshape(4, 2))
    assert result["Agg"].tolist() == [[2, 3], [0, 1]]
    with pytest.raises(AxisError):
        runner(Near=[(0, 9)], Z=np.ones((4, 2)))


def test_sparse_forms_of_a_relation() -> None:
    import torch
    from scipy import sparse

    class Facts:
        """Like the handle of fuse_torch: anything with positions."""

        positions = torch.from_numpy(np.argwhere(DENSE))

    stored_zero = sparse.coo_array((np.array([1, 1, 1, 0]), ([0, 0, 2, 1], [1, 2, 0, 1])), shape=(3, 3))
    runner = Program(EDGES).compile("numpy")
    forms = (stored_zero, stored_zero.tocsr(), torch.from_numpy(DENSE).to_sparse(), torch.from_numpy(DENSE), Facts())
    for form in forms:
        assert runner(Edge=form)["Edge"].rows == ((0, 1), (0, 2), (2, 0))


def test_a_relation_from_the_store() -> None:
    policies = stored(Edge=DENSE)
    assert Program("Out[x] = Edge(x, y)").compile(policies=policies)()["Out"].tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    ("value", "words", "error"),
    [
        (np.array([[0.0, 1.0]]), "Edge takes truth values or positions, but float64 was given", DtypeError),
        ([(0.5, 1)], "Edge takes truth values or positions, but float was given", DtypeError),
        ([(0, 1, 2)], "Edge has 2 arguments, but a tuple of 3 was given", AxisError),
        (np.array([[0, 1, 2]]), "Edge has 2 arguments, but an array of 1 × 3 positions was given", AxisError),
        ([(0, -1)], "-1 in Edge is not on axis", AxisError),
        ("Ann", "Edge takes truth values or positions, but str was given", DtypeError),
        (3, "Edge takes truth values or positions, but int was given", DtypeError),
        ([(True, False)], "Edge takes truth values or positions, but bool was given", DtypeError),
        (np.array([True]), "Edge has 2 axes", AxisError),
    ],
)
def test_what_is_no_relation(value: object, words: str, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        Program(EDGES).compile()(Edge=value)
    assert words in str(caught.value)
