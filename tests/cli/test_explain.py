"""`fuse explain` and `fuse errors`."""

from __future__ import annotations

import json

import pytest

from fuse_ref.language.parser import parse
from fuse_ref.mistakes import MISTAKES
from fuse_ref.source import Source

CHAIN = "Y[i] = A[i, j] B[j, k] C[k]\n"


def test_the_plan_is_a_table(fuse, write) -> None:
    result = fuse("explain", write("chain.fuse", CHAIN))
    assert (result.code, result.err) == (0, "")
    assert "Dense" in result.out
    assert "Y" in result.out


def test_sizes_change_the_costs(fuse, write) -> None:
    path = write("chain.fuse", CHAIN)
    small = fuse("explain", path, "--set", "i=2", "--set", "j=2", "--set", "k=2").out
    large = fuse("explain", path, "--set", "i=200", "--set", "j=200", "--set", "k=200").out
    assert small != large


def test_json_is_json(fuse, write) -> None:
    document = json.loads(fuse("explain", "--json", write("chain.fuse", CHAIN)).out)
    steps = [step["kind"] for step in document["steps"]]
    assert "Dense" in steps


def test_explicit_parses_and_shows_the_sum(fuse, write) -> None:
    result = fuse("explain", "--explicit", write("layer.fuse", "Y[i] = W[i, j] X[j] + B[i]\n"))
    assert result.code == 0
    assert "sum(j: W[i, j] X[j])" in result.out
    parse(Source(result.out))


def test_steps_that_cannot_run_are_explained_all_the_same(fuse, write) -> None:
    result = fuse(
        "explain", write("rules.fuse", "Anc(x, z) <- Par(x, z)\nAnc(x, z) <- Anc(x, y), Par(y, z)\nPar(A, B)\n")
    )
    assert result.code == 0
    assert "Fixpoint" in result.out


def test_a_wrong_program_is_1(fuse, write) -> None:
    result = fuse("explain", write("bad.fuse", "Y = (1\n"))
    assert (result.code, result.out) == (1, "")


def test_every_code_is_listed(fuse) -> None:
    lines = fuse("errors").out.splitlines()
    assert [line.split()[0] for line in lines] == sorted(MISTAKES)


@pytest.mark.parametrize("code", sorted(MISTAKES))
def test_every_code_is_explained(fuse, code: str) -> None:
    result = fuse("errors", code)
    assert result.code == 0
    assert result.out.startswith(f"{code}: {MISTAKES[code].title}")
    assert MISTAKES[code].examples[0].shows in result.out


def test_codes_may_be_written_short(fuse) -> None:
    code = min(MISTAKES)
    assert fuse("errors", code.lower()).out == fuse("errors", str(int(code[4:]))).out == fuse("errors", code).out


def test_an_unknown_code_is_2(fuse) -> None:
    result = fuse("errors", "FUSE9999")
    assert result.code == 2
    assert "no error has the code FUSE9999" in result.err
