"""Ranges of variables: language reference, section 3, against enumeration and by example."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest

from fuse_ref import AxisError, Program
from tests.analysis.reading import length, shapes_of, sizes_of

# (coefficients of x and d, offset) of one read X[...] with d over a filter of `f` positions.
_FORMS = [
    (1, 1, 0),
    (2, 1, 0),
    (1, 2, 0),
    (3, 2, 1),
    (1, 1, -1),
    (2, -1, 0),
    (1, -1, 2),
    (1, 0, 0),
    (2, 0, 0),
    (2, 0, 1),
    (1, 0, 3),
    (1, 0, -2),
]


def _index(terms: Sequence[tuple[int, str]], offset: int) -> str:
    text = "".join(f"{c:+d}*{v}" for c, v in terms if c)
    return (text + (f"{offset:+d}" if offset else "")).lstrip("+")


def _longest(positions: int, others: Sequence[int], a: int, b: int, offset: int) -> int:
    """By enumeration: for how many x from 0 every read stays inside (from above; from below if a < 0)."""

    def fits(x: int) -> bool:
        places = [a * x + b * d + offset for d in others]
        return all(p < positions for p in places) if a > 0 else all(p >= 0 for p in places)

    return next(x for x in itertools.count() if not fits(x))


@pytest.mark.parametrize(("a", "b", "offset"), _FORMS)
def test_a_variable_runs_as_far_as_every_read_stays_inside(a: int, b: int, offset: int) -> None:
    filtered = b != 0
    read = f"X[{_index([(a, 'x'), (b, 'd')], offset)}]"
    text = f"Y[x] = {read} F[d]" if filtered else f"Y[x] = {read}"
    shapes = shapes_of(text)
    for n, f in itertools.product(range(1, 9), range(1, 4)):
        given = {"X": (n,), "F": (f,)}
        expected = _longest(n, range(f) if filtered else (0,), a, b, offset)
        assert sizes_of(shapes, "Y", given) == (expected,), (n, f)


def test_reads_of_several_tensors_limit_together() -> None:
    shapes = shapes_of("Y[x] = A[2*x] B[x+1] C[3*x+d] F[d]")
    for a, b, c, f in itertools.product((3, 4, 9), (2, 5), (4, 8), (1, 2)):
        given = {"A": (a,), "B": (b,), "C": (c,), "F": (f,)}
        expected = min(_longest(a, (0,), 2, 0, 0), _longest(b, (0,), 1, 0, 1), _longest(c, range(f), 3, 1, 0))
        assert sizes_of(shapes, "Y", given) == (expected,)


def test_at_a_negative_coefficient_position_zero_is_the_limit() -> None:
    for n, size in ((4, 4), (4, 6), (6, 6)):
        shapes = shapes_of(f"N = {n}\nY[i] = X[N-1-i]")
        assert sizes_of(shapes, "Y", {"X": (size,)}) == (n,)


def test_the_index_of_a_bound_variable_limits_too() -> None:
    shapes = shapes_of("Y = sum(i: X[2*i+1])\nexport Y")
    (scope,) = (s for s in shapes.equations)
    for n in range(2, 9):
        assert length(scope.ranges["i"], {"X": (n,)}) == sum(2 * i + 1 < n for i in range(n))


def test_valid_convolution_and_pooling() -> None:
    shapes = shapes_of(
        "S = 2\nFeatures[x, y] = relu(Filter[dx, dy, ch] Image[x+dx, y+dy, ch])\n"
        "Pooled[x/S, y/S] = Features[x, y]\nexport Pooled"
    )
    given = {"Filter": (3, 2, 4), "Image": (7, 7, 4)}
    assert sizes_of(shapes, "Features", given) == (5, 6)
    assert sizes_of(shapes, "Pooled", given) == (3, 3)  # the ragged last block is kept


@pytest.mark.parametrize("text", ["axis x = 5\nY[x] = F[d] X[x+d]", "Y[x] = F[d] X[x+d] + B[x]"])
def test_same_convolution_where_the_axis_has_a_length_of_its_own(text: str) -> None:
    shapes = shapes_of(text)
    given = {"F": (3,), "X": (5,), "B": (5,)}
    assert sizes_of(shapes, "Y", given) == (5,)
    assert not shapes.equations[0].kept  # reads of X go past the end and give 0


def test_an_axis_declared_by_argument_is_a_declared_axis() -> None:
    assert sizes_of(shapes_of("Y[x] = F[d] X[x+d]", x=5), "Y", {"F": (3,), "X": (5,)}) == (5,)


def test_the_difference_along_a_stepped_axis() -> None:
    shapes = shapes_of("Y[t] = X[t+1] - X[t]")
    assert sizes_of(shapes, "Y", {"X": (5,)}) == (4,)
    assert sizes_of(shapes, "Y", {"X": (1,)}) == (0,)


def test_reads_below_zero_do_not_limit() -> None:
    assert sizes_of(shapes_of("Y[t] = X[t-1]"), "Y", {"X": (5,)}) == (6,)
    assert sizes_of(shapes_of("Y[t] = X[t-1] + X[t]"), "Y", {"X": (5,)}) == (5,)


def test_a_variable_read_alone_has_its_axis_although_another_read_is_shorter() -> None:
    shapes = shapes_of("C[i] = A[i] B[2*i]")
    assert sizes_of(shapes, "C", {"A": (6,), "B": (4,)}) == (6,)


def test_broadcast_takes_the_length_of_the_axis() -> None:
    shapes = shapes_of("Y[i, j] = X[i]\nZ[i, j] = Y[i, j] W[j]\nexport Z")
    assert sizes_of(shapes, "Y", {"X": (2,), "W": (3,)}) == (2, 3)


def test_one_letter_has_one_range_in_an_equation() -> None:
    shapes = shapes_of("Y = sum(t: X[t+2]) - sum(t: X[t])\nexport Y")
    assert length(shapes.equations[0].ranges["t"], {"X": (5,)}) == 3


def test_facts_and_constants_on_the_left_give_a_least_length() -> None:
    assert sizes_of(shapes_of("A[5] = 1\nA[2] = 3\nexport A"), "A", {}) == (6,)
    assert sizes_of(shapes_of("Edge(A, B)\nEdge(B, C)"), "Edge", {}) == (2, 2)  # two axes
    assert sizes_of(shapes_of("Edge(A, B)\nEdge(B, C)\nY(x, z) <- Edge(x, y), Edge(y, z)"), "Edge", {}) == (3, 3)
    shapes = shapes_of("Sister(Ann, Bob)\nY[x] = Sister(x, y) Emb[y, d]")
    assert sizes_of(shapes, "Sister", {"Emb": (4, 2)}) == (1, 4)


def test_writes_make_lengths() -> None:
    full = shapes_of("C[x+d] = A[x] F[d]")
    assert sizes_of(full, "C", {"A": (5,), "F": (3,)}) == (7,)
    spread = shapes_of("C[2*x] = A[x]")
    assert sizes_of(spread, "C", {"A": (4,)}) == (7,)
    assert sizes_of(spread, "C", {"A": (0,)}) == (0,)
    parts = shapes_of("C[0, d] = A[d]\nC[l+1, d] = B[l, d]\nexport C")
    assert sizes_of(parts, "C", {"A": (3,), "B": (4, 3)}) == (5, 3)


@pytest.mark.parametrize("size", range(1, 9))
@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("block", [1, 2, 3])
def test_pooling_length_by_enumeration(size: int, offset: int, block: int) -> None:
    index = f"(x+{offset})/{block}" if offset else f"x/{block}"
    shapes = shapes_of(f"P[{index}] = X[x]")
    expected = max((x + offset) // block for x in range(size)) + 1
    assert sizes_of(shapes, "P", {"X": (size,)}) == (expected,)


def test_writes_at_a_negative_coefficient_make_a_length() -> None:
    shapes = shapes_of("N = 4\nY[N-1-i] = X[i]\nZ[k] = Y[k] B[k]\nexport Y, Z")
    assert sizes_of(shapes, "Y", {"X": (3,), "B": (4,)}) == (4,)
    assert sizes_of(shapes_of("Y[2-i] = X[i]\nY[2*i] = X[i]"), "Y", {"X": (5,)}) == (9,)


def test_an_index_that_stands_at_no_tensor_has_its_declared_size() -> None:
    for text, size in (
        ("axis j = 3\nS = sum(j: j)", 3),
        ("axis j = 3\nS = sum(j': j')", 3),
        ("axis k = 4\nS = sum(j, k: (j <= k) k)", 4),
        ("axis i = 3, j = 2\nC[i] = sum(j: i + 0 <= j)", 2),
    ):
        found = [item for item in shapes_of(text).equations[0].ranges.items() if item[0].startswith("j")]
        assert [length(item, {}) for _, item in found] == [size], text
    (scope,) = shapes_of("S = sum(j: j)", j=5).equations
    assert length(scope.ranges["j"], {}) == 5


def test_an_index_that_is_only_compared_is_on_the_axis_of_the_other() -> None:
    (scope,) = shapes_of("C[i] = sum(j: i <= j) + X[i]").equations
    assert length(scope.ranges["j"], {"X": (7,)}) == 7
    (scope,) = shapes_of("axis j = 3\nC[i] = sum(j: i <= j)").equations
    assert {v: length(item, {}) for v, item in scope.ranges.items()} == {"i": 3, "j": 3}
    with pytest.raises(AxisError, match=r"axis i is 3 by axis j = 3 .* but 4 by axis i = 4"):
        Program("axis i = 4, j = 3\nC[i] = sum(j: i <= j)")
    with pytest.raises(AxisError, match=r"sizes=.* but axis j is 3"):
        Program("axis j = 3\nS = sum(j: j)").plan({"j": 4})


def test_slices_have_their_own_length() -> None:
    shapes = shapes_of("A[:] = X[2:6]\nB[:] = X[::2]\nC[:] = X[-3:]\nD[0:2] = X[1:3]\nexport A, B, C, D")
    for n in (6, 7, 9):
        given = {"X": (n,)}
        assert sizes_of(shapes, "A", given) == (4,)
        assert sizes_of(shapes, "B", given) == (len(range(0, n, 2)),)
        assert sizes_of(shapes, "C", given) == (3,)
        assert sizes_of(shapes, "D", given) == (2,)


def test_parameters_take_the_sizes_of_what_they_meet() -> None:
    shapes = shapes_of("param W[o, d]\naxis o = 7\nY[b, o] = W[o, d] X[b, d]")
    assert sizes_of(shapes, "W", {"X": (2, 3)}) == (7, 3)
    pooled = shapes_of("param W[o, u]\naxis o = 2\nP[x/2] = X[x]\nY[o] = W[o, u] P[u]")
    assert sizes_of(pooled, "W", {"X": (7,)}) == (2, 4)


def test_concatenated_and_made_indices() -> None:
    flat = shapes_of("M[p, m] = concat(A[h, p, v])")
    assert sizes_of(flat, "M", {"A": (2, 3, 4)}) == (3, 8)
    side = shapes_of("C[b, j] = concat(A[b, j], B[b, j], axis=j)")
    assert sizes_of(side, "C", {"A": (2, 3), "B": (2, 4)}) == (2, 7)
    hot = shapes_of("input X[e]: int64\nH[e, c] = one_hot(X[e], 5)")
    assert sizes_of(hot, "H", {"X": (2,)}) == (2, 5)


# Stepped axes and recurrences ---------------------------------------------------------------------


def test_layers_of_a_network() -> None:
    shapes = shapes_of("X[0, k] = Input[k]\nX[i+1, j] = sig(W[i+1, j, k] X[i, k])\nN = 3\nOut[j] = X[N, j]")
    given = {"Input": (4,), "W": (4, 4, 4)}
    assert sizes_of(shapes, "X", given) == (4, 4)
    assert length(shapes.equations[1].ranges["i"], given) == 3


def test_steps_of_a_group_are_bounded_by_its_shortest_read() -> None:
    text = "S[0, d] = X[d]\nQ[b, d] = WQ[b, d] S[b, d]\nM[b, d] = WM[b, d] Q[b, d]\nS[b+1, d] = M[b, d]\nexport S"
    shapes = shapes_of(text)
    given = {"X": (2,), "WQ": (3, 2), "WM": (2, 2)}
    assert sizes_of(shapes, "S", given) == (3, 2)  # two steps
    assert sizes_of(shapes, "Q", given) == (3, 2)  # S has three positions, so has WQ
    assert sizes_of(shapes, "M", given) == (2, 2)


def test_a_given_tensor_on_the_axis_bounds_the_steps_else_a_constant_read() -> None:
    given = shapes_of("X[0] = A\nX[t+1] = 0.5 X[t]\nY[t] = X[t] U[t]\nexport Y")
    assert sizes_of(given, "X", {"A": (), "U": (4,)}) == (5,)
    constant = shapes_of("L = 3\nX[0] = A\nX[t+1] = 0.5 X[t]\nY = X[L]\nexport Y")
    assert sizes_of(constant, "X", {"A": ()}) == (4,)
    declared = shapes_of("axis t = 6\nX[0] = A\nX[t+1] = 0.5 X[t]\nexport X")
    assert sizes_of(declared, "X", {"A": ()}) == (6,)
    assert length(declared.equations[1].ranges["t"], {}) == 5  # no step writes past the end


def test_a_backward_recurrence_starts_at_its_base_case_or_declaration() -> None:
    base = shapes_of("B[4] = 1\nB[t] = 0.5 B[t+1] U[t]\nexport B")
    for size, steps in ((4, 4), (9, 4), (2, 2)):
        assert length(base.equations[1].ranges["t"], {"U": (size,)}) == steps
        assert sizes_of(base, "B", {"U": (size,)}) == (5,)
    declared = shapes_of("axis t = 5\nB[t] = B[t+1] + U[t]\nexport B")
    assert sizes_of(declared, "B", {"U": (5,)}) == (5,)


def test_a_stream_has_one_state_more_than_inputs() -> None:
    shapes = shapes_of("H[i, *t+1] = tanh(W[i, j] H[j, *t] + V[i, k] U[k, t])\nY[i, *t] = H[i, *t]\nexport H, Y")
    given = {"W": (2, 2), "V": (2, 3), "U": (3, 6)}
    assert sizes_of(shapes, "H", given) == (2, 7)
    assert sizes_of(shapes, "Y", given) == (2, 7)
    alone = shapes_of("H[i, *t+1] = W[i, j] H[j, *t]")
    assert sizes_of(alone, "H", {"W": (2, 2)}) == (2, 2)  # one call is one step


def test_a_parameter_along_the_steps_is_as_long_as_its_reads_need() -> None:
    shapes = shapes_of("param W[l, i, j]\nL = 3\nX[0, i] = A[i]\nX[l+1, i] = W[l, i, j] X[l, j]\nY[i] = X[L, i]")
    assert sizes_of(shapes, "W", {"A": (2,)}) == (3, 2, 2)


def test_empty_batches_have_a_shape() -> None:
    shapes = shapes_of("Y[b, x] = F[d] X[b, x+d]")
    assert sizes_of(shapes, "Y", {"F": (2,), "X": (0, 5)}) == (0, 4)
    assert sizes_of(shapes, "Y", {"F": (2,), "X": (3, 0)}) == (3, 0)


def test_declared_letters_do_not_bound_what_writes_along_a_stepped_axis() -> None:
    assert _extent("axis j = 3\nY[j+1] = A[j/2]", "Y", A=(1,)) == 3
    assert _extent("axis j = 3\nY[j+1] = A[j/2]", "Y", A=(4,)) == 9
    # Nothing else bounds it:
    assert Program("axis i = 3\nY[i+1] = S").compile("numpy")(S=2.0)["Y"].tolist() == [0, 2, 2, 2]


def test_declared_letters_that_stand_at_no_tensor_alone() -> None:
    """`axis dx = 3` is the range of such a letter; the others then stay inside with all of it."""
    for n in (3, 7, 8):
        for factor in (1, 2):
            text = f"axis dx = 3\nP[x] max= F[{factor}*x+dx]"
            by_enumeration = _longest(n, range(3), factor, 1, 0)
            assert _extent(text, "P", F=(n,)) == by_enumeration
            # The same with sizes= instead of the line, and with primes.
            assert Program(f"P[x] max= F[{factor}*x+dx']").compile("numpy", sizes={"dx": 3})(F=[0.0] * n)[
                "P"
            ].shape == (by_enumeration,)
    with pytest.raises(AxisError, match="F"):
        Program("axis dx = 3\nP[x] max= F[x+dx]").compile("numpy")(F=[1.0, 2.0])
    # Beside a declared x reads go past the end, and give 0; for max= they do not count.
    runner = Program("axis dx = 3, x = 4\nS[x] = F[x+dx]\nM[x] max= F[x+dx]\nexport S, M").compile("numpy")
    for f in ([1.0, 2.0, 3.0, 4.0], [-1.0, -2.0, -3.0]):
        result, n = runner(F=f), len(f)
        windows = [[f[x + d] for d in range(3) if x + d < n] for x in range(4)]
        assert result["S"].tolist() == [sum(w) for w in windows]
        assert result["M"].tolist() == [max(w, default=float("-inf")) for w in windows]
    # Along a stepped axis reads still stay inside.
    stepped = Program("axis k = 9\nV[t] = X[t+1] - X[t]\nY[t] = X[t+k] Z[t]\nexport V, Y").compile("numpy")
    assert stepped(X=[1.0, 2.0, 4.0], Z=[1.0])["Y"].tolist() == [7.0]


def _extent(text: str, tensor: str, **shapes: tuple[int, ...]) -> int:
    given = {name: [0.0] * shape[0] for name, shape in shapes.items()}
    return int(Program(text).compile("numpy")(given)[tensor].shape[0])


def test_slices_with_bounds_need_no_length() -> None:
    """Their lengths are known although what they read is as long as what they write."""
    text = "Y[i, 0:2] = X[i, 1:3]\nZ[u, v] = Y[u, v]\nZ[i, 0:2] += X[i, 1:3] + Z1[i, 0:2]\nZ1[i, 0:2] = Y[i, 0:2]"
    assert sizes_of(shapes_of(text), "Z", {"X": (4, 5)}) == (4, 2)
