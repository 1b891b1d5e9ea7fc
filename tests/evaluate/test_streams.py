"""Streams on NumPy: one call over a sequence, calls over parts of it, and the state between them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from fuse_ref import ExecutionConfig, InputError, Program, UnboundTensorError
from tests.support.oracle import run as oracle
from tests.support.recurrence_programs import Draw, numbers

FOLDER = Path(__file__).parents[1] / "programs"

Given = Mapping[str, np.ndarray]
# Text, what stays the same from call to call, and the shapes of what goes along t (-1 is its length).
PROGRAMS: dict[str, tuple[str, Callable[[Draw], Given], Mapping[str, tuple[int, ...]]]] = {
    "paper": (
        (FOLDER / "paper_rnn.fuse").read_text(),
        lambda draw: {"W": draw(3, 3), "V": draw(3, 3)},
        {"U": (3, -1)},
    ),
    "a fixed first position": ("S[0] = 5\nS[*t+1] = 0.5 S[*t] + U[t]\nexport S", lambda draw: {}, {"U": (-1,)}),
    "streams of streams": (
        "S[i, *t+1] = 0.5 S[i, *t] + U[i, t]\nY[i, *t] = 2 S[i, *t] - S[i, *t-1]\nZ[*t] = Y[i, *t+1]\nexport Z, Y, S",
        lambda draw: {},
        {"U": (2, -1)},
    ),
    "written at t": (
        "H[i, *t] = 0.5 H[i, *t-1] + 0.1 H[i, *t-3] + U[i, t]\nexport H",
        lambda draw: {},
        {"U": (2, -1)},
    ),
    "window of 4": (
        "H[b, *t+1] = 0.5 H[b, *t] + 0.1 H[b, *t-3] + U[t, b]\nexport H",
        lambda draw: {},
        {"U": (-1, 2)},
    ),
    "two ahead": ("S[*t+2] = 0.5 S[*t+1] - 0.3 S[*t] + U[t]\nexport S", lambda draw: {}, {"U": (-1,)}),
    "best path": (
        "V[s', *t+1] max= V[s, *t] + Tr[s, s'] + E[s', t]\nV[s, 0] max= P[s]\nexport V",
        lambda draw: {"Tr": draw(3, 3), "P": draw(3)},
        {"E": (3, -1)},
    ),
    "lstm": (
        """
        I[h, *t] = sig(Wi[h, d] X[t, d] + Ui[h, k] H[k, *t-1])
        F[h, *t] = sig(Wf[h, d] X[t, d] + Uf[h, k] H[k, *t-1])
        G[h, *t] = tanh(Wg[h, d] X[t, d] + Ug[h, k] H[k, *t-1])
        C[h, *t] = F[h, *t] C[h, *t-1] + I[h, *t] G[h, *t]
        H[h, *t] = I[h, *t] tanh(C[h, *t])
        export H, C
        """,
        lambda draw: {f"{a}{b}": draw(3, 2) if a == "W" else draw(3, 3) for a in "WU" for b in "ifg"},
        {"X": (-1, 2)},
    ),
    "positions as numbers": (
        "S[i, *t+1] = 0.5 S[i, *t] + (t + 1) U[i, t]\nY[i, *t] = S[i, *t] sin(t / 3)\nZ[*t] = Y[i, *t+1] t\nexport S, Y, Z",
        lambda draw: {},
        {"U": (2, -1)},
    ),
    "between dense layers": (
        """
        D[i, t] = relu(A[i, j] U[j, t])
        S[i, *t+1] = 0.5 S[i, *t] + D[i, t]
        P[i, *t] = 0.9 P[i, *t-1] + S[i, *t+1]
        Y[k] = Q[k, i] P[i, *t]
        export P
        """,
        lambda draw: {"A": draw(2, 2), "Q": draw(2, 2)},
        {"U": (2, -1)},
    ),
}


def _sequence(draw: Draw, shapes: Mapping[str, tuple[int, ...]], length: int) -> dict[str, np.ndarray]:
    return {name: draw(*(length if size == -1 else size for size in shape)) for name, shape in shapes.items()}


@pytest.mark.parametrize("name", PROGRAMS)
def test_as_by_loops_and_in_parts(name: str) -> None:
    text, fixed, shapes = PROGRAMS[name]
    program = Program(text)
    runner = program.compile("numpy", config=ExecutionConfig(precision="float64"))
    for seed, cuts in ((0, (0, 7)), (1, (0, 1, 3, 7)), (2, (0, 1)), (3, (0, 3, 4, 5))):
        draw = numbers(seed)
        still, sequence = fixed(draw), _sequence(draw, shapes, cuts[-1])
        wanted = oracle(program.explicit(), {**still, **sequence}).exports
        runner.reset_state()
        for start, stop in itertools.pairwise(cuts):
            part = {
                key: np.take(value, range(start, stop), axis=shapes[key].index(-1)) for key, value in sequence.items()
            }
            found = runner({**still, **part})
        for key, value in found.items():
            np.testing.assert_allclose(value, wanted[key], 1e-9, 1e-12, err_msg=f"{key}, parts {cuts}")


def test_other_equations_see_all_states() -> None:
    runner = Program("S[*t+1] = S[*t] + U[t]\nA[t] = S[*t]\nB[t] = S[*t+1]\nexport A, B, S").compile("numpy")
    first = runner(U=[1.0, 2.0, 3.0])
    assert {name: np.asarray(value).tolist() for name, value in first.items()} == {
        "A": [0, 1, 3, 6],
        "B": [1, 3, 6],
        "S": 6,
    }
    assert runner(U=[4.0])["A"].tolist() == [6, 10]


def test_one_call_is_one_step_where_nothing_goes_along() -> None:
    runner = Program("C[*t+1] = C[*t] + 1\nQ[i, *t] = C[*t] X[i]\nexport Q, C").compile("numpy")
    found = [(runner(X=[1.0, 2.0])["Q"].tolist(), int(runner.state["C"][0])) for _ in range(3)]
    assert found == [([1, 2], 1), ([2, 4], 2), ([3, 6], 3)]


def test_state_is_read_loaded_and_reset() -> None:
    text = "H[i, *t+1] = 0.5 H[i, *t] + 0.25 H[i, *t-1] + U[i, t]\nexport H"
    runner, other = (Program(text).compile("numpy") for _ in range(2))
    given = {"U": np.ones((2, 3))}
    assert runner.state == {}
    runner(given)
    state = runner.state
    assert {name: value.shape for name, value in state.items()} == {"H": (2, 2)}
    kept = state["H"].copy()
    other.load_state(state)
    assert np.array_equal(other(given)["H"], runner(given)["H"])
    assert np.array_equal(state["H"], kept)
    assert np.array_equal(runner.state["H"][-1], runner.state["H"][-1])
    runner.reset_state()
    assert runner.state == {}
    anew = runner(given)["H"]
    assert np.array_equal(anew, Program(text).compile("numpy")(given)["H"])
    with pytest.raises(InputError, match="no stream of that name"):
        runner.load_state({"U": np.ones(2)})


def test_an_input_of_a_streams_name_is_its_start() -> None:
    program = Program("H[i, *t+1] = 0.5 H[i, *t] + U[i, t]\nexport H")
    runner = program.compile("numpy")
    given = {"U": np.ones((2, 3)), "H": np.asarray([2.0, 4.0])}
    wanted = oracle(program.explicit(), given).exports["H"]
    for _ in range(2):
        assert np.allclose(runner(given)["H"], wanted)
    with pytest.raises(InputError, match=r"the state of H has shape \(3,\), but this call needs \(2,\)"):
        runner(U=np.ones((2, 3)), H=np.ones(3))


def test_a_batch_of_another_size_needs_another_state() -> None:
    runner = Program("H[b, *t+1] = 0.5 H[b, *t] + U[b, t]\nexport H").compile("numpy")
    runner(U=np.ones((2, 3)))
    with pytest.raises(InputError, match=r"the state of H has shape \(1, 2\), but this call needs \(1, 4\)"):
        runner(U=np.ones((4, 3)))
    runner.reset_state()
    assert runner(U=np.ones((4, 3)))["H"].shape == (4,)


def test_a_call_that_fails_leaves_the_state() -> None:
    runner = Program("H[*t+1] = H[*t] + U[t]\nexport H").compile("numpy")
    runner(U=[1.0])
    with pytest.raises(UnboundTensorError):
        runner({})
    assert runner.state["H"].tolist() == [1]
    assert runner(U=[1.0])["H"] == 2


def test_no_positions_leave_the_state() -> None:
    runner = Program("H[*t+1] = H[*t] + U[t]\nexport H").compile("numpy")
    runner(U=[3.0])
    assert runner(U=np.ones(0))["H"] == 3
    assert runner.state["H"].tolist() == [3]


def test_equations_beside_a_stream_count_on_too() -> None:
    runner = Program("S[*t+1] = S[*t] + U[t]\nA[t] = S[*t+1] t\nexport A, S").compile("numpy")
    assert runner(U=[1.0, 1.0])["A"].tolist() == [0, 2]
    assert runner(U=[1.0])["A"].tolist() == [6]
    assert runner.state["S~position"].tolist() == [3]


@pytest.mark.parametrize("read", ["H[j, *t]", "H[j, *t+1]", "H[j, *t-1]"])
def test_layers_above_each_other_keep_in_step(read: str) -> None:
    program = Program(
        f"H[i, *t+1] = tanh(H[i, *t] + U[i, t])\nG[i, *t+1] = tanh(W[i, j] {read} + G[i, *t])\nexport G, H"
    )
    runner, whole = (program.compile("numpy", config=ExecutionConfig(precision="float64")) for _ in range(2))
    draw = numbers(0)
    w, u = draw(2, 2), draw(2, 6)
    states, above = [np.zeros(2)] * 2, np.zeros(2)
    for t in range(6):
        states.append(np.tanh(states[-1] + u[:, t]))
        seen = {"H[j, *t]": states[-2], "H[j, *t+1]": states[-1], "H[j, *t-1]": states[-3]}[read]
        above = np.tanh(w @ seen + above)
    assert np.allclose(whole(W=w, U=u)["G"], above)
    for start, stop in ((0, 1), (1, 2), (2, 6)):
        found = runner(W=w, U=u[:, start:stop])
    assert np.allclose(found["G"], above)
    assert np.allclose(found["H"], states[-1])


def test_a_stream_beside_an_input_takes_as_many_steps() -> None:
    program = Program("C[*t+1] = C[*t] + 1\nS[*t+1] = S[*t] + C[*t] U[t]\nexport S, C")
    runner = program.compile("numpy")
    wanted = oracle(program.explicit(), {"U": np.ones(5)}).exports
    assert (runner(U=np.ones(2))["S"], runner(U=np.ones(3))["S"]) == (1, wanted["S"]) == (1, 10)
