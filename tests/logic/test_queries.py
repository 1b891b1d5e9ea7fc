"""Answers about relations, and files beside inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fuse_ref import ExecutionConfig, InputError, Program

BACKENDS = ("numpy", "torch", "jax")
PAIRS = [("Ann", "Bob"), ("Bob", "Bob"), ("Cid", "Ann")]


def test_a_variable_that_stands_twice_compares_symbols() -> None:
    # No equation joins the two axes of R, so that each numbers its symbols by itself.
    runner = Program("R(Ann, Bob); R(Bob, Bob); R(Cid, Ann); R(x, x)?; R(x, y)?").compile("numpy")
    runner()
    assert [answer.rows for answer in runner.answers] == [(("Bob",),), tuple(PAIRS)]
    runner = Program("input R(x, y)\nQ(x, y) <- R(x, y)").compile("numpy")
    runner(R=PAIRS)
    for query in ("R(x, x)?", "Q(x, x)?"):
        assert runner.query(query).rows == (("Bob",),)


def test_a_number_whose_axes_number_symbols_apart() -> None:
    runner = Program("Edge[A, B] = 0.8; Edge[B, B] = 0.5; Edge[C, A] = 3; Edge[x, x]?").compile("numpy")
    runner()
    assert runner.answers[0].rows == (("A", 0.0), ("B", 0.5))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "rules",
    ["Q(x) <- R(x, _)\nC[x] = R(x, y) + 1\nexport Q, C", "C[x] = R(x, y) + 1\nexport C", "export R"],
    ids=["rules and numbers", "numbers", "nothing"],
)
def test_what_is_given_can_be_asked(backend: str, rules: str) -> None:
    runner = Program(f"input R(x, y)\n{rules}\nR(x, Bob)?").compile(backend)  # type: ignore[arg-type]
    for pairs in (PAIRS, PAIRS[:1], []):
        runner(R=pairs)
        expected = {(a,) for a, b in pairs if b == "Bob"}
        assert set(runner.answers[0]) == set(runner.query("R(x, Bob)?")) == expected
        if "C[x]" in rules:
            counted = dict(runner.query("C[x]?").rows)
            assert counted == {name: 1 + sum(a == name for a, _ in pairs) for name in counted}
            assert set(counted) >= {a for a, _ in pairs}


@pytest.mark.parametrize("backend", BACKENDS)
def test_inputs_add_symbols_to_those_of_files(backend: str, tmp_path: Path) -> None:
    (tmp_path / "r.tsv").write_text("Ann\tBob\nBob\tCid\n")
    text = (
        'R(x, y) = "r.tsv"\ninput S(x, y)\nQ(x, y) <- R(x, y) or S(x, y)\nT(x, z) <- Q(x, y), Q(y, z)\nC[x] = R(x, y)'
    )
    runner = Program(f"{text}\nR(Bob, x)?\nexport Q, T, C", path=tmp_path / "p.fuse").compile(backend)  # type: ignore[arg-type]
    read = {("Ann", "Bob"), ("Bob", "Cid")}
    for given in ([], [("Cid", "Dan")], [("Eve", "Ann"), ("Flo", "Flo"), ("Cid", "Gus")]):
        result = runner(S=given)
        pairs = read | set(given)
        assert set(result["Q"]) == pairs
        assert set(result["T"]) == {(a, d) for a, b in pairs for c, d in pairs if b == c}
        names = runner.symbols["x"]
        assert dict(zip(names, np.asarray(result["C"]).tolist(), strict=True)) == {
            name: float(name in ("Ann", "Bob")) for name in names
        }
        assert runner.answers[0].rows == runner.query("R(Bob, x)?").rows == (("Cid",),)
    with pytest.raises(InputError, match="it is read from a file"):
        runner(S=[], R=PAIRS)


def test_positions_of_files_and_of_inputs(tmp_path: Path) -> None:
    (tmp_path / "r.tsv").write_text("0\t1\n1\t2\n")
    text = 'R(x, y) = "r.tsv"\ninput S(x, y)\nQ(x, y) <- R(x, y) or S(x, y)\nC[x] = R(x, y)\nexport Q, C'
    for mode in ("auto", "demand"):
        config = ExecutionConfig(mode=mode)  # type: ignore[arg-type]
        runner = Program(text, path=tmp_path / "p.fuse").compile("numpy", config=config)
        for given in (np.empty((0, 2), int), [(7, 0)], [(2, 3)], np.eye(3, dtype=bool)):
            result = runner(S=given)
            rows = (
                np.argwhere(given).tolist()
                if isinstance(given, np.ndarray) and given.dtype.kind == "b"
                else list(given)
            )
            assert set(result["Q"]) == {(0, 1), (1, 2)} | {tuple(row) for row in rows}
            assert result["C"].tolist()[:2] == [1, 1]
            assert not result["C"][2:].any()


QUERIES = {
    "R(Ann, x)?": [("Bob",)],
    "R(x, Ann)?": [("Cid",)],
    "R(Ann, Bob)?": [()],
    "R(Ann, Cid)?": [],
    "R(x, Nobody)?": [],
    "R(Nobody, Bob)?": [],
    "R(x, x)?": [("Bob",)],
    "R(y, x)?": PAIRS,
    "P(x)?": [("Ann",), ("Bob",), ("Cid",)],
    "P(Nobody)?": [],
    "Some()?": [()],
    "None()?": [],
}


@pytest.mark.parametrize("mode", ["auto", "demand"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_rows_of_queries(backend: str, mode: str) -> None:
    rules = "P(x) <- R(x, _) or R(_, x)\nSome() <- R(_, _)\nNone() <- R(x, x), not P(x)\n"
    facts = "".join(f"R({a}, {b})\n" for a, b in PAIRS)
    config = ExecutionConfig(mode=mode)  # type: ignore[arg-type]
    runner = Program(facts + rules + "\n".join(QUERIES)).compile(backend, config=config)  # type: ignore[arg-type]
    runner()
    for answer, expected in zip(runner.answers, QUERIES.values(), strict=True):
        assert set(answer) == set(expected), answer.text
        assert len(answer) == len(expected)
        assert bool(answer) == bool(expected)
        assert set(runner.query(answer.text)) == set(expected)
