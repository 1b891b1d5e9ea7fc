"""The oracle judged by hand, further on: several equations for one tensor, relations, cycles, files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.oracle import OracleError, run
from tests.support.test_oracle import RNG, value


def test_equations_for_one_tensor_combine() -> None:
    np.testing.assert_array_equal(value("Y[i] = A[i]\nY[i] += B[i]\nY[0] = 100", A=[1, 2], B=[3, 4]), [104, 6])
    np.testing.assert_array_equal(value("Y[i] max= A[i]\nY[i] max= B[i]", A=[1, 9], B=[3, 4]), [3, 9])
    np.testing.assert_array_equal(value("Y[i] prod= A[i]\nY[i] prod= B[i]", A=[2, 9], B=[3, 4]), [6, 36])
    assert value("Y avg= A[i]\nY avg= B[j]", A=[1, 2], B=[6]) == 3
    assert value("Y min= A[i]", A=[4, 2]) == 2


def test_combinations_count_where_reads_lie_inside_and_filters_hold() -> None:
    np.testing.assert_array_equal(value("Y[t] avg= X[t-1]\nY[t] avg= 3 X[t]", X=[1, 2]), [3, 3.5, 2])
    mean = value("Y[t] avg= cross_entropy(X[t-1, c], T[t], axis=c)", X=np.zeros((2, 2)), T=[0, 1, 0])
    np.testing.assert_allclose(mean, [0, np.log(2), np.log(2)])
    text = "Edge(S, A)\nEdge(A, B)\nEdge(S, B)\nD[S] = 0\nD[y] min= Edge(x, y), D[x] + W[x, y]\nD[y]?"
    result = run(text, {"W": np.array([[1, 1, 5], [1, 1, 2], [1, 1, 1]])})
    assert result.answers == ([("S", 0.0), ("A", 1.0), ("B", 3.0)],)
    mean = value("Parent(Ann, Bob)\nParent(Ann, Cid)\nMean[x] avg= Parent(x, y) Age[y]", "Mean", Age=[10, 20])
    np.testing.assert_array_equal(mean, [15.0])


def test_rules_reach_their_closure_and_negation_comes_after() -> None:
    text = """
    Edge(A, B)
    Edge(B, C)
    Reach(x, y) <- Edge(x, y)
    Reach(x, z) <- Reach(x, y), Edge(y, z)
    Far(x, z) <- Reach(x, z), not Edge(x, z)
    Twin(x, y) <- Edge(x, z), Edge(y, z), x != A
    Count[x] = sum(y: Reach(x, y))
    Close(x, y) <- Sim[x, y] > 0.5
    Far(A, x)?
    """
    result = run(text, {"Sim": [[0.4, 0.6], [0.5, 1.0]]})
    assert result.tensors["Reach"].tolist() == [[False, True, True], [False, False, True], [False, False, False]]
    assert result.answers == ([("C",)],)
    assert result.tensors["Count"].tolist() == [2, 1, 0]
    assert result.tensors["Close"].tolist() == [[False, True], [False, True]]
    assert result.tensors["Twin"].sum() == 1


def test_numeric_tensors_read_as_truth_and_relations_as_numbers() -> None:
    np.testing.assert_array_equal(value("Y[i] = 3 X(i)", X=[2.0, -1.0]), [3, 0])
    np.testing.assert_array_equal(value("R(x) <- X[x] > 1\nY[x] = 5 R[x]", X=[2.0, 0.5]), [5, 0])


def test_symbols_are_numbered_by_facts_then_constants() -> None:
    text = "axis x = {Zoe}\nP(Bob, Ann)\nY[x] = P(x, Ann)\nZ = Q[Carl]"
    assert run(text, {"Q": [4.0]}).tensors["Z"] == 4
    assert run(text, {"Q": [4.0]}).tensors["Y"].tolist() == [0, 1]


# Cycles ------------------------------------------------------------------------------------------


def test_recurrences_forward_backward_and_grids() -> None:
    np.testing.assert_array_equal(value("N = 3\nX[0] = 1\nX[l+1] = 2 X[l]\nY = X[N]"), 8)
    np.testing.assert_array_equal(value("B[2] = 1\nB[t] = 2 B[t+1]", "B"), [4, 2, 1])
    got = value("axis i = 3, j = 3\nD[0, 0] = 1\nD[i, j] = D[i-1, j] + D[i, j-1]", "D")
    np.testing.assert_array_equal(got, [[1, 1, 1], [1, 2, 3], [1, 3, 6]])
    weights = np.stack([np.zeros((2, 2)), np.eye(2), 2 * np.eye(2)])
    got = value("X[0, k] = In[k]\nX[i+1, j] = sum(k: W[i+1, j, k] X[i, k])", "X", In=[1, 3], W=weights)
    np.testing.assert_array_equal(got, [[1, 3], [1, 3], [2, 6]])


def test_streams_equal_ordinary_recurrences() -> None:
    given = {"W": RNG.normal(size=(2, 2)), "V": RNG.normal(size=(2, 2)), "U": RNG.normal(size=(2, 3))}
    body = "tanh(sum(j: W[i, j] H[j, {t}]) + sum(j: V[i, j] U[j, t]))"
    stream = run(f"H[i, *t+1] = {body.format(t='*t')}\nY[i, t] = 2 H[i, *t]\nexport H, Y", given)
    stored = run(f"H[i, t+1] = {body.format(t='t')}\nY[i, t] = 2 H[i, t]\nexport H, Y", given)
    np.testing.assert_allclose(stream.tensors["H"], stored.tensors["H"])
    np.testing.assert_allclose(stream.exports["H"], stored.exports["H"][:, -1])
    assert stream.exports["Y"].shape == (2, 4)
    h = np.zeros(2)
    for t in range(3):
        h = np.tanh(given["W"] @ h + given["V"] @ given["U"][:, t])
    np.testing.assert_allclose(stream.exports["H"], h)
    again = run(f"H[i, *t+1] = {body.format(t='*t')}", {**given, "H": h})
    np.testing.assert_allclose(again.tensors["H"][:, 0], h)
    alone = run("H[*t+1] = H[*t] + 1\nexport H", {})
    assert alone.exports["H"] == 1


def test_numeric_fixpoint_converges_to_the_solution() -> None:
    matrix = np.array([[0.2, 0.3], [0.1, 0.4]])
    got = value("X[i] = sum(j: A[i, j] X[j]) + B[i]", "X", A=matrix, B=[1.0, 2.0])
    np.testing.assert_allclose(got, np.linalg.solve(np.eye(2) - matrix, [1, 2]), rtol=1e-10)
    with pytest.raises(OracleError, match="converge"):
        run("X = 2 X + A", {"A": 1.0}, max_iterations=50)


# Files, literals, exports ------------------------------------------------------------------------


def test_sources_sinks_literals_and_default_exports(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.array([[1.0, 2.0], [3.0, 4.0]]))
    text = 'W[i, j] = "w.npy"\nV = [1, -2]\nHalf = const(0.5)\nY[i] = sum(j: W[i, j] V[j] Half)\n"out.npy" = Y[i] + W[i, j]'
    result = run(text, folder=tmp_path)
    assert list(result.exports) == ["Y"]
    np.testing.assert_array_equal(result.exports["Y"], [-1.5, -2.5])
    np.testing.assert_array_equal(result.sinks["out.npy"], [[-0.5, 0.5], [0.5, 1.5]])
