"""Safety, stratification and types."""

from __future__ import annotations

import pytest

from fuse_ref.analysis.check import check_program
from fuse_ref.analysis.dependencies import find_dependencies
from fuse_ref.analysis.dtypes import expression_dtype, tensor_dtypes
from fuse_ref.errors import DtypeError, FuseError, SafetyError, StratificationError
from tests.analysis.reading import program_of


def _errors(text: str) -> tuple[FuseError, ...]:
    return check_program(program_of(text)).errors


_UNSAFE = [
    ("Q(x, y) <- P(x)", "variable 'y' of the head"),
    ("Q(x) <- not P(x)", "variable 'x' of the head"),
    ("Q(x) <- P(x), not R(x, y)", "variable 'y' below `not`"),
    ("Q(x) <- P(x), x < y", "variable 'y' of a comparison"),
    ("Q(x) <- P(x) or R(y)", "variable 'x' of the head"),
    ("Q(x) <- x < 3", "variable 'x' of the head"),
    ("Q(x) <- P(x), x != Bob, z == Ann", "variable 'z' of a comparison"),
]


@pytest.mark.parametrize(("text", "shows"), _UNSAFE)
def test_unsafe_rules_name_the_variable(text: str, shows: str) -> None:
    errors = [error for error in _errors(text) if isinstance(error, SafetyError)]
    assert len(errors) == 1
    assert shows in errors[0].message
    assert errors[0].span is not None


_SAFE = [
    "Q(x, z) <- P(x, y), R(y, z)",
    "Q(x) <- P(x), not R(x)",
    "Close(x, y) <- Sim[x, y] > 0.5",
    "Close(x, y) <- Sim[x, y]",
    "Q(x) <- P(x) or R(x)",
    "Sibling(x, y) <- Parent(p, x), Parent(p, y), x != y",
    "Q(x) <- P(x), x != Bob",
    "Q(x) <- P(x), not (R(x) and S(x))",
    "Q(x) <- P(x), not R(x, _)",
    "Q(x) <- P(x), sum(y: W[x, y]) > 2",
    "M[p, q] = q <= p\nN[p] = A[p]\nY[q] = M[p, q] N[p] B[q]",  # numeric heads range over their axes
    "N(x+1) <- N(x), P(x)",
]


@pytest.mark.parametrize("text", _SAFE)
def test_safe_rules_pass(text: str) -> None:
    assert not any(isinstance(error, SafetyError) for error in _errors(text))


def test_each_unsafe_rule_is_reported() -> None:
    errors = _errors("Q(x, y) <- P(x)\nR(x) <- not P(x)")
    assert [error.span.line for error in errors if error.span is not None] == [1, 2]


_DENIALS = [
    ("Win(x) <- Move(x, _), not Win(_)", "Win <- not Win"),
    ("Win(x) <- Move(x, y), not Win(y)", "Win <- not Win"),
    ("A(x) <- P(x), not B(x)\nB(x) <- P(x), A(x)", "A <- not B <- A"),
    ("A(x) <- P(x), not B(x)\nB(x) <- P(x), C(x)\nC(x) <- A(x)", "A <- not B <- C <- A"),
]


@pytest.mark.parametrize(("text", "cycle"), _DENIALS)
def test_negation_in_a_cycle_shows_the_way_round(text: str, cycle: str) -> None:
    (error,) = _errors(text)
    assert isinstance(error, StratificationError)
    assert error.message.endswith(f": {cycle}")


_STRATIFIED = [
    "Reach(x, y) <- Edge(x, y)\nReach(x, z) <- Reach(x, y), Edge(y, z)\nFar(x, y) <- N(x), N(y), not Reach(x, y)",
    "Alive(x, t+1) <- Alive(x, t), not Dead(x, t)\nDead(x, t) <- Alive(x, t), Old(x, t)",  # a recurrence
]


@pytest.mark.parametrize("text", _STRATIFIED)
def test_stratified_negation_passes(text: str) -> None:
    assert _errors(text) == ()


# Types --------------------------------------------------------------------------------------------

_INT = "input N[i]: int64\ninput X[i]\ninput B(i)\n"
_DTYPES = [
    ("Y[i] = N[i]", "int64"),
    ("Y[i] = N[i] + 1", "int64"),
    ("Y[i] = 2 N[i] N[i] - N[i]", "int64"),
    ("Y = N[i]", "int64"),
    ("Y = sum(i: N[i])", "int64"),
    ("Y = prod(i: N[i])", "int64"),
    ("Y = max(i: N[i])", "int64"),
    ("Y[i] = max(N[i], 0)", "int64"),
    ("Y[i] = -N[i]", "int64"),
    ("Y[i] = N[i] + 0.5", "float"),
    ("Y[i] = N[i] + X[i]", "float"),
    ("Y[i] = N[i] / 2", "float"),
    ("Y[i] = N[i]**2", "float"),
    ("Y[i] = relu(N[i])", "float"),
    ("Y[i] = N[i] + i", "float"),
    ("Y[i] = N[i] B[i]", "float"),
    ("Y[i] = case { N[i] > 0 -> N[i] }", "float"),
    ("Y = avg(i: N[i])", "float"),
    ("Y avg= N[i]", "float"),
    ("Y[i] = N[i] > 0", "float"),
    ("Y = 3 + 4", "float"),
    ("Y[i] = B[i]", "float"),
    ("Y(i) = B(i)", "bool"),
    ("Y[i] = N[i]\nY[i] = X[i]", "float"),
    ("Y[i] = N[i]\nY[0] = 1", "int64"),
    ("Y[i] = N[i]\nY[0] = 0.5", "float"),
    ("Y[t+1] = Y[t] + N[t]\nY[0] = 0", "int64"),
    ("Y[t+1] = Z[t] + N[t]\nZ[t] = Y[t] / 2", "float"),
]


@pytest.mark.parametrize(("text", "dtype"), _DTYPES)
def test_dtypes(text: str, dtype: str) -> None:
    program = program_of(_INT + text)
    assert tensor_dtypes(program, find_dependencies(program))["Y"] == dtype


def test_dtypes_of_expressions() -> None:
    program = program_of(_INT + "Y[i] = N[i] + 1\nZ[i] = (N[i] > 0) + 0\nexport Y, Z")
    dtypes = tensor_dtypes(program, find_dependencies(program))
    assert expression_dtype(program.equations[0].body, dtypes) == "int64"
    assert expression_dtype(program.equations[1].body, dtypes) == "float"


def test_a_class_target_holds_classes() -> None:
    (error,) = _errors("input T[e]\nL = cross_entropy(X[e, c], T[e])")
    assert isinstance(error, DtypeError)
    assert "T is float" in error.message
    assert "`input T[...]: int64`" in error.cure


@pytest.mark.parametrize("target", ["T[e]", "T[e] + 1", "P[e, c]"])
def test_class_targets_that_are_right(target: str) -> None:
    assert _errors(f"input T[e]: int64\nL = cross_entropy(X[e, c], {target})") == ()
