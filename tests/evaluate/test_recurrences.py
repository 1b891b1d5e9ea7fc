"""Recurrences on NumPy: as loops over positions give them."""

from __future__ import annotations

import numpy as np
import pytest

from fuse_ref import ExecutionConfig, NonFiniteError, Program
from tests.support.oracle import run as oracle
from tests.support.recurrence_programs import PROGRAMS, numbers


@pytest.mark.parametrize("name", PROGRAMS)
def test_as_by_loops(name: str) -> None:
    item = PROGRAMS[name]
    program = Program(item.text)
    runner = program.compile("numpy", config=ExecutionConfig(precision="auto"))
    for seed, length, dtype in ((0, 5, np.float32), (1, 5, np.float64), (2, 1, np.float64), (3, 3, np.float64)):
        given = {key: value.astype(dtype) for key, value in item.inputs(numbers(seed), length).items()}
        found = runner(given)
        wanted = oracle(program.explicit(), given).exports
        for key, value in found.items():
            tolerance = 1e-5 if dtype == np.float32 else 1e-12
            np.testing.assert_allclose(value, wanted[key], tolerance, tolerance, err_msg=f"{key}, length {length}")


def test_no_positions() -> None:
    runner = Program("H[i, t+1] = tanh(W[i, j] H[j, t] + U[i, t])\nexport H").compile("numpy")
    assert runner(W=np.ones((3, 3)), U=np.ones((3, 0)))["H"].tolist() == [[0], [0], [0]]
    assert runner(W=np.ones((0, 0)), U=np.ones((0, 2)))["H"].shape == (0, 3)


def test_nothing_outside_is_written_over() -> None:
    program = Program("A[i] = 2 X[i]\nH[t+1, i] = exp(H[t, i] A[i]) + U[t, i]\nexport H, A")
    given = {"X": np.linspace(-1, 0, 20_000), "U": np.ones((4, 20_000))}
    copies = {name: value.copy() for name, value in given.items()}
    runner = program.compile("numpy", config=ExecutionConfig(precision="float64"))
    first = runner(given)
    second = runner(given)
    for name, value in copies.items():
        assert np.array_equal(given[name], value)
    assert np.array_equal(first["A"], 2 * copies["X"])
    assert np.array_equal(first["H"], second["H"])


def test_what_does_not_depend_on_the_group_is_computed_before_the_steps() -> None:
    plan = Program("H[i, t+1] = tanh(W[i, j] H[j, t] + V[i, k] U[k, t] + B[i])\nexport H").plan()
    before, moving = plan.steps
    assert [type(operation).__name__ for operation in before.operations] == ["Contract", "Map"]
    assert moving.recurrence is not None
    (body,) = moving.recurrence.body
    assert [type(operation).__name__ for operation in body.operations] == ["Contract", "Map", "Map"]


def test_layers_need_no_masks() -> None:
    (moving,) = (step for step in Program(PROGRAMS["layers"].text).plan().steps if step.recurrence is not None)
    assert moving.recurrence is not None
    assert all(item.inside for item in moving.recurrence.slices)
    assert {carry.output.out: carry.kept for carry in moving.recurrence.carries} == {"S": True, "Q": False}


def test_checked_runs_name_the_tensor() -> None:
    config = ExecutionConfig(checked=True)
    runner = Program("H[t+1] = H[t] / U[t] + 1\nexport H").compile("numpy", config=config)
    assert runner(U=np.ones(3))["H"].tolist() == [0, 1, 2, 3]
    with pytest.raises(NonFiniteError, match="H"):
        runner(U=np.asarray([1.0, 0.0, 1.0]))
    best = Program("V[s', *t+1] max= V[s, *t] + Tr[s, s'] + E[s', t]\nV[s, 0] max= P[s]\nexport V")
    found = best.compile("numpy", config=config)(Tr=np.ones((2, 2)), E=np.ones((2, 3)), P=np.ones(2))["V"]
    assert found.tolist() == [7, 7]


def test_filters_count_beside_equations_that_begin_later() -> None:
    text = """
    A[t] max= -0.73 B[t-3] + U[t]
    B[t+1] max= (U[t] > 0.5) (A[t] + 0.61 B[t-1])
    B[0] max= U[0]
    B[1] max= U[1]
    export A, B
    """
    program = Program(text)
    for seed in (0, 1):
        given = {"U": numbers(seed)(7).astype(np.float64) + 0.5}
        found = program.compile("numpy", config=ExecutionConfig(precision="float64"))(given)
        for key, value in oracle(program.explicit(), given).exports.items():
            np.testing.assert_allclose(found[key], value, 1e-9, 1e-12)
