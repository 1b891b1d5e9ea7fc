"""The words that a call with wrong shapes gets, values in their places."""

from __future__ import annotations

import pytest

from fuse_ref.errors import AxisError
from fuse_ref.plan.checks import check_shapes
from tests.plan.running import plan_of

_CASES = [
    (
        "input Query[p, k]\ninput Key[q, k]\nY[p, q] = Query[p, k] Key[q, k]",
        {"Query": (2, 64), "Key": (3, 32)},
        "axis k is 32 in Key (line 2) but 64 in Query (line 1)",
        2,
    ),
    (
        "axis d = 4\ninput X[b, d]\nY[b] = X[b, d]",
        {"X": (2, 1)},
        "axis d is 1 in X (line 2) but 4 by axis d = 4 (line 1)",
        2,
    ),
    ("W = [1, 2, 3]\nY = W[d] X[d]", {"X": (1,)}, "axis d is 1 in X (line 2) but 3 in W (line 1)", 2),
    ("input X[b, d]\nY[b] = X[b, d]", {"X": (3,)}, "X has 2 axes [b, d] here, and an array of shape (3,) was given", 1),
    ("Y = 2 X", {"X": (3,)}, "X has 0 axes here, and an array of shape (3,) was given", 1),
    (
        "Y[x] = F[d] X[x+d]",
        {"F": (3,), "X": (2,)},
        "X[x+d] fits at no position of 'x': X has 2 there, the first read needs 3",
        1,
    ),
    ("Y = X[3]", {"X": (2,)}, "X[3] reads position 3, but X has length 2 there", 1),
    (
        "S[l+1] = U[l] V[l] S[l]",
        {"U": (3,), "V": (5,)},
        "axis l is 3 in U (line 1) but 5 in V (line 1); offsets reach 1, so lengths along it may differ by at most 1",
        1,
    ),
    (
        "N(A, B)\nN(B, C)\nY[x] = N(x, y) E[y]\nZ = N(x, y) E[x]",
        {"E": (2,)},
        "axis x is 2 in E (line 3), but facts and constant indices need 3 positions",
        3,
    ),
    ("Y = A[:] B[0:2]", {"A": (3,), "B": (3,)}, "A[:] has 3 and B[0:2] has 2", 1),
    (
        "P[x/2] = X[x]\nY = P[u] W[u]\nexport Y",
        {"X": (7,), "W": (3,)},
        "axis u is 4 in P (line 1) but 3 in W (line 2)",
        1,
    ),
]


@pytest.mark.parametrize(("text", "shapes", "message", "line"), _CASES)
def test_words(text: str, shapes: dict[str, tuple[int, ...]], message: str, line: int) -> None:
    plan = plan_of(text)
    with pytest.raises(AxisError) as caught:
        check_shapes(plan, shapes)
    assert message in caught.value.message
    assert caught.value.span is not None
    assert caught.value.span.line == line


def test_right_shapes_pass_whatever_the_batch() -> None:
    plan = plan_of("axis o = 3\nparam W[o, d]\nY[b, o] = W[o, d] X[b, d]")
    for batch in (0, 1, 2, 7):
        check_shapes(plan, {"X": (batch, 5)})
        check_shapes(plan, {"X": (batch, 5), "W": (3, 5)})


def test_a_parameter_of_the_wrong_shape() -> None:
    plan = plan_of("axis o = 3\nparam W[o, d]\nY[b, o] = W[o, d] X[b, d]")
    with pytest.raises(AxisError, match=r"axis d is 4 in W \(line 2\) but 5"):
        check_shapes(plan, {"X": (2, 5), "W": (3, 4)})


def test_checks_come_before_steps_and_in_text_order() -> None:
    plan = plan_of("input A[i]\ninput B[i]\ninput C[i]\nY[i] = A[i] B[i] C[i]")
    with pytest.raises(AxisError, match="in B"):
        check_shapes(plan, {"A": (3,), "B": (2,), "C": (2,)})
    with pytest.raises(AxisError, match="in C"):
        check_shapes(plan, {"A": (3,), "B": (3,), "C": (2,)})
