"""What a newcomer writes first: the same answers on every engine, all derived or on demand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fuse_ref import ExecutionConfig, Program

BACKENDS = ("numpy", "torch", "jax")
PAIRS = [("Alice", "Bob"), ("Bob", "Charlie"), ("Bob", "Dora"), ("Charlie", "Emil")]
RULES = """\
Parent(x, y) = "parent.tsv"
Ancestor(x, y) <- Parent(x, y)
Ancestor(x, z) <- Ancestor(x, y), Parent(y, z)
Sibling(x, y) <- Parent(p, x), Parent(p, y), x != y
Root(x) <- Parent(x, _), not Parent(_, x)
"""


def family(folder: Path, more: str = "") -> Program:
    (folder / "parent.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in PAIRS), encoding="utf-8")
    return Program(RULES + more, path=folder / "family.fuse")


@pytest.mark.parametrize("mode", ["auto", "demand"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_answers(backend: str, mode: str, tmp_path: Path) -> None:
    # Twice the same plan: with and without an export, what is asked for differs and the rules do not.
    queries = "Ancestor(Bob, x)?\nAncestor(x, Emil)?\nAncestor(Emil, Alice)?\nAncestor(Nobody, x)?\nSibling(x, y)?\n"
    for more in ("export Ancestor\n", ""):
        runner = family(tmp_path, queries + more).compile(backend, config=ExecutionConfig(mode=mode))
        runner()
        assert [set(answer.rows) for answer in runner.answers] == [
            {("Charlie",), ("Dora",), ("Emil",)},
            {("Alice",), ("Bob",), ("Charlie",)},
            set(),
            set(),
            {("Charlie", "Dora"), ("Dora", "Charlie")},
        ]
        assert set(runner.query("Root(x)?").rows) == {("Alice",)}
        assert runner.query("Ancestor(Alice, Emil)?").rows == ((),)


@pytest.mark.parametrize("backend", BACKENDS)
def test_new_inputs_on_demand(backend: str) -> None:
    text = "input Edge(x, y)\nReach(x, y) <- Edge(x, y)\nReach(x, z) <- Reach(x, y), Edge(y, z)\nReach(0, x)?\n"
    runner = Program(text).compile(backend, config=ExecutionConfig(mode="demand"))
    for pairs, found in (([(0, 1), (1, 2), (3, 4)], {1, 2}), ([(0, 4)], {4}), ([(1, 0)], set())):
        runner(Edge=np.array(pairs))
        assert {x for (x,) in runner.answers[0].rows} == found


def test_explanations_speak_as_programs_do(tmp_path: Path) -> None:
    runner = family(tmp_path, "P(Ann); P(Bob)\nBig(x) <- X[x] > 1\nexport Root, P, Big\n").compile("numpy")
    runner(X=np.arange(6.0))
    text = str(runner.explain())
    assert "rule Root(x) <- Parent(x, _), not Parent(_, x): 1 new tuple, join: Parent, not Parent" in text
    assert "facts of P: 2\n" in text
    assert "rule Big(x) <- X[x] > 1: 4 new tuples, join: every position" in text
    assert "not Parent(_, Alice)   no tuple fits" in str(runner.why("Root(Alice)"))
    assert "not Parent(_, Bob)   Parent(Alice, Bob) holds" in str(runner.why_not("Root(Bob)"))
