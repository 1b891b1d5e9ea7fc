"""Integer tensors as indices: which tensors hold whole numbers, and what is wrong with the others."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fuse_ref import AxisError, DtypeError, Program
from fuse_ref.analysis.lengths import evaluate

WHOLE = [
    ("Y[p] = E[X[p]]", "X"),  # a free tensor that stands as an index
    ("X = const([2, 0])\nY[p] = E[X[p]]", "X"),
    ("X[0] = 2\nX[1] = 0\nY[p] = E[X[p]]", "X"),
    ("input N[p]: int64\nX[p] = 2 N[p] - p + 1\nY[p] = E[X[p]]", "X"),
    ("A = [3, 1]\nX[p] = A[p] + 1\nY[p] = E[X[p]]", "A"),
    ("X[p] = argmax(S[p, q], axis=q)\nY[p] = E[X[p]]", "X"),
    ("X[p] = cast(S[p], int64)\nY[p] = E[X[p]]", "X"),
    ("axis n = 3\nY[X[p]] = Z[p]\nY[n] += 0", "X"),
    ("Y[p] = A[B[C[p]]]", "C"),
]
FLOATS = [
    ("A = [3, 1]\nY[p] = A[p]", "A"),  # as everywhere else: a number is a float
    ("N[p] = p X[p]\nY[p] = N[p]", "N"),
]


@pytest.mark.parametrize(("text", "name"), WHOLE)
def test_an_index_is_made_of_whole_numbers(text: str, name: str) -> None:
    operations = [o for step in Program(text).plan().steps for o in step.operations]
    made = {o.output.out: o.output.dtype for o in operations}
    spec = Program(text).ir.tensor(name)
    assert made.get(name, spec.dtype) == "int64"


@pytest.mark.parametrize(("text", "name"), FLOATS)
def test_what_is_no_index_stays_a_float(text: str, name: str) -> None:
    operations = [o for step in Program(text).plan().steps for o in step.operations]
    assert all(o.output.dtype == "float" for o in operations if o.output.out == name)


@pytest.mark.parametrize(
    ("text", "message", "cure"),
    [
        ("input X[p, q]\nY[p] = E[X[p, 0]]", "X stands as an index of E", r"`input X\[p, q\]: int64`"),
        ("X = [0.5, 1]\nY[p] = E[X[p]]", "X stands as an index of E and holds float numbers", "cast"),
        ("X[p] avg= N[p, q]\nY[p] = E[X[p]]", "X stands as an index of E", "argmax"),
        ("R(A)\nY[x] = E[R[x]]", "R stands as an index of E and holds truth values", "case"),
        ("axis n = 2\nX[p] = Z[p] / 2\nY[X[p]] = 1\nY[n] += 0", "X stands as an index of Y", "int64"),
    ],
)
def test_an_index_of_other_numbers_is_an_error_with_a_cure(text: str, message: str, cure: str) -> None:
    with pytest.raises(DtypeError, match=message) as caught:
        Program(text).plan()
    assert caught.value.code == "FUSE167"
    with pytest.raises(DtypeError, match=cure):
        Program(text).plan()


def test_what_is_written_at_gathered_positions_needs_a_size() -> None:
    with pytest.raises(
        AxisError, match=r"axis 1 of Y: it is written only at the positions that X\[p\]-1 holds"
    ) as caught:
        Program("Y[p, X[p]-1] = Z[p]").plan()
    assert caught.value.code == "FUSE166"
    assert "`Y[p, n] += 0`" in str(caught.value)
    assert Program("axis n = 7\nY[p, X[p]-1] = Z[p]\nY[p, n] += 0").plan()
    assert Program("Y[p, X[p]-1] = Z[p]\nO[p, n] = Y[p, n] B[n]").plan()  # joined to a given tensor


@pytest.mark.parametrize(
    ("index", "reason"),
    [
        ("2*X[p]", "give the whole sum a name"),
        ("X[p]+p", "give the whole sum a name"),
        ("floor(X[p])", r"give floor\(...\) a name"),
        ("X[p]/2", "only variables and constants can be divided"),
    ],
)
def test_what_no_index_can_be_says_what_to_do(index: str, reason: str) -> None:
    with pytest.raises(AxisError, match=reason) as caught:
        Program(f"Y[p] = E[{index}]")
    assert caught.value.code == "FUSE106"


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("Y[x] = P[x/3]", lambda x: x // 3),
        ("Y[x] = P[(x+1)/3]", lambda x: (x + 1) // 3),
        ("Y[x] = P[(2*x)/3]", lambda x: 2 * x // 3),
        ("Y[x] = P[(x-4)/2]", lambda x: (x - 4) // 2),
    ],
)
def test_quotients_read_as_far_as_they_lie_inside(text: str, last: Callable[[int], int]) -> None:
    length = Program(text).plan().shape("Y")[0]
    for n in (1, 2, 5):
        runs = next(x for x in range(100) if last(x) >= n)
        assert evaluate(length, lambda tensor, position, n=n: n) == runs


def test_quotients_that_run_back_begin_inside() -> None:
    assert str(Program("N = 6\nY[x] = P[(N-x)/2]").plan().shape("Y")[0]) == "7"
    with pytest.raises(AxisError, match="P has 3 there, the first read needs 4"):
        Program("P = [1, 2, 3]\nN = 6\nY[x] = P[(N-x)/2]").plan()
