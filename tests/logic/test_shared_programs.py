"""The logical programs of the paper and of the public dialect, on every engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fuse_ref import ExecutionConfig, Program

FOLDER = Path(__file__).parent.parent / "programs"
BACKENDS = ("numpy", "torch", "jax")


@pytest.mark.parametrize("mode", ["auto", "demand"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_datalog(backend: str, mode: str) -> None:
    program = Program.from_file(FOLDER / "paper_datalog.fuse")
    runner = program.compile(backend, config=ExecutionConfig(mode=mode))  # type: ignore[arg-type]
    ancestors = {("Bob", "Charlie"), ("Alice", "Bob"), ("Alice", "Charlie")}
    assert set(runner()["Ancestor"]) == ancestors
    assert [set(answer) for answer in runner.answers] == [{("Bob",), ("Charlie",)}, {()}, {("Charlie",)}]
    assert set(runner.query("Aunt(x, y)?")) == {("Dora", "Charlie")}
    assert runner.query("Ancestor(Charlie, x)?").rows == ()


@pytest.mark.parametrize("backend", BACKENDS)
def test_reasoning_in_embedding_space_at_temperature_zero(backend: str) -> None:
    """With embeddings at right angles deduction is exact: an aunt is the sister of a parent."""
    text = (FOLDER / "paper_reasoning.fuse").read_text(encoding="utf-8").replace("T = 0.1", "T = 0")
    program = Program(
        text + "\nIs(x, z) <- Aunt[x, z] > 0.5\nKnown(x, z) <- Sister(x, y), Parent(y, z)\nexport Is, Known"
    )
    runner = program.compile(backend)  # type: ignore[arg-type]
    for seed in (1, 2):
        basis, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(6, 6)))
        result = runner(Emb=basis.astype(np.float32))
        assert set(result["Is"]) == set(result["Known"]) == {("Ann", "Cid"), ("Eve", "Fay")}


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_dialect_without_its_stream(backend: str) -> None:
    lines = (FOLDER / "dialect_logic.fuse").read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if "State" not in line)
    result = Program(text).compile(backend)()  # type: ignore[arg-type]
    two = np.zeros((3, 3))
    two[0, 2] = 1
    np.testing.assert_array_equal(np.asarray(result["Two"]), two)
    assert set(result["Reach"]) == {(0, 1), (1, 2), (0, 2)}
    embedded = np.array([[1, 0], [0, 1], [0.6, 0.8]])
    relation = sum(np.outer(embedded[a], embedded[b]) for a, b in ((0, 1), (1, 2), (0, 2)))
    expected = 1 / (1 + np.exp(-(embedded @ relation @ embedded.T) / 0.5))
    np.testing.assert_allclose(np.asarray(result["Score"]), expected, rtol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_relation_of_the_graph_network(backend: str) -> None:
    """One layer of paper_gnn: messages go along the tuples of Neig."""
    lines = (FOLDER / "paper_gnn.fuse").read_text(encoding="utf-8").splitlines()
    facts = [line for line in lines if line.startswith("Neig(")]
    assert len(facts) == 3
    text = "\n".join([*facts, "Agg[n, d] = Neig(n, n') Z[n', d]", "Linked(n, n') <- Neig(n, n') or Neig(n', n)"])
    runner = Program(text + "\nexport Agg, Linked").compile(backend)  # type: ignore[arg-type]
    neighbours = np.array([[0, 1, 0], [1, 0, 1], [0, 0, 0]])
    for seed in (1, 2):
        given = np.random.default_rng(seed).normal(size=(3, 1 + seed)).astype(np.float32)
        result = runner(Z=given)
        np.testing.assert_allclose(np.asarray(result["Agg"]), neighbours @ given, rtol=1e-5)
        assert set(result["Linked"]) == {("A", "B"), ("B", "A"), ("B", "C"), ("C", "B")}
