"""Hand-made plan operations on JAX against NumPy written out, under jit, with several sizes."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fuse_jax.contract import contract, project
from fuse_jax.dense import run
from fuse_jax.schedule import Schedule
from fuse_ref.analysis.lengths import Extent, Fixed, Length, linear
from fuse_ref.config import ExecutionConfig
from fuse_ref.plan.steps import (
    Along,
    Contract,
    DenseOperation,
    Expand,
    Index,
    Iota,
    LiteralArray,
    Map,
    Operand,
    Output,
    Permute,
    ReadIndex,
    Write,
    WriteIndex,
)

E = Extent


def out(name: str, lengths: dict[str, Length], dtype: str = "float") -> Output:
    return Output(name, tuple(lengths), tuple(lengths.values()), dtype)


def execute(operations: list[DenseOperation], wanted: str, jit: bool = True, **values: np.ndarray) -> np.ndarray:
    plan, config = Schedule(tuple(operations), ((),) * len(operations)), ExecutionConfig()
    call = lambda given: run(plan, given, config)[wanted]  # noqa: E731
    given = {name: jnp.asarray(value) for name, value in values.items()}
    return np.asarray(jax.jit(call)(given) if jit else call(given))


DENSE_LAYER = [
    Contract(out("Y~1", {"b": E("X", 0), "o": E("W", 0)}), Operand("W", ("o", "d")), Operand("X", ("b", "d"))),
    Map(out("Y~2", {"b": E("X", 0), "o": E("W", 0)}), "add", (Operand("Y~1", ("b", "o")), Operand("B", ("o",)))),
    Map(out("Y", {"b": E("X", 0), "o": E("W", 0)}), "relu", (Operand("Y~2", ("b", "o")),)),
]


@pytest.mark.parametrize("jit", [True, False])
@pytest.mark.parametrize(("b", "d", "o"), [(2, 3, 4), (5, 1, 3), (0, 3, 2), (1, 1, 1), (3, 0, 2)])
def test_a_dense_layer(b: int, d: int, o: int, jit: bool) -> None:
    for seed in range(2):
        rng = np.random.default_rng(seed)
        x, w, bias = rng.normal(size=(b, d)), rng.normal(size=(o, d)), rng.normal(size=o)
        x, w, bias = (a.astype(np.float32) for a in (x, w, bias))
        result = execute(DENSE_LAYER, "Y", jit, X=x, W=w, B=bias)
        assert result.dtype == np.float32
        np.testing.assert_allclose(result, np.maximum(x @ w.T + bias, 0), rtol=1e-5, atol=1e-6)


CONTRACTIONS = [
    "ij,jk->ik",
    "ij,jk->ki",
    "ij,kj->ki",
    "bij,bjk->bik",
    "bij,jkb->kbi",
    "ij,ij->",
    "ij,ij->j",
    "i,j->ij",
    "i,j->ji",
    "ij,j->i",
    "ij,k->k",
    "ijk,kl->l",
    "ij,ij->ji",
    ",ij->ij",
    ",->",
    "abc,cda->db",
]


@pytest.mark.parametrize("form", CONTRACTIONS)
def test_contract_against_einsum(form: str) -> None:
    inputs, output = form.split("->")
    left, right = inputs.split(",")
    for sizes in ({"a": 2, "b": 3, "c": 4, "d": 5, "i": 2, "j": 3, "k": 4, "l": 5}, dict.fromkeys("abcdijkl", 1)):
        rng = np.random.default_rng(1)
        x, y = (rng.normal(size=[sizes[n] for n in labels]).astype(np.float32) for labels in (left, right))
        result = jax.jit(lambda x, y: contract(x, left, y, right, output, np.dtype(np.float32)))(x, y)
        expected = np.einsum(form, x, y)
        assert result.shape == expected.shape
        np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)


def test_contract_of_integers_is_exact() -> None:
    x = np.array([[2**20, 1], [3, -5]], np.int32)
    result = contract(jnp.asarray(x), "ij", jnp.asarray(x), "jk", "ik", np.dtype(np.int32))
    np.testing.assert_array_equal(np.asarray(result)[1], [3 * 2**20 - 15, 28])


REDUCTIONS = {"sum": np.sum, "max": np.max, "min": np.min, "avg": np.mean, "prod": np.prod}


@pytest.mark.parametrize("operator", REDUCTIONS)
def test_project_and_its_order(operator: str) -> None:
    x = np.random.default_rng(2).normal(size=(2, 3, 4)).astype(np.float32)
    result = project(operator, jnp.asarray(x), "ijk", "ki")
    np.testing.assert_allclose(result, REDUCTIONS[operator](x, axis=1).T, rtol=1e-6)
    np.testing.assert_allclose(project(operator, jnp.asarray(x), "ijk", ""), REDUCTIONS[operator](x), rtol=1e-5)


@pytest.mark.parametrize(
    ("operator", "expected"), [("sum", 0), ("avg", 0), ("prod", 1), ("max", -np.inf), ("min", np.inf)]
)
def test_project_of_nothing_is_the_neutral_element(operator: str, expected: float) -> None:
    result = project(operator, jnp.zeros((2, 0)), "ij", "i")
    np.testing.assert_array_equal(result, [expected, expected])


def test_any_is_or() -> None:
    x = jnp.array([[True, False], [False, False]])
    assert project("any", x, "ij", "i").tolist() == [True, False]
    assert project("any", jnp.zeros((2, 0), bool), "ij", "i").tolist() == [False, False]


def test_ties_of_a_maximum_share_the_gradient() -> None:
    gradient = jax.grad(lambda x: project("max", x, "i", ""))(jnp.array([1.0, 3.0, 3.0, 3.0]))
    np.testing.assert_allclose(gradient, [0, 1 / 3, 1 / 3, 1 / 3], rtol=1e-6)


def test_gradient_of_a_product_with_zeros() -> None:
    gradient = jax.grad(lambda x: project("prod", x, "i", ""))(jnp.array([0.0, 2.0, 3.0]))
    np.testing.assert_array_equal(gradient, [6, 0, 0])


@pytest.mark.parametrize("n", [1, 4, 7])
def test_literal_iota_expand_permute(n: int) -> None:
    operations = [
        LiteralArray(out("L", {"i": Fixed(3)}), (1, 2.5, -1)),
        Iota(out("P", {"j": E("X", 0)})),
        Map(out("S", {"i": Fixed(3), "j": E("X", 0)}), "multiply", (Operand("L", ("i",)), Operand("P", ("j",)))),
        Permute(out("T", {"j": E("X", 0), "i": Fixed(3)}), Operand("S", ("i", "j"))),
        Expand(out("Y", {"k": Fixed(2), "j": E("X", 0), "i": Fixed(3)}), Operand("T", ("j", "i"))),
    ]
    result = execute(operations, "Y", X=np.zeros(n, np.float32))
    expected = np.broadcast_to(np.outer(np.arange(n), [1, 2.5, -1]), (2, n, 3))
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("n", [3, 6])
def test_a_read_and_a_write_with_open_lengths(n: int) -> None:
    """Y[N-1-i] = X[i] by a read, pooled in pairs by a write."""
    last = linear([(E("X", 0), 1)], -1)
    half = Fixed((n + 1) // 2)
    operations = [
        Index(out("R", {"i": E("X", 0)}), "X", (ReadIndex((("i", -1),), last, True),)),
        Write(out("Y", {"p": half}), "max", Operand("R", ("i",)), (WriteIndex((("i", 1),), Fixed(0), 2),)),
    ]
    x = np.random.default_rng(n).normal(size=n).astype(np.float32)
    expected = [x[::-1][k : k + 2].max() for k in range(0, n, 2)]
    np.testing.assert_array_equal(execute(operations, "Y", X=x), np.array(expected))


def test_functions_along_an_axis_by_label() -> None:
    lengths = {"c": E("X", 1), "b": E("X", 0)}
    operations = [
        Along(out("S", lengths), "softmax", (Operand("X", ("b", "c")),), "c"),
        Along(out("L", {"b": E("X", 0)}), "cross_entropy", (Operand("X", ("b", "c")), Operand("T", ("b",))), "c"),
    ]
    x = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    target = np.array([0, 2, 1, 1], np.int32)
    soft = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    np.testing.assert_allclose(execute(operations, "S", X=x, T=target), soft.T, rtol=1e-5)
    loss = -np.log(soft[np.arange(4), target])
    np.testing.assert_allclose(execute(operations, "L", X=x, T=target), loss, rtol=1e-5)


def test_mixed_types_in_one_operation() -> None:
    lengths = {"i": E("X", 0)}
    x, n = np.array([0.5, 2.0, -1.0], np.float32), np.array([1, 2, 3], np.int32)
    operations = [
        Map(out("C", lengths, "bool"), "greater", (Operand("X", ("i",)), 0)),
        Map(out("F", lengths), "to_number", (Operand("C", ("i",)),)),
        Map(out("W", lengths), "where", (Operand("C", ("i",)), Operand("N", ("i",)), 0)),
        Map(out("M", lengths, "int64"), "multiply", (Operand("N", ("i",)), 3)),
        Map(out("D", lengths), "divide", (Operand("N", ("i",)), 2)),
        Map(out("P", lengths), "power", (Operand("X", ("i",)), 2)),
    ]
    results = {name: execute(operations, name, X=x, N=n) for name in "CFWMDP"}
    assert {name: str(value.dtype) for name, value in results.items()} == {
        "C": "bool",
        "F": "float32",
        "W": "float32",
        "M": "int32",
        "D": "float32",
        "P": "float32",
    }
    assert results["F"].tolist() == [1, 1, 0]
    assert results["W"].tolist() == [1, 2, 0]
    assert results["M"].tolist() == [3, 6, 9]
    assert results["D"].tolist() == [0.5, 1, 1.5]
    assert results["P"].tolist() == [0.25, 4, 1]


def test_float32_stays_float32_where_jax_has_float64() -> None:
    with jax.enable_x64(True):
        assert (
            execute(
                DENSE_LAYER, "Y", X=np.ones((2, 3), np.float32), W=np.ones((4, 3), np.float32), B=np.ones(4, np.float32)
            ).dtype
            == np.float32
        )
        operations = [
            Iota(out("P", {"j": E("X", 0)})),
            Map(out("Y", {"j": E("X", 0)}), "sig", (Operand("P", ("j",)), 0.5)),
        ]
        assert execute(operations, "Y", X=np.ones(3, np.float32)).dtype == np.float32


def test_a_value_of_another_size_than_planned_is_noticed() -> None:
    """Size 1 would otherwise be repeated in silence."""
    operations = [Permute(out("Y", {"i": Fixed(3)}), Operand("X", ("i",)))]
    with pytest.raises(AssertionError, match="the plan says"):
        execute(operations, "Y", X=np.zeros(1, np.float32))
