"""The oracle on programs of the paper that no engine runs yet, against NumPy written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fuse_ref import Program
from tests.support.oracle import OracleResult, run

PROGRAMS = Path(__file__).parent.parent / "programs"
RNG = np.random.default_rng(3)


def judge(name: str, **given: Any) -> OracleResult:
    program = Program.from_file(PROGRAMS / f"{name}.fuse")
    return run(program.explicit(), given, folder=PROGRAMS)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def test_layers_as_a_recurrence() -> None:
    for depth in (3, 5):  # Out reads layer 3 whatever comes after it
        W, x = RNG.normal(size=(depth + 1, 3, 3)), RNG.normal(size=3)
        layer = x
        for i in range(3):
            layer = sigmoid(W[i + 1] @ layer)
        np.testing.assert_allclose(judge("paper_mlp", W=W, Input=x).exports["Out"], layer)


def test_loss_over_layers() -> None:
    data, W, Y = RNG.normal(size=(4, 2)), RNG.normal(size=(3, 2, 2)), RNG.normal(size=(4, 2))
    layer = data
    for i in range(2):
        layer = sigmoid(layer @ W[i + 1].T)
    np.testing.assert_allclose(judge("paper_loss", Data=data, W=W, Y=Y).exports["Loss"], ((Y - layer) ** 2).sum())


def test_stream() -> None:
    for steps in (5, 1):
        W, V, U = RNG.normal(size=(3, 3)), RNG.normal(size=(3, 3)), RNG.normal(size=(3, steps))
        state = np.zeros(3)
        for t in range(steps):
            state = sigmoid(W @ state + V @ U[:, t])
        np.testing.assert_allclose(judge("paper_rnn", W=W, V=V, U=U).exports["X"], state)


def test_graph_network_over_facts() -> None:
    X, WP = RNG.normal(size=(3, 2)), RNG.normal(size=(2, 2, 2))
    WA, WS, WO = RNG.normal(size=(2, 2)), RNG.normal(size=(2, 2)), RNG.normal(size=2)
    neighbours = np.array([[0, 1, 0], [1, 0, 1], [0, 0, 0]])
    found = judge("paper_gnn", X=X, WP=WP, WAgg=WA, WSelf=WS, WOut=WO).exports
    emb = X
    for layer in range(2):
        z = np.maximum(emb @ WP[layer].T, 0)
        emb = np.maximum(neighbours @ z @ WA.T + emb @ WS.T, 0)
    np.testing.assert_allclose(found["Node"], sigmoid(emb @ WO))
    np.testing.assert_allclose(found["Edge"], sigmoid(emb @ emb.T))
    np.testing.assert_allclose(found["Graph"], sigmoid((emb @ WO).sum()))


def test_rules_and_embeddings() -> None:
    assert judge("paper_datalog").answers == ([("Bob",), ("Charlie",)], [()], [("Charlie",)])
    found = judge("dialect_logic").exports
    reach = np.array([[0, 1, 1], [0, 0, 1], [0, 0, 0]])
    emb = np.array([[1, 0], [0, 1], [0.6, 0.8]])
    relation = emb.T @ reach @ emb
    np.testing.assert_array_equal(found["Reach"], reach)
    np.testing.assert_allclose(found["Score"], sigmoid(emb @ relation @ emb.T / 0.5))
    np.testing.assert_allclose(found["State"], np.maximum(emb[0], 0))  # no inputs: one step
    emb = RNG.normal(size=(6, 4)) / 4
    found = judge("paper_reasoning", Emb=emb).exports
    sister, parent = np.zeros((6, 6)), np.zeros((6, 6))
    # Symbols in the order of the facts: Ann, Bob, Eve, Dan, Cid, Fay.
    sister[0, 1] = sister[2, 3] = parent[1, 4] = parent[3, 5] = 1
    aunt = (emb.T @ sister @ emb) @ (emb.T @ parent @ emb)
    np.testing.assert_allclose(found["Aunt"], sigmoid((emb @ aunt @ emb.T - 0.5) / 0.1), rtol=1e-9)
