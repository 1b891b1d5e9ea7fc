"""The oracle judges all engines: here it is judged itself, by values worked out by hand or by NumPy."""

from __future__ import annotations

import ast
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.oracle import OracleAxisError, OracleError, run

RNG = np.random.default_rng(20)


def value(text: str, name: str = "Y", **given: Any) -> np.ndarray:
    return run(text, given).tensors[name]


def test_it_shares_nothing_with_what_it_judges() -> None:
    allowed = {"fuse_ref.language", "fuse_ref.language.parser", "fuse_ref.source"}
    arithmetic = {"asarray", "empty", "zeros", "ndindex", "take", "load", "ndarray", "float64", "newaxis"}
    folder = Path(__file__).parent / "oracle"
    files = sorted(folder.glob("*.py"))
    assert len(files) > 5
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                assert not name.startswith(("fuse_", "torch", "jax", "scipy", "opt_einsum")) or name in allowed, file
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "np":
                assert node.attr in arithmetic, f"{file.name} computes with NumPy: np.{node.attr}"


# Projections and products -----------------------------------------------------------------------


def test_product_sum_and_bias() -> None:
    given = {"W": [[1, 2], [3, -4]], "X": [1, 1], "B": [0.5, 0.1]}
    np.testing.assert_array_equal(value("Y[i] = relu(sum(j: W[i, j] X[j]) + B[i])", **given), [3.5, 0.0])
    given["X"] = [2, 0]
    np.testing.assert_array_equal(value("Y[i] = relu(sum(j: W[i, j] X[j]) + B[i])", **given), [2.5, 6.1])


def test_a_projection_that_is_not_written_is_refused() -> None:
    with pytest.raises(OracleError, match="'j'"):
        value("Y[i] = W[i, j] X[j]", W=np.eye(2), X=[1, 2])


def test_a_missing_value_is_refused() -> None:
    with pytest.raises(OracleError, match="'X'"):
        value("Y[i] = 2 X[i]")


@pytest.mark.parametrize(
    ("operator", "expected"), [("sum", 5.0), ("max", 4.0), ("min", -1.0), ("avg", 5 / 3), ("prod", -8.0)]
)
def test_every_projection(operator: str, expected: float) -> None:
    assert value(f"Y = {operator}(i: X[i])", X=[2, -1, 4]) == pytest.approx(expected)


@pytest.mark.parametrize(("operator", "neutral"), [("sum", 0), ("max", -math.inf), ("min", math.inf), ("prod", 1)])
def test_projections_of_nothing(operator: str, neutral: float) -> None:
    assert value(f"Y = {operator}(i: X[i])", X=[]) == neutral
    assert value("Y = avg(i: X[i])", X=[]) == 0


def test_inner_binding_hides_the_outer_and_diagonals_join() -> None:
    matrix = [[1, 2], [3, 4]]
    assert value("Y = sum(i: X[i, i])", X=matrix) == 5
    np.testing.assert_array_equal(value("Y[i] = X[i, i] + sum(i: X[i, i])", X=matrix), [6, 9])
    np.testing.assert_array_equal(value("Y[i, i] = V[i]", V=[7, 8]), [[7, 0], [0, 8]])


def test_division_goes_from_left_to_right_and_power_binds_tighter() -> None:
    assert value("Y = 12 / A / B * C", A=2, B=3, C=5) == 10
    assert value("Y = -A**2", A=3) == -9
    assert value("Y = A**B**2", A=2, B=3) == 512
    assert value("Y = 1 - A - B", A=2, B=3) == -4


def test_floats_follow_ieee_where_python_raises() -> None:
    got = value("Y[i] = A[i] / B[i]", A=[1, -1, 0, 2], B=[0.0, 0.0, 0.0, -0.0])
    np.testing.assert_array_equal(got, [math.inf, -math.inf, math.nan, -math.inf])
    np.testing.assert_array_equal(
        value("Y[i] = A[i]**B[i]", A=[0, -1, 1e200], B=[-1, 0.5, 2]), [np.inf, np.nan, np.inf]
    )
    np.testing.assert_array_equal(value("Y[i] = log(A[i])", A=[0, -1]), [-np.inf, np.nan])
    np.testing.assert_array_equal(value("Y[i] = exp(A[i])", A=[1000, -1000]), [np.inf, 0])


# Indices and ranges ------------------------------------------------------------------------------


def test_windows_are_valid_convolutions_unless_the_axis_has_a_length() -> None:
    given = {"F": [1, 10], "X": [1, 2, 3, 4]}
    np.testing.assert_array_equal(value("Y[x] = sum(dx: F[dx] X[x+dx])", **given), [21, 32, 43])
    np.testing.assert_array_equal(value("axis x = 5\nY[x] = sum(dx: F[dx] X[x+dx])", **given), [21, 32, 43, 4, 0])
    given["B"] = [0, 0, 0, 100]
    np.testing.assert_array_equal(value("Y[x] = sum(dx: F[dx] X[x+dx]) + B[x]", **given), [21, 32, 43, 104])


def test_strides_reversals_and_steps() -> None:
    given = {"F": [1, 10], "X": [1, 2, 3, 4, 5]}
    np.testing.assert_array_equal(value("Y[x] = sum(dx: F[dx] X[2*x+dx])", **given), [21, 43])
    np.testing.assert_array_equal(value("N = 5\nY[i] = X[N-1-i]", X=given["X"]), [5, 4, 3, 2, 1])
    np.testing.assert_array_equal(value("N = 3\nY[i] = X[N-1-i]", X=given["X"]), [3, 2, 1])
    np.testing.assert_array_equal(value("Y[t] = X[t+1] - X[t]", X=[1, 4, 9]), [3, 5])
    np.testing.assert_array_equal(value("Y[t] = X[t] - X[t-1]", X=[1, 4, 9]), [1, 3, 5])
    np.testing.assert_array_equal(value("Y[x] = X[x/2]", X=[7, 8]), [7, 7, 8, 8])
    np.testing.assert_array_equal(
        value("H[i, j] = X[i+j] A[i] B[j]", "H", X=[1, 2, 3], A=[1, 1], B=[1, 1]), [[1, 2], [2, 3]]
    )


def test_steps_that_nothing_else_bounds_are_those_of_the_shortest_given_tensor() -> None:
    # `X` reads `U` one ahead and so has one step less: no length for `U` to follow.
    text = "U[i] = 3\nX[i] = U[i+1] T[i] + U[i]"
    np.testing.assert_array_equal(value(text, "U", T=[1, 2, 3]), [3, 3, 3])
    np.testing.assert_array_equal(value(text, "X", T=[1, 2, 3]), [6, 9])
    np.testing.assert_array_equal(value(f"{text}\nT[i] = [4, 5]", "X"), [15])
    with pytest.raises(OracleAxisError, match="never fits"):
        value(text, "X", T=[1])


def test_what_no_export_needs_can_be_left_out_with_its_faults() -> None:
    # `U` adds slices of different lengths and makes `k` stepped: it does so for `Y` whether it is left out or not.
    text = "axis k = 4\nU[k] = C[k-1] + G[0:2] H[0:3]\nY[k] = sum(j: C[k] F[k+j] D[j])\nexport Y"
    given = {"C": [1, 2, 3, 4], "D": [1, 1], "F": [1, 1, 1, 1], "G": [1, 1], "H": [1, 1, 1]}
    with pytest.raises(OracleAxisError, match="slices"):
        run(text, given)
    result = run(text, given, exports_only=True)
    np.testing.assert_array_equal(result.exports["Y"], [2, 4, 6, 0])
    assert "U" not in result.tensors
    alone = text.replace("U[k] = C[k-1] + G[0:2] H[0:3]\n", "")
    np.testing.assert_array_equal(value(alone, **given), [2, 4, 6, 4])
    with pytest.raises(OracleAxisError, match="'j'"):
        run(text.replace("F[k+j]", "E[j]"), {**given, "E": [1]}, exports_only=True)
    # A given tensor that nothing reads any more still sizes an axis, and its own fault does not count.
    text = "Y[k] = 3\nU[k] = C[k] + Y[k]\nV[k] = B[k]\nexport Y"
    assert run(text, {"B": [1, 2], "C": [1, 2]}, exports_only=True).exports["Y"].shape == (2,)
    text = "Y[k] = A[k]\nU[k] = C[k] + A[k]\nexport Y"
    assert run(text, {"A": [1, 2], "C": [1]}, exports_only=True).exports["Y"].shape == (2,)


def test_constants_and_positions_from_the_end() -> None:
    matrix = [[1, 2, 3], [4, 5, 6]]
    np.testing.assert_array_equal(value("L = 2\nY[i] = X[i, 0] + 10 X[i, -1] + 100 X[i, L-1]", X=matrix), [231, 564])
    with pytest.raises(OracleAxisError, match="position 3"):
        value("Y[i] = X[i, 3]", X=matrix)


def test_slices_pair_in_order() -> None:
    assert value("Y = W[0:3] X[1:4]", W=[1, 2, 3], X=[1, 2, 3, 4]) == 20
    np.testing.assert_array_equal(value("Y[i] = (M[i, 0:2] X[-2:])**2", M=[[1, 2], [0, 1]], X=[9, 3, 4]), [121, 16])
    np.testing.assert_array_equal(value("Y[0:2, i] = X[i, ::2]", X=[[1, 2, 3], [4, 5, 6]]), [[1, 4], [3, 6]])
    np.testing.assert_array_equal(value("Y[i] = exp(X[i, 0:2]) + W[i]", X=[[0, 0], [0, 0]], W=[1, 2]), [2, 3])
    with pytest.raises(OracleAxisError, match="beyond X"):
        value("Y[0:5] = X[0:5]", X=[1, 2])


_S = {"A": [1.0, 2.0], "B": [3.0, -4.0], "C": [0.5, 4.0], "D": [7.0]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Rule 1: what two factors have is summed over their product, and `D` is added once.
        ("Y = 2 (A[0:2] B[0:2] + sum(i: D[i]))", 2 * (-5 + 7)),
        ("Y = (A[0:2] B[0:2])**2", 25),
        ("Y = (A[0:2] B[0:2]) (C[0:2] C[0:2])", -5 * 16.25),
        ("Y = -(A[0:2] B[0:2] + sum(i: D[i]))", -2),
        # Not where it is visible elsewhere in the term: in another factor, another term of a parenthesis, a divisor.
        ("Y = (A[0:2] B[0:2]) (C[0:2] C[0:2]) A[0:2]", 3 * 0.25 + -16 * 16),
        ("Y = 2 (A[0:2] B[0:2] + C[0:2])", 2 * (-5 + 4.5)),
        ("Y = 2 (A[0:2] B[0:2] / C[0:2] + 1)", 2 * (6 - 2 + 2)),
        # A scope keeps what is visible in the rest of its term, in other terms of a parenthesis too.
        ("Y = 2 (sum(i: D[i]) / (1 + abs(B[0:2])) - A[0:2])", 2 * (7 / 4 - 1 + 7 / 5 - 2)),
        ("Y = sum(i: D[i]) / (1 + abs(B[0:2])) - A[0:2]", 7 / 2 - 3),  # a term of its own
        ("Y = abs(B[0:2]) A[0:2]", 3 + 8),
        ("Y = abs(B[0:2]) abs(A[0:2])", 1 * 3),
        ("Y = abs(A[0:2]) / B[0:2]", 1 / 3 - 2 / 4),
        ("Y = A[0:2] ((B[0:2] < 0) + 1)", 1 + 4),
        # A side of a comparison shows what it has; a function's argument does not show it back.
        ("Y = exp(A[0:2]) (B[0:2] < 0)", math.exp(1) + math.exp(2)),
    ],
)
def test_where_slices_are_summed(text: str, expected: float) -> None:
    assert value(text, **_S) == pytest.approx(expected)


def test_gathers() -> None:
    given = {"E": [[1, 2], [3, 4], [5, 6]], "T": [2, 0]}
    np.testing.assert_array_equal(value("Y[p, d] = E[T[p], d]", **given), [[5, 6], [1, 2]])
    # A position outside reads 0, before the first as well: it is computed, so it does not count from the end.
    np.testing.assert_array_equal(value("Y[p, d] = E[T[p]+1, d]", **given), [[0, 0], [3, 4]])
    np.testing.assert_array_equal(value("Y[p, d] = E[T[p]-1, d]", **given), [[3, 4], [0, 0]])


def test_pooling_keeps_a_ragged_block() -> None:
    given = {"X": [1, 5, 2, 3, -9]}
    np.testing.assert_array_equal(value("Y[x/2] max= X[x]", **given), [5, 3, -9])
    np.testing.assert_array_equal(value("Y[x/2] = X[x]", **given), [6, 5, -9])
    np.testing.assert_array_equal(value("Y[x/2] avg= X[x]", **given), [3, 2.5, -9])


def test_affine_left_hand_sides() -> None:
    np.testing.assert_array_equal(value("Y[2*i+1] = X[i]", X=[7, 8]), [0, 7, 0, 8])
    np.testing.assert_array_equal(value("Y[2*i] = X[i]\nY[2*i+1] = Z[i]", X=[1, 2], Z=[3, 4, 5]), [1, 3, 2, 4, 0, 5])
    np.testing.assert_array_equal(value("Y[i+2] max= X[i]", X=[7]), [-np.inf, -np.inf, 7])
    np.testing.assert_array_equal(value("Y[0, i] = X[i]\nY[2, i] = 2 X[i]", X=[7, 8]), [[7, 8], [0, 0], [14, 16]])


def test_a_bare_index_is_its_position() -> None:
    np.testing.assert_array_equal(value("axis p = 2, d = 3\nY[p, d] = even(d) p + 10 odd(d)"), [[0, 10, 0], [1, 10, 1]])
    np.testing.assert_array_equal(
        value("axis p = 3\nY[p, q] = q <= p"),
        [[1, 0, 0], [1, 1, 0], [1, 1, 1]],
    )


def test_wrong_sizes_are_never_broadcast() -> None:
    for wrong in ([1.0], [1.0, 2.0, 3.0]):
        with pytest.raises(OracleAxisError, match="'j'"):
            value("Y[i] = sum(j: W[i, j] X[j])", W=np.eye(2), X=wrong)
    with pytest.raises(OracleAxisError, match="declaration"):
        value("axis d = 4\nY[d] = 2 X[d]", X=[1, 2])
    with pytest.raises(OracleAxisError, match="never fits"):
        value("Y[x] = sum(dx: F[dx] X[x+dx])", F=[1, 2, 3], X=[1, 2])
    with pytest.raises(OracleAxisError, match="different lengths"):
        run("Y[i] = X[i+1]\nZ[i] = X[i+2]\nS = sum(i: Y[i] Z[i])", {"X": [1, 2, 3, 4]})
    np.testing.assert_array_equal(value("Y[i] = X[i+1]\nY[i] = X[i+2]", X=[1, 2, 3, 4]), [5, 7, 4])
    with pytest.raises(OracleAxisError, match="no source of size"):
        value("Y[i] = 3")
    with pytest.raises(OracleAxisError, match="axes"):
        value("Y[i] = X[i]", X=[[1]])
    assert value("Y[t] = X[t+1]", X=[]).shape == (0,)  # a given length 0 is no error


# Functions ---------------------------------------------------------------------------------------

_X = RNG.uniform(0.1, 0.9, (3, 4))


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("step(X[i, j] - 0.5)", (_X > 0.5) * 1.0),
        ("relu(X[i, j] - 0.5)", np.maximum(_X - 0.5, 0)),
        ("leaky_relu(-X[i, j])", -0.01 * _X),
        ("leaky_relu(-X[i, j], 0.5)", -0.5 * _X),
        ("sig(X[i, j])", 1 / (1 + np.exp(-_X))),
        ("sig(X[i, j], T=0.5)", 1 / (1 + np.exp(-2 * _X))),
        ("sig(X[i, j] - 0.5, 0)", (_X > 0.5) * 1.0),
        ("tanh(X[i, j])", np.tanh(_X)),
        ("gelu(X[i, j])", _X * 0.5 * (1 + np.vectorize(math.erf)(_X / np.sqrt(2)))),
        ('gelu(X[i, j], approximate="tanh")', 0.5 * _X * (1 + np.tanh(np.sqrt(2 / np.pi) * (_X + 0.044715 * _X**3)))),
        ("silu(X[i, j])", _X / (1 + np.exp(-_X))),
        ("softplus(X[i, j])", np.log1p(np.exp(_X))),
        ("exp(X[i, j])", np.exp(_X)),
        ("log(X[i, j])", np.log(_X)),
        ("sqrt(X[i, j])", np.sqrt(_X)),
        ("abs(-X[i, j])", _X),
        ("sign(X[i, j] - 0.5)", np.sign(_X - 0.5)),
        ("sin(X[i, j])", np.sin(_X)),
        ("cos(X[i, j])", np.cos(_X)),
        ("floor(3 X[i, j])", np.floor(3 * _X)),
        ("clip(X[i, j], 0.3, 0.6)", np.clip(_X, 0.3, 0.6)),
        ("max(X[i, j], 0.5)", np.maximum(_X, 0.5)),
        ("min(X[i, j], 0.5)", np.minimum(_X, 0.5)),
        ("cast(10 X[i, j], int64)", np.trunc(10 * _X)),
        ("cast(X[i, j], float32)", _X.astype(np.float32).astype(np.float64)),
        ("cast(X[i, j], float16)", _X.astype(np.float16).astype(np.float64)),
        ("softmax(X[i, j])", np.exp(_X) / np.exp(_X).sum(1, keepdims=True)),
        ("softmax(X[i, j], axis=i)", np.exp(_X) / np.exp(_X).sum(0, keepdims=True)),
        ('softmax(X[i, j], axis="i")', np.exp(_X) / np.exp(_X).sum(0, keepdims=True)),
        ("softmax(X[i, j], axis=0)", np.exp(_X) / np.exp(_X).sum(0, keepdims=True)),
        ("log_softmax(X[i, j])", _X - np.log(np.exp(_X).sum(1, keepdims=True))),
        (
            "masked_softmax(X[i, j], X[i, j] > 0.5)",
            np.where(_X > 0.5, np.exp(_X), 0)
            / np.maximum(np.where(_X > 0.5, np.exp(_X), 0).sum(1, keepdims=True), 1e-300),
        ),
        ("lnorm(X[i, j])", (_X - _X.mean(1, keepdims=True)) / np.sqrt(_X.var(1, keepdims=True) + 1e-5)),
        ("lnorm(X[i, j], 0.5)", (_X - _X.mean(1, keepdims=True)) / np.sqrt(_X.var(1, keepdims=True) + 0.5)),
        ("rmsnorm(X[i, j])", _X / np.sqrt((_X**2).mean(1, keepdims=True) + 1e-5)),
        ("cumsum(X[i, j])", np.cumsum(_X, 1)),
        ("topk(X[i, j], 2)", np.where(np.sort(_X, 1)[:, -2:-1] <= _X, _X, 0)),
        ("where(X[i, j] > 0.5, X[i, j], 0)", np.where(_X > 0.5, _X, 0)),
        ("case { X[i, j] > 0.6 -> 1; X[i, j] > 0.3 -> 2; default -> 3 }", np.select([_X > 0.6, _X > 0.3], [1, 2], 3)),
        ("case { X[i, j] > 0.6 -> 0; default -> 3 }", np.where(_X > 0.6, 0, 3)),
        ("case { X[i, j] > 0.6 -> 5 }", np.where(_X > 0.6, 5, 0)),
        ("(X[i, j] > 0.2 and not (X[i, j] > 0.7)) or X[i, j] == 0", ((_X > 0.2) & ~(_X > 0.7)) * 1.0),
    ],
)
def test_functions_against_numpy(call: str, expected: np.ndarray) -> None:
    np.testing.assert_allclose(value(f"Y[i, j] = {call}", X=_X), expected, rtol=1e-13, atol=1e-15)


def test_dotted_axis_and_argmax() -> None:
    expected = np.exp(_X) / np.exp(_X).sum(0, keepdims=True)
    np.testing.assert_allclose(value("Y[i., j] = softmax(X[i, j])", X=_X), expected)
    np.testing.assert_array_equal(value("Y[i] = argmax(X[i, j], axis=j)", X=_X), _X.argmax(1))


def test_cross_entropy_of_classes_and_of_probabilities() -> None:
    logs = _X - np.log(np.exp(_X).sum(1, keepdims=True))
    by_class = value("Y[e] = cross_entropy(X[e, c], T[e], axis=c)", X=_X, T=[3, 0, 1])
    np.testing.assert_allclose(by_class, [-logs[0, 3], -logs[1, 0], -logs[2, 1]])
    weights = RNG.dirichlet(np.ones(4), 3)
    got = value("Y = avg(e: cross_entropy(X[e, c], P[e, c], axis=c))", X=_X, P=weights)
    np.testing.assert_allclose(got, -(weights * logs).sum(1).mean())


def test_shape_functions() -> None:
    given = {"A": [[1, 2], [3, 4]], "B": [[5], [6]]}
    np.testing.assert_array_equal(value("Y[b, j] = concat(A[b, j], B[b, j], axis=j)", **given), [[1, 2, 5], [3, 4, 6]])
    np.testing.assert_array_equal(
        value("Y[b, d] = concat(Q[b, h, v], axis=d)", Q=np.arange(12).reshape(2, 2, 3)), np.arange(12).reshape(2, 6)
    )
    np.testing.assert_array_equal(value("Y[e, c] = one_hot(T[e], 3)", T=[2, 0]), [[0, 0, 1], [1, 0, 0]])
    np.testing.assert_array_equal(value("Y[p, q] = causal_mask(3)"), np.tril(np.ones((3, 3))))
