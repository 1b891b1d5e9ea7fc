"""Axes, symbols, roles and round trips of the IR."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fuse_ref.errors import FuseError
from fuse_ref.ir.from_syntax import build_program
from fuse_ref.ir.json import digest, from_json, to_json
from fuse_ref.ir.nodes import Axis, ProgramIR
from fuse_ref.ir.text import explicit_text
from fuse_ref.language.parser import parse
from fuse_ref.source import Source

PROGRAMS = sorted((Path(__file__).parents[1] / "programs").glob("*.fuse"))


def build(text: str) -> ProgramIR:
    errors: list[FuseError] = []
    program = build_program(parse(Source(text), errors), errors)
    assert not errors, str(errors[0])
    return program


def axis(program: ProgramIR, tensor: str, position: int) -> Axis:
    name = program.tensor(tensor).axes[position]
    return next(item for item in program.axes if item.name == name)


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_explicit_text_and_json_say_the_same(path: Path) -> None:
    text = path.read_text()
    program = build(text)
    again = build(explicit_text(program))
    assert again == program
    assert explicit_text(again) == explicit_text(program)
    assert digest(again) == digest(program)
    restored, source = from_json(json.loads(json.dumps(to_json(program, Source(text)))))
    assert restored == program
    assert source.text == text
    assert [e.span.start for e in restored.equations] == [e.span.start for e in program.equations]


def test_the_programs_are_there() -> None:
    assert len(PROGRAMS) == 14


def test_digest_ignores_layout_and_comments_only() -> None:
    first = digest(build("Y[i] = W[i, j] X[j]  # product\n"))
    assert first == digest(build("\n# a comment\nY[ i ]=W[i,j]*X[j]"))
    assert first != digest(build("Y[i] = W[i, j] X[j] + 0"))
    assert first != digest(build("Y[i] = W[j, i] X[j]"))


def test_plain_variables_join_and_others_do_not() -> None:
    program = build("Y[i] = W[i, j] X[j+1]\nZ[k] = Y[k] V[k/2]")
    assert axis(program, "Y", 0) is axis(program, "W", 0)
    assert axis(program, "W", 1) != axis(program, "X", 0)
    assert axis(program, "Z", 0) is axis(program, "Y", 0)
    assert axis(program, "V", 0) != axis(program, "Y", 0)
    assert axis(program, "X", 0).stepped
    assert not axis(program, "W", 1).stepped


def test_a_comparison_of_bare_variables_joins() -> None:
    joined = build("Y[p] = (q <= p) X[q] + Z[p]")
    assert axis(joined, "X", 0) is axis(joined, "Z", 0)
    apart = build("Y[p] = (q + 0 <= p) X[q] + Z[p]")
    assert axis(apart, "X", 0) is not axis(apart, "Z", 0)


def test_concatenated_indices_do_not_join() -> None:
    program = build("C[b, j] = concat(A[b, j], B[b, j], axis=j)")
    assert len({axis(program, name, 1).name for name in "ABC"}) == 3
    assert len({axis(program, name, 0).name for name in "ABC"}) == 1


def test_sizes_come_with_their_origin() -> None:
    program = build("axis d = 3\nW[i, d'] = [[1, 2, 3]]\nY[i] = W[i, d] X[d]")
    assert axis(program, "X", 0).size == 3
    assert axis(program, "W", 0).size == 1
    assert [origin.reason for origin in axis(program, "X", 0).origins] == ["axis d = 3 (line 1)", "W (line 2)"]


def test_symbols_are_numbered_facts_first_then_equations() -> None:
    program = build('Q(x) <- P(x), x != Zoe\nP(Bob)\nP("New York")\nP(Ann)\nQ(Carl)?')
    assert axis(program, "P", 0).symbols == ("Bob", "New York", "Ann", "Zoe")
    assert axis(program, "P", 0).least == 4


def test_an_axis_table_numbers_from_its_line_on() -> None:
    before = build("axis x = {Ann, Bob}\nP(Bob)\nQ(x) <- P(x)")
    assert axis(before, "P", 0).symbols == ("Ann", "Bob")
    assert axis(before, "P", 0).size == 2
    after = build("P(Bob)\naxis x = {Ann, Bob}\nQ(x) <- P(x)")
    assert axis(after, "P", 0).symbols == ("Bob", "Ann")
    assert build(explicit_text(after)) == after


def test_roles_and_truth() -> None:
    program = build(
        "input X[b]: int64\ninput E(x, y)\nparam W[i] ~ normal(0, 0.5)\n"
        "F(x) <- E(x, y), G(y)\nY[i] = W[i] H(i)\nV[i] = H[i]\nM(x) <- E(x, x)\nM[x] = 2 F(x)"
    )
    found = {t.name: (t.role, t.boolean, t.dtype) for t in program.tensors}
    assert found["X"] == ("input", False, "int64")
    assert found["E"] == ("input", True, "bool")
    assert found["W"] == ("param", False, "float")
    assert found["F"] == ("computed", True, "bool")
    assert found["G"] == ("free", True, "bool")
    assert found["H"] == ("free", False, "float"), "one read with brackets makes a free tensor numeric"
    assert found["M"] == ("computed", False, "float"), "one definition with brackets makes a tensor numeric"
    assert program.tensor("W").initialiser == ("normal", (0, 0.5))


def test_default_exports_are_the_unread_results() -> None:
    assert build("A[i] = X[i]\nB[i] = A[i]\nC[i] = A[i]").exports == ("B", "C")
    assert build("L = 2\nM = 5\nY[i] = X[i, L]").exports == ("M", "Y"), "a constant that is used is no result"
    assert build("R(x, y) <- E(x, y)\nR(x, z) <- R(x, y), E(y, z)").exports == ("R",)


def test_constants_are_inlined() -> None:
    program = build("L = 4\nM = 2 * L\nHalf = const(0.5)\nY[i] = X[i, M-1] Half\nZ = 8 / L")
    assert dict(program.constants) == {"L": 4, "M": 8, "Half": 0.5, "Z": 2}
    assert "X[i, 7] * 0.5" in explicit_text(program)


def test_whole_numbers_that_no_float_holds_are_no_constants() -> None:
    # Worked out in whole numbers, the first would take minutes.
    assert dict(build("A = 10**10**10\nB = 10**400\nC = 10**200 * 10**200\nD = 2**10").constants) == {"D": 1024}


def test_a_tensor_of_one_number_is_no_constant() -> None:
    program = build("Y += 1\nZ = 2")
    assert dict(program.constants) == {"Z": 2}
    assert build(explicit_text(program)) == program


def test_every_error_of_a_program_is_found() -> None:
    errors: list[FuseError] = []
    text = "Y[i] = sofmax(X[i] Z[i])\nV[i] = W[i, j]\nU = W[i]\nT[i] = clip(X[i])"
    build_program(parse(Source(text), errors), errors)
    assert [error.code for error in errors] == ["FUSE100", "FUSE108", "FUSE104"]
    assert [error.span.line for error in errors if error.span] == [1, 4, 3]
