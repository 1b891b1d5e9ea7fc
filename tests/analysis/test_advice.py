"""Warnings of `fuse check`: the cases of the language reference, and what they must leave alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuse_ref import Program
from fuse_ref.analysis.advice import advise

PROGRAMS = Path(__file__).resolve().parents[1] / "programs"


@pytest.mark.parametrize(
    ("text", "says", "means"),
    [
        ("Y[i] = exp(W[i, j])", "write sum(j: exp(…))", "Y[i] = exp(sum(j: W[i, j]))"),
        ("L = -log(P[e, T[e]])", "e of P[e, T[e]] alone is summed inside log", "L = -log(sum(e: P[e, T[e]]))"),
        ("Y[i] = relu(2 X[i, j] - B[i])", "j of X[i, j] alone", "Y[i] = relu(sum(j: 2 X[i, j]) - B[i])"),
        ("Y[i] = 2 (W[i, j] + B[i])", "B[i] stands in a parenthesis", "Y[i] = sum(j: 2 (W[i, j] + B[i]))"),
        (
            "L = (M[e] (Y[e] - X[e]))**2",
            "summed over e before the power is taken",
            "L = sum(e: M[e] (Y[e] - X[e]))**2",
        ),
        (
            "N[i, d] = X[i, d] / sqrt(X[i, d]**2)",
            "use another letter, d', in the divisor",
            "N[i, d] = X[i, d] / sqrt(X[i, d]**2)",
        ),
        ("A[i, j] = exp(X[i, j]) / exp(X[i, j])", "divided by itself", "A[i, j] = exp(X[i, j]) / exp(X[i, j])"),
        (
            "Y[p, v] = Q[p, d] K[q, d] V[q, v] / (Q[p, d] K[q, d])",
            "give it letters of its own",
            "Y[p, v] = sum(d, q: Q[p, d] K[q, d] V[q, v] / (Q[p, d] K[q, d]))",
        ),
        (
            "Y[x] max= X[2*x+dx-1] Z[x]; axis dx = 3, x = 4; V[x] = X[x+1]; U[y] = X[y]; export Y, V, U",
            "axis dx = 3 does not bound dx here, which never stands alone as an index, while other equations step",
            "Y[x] max= X[2*x+dx-1] Z[x]",
        ),
        ("Right avg= (P[b] == T[b])", "mean of 1", "Right avg= P[b] == T[b]"),
        ("S[0, d] = A[d]\nS[t, d] = B[t, d]", "by the equation of line 2", "S[0, d] = A[d]"),
    ],
)
def test_each_case_is_told_once(text: str, says: str, means: str) -> None:
    (advice,) = advise(Program(text).ir)
    assert says in advice.message
    assert advice.means == means
    assert str(advice).startswith("<program>:1:1: ")
    assert text.partition("\n")[0] in str(advice)


@pytest.mark.parametrize(
    "text",
    [
        "Y[i] = relu(W[i, j] X[j] + B[i])",
        "Y[i] = sum(j: exp(W[i, j]))",
        "Y[i] = exp(sum(j: W[i, j]))",
        "N = sqrt(X[d]**2)",
        "K[i, j] = exp(-(X[i, d] - X[j, d])**2 / 2)",
        "L = (A[i, j] X[j] - T[i])**2",
        "N[i, j] = A[i, j] / A[i, k]",
        "N[i, d] = X[i, d] / sqrt(X[i, d']**2)",
        "Y[i] = X[i] / (1 + abs(X[i]))",
        "S[0] = A\nS[t+1] = S[t] + B[t]",
        "Y[i] = 2 (W[i, j] + B[i, j])",
        "L = (X[e] - Y[e])**2",
        "input T[b]: int64; L = cross_entropy(X[b, k], T[b], axis=k)",
        "Y[p, v] = Q[p, d] K[q, d] V[q, v] / (Q[p, e] K[r, e])",
        "axis dx = 3, x = 4; Y[x] max= X[2*x+dx-1] K[dx]",
        "axis dx = 3; U[x, dx] = X[x+dx]",
        "axis x = 4; Y[x] = K[d] X[x+d-1]",
        "axis x = 6; Y[x/2] max= X[x]",
        "Hit[b] = P[b] == T[b]; Right avg= Hit[b]",
        "Mean avg= (P[b] == T[b]) A[b]",
        "A(x, z) <- P(x, y), P(y, z)",
    ],
)
def test_what_is_usually_meant_is_left_alone(text: str) -> None:
    assert advise(Program(text).ir) == ()


def test_places_are_in_text_order() -> None:
    program = Program("A[i] = exp(W[i, j])\nB[i] = 2 (W[i, j] + C[i])\nD[i] = log(W[i, j])")
    assert [advice.span.line for advice in advise(program.ir)] == [1, 2, 3]


@pytest.mark.parametrize("name", ["paper_cnn", "paper_kernels", "paper_graphical", "dialect_block", "paper_tucker"])
def test_programs_of_the_paper_need_no_advice(name: str) -> None:
    assert advise(Program.from_file(PROGRAMS / f"{name}.fuse").ir) == ()
