"""Programs about functions that change shapes or stand for several: concat, attention, `fn`."""

from __future__ import annotations

from tests.agreement.case import Case, given

__all__ = ["SHAPE_CASES"]

_SIDES = ({"b": 2, "j": 3, "k": 4}, {"b": 3, "j": 1, "k": 5})
_HEADS = ({"b": 2, "h": 3, "p": 4, "v": 2}, {"b": 3, "h": 2, "p": 1, "v": 4})
_ATTENTION = ({"p": 3, "q": 4, "k": 2, "v": 5}, {"p": 2, "q": 5, "k": 4, "v": 3})
_QKV = (given("Q", "p k"), given("K", "q k"), given("V", "q v"))
_CALL = "attention(Q[p, k], K[q, k], V[q, v]"

SHAPE_CASES: tuple[Case, ...] = (
    # concat -------------------------------------------------------------------------------------
    Case(
        "concat_of_two_lengths",
        "C[b, j] = concat(A[b, j], B[b, j], axis=j)",
        (given("A", "b j"), given("B", "b k")),
        _SIDES,
    ),
    Case(
        "concat_along_the_first",
        "C[j, b] = concat(A[b, j], 2 B[b, j], A[b, j], axis=j) + D[b]",
        (given("A", "b j"), given("B", "b k"), given("D", "b")),
        _SIDES,
    ),
    Case(
        "concat_of_one_position",
        "C[b, j] = concat(S, A[b, j], D[b], 0.5)",
        (given("A", "b j"), given("D", "b"), given("S")),
        _SIDES,
    ),
    Case(
        "concat_of_expressions",
        "C[b, j] = tanh(concat(relu(A[b, j]) + D[b], W[k] B[b, k], A[b, j+1] - A[b, j]))",
        (given("A", "b j"), given("B", "b k"), given("W", "k"), given("D", "b")),
        ({"b": 2, "j": 3, "k": 4}, {"b": 3, "j": 2, "k": 5}),
    ),
    Case("flattened_heads", "C[b, p, m] = concat(A[b, h, p, v])", (given("A", "b h p v"),), _HEADS),
    Case(
        "flattened_heads_in_a_product",
        "Y[b, p, o] = concat(A[b, h, p, v], axis=o) G[b]",
        (given("A", "b h p v"), given("G", "b")),
        _HEADS,
    ),
    Case(
        "flattened_and_side_by_side",
        "C[m, p] = concat(A[b, h, p, v], X[p, v], axis=m)",
        (given("A", "b h p v"), given("X", "p v")),
        _HEADS,
    ),
    Case(
        "flattened_then_multiplied",
        "M[b, p, m] = concat(A[b, h, p, v])\nY[b, p, o] = W[o, m] M[b, p, m]",
        (given("A", "b h p v"), given("W", "o m")),
        ({"b": 2, "h": 3, "p": 4, "v": 2, "o": 2, "m": 6}, {"b": 1, "h": 2, "p": 3, "v": 5, "o": 3, "m": 10}),
        one="p",
    ),
    Case(
        "concat_under_a_projection",
        "Y[j] = sum(b: concat(A[b, j], B[b, j]) D[b])",
        (given("A", "b j"), given("B", "b k"), given("D", "b")),
        _SIDES,
    ),
    Case(
        "concat_of_whole_numbers",
        "input T[b]: int64\nN[i] = concat(T[b], 3, T[b])",
        (given("T", "b", kind="classes", classes="k"),),
        _SIDES,
        differentiable=False,
    ),
    # attention ----------------------------------------------------------------------------------
    Case("attention_call", f"Y[p, v] = {_CALL})", _QKV, _ATTENTION),
    Case(
        "attention_call_known_size",
        f"axis k = 4\nY[p, v] = {_CALL})",
        _QKV,
        ({**_ATTENTION[1]}, {**_ATTENTION[1], "p": 3}),
        one="p",
    ),
    Case("attention_call_scale", f"Y[p, v] = {_CALL}, scale=S)", (*_QKV, given("S")), _ATTENTION),
    # A row of which nothing is kept gives 0; a mask of numbers keeps what is not 0.
    Case(
        "attention_call_mask",
        f"input M(p, q)\nY[p, v] = {_CALL}, mask=M[p, q])",
        (*_QKV, given("M", "p q", kind="relation")),
        _ATTENTION,
    ),
    Case(
        "attention_call_mask_of_truth_values",
        f"Y[p, v] = {_CALL}, mask=Keep(p, q))",
        (*_QKV, given("Keep", "p q", kind="relation")),
        _ATTENTION,
    ),
    Case(
        "attention_call_causal",
        "Y[b, h, p, v] = attention(Q[b, h, p, k], K[b, q, k], V[b, q, v], mask=M[b, q] > 0, causal=1)",
        (given("Q", "b h p k"), given("K", "b p k"), given("V", "b p v"), given("M", "b p")),
        ({"b": 2, "h": 2, "p": 3, "k": 2, "v": 2}, {"b": 1, "h": 3, "p": 4, "k": 3, "v": 2}),
    ),
    Case(
        "attention_call_of_projections",
        "Y[p, o] = attention(A[k, d] X[p, d], B[k, d] X[q, d], C[v, d] X[q, d]) W[o, v]",
        (
            given("A", "k d", -1, 1),
            given("B", "k d", -1, 1),
            given("C", "v d", -1, 1),
            given("X", "p d"),
            given("W", "o v"),
        ),
        ({"k": 2, "d": 3, "v": 2, "p": 4, "o": 2}, {"k": 3, "d": 2, "v": 4, "p": 5, "o": 3}),
        one="p",
        relaxed=2,  # sums of sums
    ),
    # fn -----------------------------------------------------------------------------------------
    Case(
        "fn_head",
        "fn head(Q[p, k], K[q, k], V[q, v]) = softmax(Q[p, k] K[q, k] / 2, axis=q) V[q, v]\n"
        "A[b, h, p, v] = head(X[b, h, p, k], X[b, h, q, k], Z[b, h, q, v])\n"
        "Y[b, p, m] = concat(A[b, h, p, v])",
        (given("X", "b h p k"), given("Z", "b h p v")),
        ({"b": 2, "h": 2, "p": 3, "k": 2, "v": 3}, {"b": 1, "h": 3, "p": 4, "k": 3, "v": 2}),
    ),
    Case(
        "fn_own_letters",
        "fn unit(A[i]) = A[i] / sqrt(A[j]**2 + 1)\n"
        "fn blend(A[i], B[i], w) = w unit(A[i]) + (1 - w) unit(B[i])\n"
        "Y[i, j] = blend(X[i, j], Z[j], 0.25) unit(Z[j])",
        (given("X", "i j"), given("Z", "j")),
        ({"i": 2, "j": 3}, {"i": 4, "j": 5}),
    ),
)
