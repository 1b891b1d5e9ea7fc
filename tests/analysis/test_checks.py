"""What must hold of sizes: conflicts found while planning, and the checks that calls make."""

from __future__ import annotations

import pytest

from fuse_ref.analysis.lengths import evaluate
from fuse_ref.analysis.shapes import Shapes, find_shapes
from fuse_ref.errors import AxisError, FuseError
from tests.analysis.reading import program_of


def _errors(text: str, **keywords: object) -> list[FuseError]:
    shapes = find_shapes(program_of(text), **keywords)  # type: ignore[arg-type]
    return [*shapes.errors, *shapes.unsized]


def _holds(shapes: Shapes, given: dict[str, tuple[int, ...]]) -> bool:
    """Whether every check holds for a call with these shapes."""

    def extent(tensor: str, position: int) -> int:
        return given[tensor][position]

    for found in shapes.checks:
        actual, expected = evaluate(found.actual, extent), evaluate(found.expected, extent)
        if actual != expected if found.relation == "==" else actual < expected:
            return False
    return True


_STATIC = [
    # A weight whose shape is known beside a literal: both places are named.
    (
        "W = [1, 2, 3]\nY = W[d] X[d]",
        {"given": {"X": (4,)}},
        "axis d is 4 in X (line 2) but 3 in W (line 1)",
    ),
    ("axis d = 5\nY = X[d] X[d]", {"given": {"X": (4,)}}, "axis d is 4 in X (line 2) but 5 by axis d = 5 (line 1)"),
    ("Y = X[d] X[d]", {"given": {"X": (4,)}, "sizes": {"d": 5}}, "axis d is 4 in X (line 1) but 5 by sizes={'d': 5}"),
    ("W = [1, 2]\nY = W[2]", {}, "W[2] reads position 2, but W has length 2 there"),
    ("W = [1, 2]\nY = W[-3]", {}, "W[-3] reads position -3, but W has length 2 there"),
    ("A[1] = 2\nY = A[4]\nexport Y", {}, "A[4] reads position 4, but A has length 2 there"),
    ("W = [1, 2]\nF = [1, 1, 1]\nY[x] = F[d] W[x+d]", {}, "W[x+d] fits at no position of 'x': W has 2 there"),
    ("W = [1, 2]\nY[:] = W[0:3]", {}, "W[0:3] reads position 2, but W has length 2 there"),
    (
        "W = [1, 2, 3]\nV = [1, 2, 3]\nY = W[0:2] V[0:3]",
        {},
        "W[0:2] has 2 and V[0:3] has 3",
    ),
    ("A[5] = 1\nY = A[x] B[x]", {"given": {"B": (3,)}}, "axis x is 3 in B (line 2), but facts and constant"),
    (
        "A = [1, 2, 3, 4, 5, 6]\nP[x/2] = A[x]\nQ[y] = A[y+2]\nY = P[y] Q[y]\nexport Y",
        {},
        "axis y is 4 in Q (line 3) but 3 in P (line 2)",
    ),
    (
        "P[x/2] = X[x]\nY = P[u] W[u]\nexport Y",
        {"given": {"X": (7,), "W": (3,)}},
        "axis u is 4 in P (line 1) but 3 in W (line 2)",
    ),
    (
        "U[l] = [1]\nV[l] = [1, 2, 3]\nX[l+1] = U[l] V[l] X[l]\nexport X",
        {},
        "axis l is 1 in U (line 1) but 3 in V (line 2); offsets reach 1",
    ),
]


@pytest.mark.parametrize(("text", "keywords", "shows"), _STATIC)
def test_conflicts_that_no_call_can_mend(text: str, keywords: dict[str, object], shows: str) -> None:
    errors = _errors(text, **keywords)
    assert errors
    assert isinstance(errors[0], AxisError)
    assert shows in errors[0].message


def test_a_given_tensor_longer_than_the_declared_steps() -> None:
    (error,) = _errors("axis l = 1\nS[l+1] = U[l] S[l]", given={"U": (4,)})
    assert error.message.startswith("axis l is 4 in U (line 2) but 1 by axis l = 1 (line 1); offsets reach 1")


def test_every_conflict_is_reported() -> None:
    errors = _errors("W = [1, 2, 3]\nV = [1]\nY = W[5]\nZ = V[7]")
    assert len(errors) == 2


_UNSIZED = [
    ("Y[i, j] = X[i]", "'j'", "axis j = ..."),
    ("Y[i, j'] = X[i]", "'j'", "axis j = ..."),
    ("param W[o, d]\nY[b, o] = W[o, d] X[b, d]", "'o'", "axis o = ..."),
    ("P[x] = Q[x]\nQ[x] = P[x]", "'x'", "axis x = ..."),
    ("Y[i, j] = X[i+j]", "'i'", "axis i = ..."),
    ("Y[i, j] = X[i+j] Z[2*i] W[2*j]", "'i'", "axis i = ..."),
    ("axis t = 0\nB[s] = B[s+1] + U[s]", "'s'", "axis s = ..."),
]


@pytest.mark.parametrize(("text", "variable", "cure"), _UNSIZED)
def test_an_index_without_a_size_is_named_with_its_cure(text: str, variable: str, cure: str) -> None:
    errors = _errors(text)
    assert errors
    assert variable in errors[0].message
    assert cure in errors[0].cure


def test_sizes_add_a_line_and_contradict_like_one() -> None:
    text = "axis d = 4\nY = X[d] X[d]"
    assert _errors(text, sizes={"d": 4}) == []
    with pytest.raises(AxisError, match=r"sizes=\{'d': 3\}, but axis d is 4 by axis d = 4 \(line 1\)"):
        find_shapes(program_of(text), sizes={"d": 3})
    with pytest.raises(AxisError, match=r"but axis d is 3 in W \(line 1\)"):
        find_shapes(program_of("W = [1, 2, 3]\nY = W[d] W[d]"), sizes={"d": 4})
    with pytest.raises(AxisError, match="no index 'dim' is read alone") as caught:
        find_shapes(program_of("Y = X[din] X[din]"), sizes={"dim": 3})
    assert caught.value.cure == "did you mean 'din'?"


def test_sizes_speak_of_primed_letters_too() -> None:
    shapes = find_shapes(program_of("param W[d, d']\nY[d] = W[d, d'] Z[d']"), sizes={"d": 3})
    assert [str(item) for item in shapes.tensors["W"]] == ["3", "3"]


def test_a_given_shape_of_the_wrong_rank() -> None:
    with pytest.raises(AxisError, match=r"X has 1 axis \[d\] here, and an array of shape \(2, 3\) was given"):
        find_shapes(program_of("Y = X[d] X[d]"), given={"X": (2, 3)})


_CALLS = [
    # (text, a call that is right, calls that are wrong)
    ("Y[i, k] = A[i, j] B[j, k]", {"A": (2, 3), "B": (3, 4)}, [{"A": (2, 3), "B": (1, 4)}, {"A": (2, 1), "B": (3, 4)}]),
    ("Y[i] = A[i] + B[i]", {"A": (3,), "B": (3,)}, [{"A": (3,), "B": (1,)}, {"A": (1,), "B": (3,)}]),
    ("axis d = 4\nY[b] = X[b, d]", {"X": (2, 4)}, [{"X": (2, 1)}, {"X": (2, 5)}]),
    ("Y = X[3]", {"X": (4,)}, [{"X": (3,)}, {"X": (0,)}]),
    ("Y = X[-2]", {"X": (2,)}, [{"X": (1,)}]),
    ("Y[x] = F[d] X[x+d]", {"F": (3,), "X": (3,)}, [{"F": (3,), "X": (2,)}]),
    ("Y[x] = F[d] X[x+d]", {"F": (3,), "X": (0,)}, []),  # an empty tensor is no mistake
    ("Y[t] = X[t+2]", {"X": (3,)}, [{"X": (1,)}, {"X": (2,)}]),
    ("N = 4\nY[i] = X[N-1-i]", {"X": (4,)}, [{"X": (3,)}, {"X": (0,)}]),
    ("Y[:] = X[2:5]", {"X": (5,)}, [{"X": (4,)}]),
    ("Y = A[:] B[:]", {"A": (3,), "B": (3,)}, [{"A": (3,), "B": (1,)}]),
    (
        "P[x/2] = X[x]\nY = P[u] W[u]\nexport Y",
        {"X": (7,), "W": (4,)},
        [{"X": (7,), "W": (3,)}, {"X": (9,), "W": (4,)}],
    ),
    ("S[l+1] = U[l] V[l] S[l]", {"U": (3,), "V": (4,)}, [{"U": (3,), "V": (5,)}, {"U": (6,), "V": (4,)}]),
    ("axis l = 3\nS[l+1] = U[l] S[l]", {"U": (4,)}, [{"U": (1,)}, {"U": (5,)}]),
    ("N(A, B)\nN(B, C)\nY[x] = N(x, y) E[y]\nZ = N(x, y) E[x]", {"E": (3,)}, [{"E": (2,)}]),
    ("X[0] = A\nX[t+1] = U[t] X[t]\nY = X[3]", {"A": (), "U": (3,)}, [{"A": (), "U": (2,)}]),
]


@pytest.mark.parametrize(("text", "right", "wrong"), _CALLS)
def test_calls_are_checked(
    text: str, right: dict[str, tuple[int, ...]], wrong: list[dict[str, tuple[int, ...]]]
) -> None:
    shapes = find_shapes(program_of(text))
    assert shapes.errors == ()
    assert shapes.unsized == ()
    assert _holds(shapes, right)
    assert [given for given in wrong if _holds(shapes, given)] == []


def test_no_check_says_what_is_always_so() -> None:
    shapes = find_shapes(program_of("W = [1, 2, 3]\nY[i] = W[i] + W[0] + X[i]"))
    assert [found.code for found in shapes.checks] == ["FUSE150"]
