"""Gathers, scatters and quotients at their edges: no rows, one row, no index, far outside, other types, errors."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from fuse_ref import AxisError, DtypeError, ExecutionConfig, Program

ENGINES = ("numpy", "torch", "jax")
every_engine = pytest.mark.parametrize("engine", ENGINES)


def run(text: str, engine: str, **given: object) -> np.ndarray:
    """The only export of a program."""
    (found,) = Program(text).compile(engine, config=ExecutionConfig(precision="float32"))(given).values()
    return np.asarray(found)


def rows(table: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Row by row; zeros for those outside."""
    result = np.zeros((*positions.shape, *table.shape[1:]), table.dtype)
    for place in np.ndindex(positions.shape):
        if 0 <= positions[place] < len(table):
            result[place] = table[positions[place]]
    return result


@every_engine
@pytest.mark.parametrize(("n", "m"), list(itertools.product((0, 1, 4), (0, 1, 5))))
def test_tables_and_indices_of_any_length(engine: str, n: int, m: int) -> None:
    for seed in range(2):
        rng = np.random.default_rng([n, m, seed])
        table = rng.normal(size=(n, 3)).astype(np.float32)
        index = rng.integers(-2, n + 2, (m, 2))
        np.testing.assert_array_equal(run("Y[p, q, d] = E[X[p, q], d]", engine, E=table, X=index), rows(table, index))
        shifted = rows(np.ascontiguousarray(table.T[1]), index[:, 0] + 1)
        np.testing.assert_array_equal(run("Y[p] = E[X[p, 0]+1, 1]", engine, E=table, X=index), shifted)
        across = rows(table, index[:, 1]).T
        np.testing.assert_array_equal(run("Y[d, p] = E[d, X[p, 1]]", engine, E=table.T, X=index), across)
        both = run("Y[p, q] = E[X[p, q], X[p, q]]", engine, E=table, X=index)
        np.testing.assert_array_equal(both, rows(np.diagonal(table), index))


@every_engine
@pytest.mark.parametrize(("n", "m"), [(1, 0), (1, 3), (4, 0), (4, 9)])
@pytest.mark.parametrize("operator", ["=", "max=", "min=", "prod=", "avg="])
def test_scatters_of_any_length(engine: str, n: int, m: int, operator: str) -> None:
    combine = {"=": np.sum, "max=": np.max, "min=": np.min, "prod=": np.prod, "avg=": np.mean}[operator]
    empty = {"=": 0, "max=": -np.inf, "min=": np.inf, "prod=": 1, "avg=": 0}[operator]
    text = f"axis n = {n}\nY[X[p], d] {operator} Z[p, d]\nO[n, d] = Y[n, d]\nexport O"
    for seed in range(2):
        rng = np.random.default_rng([n, m, seed])
        values, index = rng.normal(size=(m, 2)).astype(np.float32), rng.integers(-2, n + 2, m)
        expected = np.full((n, 2), empty, np.float32)
        for place in range(n):
            if (index == place).any():
                expected[place] = combine(values[index == place], axis=0)
        np.testing.assert_allclose(run(text, engine, Z=values, X=index), expected, rtol=1e-6, atol=1e-7)


@every_engine
@pytest.mark.parametrize("n", [0, 1, 3])
def test_quotients_of_any_length(engine: str, n: int) -> None:
    values = np.random.default_rng(n).normal(size=n).astype(np.float32)
    np.testing.assert_array_equal(run("Y[x] = P[x/3]", engine, P=values), np.repeat(values, 3))
    others = np.ones(9, np.float32)
    expected = [values[(x - 4) // 2] if 0 <= (x - 4) // 2 < n else 0 for x in range(9)]
    np.testing.assert_array_equal(run("Y[x] = P[(x-4)/2] B[x]", engine, P=values, B=others), expected)


@every_engine
def test_positions_far_outside_read_0(engine: str) -> None:
    kind = np.iinfo(np.int32 if engine == "jax" else np.int64)
    index = np.array([kind.max, kind.min, 1, -1, 3])
    table = np.array([5.0, 6.0, 7.0], np.float32)
    np.testing.assert_array_equal(run("Y[p] = E[X[p]]", engine, E=table, X=index), [0, 0, 6, 0, 0])
    # One more than the largest number there is wraps round: still outside.
    np.testing.assert_array_equal(run("Y[p] = E[X[p]+1]", engine, E=table, X=index), [0, 0, 7, 5, 0])
    np.testing.assert_array_equal(run("Y[p] = E[X[p]-1]", engine, E=table, X=index), [0, 0, 5, 0, 7])


@every_engine
def test_what_is_not_read_cannot_spoil_a_result(engine: str) -> None:
    table = np.array([[np.inf, np.nan], [1, 2], [-np.inf, np.nan]], np.float32)
    found = run("Y[p, d] = E[X[p], d]", engine, E=table, X=np.array([-1, 1, 3]))
    np.testing.assert_array_equal(found, [[0, 0], [1, 2], [0, 0]])


@every_engine
def test_tables_of_other_types(engine: str) -> None:
    index = np.array([2, 0, 5, -1])
    large = np.array([2**30 + 1, 3, -(2**30) - 1])
    found = run("input N[i]: int64\nY[p] = N[X[p]]", engine, N=large, X=index)
    np.testing.assert_array_equal(found, [-(2**30) - 1, 2**30 + 1, 0, 0])
    assert found.dtype.kind == "i"
    relation = np.array([[True, False], [False, False], [True, True]])
    found = run("input R(x, y)\nY[p] = R[X[p], y] W[y]", engine, R=relation, X=index, W=np.array([1.0, 10.0]))
    np.testing.assert_array_equal(found, [11, 1, 0, 0])


@every_engine
def test_averages_leave_out_what_lies_outside(engine: str) -> None:
    table, index = np.array([2.0, 4.0, -6.0], np.float32), np.array([[0, 1], [2, 3], [-1, 7]])
    np.testing.assert_array_equal(run("Y[i] avg= E[X[i, k]]", engine, E=table, X=index), [3, -6, 0])
    np.testing.assert_array_equal(run("Y[i] max= E[X[i, k]]", engine, E=table, X=index), [4, -6, -np.inf])
    # A sum written out is the combination's own matter: there what lies outside is 0.
    np.testing.assert_array_equal(run("Y[i] max= sum(k: E[X[i, k]])", engine, E=table, X=index), [6, -6, 0])


@every_engine
def test_checked_runs_name_what_points_outside(engine: str) -> None:
    runner = Program("Y[p, q] = E[X[p, q]+1, 0]").compile(engine, config=ExecutionConfig(checked=True))
    table = np.ones((3, 2), np.float32)
    runner(E=table, X=np.array([[0, 1], [-1, 1]]))
    with pytest.raises(AxisError, match=r"X\[p, q\]\+1 is 3 at p = 1, q = 0, but E has 3 positions there") as caught:
        runner(E=table, X=np.array([[0, 1], [2, -9]]))
    assert caught.value.code == "FUSE214"
    writer = Program("axis n = 3; Y[X[p]] = Z[p]; Y[n] += 0").compile(engine, config=ExecutionConfig(checked=True))
    writer(Z=np.ones(2, np.float32), X=np.array([0, 2]))
    with pytest.raises(AxisError, match=r"X\[p\] is -1 at p = 1, but Y has 3 positions there"):
        writer(Z=np.ones(2, np.float32), X=np.array([0, -1]))


@every_engine
def test_an_index_of_floats_is_refused(engine: str) -> None:
    with pytest.raises(DtypeError, match="X"):
        run("Y[p] = E[X[p]]", engine, E=np.ones(3), X=np.array([0.0, 1.0]))
