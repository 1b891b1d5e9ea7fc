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


@pytest.mark.parametrize("backend", BACKENDS)
def test_explanations_speak_as_programs_do(backend: str, tmp_path: Path) -> None:
    runner = family(
        tmp_path, "P(Ann); P(Bob)\nOnly(z) <- P(z), z != Bob\nBig(x) <- X[x] > 1\nexport Root, P, Only, Big\n"
    ).compile(backend, config=ExecutionConfig(route="reference"))
    runner(X=np.arange(6.0))
    text = str(runner.explain())
    assert "rule Root(x) <- Parent(x, _), not Parent(_, x): 1 new tuple, join: Parent, not Parent" in text
    assert "facts of P: 2\n" in text
    assert "rule Big(x) <- X[x] > 1: 4 new tuples, join: every position" in text
    assert "not Parent(_, Alice)   no tuple fits" in str(runner.why("Root(Alice)"))
    assert "not Parent(_, Bob)   Parent(Alice, Bob) holds" in str(runner.why_not("Root(Bob)"))


@pytest.mark.parametrize("setting", [{"logic": "dense"}, {"mode": "fixpoint"}], ids=["dense", "fixpoint"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_settings_do_not_change_what_holds(backend: str, setting: dict[str, str], tmp_path: Path) -> None:
    program = family(tmp_path, "export Ancestor, Sibling, Root\n")
    found = program.compile(backend, config=ExecutionConfig(**setting))()  # type: ignore[arg-type]
    expected = program.compile("numpy")()
    assert len(expected["Ancestor"]) == 8
    assert {name: set(value.rows) for name, value in found.items()} == {
        name: set(value.rows) for name, value in expected.items()
    }


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_relation_times_numbers(backend: str) -> None:
    runner = Program("""\
        input Edge(x, y)
        Two(x, z) <- Edge(x, y), Edge(y, z)
        Sum[x, d] = Two(x, y) V[y, d]
        Both[d, e] = Edge(x, y) V[x, d] V[y, e]
        Most[x] max= Two(x, y), V[y, 0]
        Near(x, y) <- Two(x, y), Sum[x, 0] > 1
        export Sum, Both, Most, Near""").compile(backend)
    for pairs in ([(0, 1), (1, 2), (1, 3), (3, 0)], [(2, 2)]):
        values = np.random.default_rng(len(pairs)).uniform(0, 2, (4, 2)).astype(np.float32)
        found = runner(Edge=pairs, V=values)
        two = {(x, z) for x, y in pairs for u, z in pairs if y == u}
        total = [sum((values[z] for x, z in two if x == k), np.zeros(2)) for k in range(4)]
        both = sum(np.outer(values[x], values[y]) for x, y in pairs)
        most = [max((values[z][0] for x, z in two if x == k), default=-np.inf) for k in range(4)]
        np.testing.assert_allclose(np.asarray(found["Sum"]), total, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(np.asarray(found["Both"]), both, rtol=1e-5)
        np.testing.assert_allclose(np.asarray(found["Most"]), most, rtol=1e-6)
        assert set(found["Near"].rows) == {(x, z) for x, z in two if total[x][0] > 1}


@pytest.mark.parametrize("backend", BACKENDS)
def test_facts_alone(backend: str) -> None:
    runner = Program("P(Ann); P(Bob); R(Ann, Cid)\nexport P, R").compile(backend)
    assert {name: value.rows for name, value in runner().items()} == {"P": (("Ann",), ("Bob",)), "R": (("Ann", "Cid"),)}
    assert runner.query("P(Cid)?").rows == ()


def test_shortest_paths() -> None:
    text = "W[A, B] = 1; W[B, C] = 2; W[A, C] = 5; W[C, A] = 1\nEdge(x, y) <- W[x, y] > 0\naxis x = 4\n"
    runner = Program(text + "D[A] = 0\nD[y] min= Edge(x, y), D[x] + W[x, y]\nexport D").compile("numpy")
    np.testing.assert_array_equal(runner()["D"], [0, 1, 3, np.inf])
