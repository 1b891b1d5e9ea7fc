"""Catalogue: every operator with every index form and functions between them, a few equations to a program."""

from __future__ import annotations

from tests.agreement.case import Case, given

__all__ = ["MIXTURE_CASES"]

# How X, of nine or eleven elements, is read at i: each form under all operators, with functions that differ.
_FORMS = {
    "ahead": "i+1",
    "behind": "i-1",
    "stride": "2*i",
    "negative": "N-i",
    "several": "i+2*j",
    "quotient": "i/2",
    "constant": "3",
    "from_the_end": "-2",
    "gather": "T[i]",
    "affine_quotient": "(i+j)/2",
}

# Two sets, so that each form meets many functions; "{}" is what is read.
_FUNCTIONS = (
    ("sig({})", "tanh({}) A[i]", "exp({}) - A[i]", "relu({}) + A[i]", "cos({} A[i])"),
    ("gelu({})", "silu({}) A[i]", "softplus({}) - A[i]", "abs({}) + A[i]", "sin({} A[i])"),
    ("sqrt({}**2 + 1)", "log({}**2 + 1) A[i]", "clip({}, -1, 1) - A[i]", "leaky_relu({}) + A[i]", "max({}, A[i])"),
)


def _mixture(number: int, name: str, form: str) -> Case:
    read = f"X[{form}]"
    one, two, three, four, five = _FUNCTIONS[number % 3]
    # The projected index: j of its own, from B.
    lines = [
        f"P[i] = {one.format(read)} B[j] + A[i]",
        f"Q[i] max= {two.format(read)} + B[j]",
        f"R[i] min= {three.format(read)} B[j]",
        f"S[i] avg= {four.format(read)} - B[j] (B[j] > 0)",
        f"U[i] prod= {five.format(read)} + B[j]",
        "export P, Q, R, S, U",
    ]
    tensors = [given("X", "n"), given("A", "i"), given("B", "j")]
    if "T[" in form:
        lines.insert(0, "input T[i]: int64")
        tensors.append(given("T", "i", kind="classes", classes="n"))
    if "N" in form:
        lines.insert(0, "N = 4")
    sizes = ({"n": 9, "i": 3, "j": 2}, {"n": 11, "i": 4, "j": 3})
    return Case(f"mixture_{name}", "\n".join(lines), tuple(tensors), sizes, one="j")


_READS = tuple(_mixture(number, name, form) for number, (name, form) in enumerate(_FORMS.items()))

# Left-hand sides: each form under all operators.
_WRITES = {
    "ahead": ("i+1", "tanh(X[i, j])"),
    "stride": ("2*i", "sig(X[i, j])"),
    "reversed": ("N-i", "exp(X[i, j])"),
    "several": ("i+j", "abs(X[i, j])"),
    "quotient": ("i/2", "gelu(X[i, j])"),
    "constant": ("1", "cos(X[i, j])"),
}


def _written(name: str, form: str, body: str) -> Case:
    operators = {"P": "=", "Q": "max=", "R": "min=", "S": "avg=", "U": "prod="}
    lines = ["N = 5", "axis o = 6"] if "N" in form else ["axis o = 7"]
    for target, operator in operators.items():
        lines.append(f"{target}[{form}] {operator} {body}")
        lines.append(f"{target}x[o] = {target}[o]")
    lines.append("export Px, Qx, Rx, Sx, Ux")
    return Case(
        f"written_{name}", "\n".join(lines), (given("X", "i j"),), ({"i": 3, "j": 2}, {"i": 4, "j": 3}), one="j"
    )


_SIZES = ({"i": 3, "j": 4, "k": 2}, {"i": 4, "j": 5, "k": 3})
_X, _A, _B, _W = given("X", "i j"), given("A", "i"), given("B", "j"), given("W", "j k")

_PROJECTIONS = (
    Case(
        "projections_of_functions",
        "P[i] = max(j: tanh(X[i, j])) + min(j: exp(X[i, j]))\n"
        "Q[i] = avg(j: relu(X[i, j] - B[j])) prod(j: sig(X[i, j]))\n"
        "R = sum(i: max(j: gelu(X[i, j])) A[i])\n"
        "S[j] = prod(i: 1 + abs(X[i, j])) / avg(i: softplus(X[i, j]))\nexport P, Q, R, S",
        (_X, _A, _B),
        _SIZES,
    ),
    Case(
        "projections_inside_functions",
        "P[i] = log(sum(j: exp(X[i, j])))\nQ[i] = sqrt(avg(j: X[i, j]**2) + 0.1)\n"
        "R[i] = tanh(max(j: X[i, j] B[j]))\nS = silu(min(i, j: X[i, j]))\nexport P, Q, R, S",
        (_X, _B),
        _SIZES,
    ),
    Case(
        "projections_at_offsets",
        "P[i] = max(j: X[i, j+1] - X[i, j]) + A[i]\nQ[i] = avg(j: X[i, j-1] B[j])\nR[i] = min(j: X[i, 3-j] + 0 * j)\n"
        "S = prod(j: X[0, j] X[-1, j])\nexport P, Q, R, S",
        (_X, _B, _A),
        _SIZES,
        one="i",
    ),
    Case(
        "normalised_along_each_axis",
        "P[i, j] = softmax(X[i, j], axis=i) + softmax(X[i, j], axis=j)\nQ[i., j] = log_softmax(X[i, j] A[i])\n"
        "R[i, j] = lnorm(X[i, j], eps=0.1, axis=0) + rmsnorm(X[i, j], eps=0.1)\n"
        "S[i, j] = cumsum(X[i, j], axis=i) B[j]\nexport P, Q, R, S",
        (_X, _A, _B),
        _SIZES,
    ),
    Case(
        "normalised_under_other_operators",
        "P[i] max= softmax(X[i, j], axis=j) B[j]\nQ[j] min= log_softmax(X[i, j], axis=j)\n"
        "R[i] avg= cumsum(X[i, j], axis=j)\nS[i] prod= rmsnorm(X[i, j], eps=0.5, axis=j) + 2\nexport P, Q, R, S",
        (_X, _B),
        _SIZES,
    ),
    Case(
        "reductions_under_other_operators",
        "P[i] max= reduce_max(X[i, j], axis=j) A[i]\nQ min= reduce_mean(X[i, j], axis=j) A[i]\n"
        "R avg= argmax(X[i, j], axis=j) A[i]\nS[i] = reduce_max(X[i, j] B[j], axis=j)\nexport P, Q, R, S",
        (_X, _A, _B),
        _SIZES,
    ),
    Case(
        "chosen_under_other_operators",
        "P[i] max= where(X[i, j] > B[j], X[i, j], 2 B[j])\nQ[i] min= case { i < j -> X[i, j]; default -> B[j] }\n"
        "R[i] avg= step(X[i, j]) + sign(B[j])\nS[i] prod= floor(2 X[i, j]) + 0.5\nexport P, Q, R, S",
        (given("X", "i i"), given("B", "i")),
        _SIZES,
    ),
    Case(
        "filters_of_every_kind",
        "P[i] max= X[i, j] (i != j)\nQ[i] min= X[i, j] (X[i, j] > B[j]) not (B[j] > 1)\n"
        "R[i] avg= X[i, j] (i <= j) / 2\nS[i] prod= X[i, j] (X[i, j] > 0) (j >= 1)\n"
        "U[k] max= W[j, k] (B[j] > 0 or W[j, k] < 0)\nexport P, Q, R, S, U",
        (given("X", "i i"), given("B", "i"), given("W", "i k")),
        _SIZES,
        one="k",
    ),
    Case(
        "facts_beside_other_operators",
        "P[0] = 1\nP[i] max= X[i, j] B[j]\nQ[1] = -1\nQ[i] min= X[i, j] - B[j]\n"
        "R[0] = 2\nR[i] prod= X[i, j]\nS[0] = 5\nS[i] avg= X[i, j]\nexport P, Q, R, S",
        (_X, _B),
        _SIZES,
        one="j",
    ),
    Case(
        "three_equations_each",
        "P[i] += A[i]\nP[i] += X[i, j]\nP[0] += 3\nQ[i] max= A[i]\nQ[i] max= X[i, 0]\nQ[i] max= X[i, j] B[j]\n"
        "R[i] avg= A[i]\nR[i] avg= X[i, j]\nR[i] avg= X[i, -1]\nexport P, Q, R",
        (_X, _A, _B),
        _SIZES,
    ),
    Case(
        "slices_under_other_operators",
        "P[i] = tanh(X[i, 0:2]) B[1:3] A[i]\nQ[i] max= X[i, 1:3]\nR[i] min= exp(X[i, ::2])\nS[i] avg= X[i, -2:] B[0:2]\n"
        "U[0:2] prod= B[1:3] X[i, 0:2]\nexport P, Q, R, S, U",
        (_X, _B, _A),
        _SIZES,
        one="i",
    ),
    Case(
        "symbols_under_other_operators",
        "axis s = {Ann, Bob, Cid}\nP[i] = sig(V[i, Ann]) + V[i, Bob]\nQ[i] max= V[i, s] (s != Bob)\n"
        "R[s] min= V[i, s] A[i]\nR[Ann] = -1\nS[s] avg= tanh(V[i, s])\nexport P, Q, R, S",
        (given("V", "i s"), _A),
        ({"i": 3, "s": 3}, {"i": 5, "s": 3}),
    ),
    Case(
        "matrix_products_between_functions",
        "H[i, k] = relu(X[i, j] W[j, k])\nG[i, i'] = exp(-(H[i, k] - H[i', k])**2)\n"
        "Y[i] = G[i, i'] A[i'] / sum(q: G[i, q])\nZ = max(i: Y[i]) - min(i: Y[i])\nexport Y, Z",
        (_X, _W, _A),
        _SIZES,
    ),
)

MIXTURE_CASES: tuple[Case, ...] = (
    *_READS,
    *(_written(name, form, body) for name, (form, body) in _WRITES.items()),
    *_PROJECTIONS,
)
