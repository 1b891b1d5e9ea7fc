"""Catalogue: products and sums, index forms, left-hand sides, projections."""

from __future__ import annotations

from tests.agreement.case import Case, given

__all__ = ["INDEX_CASES"]

_IJ = ({"i": 2, "j": 3}, {"i": 4, "j": 5})
_IJK = ({"i": 2, "j": 3, "k": 4}, {"i": 4, "j": 5, "k": 2})
_I = ({"i": 3}, {"i": 5})
_XY = ({"x": 2, "y": 3}, {"x": 4, "y": 5})
_W, _X = given("W", "i j"), given("X", "j")
_A, _B = given("A", "i j"), given("B", "i j")
_WINDOW = ({"n": 5, "f": 2}, {"n": 7, "f": 3})

INDEX_CASES: tuple[Case, ...] = (
    # Products -----------------------------------------------------------------------------------
    Case("matrix_vector", "Y[i] = W[i, j] X[j]", (_W, _X), _IJ),
    Case("matrix_matrix", "Y[i, k] = A[i, j] B[j, k]", (given("A", "i j"), given("B", "j k")), _IJK),
    Case(
        "batched_product",
        "Y[b, i, k] = A[b, i, j] B[b, j, k]",
        (given("A", "b i j"), given("B", "b j k")),
        ({"b": 2, "i": 3, "j": 4, "k": 5}, {"b": 3, "i": 4, "j": 2, "k": 5}),
    ),
    Case("bilinear_form", "S = X[i] W[i, j] Y[j]", (given("X", "i"), _W, given("Y", "j")), _IJ),
    Case("hadamard", "Y[i, j] = A[i, j] B[i, j]", (_A, _B), _IJ),
    Case("outer", "Y[i, j] = U[i] V[j]", (given("U", "i"), given("V", "j")), _IJ),
    Case("transposed", "Y[j, i] = A[i, j]", (_A,), _IJ),
    Case("row_sums", "Y[i] = A[i, j]", (_A,), _IJ),
    Case("total", "S = A[i, j]", (_A,), _IJ),
    Case("trace", "S = A[i, i]", (given("A", "i i"),), _I),
    Case("diagonal", "Y[i] = A[i, i] B[i]", (given("A", "i i"), given("B", "i")), _I),
    Case("double_diagonal", "Y[i, j] = A[i, j, i, j] + B[j, j]", (given("A", "i j i j"), given("B", "j j")), _IJ),
    Case("diagonal_contracted", "Y[j] = A[i, i, j] B[i, j]", (given("A", "i i j"), given("B", "i j")), _IJ),
    Case("same_tensor_twice", "G[i, i'] = X[i, j] X[i', j]", (given("X", "i j"),), _IJ),
    Case(
        "six_factors",
        "Y[a, g] = A[a, b] B[b, c] C[c, d] D[d, e] E[e, f] F[f, g]",
        tuple(
            given(name, f"{left} {right}", -1, 1)
            for name, left, right in zip("ABCDEF", "abcdef", "bcdefg", strict=True)
        ),
        (
            {"a": 3, "b": 2, "c": 4, "d": 5, "e": 6, "f": 7, "g": 8},
            {"a": 2, "b": 5, "c": 6, "d": 3, "e": 7, "f": 4, "g": 8},
        ),
        long=True,
    ),
    Case(
        "three_way",
        "Y[r] = T[i, j, k] A[i, r] B[j, r] C[k, r]",
        (given("T", "i j k"), given("A", "i r"), given("B", "j r"), given("C", "k r")),
        ({"i": 2, "j": 3, "k": 4, "r": 5}, {"i": 3, "j": 2, "k": 4, "r": 6}),
    ),
    # Index forms --------------------------------------------------------------------------------
    Case(
        "constant_positions",
        "L = 2\nY[i] = X[i, 0] + 2 X[i, L] - X[i, L-1]",
        (given("X", "i j"),),
        ({"i": 2, "j": 3}, {"i": 3, "j": 5}),
    ),
    Case("last_positions", "Y[i] = X[i, -1] - X[i, -2]", (given("X", "i j"),), ({"i": 2, "j": 3}, {"i": 3, "j": 5})),
    Case(
        "product_with_constant_position",
        "Y[i] = W[i, j] X[j, 1]",
        (_W, given("X", "j k")),
        ({"i": 2, "j": 3, "k": 4}, {"i": 3, "j": 2, "k": 4}),
    ),
    Case("valid_window", "Y[x] = F[dx] X[x+dx]", (given("F", "f"), given("X", "n")), _WINDOW, one="f"),
    Case(
        "same_window",
        "Y[x] = F[dx] X[x+dx] + B[x]",
        (given("F", "f"), given("X", "n"), given("B", "b")),
        ({"n": 5, "f": 2, "b": 5}, {"n": 7, "f": 3, "b": 6}),
        one="f",
    ),
    Case("declared_offset", "axis dx = 3\nY[x] = X[x+dx] (dx + 1)", (given("X", "n"),), ({"n": 5}, {"n": 7}), one="-"),
    Case(
        "pooling_of_declared_width",
        "axis dx = 3\nP[x, c] max= F[2*x+dx, c]",
        (given("F", "n c"),),
        ({"n": 7, "c": 2}, {"n": 10, "c": 3}),
        one="c",
    ),
    Case("declared_offset_and_axis", "axis dx = 3, x = 6\nY[x] = X[x+dx]", (given("X", "n"),), ({"n": 5}, {"n": 7})),
    Case(
        "declared_offset_backwards",
        "axis k = 2, d = 3\nY[t] = X[t-k, d-d'] + Z[t]",
        (given("X", "n m"), given("Z", "t")),
        ({"n": 5, "m": 3, "t": 5}, {"n": 7, "m": 4, "t": 6}),
        one="m",
    ),
    Case("declared_window", "axis x = 6\nY[x] = F[dx] X[x+dx]", (given("F", "f"), given("X", "n")), _WINDOW, one="f"),
    Case(
        "strided_window",
        "Y[x] = F[dx] X[2*x+dx]",
        (given("F", "f"), given("X", "n")),
        ({"n": 5, "f": 2}, {"n": 8, "f": 3}),
        one="f",
    ),
    Case(
        "dilated_window",
        "Y[x] = F[dx] X[x+2*dx]",
        (given("F", "f"), given("X", "n")),
        ({"n": 5, "f": 2}, {"n": 8, "f": 3}),
        one="f",
    ),
    Case(
        "causal_window",
        "Y[t] = F[k] X[t-k] + B[t]",
        (given("F", "f"), given("X", "t"), given("B", "b")),
        ({"t": 5, "f": 2, "b": 5}, {"t": 7, "f": 3, "b": 7}),
        one="f",
    ),
    Case("reversed", "N = 3\nY[i] = X[N-1-i]", (given("X", "i"),), ({"i": 3}, {"i": 5}), one="-"),
    Case("difference", "Y[t] = X[t+1] - X[t]", (given("X", "t"),), ({"t": 3}, {"t": 6}), one="-"),
    Case("difference_from_before", "Y[t] = X[t] - X[t-1]", (given("X", "t"),), ({"t": 3}, {"t": 6})),
    Case(
        "hankel",
        "Y[i, j] = X[i+j] A[i] B[j]",
        (given("X", "n"), given("A", "i"), given("B", "j")),
        ({"n": 4, "i": 2, "j": 3}, {"n": 8, "i": 4, "j": 5}),
    ),
    Case(
        "antidiagonal", "N = 3\nY[i] = A[i, N-1-i]", (given("A", "i j"),), ({"i": 3, "j": 3}, {"i": 3, "j": 4}), one="-"
    ),
    Case(
        "three_terms_of_an_index",
        "Y[x, y] = F[dx] X[x+2*y+dx] A[x] B[y]",
        (given("F", "f"), given("X", "n"), given("A", "x"), given("B", "y")),
        ({"n": 9, "f": 2, "x": 3, "y": 4}, {"n": 13, "f": 2, "x": 5, "y": 4}),
        one="f",
    ),
    Case(
        "image_window",
        "Y[b, o, x, y] = F[o, c, dx, dy] X[b, c, x+dx, y+dy]",
        (given("F", "o c f g"), given("X", "b c w h")),
        (
            {"b": 3, "o": 4, "c": 2, "f": 2, "g": 2, "w": 5, "h": 6},
            {"b": 2, "o": 4, "c": 2, "f": 2, "g": 2, "w": 7, "h": 6},
        ),
        long=True,
    ),
    Case(
        "window_of_a_matrix_diagonal",
        "Y[x] = A[x, x+1]",
        (given("A", "i j"),),
        ({"i": 3, "j": 4}, {"i": 4, "j": 5}),
        one="i",
    ),
    Case(
        "slices",
        "Y[i] = W[i, 0:2] X[1:3] - X[-2:] X[0:2]",
        (given("W", "i j"), given("X", "n")),
        ({"i": 2, "j": 3, "n": 4}, {"i": 4, "j": 5, "n": 3}),
    ),
    Case("slice_written", "Y[i, 0:2] = X[i, 1:3]", (given("X", "i j"),), ({"i": 2, "j": 3}, {"i": 4, "j": 5})),
    Case("slice_with_step", "Y[i] = exp(-X[i, ::2])", (given("X", "i j"),), _IJ),
    # Left-hand sides and several equations ------------------------------------------------------
    Case("written_at_constants", "Y[0, i] = X[i]\nY[2, i] = 2 X[i] + B[i]", (given("X", "i"), given("B", "i")), _I),
    Case(
        "written_at_odd_positions",
        "Y[2*i+1] = X[i]\nY[2*i] = B[i]",
        (given("X", "i"), given("B", "k")),
        ({"i": 3, "k": 4}, {"i": 4, "k": 2}),
    ),
    Case("shifted_write", "Y[i+2] = X[i]", (given("X", "i"),), _I),
    Case("write_behind", "Y[i-1] = 2 X[i] + i", (given("X", "i"),), _I),
    Case("diagonal_write", "Y[i, i] = X[i]", (given("X", "i"),), _I),
    Case("equations_add", "Y[i] = W[i, j] X[j]\nY[i] += B[i]\nY[0] = 3", (_W, _X, given("B", "i")), _IJ),
    Case("equations_of_max", "Y[i] max= W[i, j]\nY[i] max= B[i]", (_W, given("B", "i")), _IJ),
    Case("equations_of_min", "Y[i] min= W[i, j]\nY[i] min= B[i]", (_W, given("B", "i")), _IJ),
    Case("equations_of_prod", "Y[i] prod= W[i, j]\nY[i] prod= B[i]", (_W, given("B", "i")), _IJ),
    Case("max_projection", "Y[i] max= A[i, j] B[i, j]", (_A, _B), _IJ),
    Case("min_projection", "Y[i] min= A[i, j] - X[j]", (_A, _X), _IJ),
    Case("avg_projection", "Y[i] avg= A[i, j] X[j]", (_A, _X), _IJ),
    Case("prod_projection", "Y prod= A[i, j]", (_A,), _IJ),
    Case("max_pooling", "Y[x/2] max= X[x]", (given("X", "n"),), ({"n": 4}, {"n": 7})),
    Case("sum_pooling", "Y[x/2] = X[x] X[x]", (given("X", "n"),), ({"n": 4}, {"n": 7})),
    Case("min_pooling_in_threes", "Y[x/3] min= X[x]", (given("X", "n"),), ({"n": 4}, {"n": 8})),
    Case("prod_pooling", "Y[x/2] prod= X[x]", (given("X", "n"),), ({"n": 4}, {"n": 5})),
    Case(
        "pooling_two_axes",
        "S = 2\nY[b, x/S, y/S] max= X[b, x, y]",
        (given("X", "b w h"),),
        ({"b": 2, "w": 4, "h": 6}, {"b": 4, "w": 5, "h": 3}),
        long=True,
    ),
    Case("pooling_with_offset", "Y[(x+1)/2] max= X[x]", (given("X", "n"),), ({"n": 4}, {"n": 7})),
    Case("avg_pooling", "Y[x/2] avg= X[x]", (given("X", "n"),), ({"n": 4}, {"n": 7})),
    Case(
        "max_of_what_lies_inside",
        "Y[t] max= X[t-1] A[t]",
        (given("X", "n"), given("A", "t")),
        ({"n": 4, "t": 3}, {"n": 4, "t": 5}),
    ),
    Case(
        "filtered_max",
        "input Edge(x, y)\nY[x] max= Edge(x, y) W[x, y] / 2",
        (given("Edge", "x y", kind="relation"), given("W", "x y")),
        _XY,
    ),
    Case(
        "filtered_min",
        "input Edge(x, y)\nY[y] min= Edge(x, y), D[x] + W[x, y], D[x] > -1",
        (given("Edge", "x y", kind="relation"), given("W", "x y"), given("D", "x")),
        _XY,
    ),
    Case(
        "filtered_avg",
        "input Parent(x, y)\nY[x] avg= Parent(x, y) Age[y] (x != y)",
        (given("Parent", "x x", kind="relation"), given("Age", "x")),
        ({"x": 3}, {"x": 5}),
    ),
    # Broadcasting, scalars, divisors, powers ----------------------------------------------------
    Case("broadcast_sum", "Y[i, j] = U[i] + V[j]", (given("U", "i"), given("V", "j")), _IJ),
    Case(
        "repeated_along_an_axis",
        "Y[i, j] = U[i]\nZ[i] = Y[i, j] V[j]\nexport Y, Z",
        (given("U", "i"), given("V", "j")),
        _IJ,
    ),
    Case("scalars", "Z = A * B - A / B + 3", (given("A"), given("B", "", 0.5, 2.0)), ({}, {}), one="-"),
    Case("scalar_and_vector", "Y[i] = Scale X[i] + Shift", (given("Scale"), given("X", "i"), given("Shift")), _I),
    Case("numbers", "Y[i] = 2 X[i] / 4 - 1.5 + 3 * 2", (given("X", "i"),), _I),
    Case("negations", "Y[i] = -X[i] - -B[i] - (X[i] - 2)", (given("X", "i"), given("B", "i")), _I),
    Case("power_of_contraction", "Y[i, i'] = (X[i, j] X[i', j])**2", (given("X", "i j"),), _IJ),
    Case("squared_residual", "Loss = (A[i, j] X[j] - T[i])**2", (_A, _X, given("T", "i")), _IJ),
    Case("powers", "Y[i] = X[i]**3 + X[i]**-1 + X[i]**0.5 + 2**X[i] + X[i]^2", (given("X", "i", 0.2, 2.0),), _I),
    Case("power_of_tensors", "Y[i, j] = U[i]**V[j]", (given("U", "i", 0.2, 2.0), given("V", "j")), _IJ),
    Case("row_normalised", "Y[i, j] = A[i, j] / A[i, k]", (given("A", "i j", 0.2, 2.0),), _IJ),
    Case(
        "divided_twice",
        "Y[i] = U[i] / V[i] / 3 * S / U[i]",
        (given("U", "i", 0.5, 2.0), given("V", "i", 0.5, 2.0), given("S")),
        _I,
    ),
    Case(
        "one_over_norm",
        "Y[i, d] = X[i, d] / sqrt(sum(e: X[i, e]**2))",
        (given("X", "i d", 0.2, 2.0),),
        ({"i": 2, "d": 3}, {"i": 3, "d": 4}),
    ),
    Case("term_added_once", "Y[i] = W[i, j] X[j] + B[i] + 1", (_W, _X, given("B", "i")), _IJ),
    Case("bracket_times_factor", "Y[i] = (W[i, j] + B[i]) X[j]", (_W, given("B", "i"), _X), _IJ),
    # Explicit projections -----------------------------------------------------------------------
    Case("explicit_sum", "Y[i] = 2 sum(j: exp(W[i, j])) + B[i]", (_W, given("B", "i")), _IJ),
    Case("explicit_max", "Y[i] = max(j: W[i, j] - X[j])", (_W, _X), _IJ),
    Case("explicit_min", "Y[j] = min(i: W[i, j]) * X[j]", (_W, _X), _IJ),
    Case("explicit_avg", "Y[i, j] = W[i, j] - avg(k: W[i, k])", (_W,), _IJ),
    Case("explicit_prod", "S = prod(i, j: W[i, j])", (_W,), _IJ),
    Case("nested_projections", "S = max(i: sum(j: W[i, j] X[j]))", (_W, _X), _IJ),
    Case("projection_of_two_indices", "Y[k] = max(i, j: T[i, j, k])", (given("T", "i j k"),), _IJK),
    Case("hidden_letter", "Y[i] = X[i] sum(i: X[i])", (given("X", "i"),), _I),
)
