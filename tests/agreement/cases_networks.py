"""Catalogue: whole models, declarations, literals, files, relations, and the programs of the paper."""

from __future__ import annotations

from pathlib import Path

from tests.agreement.case import Case, given

__all__ = ["NETWORK_CASES"]

_PROGRAMS = Path(__file__).parent.parent / "programs"


def _program(name: str) -> str:
    return (_PROGRAMS / f"{name}.fuse").read_text(encoding="utf-8")


_ATTENTION = """
Comp[p, q.] = softmax(Q[p, k] K[q, k] / sqrt(Dk))
Y[p, v] = Comp[p, q] V[q, v]
export Y
"""

_HEADS = """
input X[b, p, d]
param WQ[h, k, d] ~ xavier()
param WK[h, k, d] ~ xavier()
param WV[h, v, d] ~ xavier()
param WO[d, h, v] ~ xavier()
axis d = 4, h = 2, k = 3, v = 2
Q[b, h, p, k] = WQ[h, k, d] X[b, p, d]
K[b, h, p, k] = WK[h, k, d] X[b, p, d]
V[b, h, p, v] = WV[h, v, d] X[b, p, d]
Comp[b, h, p, p'.] = softmax(Q[b, h, p, k] K[b, h, p', k] / sqrt(3))
Attn[b, h, p, v] = Comp[b, h, p, p'] V[b, h, p', v]
Y[b, p, d.] = lnorm(WO[d, h, v] Attn[b, h, p, v] + X[b, p, d])
export Y
"""

_CONVNET = """
input Image[b, x, y]
param F[o, dx, dy] ~ kaiming()
param W[c, o, u, v] ~ xavier()
param B[c] ~ zeros()
axis o = 2, dx = 2, dy = 2, c = 3, u = 2, v = 2
Conv[b, o, x, y] = relu(F[o, dx, dy] Image[b, x+dx, y+dy])
Pool[b, o, x/2, y/2] max= Conv[b, o, x, y]
Logits[b, c] = W[c, o, u, v] Pool[b, o, u, v] + B[c]
Y[b, c.] = log_softmax(Logits[b, c])
export Y
"""

_BLOCK = """
input X[p, d]
Mid[p, d.] = lnorm(WS[d, e] X[p, e] + X[p, d])
Hid[p, f] = gelu(W1[f, d] Mid[p, d] + B1[f])
Y[p, d.] = lnorm(W2[d, f] Hid[p, f] + Mid[p, d])
export Y
"""

_EXPERTS = """
Gate[b, e.] = softmax(G[e, d] X[b, d])
Expert[b, e, o] = tanh(W[e, o, d] X[b, d])
Y[b, o] = Gate[b, e] Expert[b, e, o]
export Gate, Y
"""

_MLP_SIZES = ({"b": 2, "d": 3, "h": 4, "o": 5}, {"b": 5, "d": 2, "h": 3, "o": 4})

NETWORK_CASES: tuple[Case, ...] = (
    Case(
        "attention",
        "Dk = 3" + _ATTENTION,
        (given("Q", "p k"), given("K", "q k"), given("V", "q v")),
        ({"p": 2, "q": 3, "k": 4, "v": 5}, {"p": 4, "q": 3, "k": 2, "v": 5}),
        long=True,
    ),
    Case(
        "attention_heads",
        _HEADS,
        (given("X", "b p d"), given("WQ", "h k d"), given("WK", "h k d"), given("WV", "h v d"), given("WO", "d h v")),
        ({"b": 5, "p": 6, "d": 4, "h": 2, "k": 3, "v": 2}, {"b": 3, "p": 5, "d": 4, "h": 2, "k": 3, "v": 2}),
        relaxed=10,  # lnorm divides by a deviation that may be small
        long=True,
    ),
    Case(
        "mlp",
        "H[b, h] = relu(W1[h, d] X[b, d] + B1[h])\nY[b, o] = W2[o, h] H[b, h] + B2[o]\nexport Y",
        (given("X", "b d"), given("W1", "h d"), given("B1", "h"), given("W2", "o h"), given("B2", "o")),
        _MLP_SIZES,
        long=True,
    ),
    Case(
        "mlp_with_params",
        "input X[b, d]\nparam W1[h, d] ~ xavier()\nparam W2[o, h]\naxis d = 3, h = 4, o = 2\n"
        "H[b, h] = tanh(W1[h, d] X[b, d])\nY[b, o] = W2[o, h] H[b, h]\nexport Y",
        (given("X", "b d"), given("W1", "h d"), given("W2", "o h")),
        ({"b": 6, "d": 3, "h": 4, "o": 2}, {"b": 5, "d": 3, "h": 4, "o": 2}),
    ),
    Case(
        "convnet",
        _CONVNET,
        (given("Image", "b x y"), given("F", "o f g"), given("W", "c o u v"), given("B", "c")),
        (
            {"b": 6, "x": 5, "y": 4, "o": 2, "f": 2, "g": 2, "c": 3, "u": 2, "v": 2},
            {"b": 3, "x": 5, "y": 4, "o": 2, "f": 2, "g": 2, "c": 3, "u": 2, "v": 2},
        ),
        long=True,
    ),
    Case(
        "transformer_block",
        _BLOCK,
        (given("X", "p d"), given("WS", "d d"), given("W1", "f d"), given("B1", "f"), given("W2", "d f")),
        ({"p": 2, "d": 3, "f": 4}, {"p": 4, "d": 5, "f": 2}),
        relaxed=10,
        long=True,
    ),
    Case(
        "mixture_of_experts",
        _EXPERTS,
        (given("X", "b d"), given("G", "e d"), given("W", "e o d")),
        ({"b": 2, "d": 3, "e": 4, "o": 5}, {"b": 4, "d": 2, "e": 3, "o": 6}),
    ),
    Case(
        "logistic_regression",
        "P[e] = sig(W[d] X[e, d] + Bias)\nLoss = avg(e: -(T[e] log(P[e]) + (1 - T[e]) log(1 - P[e])))\nexport Loss",
        (given("W", "d", -0.5, 0.5), given("X", "e d"), given("Bias"), given("T", "e", 0.0, 1.0)),
        ({"e": 3, "d": 2}, {"e": 5, "d": 4}),
    ),
    Case(
        "cosine_similarity",
        "Norm[i] = sqrt(X[i, d]**2)\nSim[i, i'] = X[i, d] X[i', d] / Norm[i] / Norm[i']\nexport Sim",
        (given("X", "i d"),),
        ({"i": 2, "d": 3}, {"i": 4, "d": 2}),
    ),
    Case(
        "batch_statistics",
        "Mean[d] avg= X[b, d]\nVar[d] avg= (X[b, d] - Mean[d])**2\nY[b, d] = G[d] (X[b, d] - Mean[d]) / sqrt(Var[d] + 0.1)\nexport Y",
        (given("X", "b d"), given("G", "d")),
        ({"b": 3, "d": 2}, {"b": 5, "d": 4}),
        relaxed=10,
    ),
    Case(
        "canonical_decomposition",
        "T[i, j, k] = A[i, r] B[j, r] C[k, r]\nLoss = (D[i, j, k] - T[i, j, k])**2\nexport T, Loss",
        (given("A", "i r"), given("B", "j r"), given("C", "k r"), given("D", "i j k")),
        ({"i": 2, "j": 3, "k": 4, "r": 5}, {"i": 3, "j": 2, "k": 5, "r": 4}),
    ),
    Case(
        "energy_of_a_grid",
        "E = -J S[x, y] S[x+1, y] - J S[x, y] S[x, y+1] - H S[x, y]",
        (given("J"), given("S", "w h"), given("H")),
        ({"w": 3, "h": 4}, {"w": 4, "h": 5}),
        one="-",  # a grid of one row has no neighbours below
    ),
    # Declarations, literals, files, relations -----------------------------------------------------
    Case(
        "literals",
        "W[i, j] = [[1, -2, 0.5], [3, 0, 1e-1]]\nC = const([0.5, 2])\nHalf = const(0.5)\nY[b, i] = W[i, j] X[b, j] Half + C[i]\nexport Y",
        (given("X", "b j"),),
        ({"b": 2, "j": 3}, {"b": 4, "j": 3}),
    ),
    Case(
        "numeric_facts",
        "Cost[Ann, Bob] = 0.8\nCost[Bob, Cid] = 2\naxis x = 3\nY[x] = Cost[x, y] X[y]\nexport Y",
        (given("X", "n"),),
        ({"n": 3}, {"n": 3}),
        one="-",
    ),
    Case(
        "relation_times_dense",
        "input Neig(n, m)\nAgg[n, d] = Neig(n, m) Z[m, d]",
        (given("Neig", "n m", kind="relation"), given("Z", "m d")),
        ({"n": 2, "m": 3, "d": 4}, {"n": 4, "m": 5, "d": 3}),
    ),
    Case(
        "relation_as_numbers",
        "input R(x, y)\nY[x] = R[x, y] W[x, y] + R[x, y]",
        (given("R", "x y", kind="relation"), given("W", "x y")),
        ({"x": 2, "y": 3}, {"x": 4, "y": 5}),
    ),
    Case(
        "facts_times_dense",
        "Neig(Ann, Bob)\nNeig(Bob, Ann)\nNeig(Bob, Cid)\naxis n = 3\nAgg[n, d] = Neig(n, m) Z[m, d]\nexport Agg",
        (given("Z", "m d"),),
        ({"m": 3, "d": 2}, {"m": 3, "d": 4}),
        one="d",
    ),
    Case(
        "integer_values",
        "input N[i]: int64\nM[i] = 2 N[i] + 1\nY[i, c] = M[i] X[i, c] + N[i]\nexport Y",
        (given("N", "i", kind="classes", classes="c"), given("X", "i c")),
        ({"i": 3, "c": 4}, {"i": 5, "c": 2}),
    ),
    Case(
        "numbers_read_as_truth",
        "input X[i, j]\nY[i, j] = X(i, j) B[i]",
        (given("X", "i j"), given("B", "i")),
        ({"i": 2, "j": 3}, {"i": 4, "j": 5}),
    ),
    Case(
        "relations_in_conditions",
        "input A(x, y)\ninput B(x)\nY[x, y] = case { A(x, y) -> X[x]; default -> 2 } B(x)\nZ[x] = not A(x, y)\nexport Y, Z",
        (given("A", "x y", kind="relation"), given("B", "x", kind="relation"), given("X", "x")),
        ({"x": 2, "y": 3}, {"x": 4, "y": 5}),
    ),
    Case(
        "symbols",
        "axis x = {Ann, Bob, Cid}\nY[x] = X[Bob] (x != Cid) + W[x] (x == Ann) + X[x]",
        (given("X", "n"), given("W", "n")),
        ({"n": 3}, {"n": 3}),
        one="-",
    ),
    Case(
        "source",
        'W[i, j] = "w.npy"\nY[b, i] = W[i, j] X[b, j]\n"out/y.npy" = Y[b, i]\nexport Y',
        (given("X", "b j"),),
        ({"b": 4, "i": 2, "j": 3}, {"b": 5, "i": 2, "j": 3}),
        files={"w.npy": ("i", "j")},
    ),
    Case(
        "qualified_and_primed_names",
        "Y'[i, j''] = nn.W[i, j] lambda'[j, j'']\nexport Y'",
        (given("nn.W", "i j"), given("lambda'", "j k")),
        ({"i": 2, "j": 3, "k": 4}, {"i": 3, "j": 2, "k": 4}),
    ),
    # Programs of the paper and the public dialect -------------------------------------------------
    Case(
        "paper_cnn",
        _program("paper_cnn"),
        (given("Filter", "f g c"), given("Image", "w h c")),
        ({"f": 2, "g": 3, "c": 4, "w": 5, "h": 6}, {"f": 2, "g": 3, "c": 4, "w": 7, "h": 6}),
        one="c",
    ),
    Case(
        "paper_kernels",
        _program("paper_kernels"),
        (given("X", "i j", -1, 1), given("Q", "q j", -1, 1), given("A", "i"), given("T", "i"), given("Bias")),
        ({"i": 3, "j": 2, "q": 4}, {"i": 4, "j": 3, "q": 5}),
        long=True,
    ),
    Case(
        "paper_tucker",
        _program("paper_tucker"),
        (given("M", "i p"), given("M'", "j q"), given("M''", "k r"), given("C", "p q r"), given("Data", "i j k")),
        ({"i": 2, "j": 3, "k": 4, "p": 5, "q": 6, "r": 7}, {"i": 3, "j": 2, "k": 4, "p": 2, "q": 5, "r": 6}),
    ),
    Case("paper_graphical", _program("paper_graphical"), (), ({}, {}), one="-"),
    Case("paper_perceptron", _program("paper_perceptron"), (), ({}, {}), one="-"),
    Case("dialect_block", _program("dialect_block"), (), ({}, {}), one="-"),
    Case(
        "shortest_and_widest_paths",
        "D[y] min= D[x] + W[x, y]\nD[0] = 0\nC[y] max= min(C[x], W[x, y])\nC[0] = 9\nS = D[x] C[x]\nexport D, C, S",
        (given("W", "x x", 0.1, 2),),
        ({"x": 4}, {"x": 7}),
        breaks=True,
    ),
)
