"""Lowered equations against the same equations written in plain loops or NumPy."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping

import numpy as np
import pytest

from fuse_ref.plan.steps import Along, Contract, Expand, Index, LiteralArray, Map, Reduce, Write
from tests.plan.running import operations_of, plan_of, run

Arrays = Mapping[str, np.ndarray]


def _values(sizes: Mapping[str, tuple[int, ...]], seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {name: random.uniform(0.2, 2.0, shape) for name, shape in sizes.items()}


def _at(array: np.ndarray, *place: int) -> float:
    """An element, 0 outside."""
    inside = all(0 <= p < n for p, n in zip(place, array.shape, strict=True))
    return float(array[place]) if inside else 0.0


def _table(shape: tuple[int, ...], element: Callable[..., float]) -> np.ndarray:
    result = np.zeros(shape)
    for place in np.ndindex(*shape):
        result[place] = element(*place)
    return result


def _softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return np.asarray(e / e.sum(-1, keepdims=True))


# (text, sizes of two calls, the value of Y)
_CASES: list[tuple[str, list[dict[str, tuple[int, ...]]], Callable[[Arrays], np.ndarray]]] = [
    (
        "Y[b, o] = relu(W[o, d] X[b, d] - B[o])",
        [{"W": (3, 2), "X": (4, 2), "B": (3,)}, {"W": (1, 2), "X": (2, 2), "B": (1,)}],
        lambda v: np.maximum(v["X"] @ v["W"].T - v["B"], 0),
    ),
    (
        "Y[i, l] = A[i, j] B[j, k] C[k, l]",
        [{"A": (2, 3), "B": (3, 4), "C": (4, 2)}, {"A": (1, 1), "B": (1, 2), "C": (2, 3)}],
        lambda v: v["A"] @ v["B"] @ v["C"],
    ),
    ("Y = A[i, i]", [{"A": (3, 3)}, {"A": (1, 1)}], lambda v: np.trace(v["A"])),
    ("Y[i] = A[i, i] B[i]", [{"A": (3, 3), "B": (3,)}], lambda v: np.diag(v["A"]) * v["B"]),
    ("Y[i] = A[i, j]", [{"A": (3, 2)}, {"A": (3, 0)}], lambda v: v["A"].sum(1)),
    ("Y[j, i] = A[i, j]", [{"A": (3, 2)}], lambda v: v["A"].T),
    ("Y[i, j] = A[i]\nZ = Y[i, j] B[j]\nexport Y, Z", [{"A": (2,), "B": (3,)}], lambda v: np.tile(v["A"], (3, 1)).T),
    ("Y[i] = A[i, -1] + A[i, 0] - A[i, 1]", [{"A": (2, 3)}], lambda v: v["A"][:, -1] + v["A"][:, 0] - v["A"][:, 1]),
    (
        "Y[x] = F[d] X[x+d]",
        [{"F": (3,), "X": (7,)}, {"F": (1,), "X": (1,)}],
        lambda v: np.convolve(v["X"], v["F"][::-1], "valid"),
    ),
    (
        "Y[x] = F[d] X[x+d] + B[x]",
        [{"F": (3,), "X": (5,), "B": (5,)}],
        lambda v: _table((5,), lambda x: sum(v["F"][d] * _at(v["X"], x + d) for d in range(3)) + v["B"][x]),
    ),
    (
        "Y[x] = F[d] X[2*x+d-1]",
        [{"F": (3,), "X": (7,)}, {"F": (2,), "X": (5,)}],
        lambda v: _table(
            ((len(v["X"]) + 1 - len(v["F"])) // 2 + 1,),
            lambda x: sum(v["F"][d] * _at(v["X"], 2 * x + d - 1) for d in range(len(v["F"]))),
        ),
    ),
    ("N = 4\nY[i] = X[N-1-i]", [{"X": (4,)}], lambda v: v["X"][::-1]),
    ("Y[t] = X[t+1] - X[t]", [{"X": (5,)}, {"X": (2,)}], lambda v: np.diff(v["X"])),
    ("Y[t] = X[t-1]", [{"X": (3,)}], lambda v: np.concatenate([[0.0], v["X"]])),
    ("Y[i] = K[j] X[i-j]", [{"K": (2,), "X": (4,)}], lambda v: np.convolve(v["X"], v["K"])[:4]),
    ("C[x+d] = A[x] F[d]\nY[z] = C[z]", [{"A": (4,), "F": (3,)}], lambda v: np.convolve(v["A"], v["F"])),
    (
        "Y[x/2, y] max= X[x, y]",
        [{"X": (5, 2)}, {"X": (4, 1)}],
        lambda v: np.array([v["X"][k : k + 2].max(0) for k in range(0, len(v["X"]), 2)]),
    ),
    (
        "Y[x/2] avg= X[x, y]",
        [{"X": (5, 2)}],
        lambda v: np.array([v["X"][k : k + 2].mean() for k in range(0, 5, 2)]),
    ),
    ("Y[i] avg= X[i, j]", [{"X": (2, 3)}, {"X": (2, 0)}], lambda v: v["X"].sum(1) / max(v["X"].shape[1], 1)),
    ("Y[i] prod= X[i, j]", [{"X": (2, 3)}], lambda v: v["X"].prod(1)),
    ("Y[i] min= X[i, j] Z[j]", [{"X": (2, 3), "Z": (3,)}], lambda v: (v["X"] * v["Z"]).min(1)),
    (
        "Y[i] max= X[i, j]\nY[i] max= Z[i]",
        [{"X": (2, 3), "Z": (2,)}],
        lambda v: np.maximum(v["X"].max(1), v["Z"]),
    ),
    (
        "Y[i] avg= X[i, j]\nY[k] avg= Z[k]",
        [{"X": (2, 3), "Z": (2,)}],
        lambda v: (v["X"].sum(1) + v["Z"]) / 4,
    ),
    (
        "Y[t] max= X[t+1, j] Z[t]",
        [{"X": (3, 2), "Z": (3,)}],  # the last read falls outside, and does not count
        lambda v: np.array([v["X"][1].max() * v["Z"][0], v["X"][2].max() * v["Z"][1], -np.inf]),
    ),
    (
        "Y[i] min= X[i, j] > 1, X[i, j]",
        [{"X": (3, 4)}],
        lambda v: np.where(v["X"] > 1, v["X"], np.inf).min(1),
    ),
    (
        "Y[i] avg= (X[i, j] > 1) X[i, j]",
        [{"X": (3, 4)}],
        lambda v: np.where(v["X"] > 1, v["X"], 0).sum(1) / np.maximum((v["X"] > 1).sum(1), 1),
    ),
    (
        "Y[p, h] = W[h, d] X[p, d]\nY[a, b] = B[b]",
        [{"W": (2, 3), "X": (4, 3), "B": (2,)}],
        lambda v: v["X"] @ v["W"].T + v["B"],
    ),
    (
        "Y[0, d] = A[d]\nY[l+1, d] = 2 B[l, d]",
        [{"A": (2,), "B": (3, 2)}],
        lambda v: np.concatenate([v["A"][None], 2 * v["B"]]),
    ),
    (
        "Y[2*i] = A[i]\nY[2*i+1] = B[i]",
        [{"A": (3,), "B": (2,)}, {"A": (2,), "B": (4,)}],
        lambda v: _table(
            (max(2 * len(v["A"]) - 1, 2 * len(v["B"])),),
            lambda p: _at(v["B"] if p % 2 else v["A"], p // 2),
        ),
    ),
    (
        "Y[x] = A[2*x]\nY[x] = B[3*x]",
        [{"A": (4,), "B": (4,)}, {"A": (2,), "B": (9,)}],
        lambda v: _table(
            (max((len(v["A"]) + 1) // 2, (len(v["B"]) + 2) // 3),),
            lambda x: _at(v["A"], 2 * x) + _at(v["B"], 3 * x),
        ),
    ),
    (
        "Y[2*d] max= B[d] B[x]\nY[d] max= A[1]",
        [{"A": (2,), "B": (3,)}],
        lambda v: np.maximum([v["B"][p // 2] * v["B"].max() if p % 2 == 0 else -np.inf for p in range(5)], v["A"][1]),
    ),
    (
        "Y[0] = 3\nY[i] avg= X[i]",
        [{"X": (3,)}],
        lambda v: np.array([(3 + v["X"][0]) / 2, *v["X"][1:]]),
    ),
    (
        "Y[i] avg= (X[i, j] > 1) X[i, j] / 2",
        [{"X": (3, 4)}],
        lambda v: np.where(v["X"] > 1, v["X"] / 2, 0).sum(1) / np.maximum((v["X"] > 1).sum(1), 1),
    ),
    (
        "Y[t] avg= X[t+1, j] + 0 Z[t]",
        [{"X": (3, 2), "Z": (3,)}],
        lambda v: np.array([v["X"][1].mean(), v["X"][2].mean(), 0.0]),
    ),
    ("Y[i, i] = A[i]", [{"A": (3,)}], lambda v: np.diag(v["A"])),
    ("Y[:] = X[1:4]", [{"X": (6,)}], lambda v: v["X"][1:4]),
    ("Y[:] = X[::2] - X[0:3]", [{"X": (6,)}], lambda v: v["X"][::2] - v["X"][:3]),
    ("Y[:] = X[-3:] + A[:]", [{"X": (6,), "A": (3,)}], lambda v: v["X"][-3:] + v["A"]),
    (
        "Y[q, k.] = softmax(Q[q, d] K[k, d] / sqrt(D))\nD = 4",
        [{"Q": (2, 3), "K": (4, 3)}, {"Q": (1, 3), "K": (2, 3)}],
        lambda v: _softmax(v["Q"] @ v["K"].T / 2),
    ),
    (
        "Y[i, i'] = exp(-(X[i, j] - X[i', j])**2 / 2)",
        [{"X": (3, 2)}],
        lambda v: np.exp(-((v["X"][:, None] - v["X"][None]) ** 2).sum(-1) / 2),
    ),
    (
        "Y[i] = A[i, j] / A[i, k]",
        [{"A": (2, 3)}],
        lambda v: np.ones(2),
    ),
    (
        "Y[i, j] = A[i, j] / A[i, k]",
        [{"A": (2, 3)}],
        lambda v: v["A"] / v["A"].sum(1, keepdims=True),
    ),
    ("Y[i] = sum(j: A[i] / B[j])", [{"A": (2,), "B": (3,)}], lambda v: (v["A"][:, None] / v["B"]).sum(1)),
    ("Y[i] = sum(j: 3 A[i, j] / B[i])", [{"A": (2, 3), "B": (2,)}], lambda v: 3 * v["A"].sum(1) / v["B"]),
    ("Y = sum(i: 2) + 0 A[i]", [{"A": (5,)}], lambda v: np.array(10.0)),
    ("Y[i] = sum(j: A[i]) + 0 B[j]", [{"A": (2,), "B": (3,)}], lambda v: 3 * v["A"]),
    ("Y = max(i, j: A[i] - B[j])", [{"A": (2,), "B": (3,)}], lambda v: np.array(v["A"].max() - v["B"].min())),
    (
        "Y[i] = A[i]**3 + 2**A[i] - A[i]**1 + (A[i])**2",
        [{"A": (3,)}],
        lambda v: v["A"] ** 3 + 2 ** v["A"] - v["A"] + v["A"] ** 2,
    ),
    ("Y[i] = 6 / 3 A[i] + 2 - -1", [{"A": (3,)}], lambda v: 2 * v["A"] + 3),
    ("Y[i] = -(A[i] - 1)", [{"A": (3,)}], lambda v: 1 - v["A"]),
    (
        "Y[p, d] = X[p, d] + even(d) sin(p / 100**(d/4))",
        [{"X": (3, 4)}],
        lambda v: v["X"] + _table((3, 4), lambda p, d: math.sin(p / 100 ** (d / 4)) if d % 2 == 0 else 0.0),
    ),
    (
        "Y[i] = case { A[i] > 1 -> A[i]; A[i] > 0.5 -> 7; default -> -1 }",
        [{"A": (9,)}],
        lambda v: np.where(v["A"] > 1, v["A"], np.where(v["A"] > 0.5, 7, -1)),
    ),
    ("Y[p, q] = A[p] B[q] (q <= p)", [{"A": (3,), "B": (3,)}], lambda v: np.tril(np.outer(v["A"], v["B"]))),
    (
        "Y[i] = (A[i] > 1 or A[i] < 0.5) + (not (A[i] > 1)) + (A[i] > 0.7 and A[i] < 1.3)",
        [{"A": (9,)}],
        lambda v: 1.0 * ((v["A"] > 1) | (v["A"] < 0.5)) + (v["A"] <= 1) + ((v["A"] > 0.7) & (v["A"] < 1.3)),
    ),
    (
        "W = [[1, 2, 3], [4, 5, 6]]\nY[i] = W[i, j] X[j]",
        [{"X": (3,)}],
        lambda v: np.array([[1, 2, 3], [4, 5, 6]]) @ v["X"],
    ),
    ("Y[i] = const([1, 0, 2]) X[i]", [{"X": (3,)}], lambda v: np.array([1, 0, 2]) * v["X"]),
    ("Y[i] = [1, 2, 3]\nY[1] = 5\nY[i] = X[i]", [{"X": (3,)}], lambda v: np.array([1, 7, 3]) + v["X"]),
    (
        "E[A, B] = 0.5\nE[B, C] = 2\nY[x] = E[x, y] X[y]\nZ = E[x, y] X[x]\nexport Y",
        [{"X": (3,)}, {"X": (5,)}],
        lambda v: np.concatenate([[0.5 * v["X"][1], 2 * v["X"][2]], np.zeros(len(v["X"]) - 2)]),
    ),
    ("R(A, B)\nR(B, B)\nY[x] = R(x, y) X[y]", [{"X": (1,)}, {"X": (2,)}], lambda v: np.array([v["X"][0], v["X"][0]])),
    ("D[0] = 3\nD[i] max= X[i]\nY[i] = D[i]", [{"X": (3,)}], lambda v: np.array([max(3, v["X"][0]), *v["X"][1:]])),
    ("Y = 3\nexport Y", [{}], lambda v: np.array(3.0)),
    ("Y[i] = 2\nZ = Y[i] X[i]\nexport Y", [{"X": (3,)}], lambda v: np.full(3, 2.0)),
    ("Y[i] = log(A[i]) / log(2)", [{"A": (3,)}], lambda v: np.log(v["A"]) / math.log(2)),
    (
        "Y = cross_entropy(X[e, c], P[e, c])",
        [{"X": (3, 4), "P": (3, 4)}],
        lambda v: np.array(-(v["P"] * np.log(_softmax(v["X"]))).sum(1).mean()),
    ),
]


@pytest.mark.parametrize(("text", "sizes", "expected"), _CASES, ids=[case[0] for case in _CASES])
def test_lowered_equations(
    text: str, sizes: list[dict[str, tuple[int, ...]]], expected: Callable[[Arrays], np.ndarray]
) -> None:
    plan = plan_of(text)
    for seed, shapes in itertools.product((1, 2), sizes):
        given = _values(shapes, seed)
        np.testing.assert_allclose(run(plan, given)["Y"], expected(given), rtol=1e-12, atol=1e-12)


def test_facts_outside_the_given_length_are_an_error() -> None:
    plan = plan_of("R(A, B)\nR(B, C)\nZ[x] = R(x, y) U[y]\nY[x] = R(x, y) X[x]")
    given = {"X": np.ones(1), "U": np.ones(2)}
    with pytest.raises(ValueError, match="axis x is 1 in X"):
        run(plan, given)


def test_integers_stay_integers() -> None:
    plan = plan_of("input N[i]: int64\nY[i] = 3 N[i] N[i] - 1\nZ = Y[i]\nexport Y, Z")
    values = run(plan, {"N": np.array([5, -3])})
    assert values["Y"].tolist() == [74, 26]
    assert values["Z"].item() == 100
    assert values["Y"].dtype == values["Z"].dtype == np.int64


def test_integers_beside_a_base_case() -> None:
    values = run(plan_of("input N[i]: int64\nY[i] = N[i]\nY[0] = 1"), {"N": np.array([5, -3])})
    assert values["Y"].tolist() == [6, -3]
    assert values["Y"].dtype == np.int64


def test_relations_filter_and_count() -> None:
    plan = plan_of("input E(x, y)\nD[y] min= E(x, y), A[x] + W[x, y]\nN[y] = E(x, y)\nexport D, N")
    given = _values({"A": (3,), "W": (3, 2)}, 1)
    given["E"] = np.array([[True, False], [False, False], [True, False]])
    values = run(plan, given)
    paths = given["A"][:, None] + given["W"]
    np.testing.assert_allclose(values["D"], [min(paths[0, 0], paths[2, 0]), np.inf])
    assert values["N"].tolist() == [2.0, 0.0]


def test_an_expression_sink_is_computed() -> None:
    plan = plan_of('Y[i] = 2 X[i]\n"y.npy" = Y[i] + B[j, i]')
    given = _values({"X": (2,), "B": (3, 2)}, 1)
    values = run(plan, given)
    # An expression's additive terms are projected onto the indices of the sink, in order of appearance.
    np.testing.assert_allclose(values["sink~0"], 2 * given["X"][:, None] + given["B"].T)


def test_integer_classes() -> None:
    plan = plan_of("input T[e]: int64\nY = cross_entropy(X[e, c], T[e])")
    given = _values({"X": (3, 4)}, 1)
    given["T"] = np.array([3, 0, 1])
    expected = -np.log(_softmax(given["X"]))[[0, 1, 2], given["T"]].mean()
    np.testing.assert_allclose(run(plan, given)["Y"], expected)


def test_symbols_in_comparisons_are_positions() -> None:
    plan = plan_of("axis x = {Ann, Bob, Cid}\nY[x] = (x == Bob) A[x] + B[Cid] + A[x]\nZ[x] = B[x]\nexport Y")
    given = _values({"A": (3,), "B": (3,)}, 1)
    expected = given["A"] * [1, 2, 1] + given["B"][2]
    np.testing.assert_allclose(run(plan, given)["Y"], expected)


# What the operations look like --------------------------------------------------------------------


def _kinds(text: str) -> list[str]:
    return [type(operation).__name__ for operation in operations_of(plan_of(text))]


def test_plain_reads_need_no_operation() -> None:
    assert _kinds("Y[i, k] = A[i, j] B[j, k]") == ["Contract"]
    assert _kinds("Y[i] = A[i] + B[i]") == ["Map"]
    assert _kinds("Y[i] = A[i]") == ["Permute"]
    assert _kinds("Y[b, o] = relu(X[b, d] W[o, d] + B[o])") == ["Contract", "Map", "Map"]


def test_the_last_operation_makes_the_tensor_in_its_own_order() -> None:
    (operation,) = operations_of(plan_of("Y[k, i] = A[i, j] B[j, k]"))
    assert isinstance(operation, Contract)
    assert operation.output.out == "Y"
    assert operation.output.labels == ("k", "i")


def test_what_one_factor_has_alone_is_summed_there() -> None:
    kinds = [type(o) for o in operations_of(plan_of("Y[i] = A[i, j] B[j, k]"))]
    assert kinds == [Reduce, Contract]


def test_equal_parts_of_an_equation_are_computed_once() -> None:
    operations = operations_of(plan_of("Y[i] = exp(A[i]) + exp(A[i]) B[i]"))
    assert sum(isinstance(o, Map) and o.function == "exp" for o in operations) == 1


def test_numbers_are_folded() -> None:
    (operation,) = operations_of(plan_of("D = 16\nY[i] = A[i] * 2 / sqrt(D) * 3"))
    assert isinstance(operation, Map)
    assert operation.function == "multiply"
    assert operation.operands[1] == 1.5


def test_a_lone_division_stays_a_division() -> None:
    (operation,) = operations_of(plan_of("Y[i] = A[i] / 3"))
    assert isinstance(operation, Map)
    assert (operation.function, operation.operands[1]) == ("divide", 3)


def test_a_factor_goes_where_it_costs_least() -> None:
    scaled = operations_of(plan_of("Y[q, k] = Q[q, d] K[k, d] / 8", hints={"q": 512, "k": 512, "d": 64}))
    assert [type(o).__name__ for o in scaled] == ["Map", "Contract"]
    after = operations_of(plan_of("Y[q, k] = Q[q, d] K[k, d] / 8", hints={"q": 16, "k": 16, "d": 64}))
    assert [type(o).__name__ for o in after] == ["Contract", "Map"]


def test_numbers_that_have_no_value_stay_with_the_engines() -> None:
    operations = operations_of(plan_of("Y[i] = A[i] + log(0)"))
    assert [type(o).__name__ for o in operations] == ["LiteralArray", "Map", "Map"]


def test_literals_facts_and_shapes_of_writes() -> None:
    literal, write = operations_of(plan_of("P[0] = 2\nP[3] = 4\nY = P[i] X[i]\nexport P"))
    assert isinstance(literal, LiteralArray)
    assert literal.values == (2, 0, 0, 4)
    assert isinstance(write, Write)


def test_broadcasting_is_written_out() -> None:
    operations = operations_of(plan_of("Y[i, j] = A[i]\nZ = Y[i, j] B[j]\nexport Y"))
    assert [type(o) for o in operations] == [Expand]


def test_a_function_along_an_axis_that_its_argument_lacks() -> None:
    operations = operations_of(plan_of("Y[i, j.] = softmax(A[i])\nZ = Y[i, j] B[j]\nexport Y"))
    assert [type(o) for o in operations] == [Expand, Along]


def test_an_open_length_is_a_formula() -> None:
    (operation,) = [o for o in operations_of(plan_of("Y[x, d] = F[d] X[x+d]")) if isinstance(o, Index)]
    assert [str(item) for item in operation.output.lengths] == ["max((-1*|F.0| + |X.0| + 1), 0)", "|F.0|"]
    assert operation.indices[0].inside
