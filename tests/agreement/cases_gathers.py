"""Catalogue: positions that tensors hold, read and written; quotients that are read; symbols beside them."""

from __future__ import annotations

from tests.agreement.case import Case, Given, given

__all__ = ["GATHER_CASES"]


def positions(name: str, axes: str, of: str) -> Given:
    """Whole numbers around the positions of `of`, some of them outside, negative ones too."""
    return Given(name, tuple(axes.split()), kind="positions", classes=of)


_PD = ({"p": 6, "n": 4, "d": 3}, {"p": 9, "n": 5, "d": 2})
_IKD = ({"i": 3, "k": 4, "n": 5, "d": 2}, {"i": 4, "k": 3, "n": 6, "d": 3})
_E, _X, _Z = given("E", "n d"), positions("X", "p", "n"), given("Z", "p d")
_N = positions("N", "i k", "n")
# The scatters below declare `axis n = 4`; what they write has another length in the second run.
_WRITE = ({"p": 9, "n": 4, "d": 3}, {"p": 12, "n": 4, "d": 2})


def _scatter(name: str, text: str, *more: Given) -> Case:
    return Case(name, f"axis n = 4\n{text}\nO[n, d] = Y[n, d]\nexport O", (_X, _Z, *more), _WRITE, one="d")


GATHER_CASES: tuple[Case, ...] = (
    # Gathers ------------------------------------------------------------------------------------
    Case("gathered_rows", "Y[p, d] = E[X[p], d]", (_E, _X), _PD, long=True),
    Case("gathered_columns", "Y[d, p] = E[d, X[p]]", (given("E", "d n"), _X), _PD),
    Case("gathered_elements", "Y[p] = E[X[p]]", (given("E", "n"), _X), _PD),
    Case(
        "gather_in_a_product",
        "input N[i, k]: int64\nY[i, d] = F[N[i, k]+1, d] W[i, k]",
        (_N, given("F", "n d"), given("W", "i k")),
        _IKD,
        one="d",
    ),
    Case(
        "two_gathers_in_one_reference",
        "Y[p, d] = T[X[p], d, A[p, d]-1] B[d]",
        (given("T", "n d m"), _X, positions("A", "p d", "m"), given("B", "d")),
        ({"p": 4, "n": 3, "d": 2, "m": 5}, {"p": 3, "n": 4, "d": 5, "m": 2}),
        one="d",
    ),
    Case(
        "gather_of_a_gather",
        "Y[p] = A[B[C[p]]] U[p]",
        (given("A", "n"), positions("B", "m", "n"), positions("C", "p", "m"), given("U", "p")),
        ({"n": 4, "m": 5, "p": 6}, {"n": 3, "m": 7, "p": 8}),
        one="p",
    ),
    Case(
        "gather_beside_a_shift",
        "Y[p, t] = E[X[p], t-1] B[t]",
        (given("E", "n u"), _X, given("B", "t")),
        ({"p": 3, "n": 4, "t": 5, "u": 5}, {"p": 5, "n": 3, "t": 4, "u": 3}),
        one="p",
    ),
    Case(
        "gather_beside_constants_and_slices",
        "L = 2\nY[p] = E[X[p], L-1, 1:3] W[0:2] - E[X[p]+1, -1, 0]",
        (given("E", "n m d"), _X, given("W", "w")),
        ({"p": 3, "n": 4, "m": 2, "d": 3, "w": 4}, {"p": 5, "n": 3, "m": 4, "d": 5, "w": 2}),
        one="n",
    ),
    Case("gather_along_a_diagonal", "Y[p] = E[X[p], p] B[p]", (given("E", "n p"), _X, given("B", "p")), _PD),
    Case(
        "gather_in_functions",
        "Y[p, d.] = softmax(E[X[p], d] tanh(E[X[p]-1, d])) B[d]",
        (_E, _X, given("B", "d")),
        _PD,
        one="n",
    ),
    Case(
        "attention_of_gathered_rows",
        "S[p, q] = E[X[p], d] E[X[q], d]\nA[p, q.] = softmax(S[p, q])\nY[p, d] = A[p, q] E[X[q], d]",
        (_E, _X),
        _PD,
        one="n",
    ),
    Case("max_of_gathered", "Y[i, d] max= F[N[i, k], d]", (_N, given("F", "n d")), _IKD, one="d"),
    Case(
        "avg_of_gathered",
        "Y[i, d] avg= F[N[i, k], d] - X[i, d]",
        (_N, given("F", "n d"), given("X", "i d")),
        _IKD,
        one="d",
    ),
    Case(
        "index_written_in_the_text",
        "X = const([2, 0, 1])\nY[p, d] = E[X[p], d]\nI[p] = X[p] + 1\nZ[p, d] = E[I[p], d]\nexport Y, Z",
        (given("E", "n d"),),
        ({"n": 4, "d": 2}, {"n": 3, "d": 4}),
        one="d",
    ),
    Case(
        "computed_index",
        "input X[p]: int64\ninput A[p]: int64\nI[p] = 2 A[p] - X[p]\nY[p, d] = E[I[p], d] Z[p, d]",
        (_X, positions("A", "p", "d"), _E, _Z),
        _PD,
        one="d",
    ),
    Case(
        "index_of_a_distance",
        "axis q = 3\ninput X[p]: int64\nI[p, q] = X[p] + q - 2 p + 1\nS[p, q] = A[p] R[I[p, q]]\nN[q] = q\nY[p] = S[p, q] A[N[q]]",
        (_X, given("A", "p"), given("R", "r")),
        ({"p": 4, "n": 3, "r": 5}, {"p": 6, "n": 4, "r": 4}),
        one="-",
    ),
    Case(
        "index_by_argmax",
        "I[p] = argmax(S[p, m], axis=m)\nY[p, d] = E[I[p], d] + E[0, d]",
        (given("S", "p m"), _E),
        ({"p": 5, "m": 4, "n": 3, "d": 3}, {"p": 7, "m": 3, "n": 5, "d": 2}),
        one="d",
    ),
    Case(
        "nearest_code",
        "S[p, n] = Q[p, d] E[n, d]\nI[p] = argmax(S[p, n], axis=n)\nY[p, d] = E[I[p], d] - Q[p, d]",
        (given("Q", "p d"), _E),
        _PD,
        one="d",
    ),
    Case(
        "index_within_a_declared_axis",
        "axis n = 4\nX = const([3, 0, 3, 1])\nB[n, d] = 2 E[n, d]\nY[p, d] = B[X[p], d] U[p]",
        (given("E", "n d"), given("U", "p")),
        ({"n": 4, "p": 4, "d": 2}, {"n": 4, "p": 4, "d": 3}),
        one="d",
    ),
    Case(
        "index_by_cast",
        "I[p] = cast(2 S[p], int64)\nY[p, d] = E[I[p], d]",
        (given("S", "p"), _E),
        _PD,
        one="d",
    ),
    Case(
        "symbols_and_gathers",
        "axis n = {Ann, Bob, Cy, Dan}\nB[n, d] = E[n, d] + 1\nY[p, d] = E[X[p], d] - B[Bob, d] E[Dan, 0]",
        (_E, _X),
        ({"p": 5, "n": 4, "d": 3}, {"p": 7, "n": 4, "d": 2}),
        one="d",
    ),
    # Scatters -----------------------------------------------------------------------------------
    _scatter("scattered_rows", "Y[X[p], d] = Z[p, d]"),
    _scatter(
        "scattered_beside_others",
        "Y[X[p]-1, d] = Z[p, d] B[d]\nY[n, d] += W[n, d]\nY[0, d] += 1",
        given("B", "d"),
        given("W", "n d"),
    ),
    _scatter("scattered_max", "Y[X[p], d] max= Z[p, d]"),
    _scatter("scattered_min", "Y[X[p], d] min= Z[p, d] - 1"),
    _scatter("scattered_prod", "Y[X[p], d] prod= Z[p, d]"),
    _scatter("scattered_avg", "Y[X[p], d] avg= Z[p, d]"),
    _scatter("scattered_sum_of_a_projection", "Y[X[p], d] = Z[p, d] Z[p, e] Z[p, e]"),
    Case(
        "scattered_in_two_axes",
        "axis n = 4, m = 3\nC[X[p], A[p]] = W[p]\nO[n, m] = C[n, m] + 1\nexport O",
        (_X, positions("A", "p", "m"), given("W", "p")),
        ({"p": 9, "n": 4, "m": 3}, {"p": 14, "n": 4, "m": 3}),
        one="p",
    ),
    Case(
        "graph_step_by_edge_lists",
        "axis n = 5\ninput From[e]: int64\ninput To[e]: int64\n"
        "M[To[e], d] = H[From[e], d] W[e]\nY[n, d] = relu(M[n, d] - H[n, d])",
        (positions("From", "e", "n"), positions("To", "e", "n"), given("H", "n d"), given("W", "e")),
        ({"n": 5, "e": 8, "d": 2}, {"n": 5, "e": 11, "d": 3}),
        one="d",
        long=True,
    ),
    # Quotients ----------------------------------------------------------------------------------
    Case(
        "nearest_upsampling",
        "U[x, y] = P[x/2, y/3]",
        (given("P", "w h"),),
        ({"w": 2, "h": 3}, {"w": 4, "h": 2}),
        long=True,
    ),
    Case("quotient_with_offset", "Y[x] = P[(x+1)/2]", (given("P", "n"),), ({"n": 3}, {"n": 5})),
    Case(
        "quotient_before_the_start",
        "Y[x] = P[(x-3)/2] B[x]",
        (given("P", "n"), given("B", "x")),
        ({"n": 3, "x": 8}, {"n": 2, "x": 9}),
    ),
    Case(
        "quotient_of_two_variables",
        "Y[x, y] = P[(x+2*y)/3] A[x] B[y]",
        (given("P", "n"), given("A", "x"), given("B", "y")),
        ({"n": 4, "x": 3, "y": 4}, {"n": 3, "x": 4, "y": 2}),
    ),
    Case("quotient_runs_back", "N = 5\nY[x] = P[(N-x)/2]", (given("P", "n"),), ({"n": 3}, {"n": 4}), one="-"),
    Case(
        "max_of_a_quotient",
        "Y[x] max= P[(x-1)/2] B[x]",
        (given("P", "n"), given("B", "x")),
        ({"n": 3, "x": 8}, {"n": 2, "x": 6}),
    ),
    Case(
        "pooled_and_stretched",
        "P[x/2] max= X[x]\nU[x] = P[x/2]\nY[x] = U[x] X[x]\nexport Y",
        (given("X", "x"),),
        ({"x": 4}, {"x": 6}),
        one="-",
    ),
)
