"""The agreement catalogue: every program that the oracle and all engines must run alike.

A new operation is one case here (beside its row in `fuse_ref.ir.operations` and in every engine's
table). `test_catalogue_complete.py` fails when an operation or an index form occurs in no program.
"""

from __future__ import annotations

from tests.agreement.case import Case, given
from tests.agreement.cases_gathers import GATHER_CASES
from tests.agreement.cases_indices import INDEX_CASES
from tests.agreement.cases_networks import NETWORK_CASES

__all__ = ["CASES"]

_IJ = ({"i": 2, "j": 3}, {"i": 4, "j": 5})
_I = ({"i": 4}, {"i": 6})
_EC = ({"e": 2, "c": 3}, {"e": 4, "c": 5})
_X = given("X", "i j")
_POSITIVE = given("X", "i j", 0.1, 4.0)


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
)

CASES: tuple[Case, ...] = (*INDEX_CASES, *GATHER_CASES, *FUNCTION_CASES, *NETWORK_CASES)
