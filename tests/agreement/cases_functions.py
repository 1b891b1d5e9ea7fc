"""Programs about functions: every row of the catalogue, its options, its axes and its edges."""

from __future__ import annotations

from tests.agreement.case import Case, given

__all__ = ["FUNCTION_CASES"]

_IJ = ({"i": 2, "j": 3}, {"i": 4, "j": 5})
_I = ({"i": 4}, {"i": 6})
_EC = ({"e": 2, "c": 3}, {"e": 4, "c": 5})
_X = given("X", "i j")
_PD = ({"p": 3, "d": 4}, {"p": 5, "d": 6})


def _elementwise(name: str, call: str, *, low: float = -2.0, high: float = 2.0, differentiable: bool = True) -> Case:
    """`call` of a matrix X that has a bias added, so that it never stands alone."""
    text = f"Y[i, j] = {call} + B[i]"
    return Case(name, text, (given("X", "i j", low, high), given("B", "i")), _IJ, differentiable=differentiable)


FUNCTION_CASES: tuple[Case, ...] = (
    # Elementwise --------------------------------------------------------------------------------
    _elementwise("cast_int64", "cast(3 X[i, j], int64)", differentiable=False),
    _elementwise("cast_float16", "cast(X[i, j], float16)", differentiable=False),
    _elementwise("cast_bfloat16", "cast(X[i, j], bfloat16)", differentiable=False),
    _elementwise("cast_bool", "cast(relu(X[i, j]), bool)", differentiable=False),
    _elementwise("step", "step(X[i, j])"),
    _elementwise("relu", "relu(X[i, j])"),
    _elementwise("leaky_relu", "leaky_relu(X[i, j])"),
    _elementwise("leaky_relu_slope", "leaky_relu(X[i, j], 0.3)"),
    _elementwise("sig", "sig(X[i, j])"),
    _elementwise("sig_temperature", "sig(X[i, j], T=0.5)"),
    _elementwise("sig_zero_temperature", "sig(X[i, j], 0)"),
    _elementwise("sig_large", "sig(300 X[i, j])"),
    Case("sig_tensor_temperature", "Y[i, j] = sig(X[i, j], T[j])", (_X, given("T", "j", 0.5, 2.0)), _IJ),
    _elementwise("tanh", "tanh(X[i, j])"),
    _elementwise("gelu", "gelu(X[i, j])"),
    _elementwise("gelu_tanh", 'gelu(X[i, j], approximate="tanh")'),
    _elementwise("silu", "silu(X[i, j])"),
    _elementwise("softplus", "softplus(X[i, j])"),
    _elementwise("exp", "exp(X[i, j])"),
    _elementwise("log", "log(X[i, j])", low=0.1, high=4.0),
    _elementwise("sqrt", "sqrt(X[i, j])", low=0.1, high=4.0),
    _elementwise("abs", "abs(X[i, j])"),
    _elementwise("sign", "sign(X[i, j])"),
    _elementwise("sin", "sin(X[i, j])"),
    _elementwise("cos", "cos(X[i, j])"),
    _elementwise("floor", "floor(2 X[i, j])"),
    _elementwise("clip", "clip(X[i, j], -1, 0.5)"),
    Case(
        "clip_tensors",
        "Y[i, j] = clip(X[i, j], Lo[i], Hi[j])",
        (_X, given("Lo", "i", -2, -1), given("Hi", "j", 0, 1)),
        _IJ,
    ),
    Case("elementwise_max", "Y[i, j] = max(X[i, j], B[i])", (_X, given("B", "i")), _IJ),
    Case("elementwise_min", "Y[i, j] = min(X[i, j], B[i], 0.5)", (_X, given("B", "i")), _IJ),
    Case("even_odd", "Y[i, j] = even(i) X[i, j] + odd(j) B[i]", (_X, given("B", "i")), _IJ),
    Case("functions_of_functions", "Y[i] = exp(-abs(tanh(X[i, j] - B[i])) / 2)", (_X, given("B", "i")), _IJ),
    Case(
        "function_of_a_sum",
        "Y[i] = relu(W[i, j] X[j] + B[i]) - sqrt(abs(B[i]) + 1)",
        (given("W", "i j"), given("X", "j"), given("B", "i")),
        _IJ,
    ),
    # Positions, comparisons, case ---------------------------------------------------------------
    Case("position_as_value", "Y[i] = i X[i] + 1", (given("X", "i"),), _I),
    Case(
        "position_code",
        "D = 4\nY[p, d] = X[p, d] + even(d) sin(p / 100**(d/D)) + odd(d) cos(p / 100**((d-1)/D))",
        (given("X", "p d"),),
        ({"p": 3, "d": 4}, {"p": 5, "d": 4}),
    ),
    Case(
        "comparisons",
        "Y[i, j] = (X[i, j] > B[i]) + 2 (X[i, j] <= 0) + 4 (i == j) + 8 (i != 1) + 16 (X[i, j] >= 1) + 32 (i < j)",
        (given("X", "i i"), given("B", "i")),
        _I,
    ),
    Case(
        "case_of_values",
        "Y[i, j] = case { X[i, j] > 1 -> X[i, j]**2; X[i, j] > B[i] -> B[i]; default -> -1 }",
        (_X, given("B", "i")),
        _IJ,
    ),
    Case(
        "case_without_default",
        "Y[i, j] = case { X[i, j] > 0 and not (B[i] > 1) -> 3 X[i, j] }",
        (_X, given("B", "i")),
        _IJ,
    ),
    Case(
        "case_of_relations",
        "input R(i, j)\nY[i] = case { R(i, j) -> B[i]; X[i, j] > 0.5 -> 2; not R(i, j) and i > 0 -> 3 }",
        (given("R", "i j", kind="relation"), _X, given("B", "i")),
        _IJ,
    ),
    Case(
        "case_with_or",
        "Y[i, j] = case { X[i, j] > 1 or X[i, j] < -1 -> B[i]; default -> X[i, j] }",
        (_X, given("B", "i")),
        _IJ,
    ),
    Case(
        "causal_scores",
        "Y[p, q] = softmax(case { q <= p -> X[p, q]; default -> -1000 })",
        (given("X", "p p"),),
        ({"p": 3}, {"p": 5}),
    ),
    # Along an axis ------------------------------------------------------------------------------
    Case("softmax", "Y[i, j] = softmax(X[i, j] + B[i])", (_X, given("B", "i")), _IJ),
    Case("softmax_axis_word", "Y[i, j] = softmax(X[i, j] B[i], axis=i)", (_X, given("B", "i")), _IJ),
    Case("softmax_dotted", "Y[i., j] = softmax(X[i, j] B[i])", (_X, given("B", "i")), _IJ),
    Case("softmax_of_large_values", "Y[i, j] = softmax(100 X[i, j])", (_X,), _IJ),
    Case("log_softmax", "Y[i, j] = log_softmax(X[i, j] B[i])", (_X, given("B", "i")), _IJ),
    Case("log_softmax_axis_number", "Y[i, j] = log_softmax(100 X[i, j] + B[i], axis=0)", (_X, given("B", "i")), _IJ),
    # The variance of one value is 0 and its normalised value 0: nothing is learned there.
    Case("lnorm", "Y[i, j] = lnorm(X[i, j] + B[i])", (_X, given("B", "i")), _IJ, relaxed=10),
    Case(
        "lnorm_eps",
        "Y[i, j] = lnorm(X[i, j], eps=0.1) G[j] + B[i]",
        (_X, given("G", "j"), given("B", "i")),
        _IJ,
        relaxed=10,
    ),
    Case("softmax_in_a_product", "Y[i] = softmax(X[i, j], axis=j) B[j]", (_X, given("B", "j")), _IJ),
    Case(
        "cross_entropy_classes",
        "input T[e]: int64\nLoss = cross_entropy(X[e, c], T[e])",
        (given("X", "e c"), given("T", "e", kind="classes", classes="c")),
        _EC,
    ),
    Case(
        "cross_entropy_each",
        "input T[e]: int64\nLoss[e] = cross_entropy(2 X[e, c] + B[e], T[e], axis=c)",
        (given("X", "e c"), given("B", "e"), given("T", "e", kind="classes", classes="c")),
        _EC,
    ),
    Case(
        "cross_entropy_probabilities",
        "Loss = cross_entropy(X[e, c], P[e, c])",
        (given("X", "e c"), given("P", "e c", kind="probabilities")),
        _EC,
    ),
    Case(
        "cross_entropy_two_axes",
        "input T[b, p]: int64\nLoss[b] = cross_entropy(X[b, p, c], T[b, p], axis=c)",
        (given("X", "b p c"), given("T", "b p", kind="classes", classes="c")),
        ({"b": 2, "p": 3, "c": 4}, {"b": 3, "p": 2, "c": 5}),
    ),
    # Choosing -----------------------------------------------------------------------------------
    Case("where", "Y[i, j] = where(X[i, j] > 0 and B[i] < 1, X[i, j]**2, B[i])", (_X, given("B", "i")), _IJ),
    Case("select_by_a_number", "Y[i, j] = select(X[i, j], 3 B[i], 0.5)", (_X, given("B", "i")), _IJ),
    Case(
        "where_with_products",
        "Y[i] = where(X[i, j] V[j] > 0, X[i, j] V[j], B[i]) + B[i]",
        (_X, given("V", "j"), given("B", "i")),
        _IJ,
    ),
    Case(
        "dropout",
        "Y[i, j] = dropout(X[i, j] + B[i], 0.3) + dropout(2 B[i], 0) + dropout(3, 1)",
        (_X, given("B", "i")),
        _IJ,
    ),
    # Masks --------------------------------------------------------------------------------------
    Case(
        "masked_softmax",
        "Y[p, q] = masked_softmax(X[p, q] + B[q], Keep(p, q))",
        (given("X", "p q"), given("B", "q"), given("Keep", "p q", kind="relation")),
        ({"p": 3, "q": 2}, {"p": 5, "q": 4}),
    ),
    Case(
        "masked_softmax_causal",
        "Y[p, q] = masked_softmax(100 X[p, q], q <= p) V[q]",
        (given("X", "p p"), given("V", "p")),
        ({"p": 3}, {"p": 5}),
    ),
    Case(
        "masked_softmax_of_whole_rows",
        "input M[i]: int64\nY[i, j] = masked_softmax(X[i, j], M[i])",
        (_X, given("M", "i", kind="classes", classes="m")),
        ({"i": 4, "j": 3, "m": 2}, {"i": 6, "j": 5, "m": 2}),
    ),
    Case(
        "masked_softmax_other_axis",
        "Y[i, j] = masked_softmax(B[i] V[j], V[j] > B[i], axis=i)",
        (given("V", "j"), given("B", "i")),
        _IJ,
    ),
    # More along an axis -------------------------------------------------------------------------
    Case("rmsnorm", "Y[i, j] = rmsnorm(X[i, j] + B[i])", (_X, given("B", "i")), _IJ),
    Case(
        "rmsnorm_eps",
        "Y[i, j] = rmsnorm(X[i, j], eps=E[i]) G[j]",
        (_X, given("E", "i", 0.1, 1.0), given("G", "j")),
        _IJ,
    ),
    Case("rmsnorm_axis", "Y[i, j] = rmsnorm(X[i, j], 0.5, axis=i) B[i]", (_X, given("B", "i")), _IJ),
    Case("cumsum", "Y[i, j] = cumsum(X[i, j] B[i])", (_X, given("B", "i")), _IJ),
    Case("cumsum_dotted", "Y[i., j] = cumsum(X[i, j] + B[i])", (_X, given("B", "i")), _IJ),
    Case("topk", "Y[i, j] = topk(X[i, j] B[j], 2)", (_X, given("B", "j")), _IJ),
    Case("topk_axis", "K = 1\nY[i, j] = topk(X[i, j], K, axis=i) B[i]", (_X, given("B", "i")), _IJ),
    Case("topk_of_all", "Y[i, j] = topk(X[i, j], 4) + topk(B[i], 0)", (_X, given("B", "i")), _IJ),
    Case(
        "topk_of_equal_ones",
        "input X[i, j]: int64\nY[i, j] = topk(X[i, j] + 1, 2)",
        (given("X", "i j", kind="classes", classes="i"),),
        ({"i": 2, "j": 5}, {"i": 3, "j": 7}),
    ),
    # An axis that leaves ------------------------------------------------------------------------
    Case("argmax", "Y[i] = argmax(X[i, j] + B[j], axis=j)", (_X, given("B", "j")), _IJ, differentiable=False),
    Case("argmax_as_a_number", "Y[j] = argmax(X[i, j]) B[j] + 1", (_X, given("B", "j")), _IJ),
    Case(
        "argmax_of_equal_ones",
        "input X[i, j]: int64\nY[i] = argmax(X[i, j])",
        (given("X", "i j", kind="classes", classes="i"),),
        ({"i": 2, "j": 5}, {"i": 3, "j": 7}),
    ),
    Case("reduce_max", "Y[i] = reduce_max(X[i, j] B[j], axis=j)", (_X, given("B", "j")), _IJ),
    Case("logsumexp", "Y[i] = logsumexp(3 X[i, j] + B[j], axis=j) B[0]", (_X, given("B", "j")), _IJ),
    Case("logsumexp_of_large_values", "Y = logsumexp(X[i])", (given("X", "i", 90.0, 200.0),), ({"i": 3}, {"i": 5})),
    Case("reduce_mean", "Y[i, j] = X[i, j] - reduce_mean(X[i, j], axis=j) B[i]", (_X, given("B", "i")), _IJ),
    # Of a tensor as a whole ---------------------------------------------------------------------
    Case(
        "tucker_dense",
        "Y[i, j] = tucker_dense(X[i, j] V[j], 1, 0.2) + B[i]",
        (_X, given("V", "j"), given("B", "i")),
        _IJ,
    ),
    Case(
        "tucker_dense_of_three_axes",
        "Y[k, i, j] = tucker_dense(X[i, j, k], threshold=0.3)",
        (given("X", "i j k"),),
        ({"i": 3, "j": 2, "k": 5}, {"i": 4, "j": 5, "k": 3}),
    ),
    # Indices that functions make ----------------------------------------------------------------
    Case(
        "one_hot",
        "input T[e]: int64\nH[e, c] = 2 one_hot(T[e] - 1, 4) + B[e]",
        (given("B", "e"), given("T", "e", kind="classes", classes="c")),
        ({"e": 3, "c": 6}, {"e": 5, "c": 6}),
        one="e",
    ),
    Case(
        "one_hot_of_a_known_axis",
        "input T[e]: int64\nY[e, c] = one_hot(T[e]) W[c]",
        (given("W", "c"), given("T", "e", kind="classes", classes="c")),
        _EC,
    ),
    Case(
        "one_hot_contracted",
        "input T[e]: int64\nY[e, d] = one_hot(T[e], axis=c) W[c, d]",
        (given("W", "c d"), given("T", "e", kind="classes", classes="c")),
        ({"e": 2, "c": 3, "d": 4}, {"e": 5, "c": 4, "d": 2}),
    ),
    Case("one_hot_of_a_position", "Y[i, j] = one_hot(i + 1) X[i, j] + B[i]", (_X, given("B", "i")), _IJ),
    Case(
        "causal_mask",
        "M[p, q] = causal_mask(4)\nY[p, d] = M[p, q] X[q, d]",
        (given("X", "q d"),),
        ({"q": 4, "d": 2}, {"q": 4, "d": 5}),
        one="d",
    ),
    Case(
        "causal_mask_of_known_axes",
        "Y[b, p, q] = masked_softmax(X[b, p, q] + V[p], causal_mask())",
        (given("X", "b p p"), given("V", "p")),
        ({"b": 2, "p": 3}, {"b": 3, "p": 4}),
    ),
    # Positions ----------------------------------------------------------------------------------
    Case("rope", "Y[p, d] = rope(X[p, d], p) + B[p]", (given("X", "p d"), given("B", "p")), _PD, one="p"),
    Case(
        "rope_base_and_axis",
        "Y[d, p] = rope(X[p, d] B[p], 3 p + 1, base=100, axis=d)",
        (given("X", "p d"), given("B", "p")),
        _PD,
        one="p",
    ),
    Case(
        "rope_at_given_positions",
        "input P[b, p]: int64\nY[b, h, p, d] = rope(X[b, p, h, d], P[b, p] + 2)",
        (given("P", "b p", kind="classes", classes="n"), given("X", "b p h d")),
        ({"b": 2, "p": 3, "h": 2, "d": 4, "n": 9}, {"b": 1, "p": 4, "h": 3, "d": 2, "n": 9}),
    ),
    Case(
        "rope_at_learned_positions",
        "Y[p, d] = rope(X[p, d], S[d] + B[p]) + rope(X[p, d], 2)",
        (given("X", "p d"), given("S", "d"), given("B", "p")),
        _PD,
        one="p",
    ),
)
