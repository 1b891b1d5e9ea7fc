"""Where sums happen: section 4 of the language reference, case by case.

The right column was worked out by hand from the rules; nothing here computes it.
"""

from __future__ import annotations

import pytest

from fuse_ref.errors import FuseError
from fuse_ref.ir.from_syntax import build_program
from fuse_ref.ir.nodes import Expr, ProgramIR, Project
from fuse_ref.ir.text import equation_text, expression_text
from fuse_ref.ir.variables import children, reads
from fuse_ref.language.parser import parse
from fuse_ref.source import Source

RULES = {
    "rule 1 and 2: products contract, terms are projected by themselves": [
        ("Y[i] = W[i, j] X[j] + B[i]", "Y[i] = sum(j: W[i, j] X[j]) + B[i]"),
        ("Y[i] = relu(W[i, j] X[j])", "Y[i] = relu(sum(j: W[i, j] X[j]))"),
        ("Y = X[i, i]", "Y = sum(i: X[i, i])"),
        ("Y[i] = X[i] X[i]", "Y[i] = X[i] X[i]"),
        ("K[i, k] = exp(-(X[i, j] - X[k, j])**2 / V)", "K[i, k] = exp(sum(j: -(X[i, j] - X[k, j])**2 / V))"),
        ("K[i, k] = (X[i, j] X[k, j])**2", "K[i, k] = sum(j: X[i, j] X[k, j])**2"),
        ("L = (A[i, j] X[j] - T[i])**2", "L = sum(i: (sum(j: A[i, j] X[j]) - T[i])**2)"),
        ("Y[i] = -(A[i, j] + B[i])", "Y[i] = -(sum(j: A[i, j]) + B[i])"),
        ("Y[i] = 2 (W[i, j] + B[i])", "Y[i] = sum(j: 2 (W[i, j] + B[i]))"),
        ("Y[i] = A[i] (B[j] C[j])", "Y[i] = A[i] sum(j: B[j] C[j])"),
        ("Y[i] = A[i] (B[j] C[k])", "Y[i] = sum(j, k: A[i] (B[j] C[k]))"),
        ("Y[i] = (A[i, j] B[j] + C[j]) D[i]", "Y[i] = sum(j: (A[i, j] B[j] + C[j]) D[i])"),
        ("Y[i] = (A[i, j] B[j] + C[k] E[k]) D[i]", "Y[i] = (sum(j: A[i, j] B[j]) + sum(k: C[k] E[k])) D[i]"),
    ],
    "(u) (u) equals (u)**2": [
        ("Y = (A[j] B[j]) (C[j] D[j])", "Y = sum(j: A[j] B[j]) sum(j: C[j] D[j])"),
        ("Y = (A[j] B[j])**2", "Y = sum(j: A[j] B[j])**2"),
        ("Y = (A[j] B[j]) (C[j] D[j]) E[j]", "Y = sum(j: (A[j] B[j]) (C[j] D[j]) E[j])"),
        ("Y = (A[j] B[j]) f(C[j])".replace("f", "exp"), "Y = sum(j: A[j] B[j]) exp(sum(j: C[j]))"),
        (
            "Y = (A[j] B[j] / abs(G[j])) (A[j] B[j] / abs(G[j]))",
            "Y = " + " ".join(2 * ["sum(j: A[j] B[j] / abs(G[j]))"]),
        ),
    ],
    "a parenthesis contracts only what is visible nowhere else in its term": [
        ("Y = (C[i] D[i]) (A[i] > 0)", "Y = sum(i: (C[i] D[i]) (A[i] > 0))"),
        ("Y = C[i] D[i] (A[i] > 0)", "Y = sum(i: C[i] D[i] (A[i] > 0))"),
        ("Y = (C[i] D[i]) (exp(A[i]) > 0)", "Y = sum(i: C[i] D[i]) (exp(sum(i: A[i])) > 0)"),
        ("Y = (A[j] B[j]) (E[j] F[j] > 0)", "Y = sum(j: A[j] B[j]) (sum(j: E[j] F[j]) > 0)"),
        ("Y = (C[i] D[i]) case { A[i] > 0 -> 2 }", "Y = sum(i: (C[i] D[i]) case { A[i] > 0 -> 2; default -> 0 })"),
        ("Y = (2 / E[j]) (C[j] D[j])", "Y = sum(j: (2 / E[j]) (C[j] D[j]))"),
        ("Y = (2 / exp(E[j])) (C[j] D[j])", "Y = (2 / exp(sum(j: E[j]))) sum(j: C[j] D[j])"),
        ("Y = ((A[j] B[j]) (C[j] D[j])) (E[j] > 0)", "Y = sum(j: ((A[j] B[j]) (C[j] D[j])) (E[j] > 0))"),
        ("Y = ((A[j] B[j]) (C[j] D[j]) + 1) E[k]", "Y = sum(k: (sum(j: A[j] B[j]) sum(j: C[j] D[j]) + 1) E[k])"),
        ("R(x) <- (A[j] B[j])**2 > V[x], C[j]", "R(x) <- (A[j] B[j])**2 > V[x], C[j] > 0"),
    ],
    "divisors": [
        ("Y[i, j] = A[i, j] / A[i, k]", "Y[i, j] = A[i, j] / sum(k: A[i, k])"),
        ("Y[i] = A[i, j] X[j] / C[j]", "Y[i] = sum(j: A[i, j] X[j] / C[j])"),
        ("Y[i] = A[i, j] X[j] / C[k]", "Y[i] = sum(j: A[i, j] X[j] / sum(k: C[k]))"),
        ("Y[i] = (A[i, j] B[j] / C[j])**2", "Y[i] = sum(j: (A[i, j] B[j] / C[j])**2)"),
        ("Y = (A[j] B[j] / abs(G[j]))**2", "Y = sum(j: A[j] B[j] / abs(G[j]))**2"),
        ("Y = (A[j] B[j] / sqrt(C[j] D[j]))**2", "Y = sum(j: A[j] B[j] / sqrt(C[j] D[j]))**2"),
        ("Y = (A[j] B[j] / (C[j] D[j]))**2", "Y = sum(j: (A[j] B[j] / (C[j] D[j]))**2)"),
        ("Y = ((A[j] B[j]) / (C[j] D[j]))**2", "Y = (sum(j: A[j] B[j]) / sum(j: C[j] D[j]))**2"),
        ("Y[i] = exp(A[i, j]) / B[j]", "Y[i] = sum(j: exp(A[i, j]) / B[j])"),
        ("Y[i] = exp(X[i]) / exp(X[j])", "Y[i] = exp(X[i]) / exp(sum(j: X[j]))"),
        ("Y[i] = A[i] / (B[j] C[j])", "Y[i] = A[i] / sum(j: B[j] C[j])"),
        ("Y[i] = A[i, k] / exp(B[j]) / C[j]", "Y[i] = sum(k, j: A[i, k] / exp(B[j]) / C[j])"),
        ("Y[p] = X[p, d] / sqrt(X[p, d']**2)", "Y[p] = sum(d: X[p, d] / sqrt(sum(d': X[p, d']**2)))"),
    ],
    "a divisor sees all of its term, through parentheses": [
        ("Y = abs(D[i]) * 2 / D[i]", "Y = sum(i: abs(D[i]) * 2 / D[i])"),
        ("Y = abs(D[i]) (2 / D[i])", "Y = sum(i: abs(D[i]) (2 / D[i]))"),
        ("Y = (abs(D[i]) + 2 / D[i])**2", "Y = sum(i: (abs(D[i]) + 2 / D[i])**2)"),
        ("Y = abs(D[i]) (3 + 2 / D[i])**2", "Y = sum(i: abs(D[i]) (3 + 2 / D[i])**2)"),
        ("Y = abs(D[i]) relu(2 / D[i])", "Y = abs(sum(i: D[i])) relu(2 / sum(i: D[i]))"),
        ("Y = (2 / C[j]) / exp(D[j])", "Y = sum(j: (2 / C[j]) / exp(D[j]))"),
        ("Y = (2 / exp(D[j])) (3 / exp(E[j]))", "Y = (2 / exp(sum(j: D[j]))) (3 / exp(sum(j: E[j])))"),
        ("Y = softmax(A[j], axis=j) (2 / exp(D[j]))", "Y = sum(j: softmax(A[j], axis=j) (2 / exp(D[j])))"),
        ("Y = (softmax(A[j], axis=j) (2 / exp(D[j])))**2", "Y = sum(j: softmax(A[j], axis=j) (2 / exp(D[j])))**2"),
        ("Y = max(i: abs(D[i])) (2 / D[i])", "Y = max(i: abs(D[i])) (2 / sum(i: D[i]))"),
    ],
    "what survives a function's argument": [
        ("Y[i] = max(A[i, j], B[j])", "Y[i] = max(sum(j: A[i, j]), sum(j: B[j]))"),
        ("Y[i] = relu(A[i, j] tanh(B[j]))", "Y[i] = relu(sum(j: A[i, j] tanh(B[j])))"),
        ("Y[i] = X[j] relu(A[i, j] tanh(B[j]))", "Y[i] = sum(j: X[j] relu(A[i, j] tanh(B[j])))"),
        ("Y[i] = relu(X[i, j])**2", "Y[i] = relu(sum(j: X[i, j]))**2"),
        ("Y[x/2] = relu(X[x, c])", "Y[x/2] = relu(sum(c: X[x, c]))"),
        ("Y[t+1] = tanh(X[t, c])", "Y[t+1] = tanh(sum(c: X[t, c]))"),
    ],
    "comparisons and cases": [
        ("Y[i] = (A[i, j] > B[j]) X[i]", "Y[i] = (sum(j: A[i, j]) > sum(j: B[j])) X[i]"),
        ("Y[i] = (A[i, j] > B[j]) X[j]", "Y[i] = sum(j: (A[i, j] > B[j]) X[j])"),
        ("C[p] = (q <= p) M[q]", "C[p] = sum(q: (q <= p) M[q])"),
        ("C[p] = (q <= p)", "C[p] = sum(q: q <= p)"),
        ("C[p] = (A[q] > q) B[p]", "C[p] = sum(q: (A[q] > q) B[p])"),
        (
            "Y[j] = case { k <= j -> C[k]; default -> D[j] }",
            "Y[j] = sum(k: case { k <= j -> C[k]; default -> D[j] })",
        ),
        (
            "Y[i] = case { R(i, j) -> A[i, j]; default -> 1 }",
            "Y[i] = case { sum(j: R(i, j)) > 0 -> sum(j: A[i, j]); default -> 1 }",
        ),
        (
            "Y[i] = case { not S(i, j) -> B[i]; R(i, j) and i > 0 -> 1 }",
            "Y[i] = case { sum(j: not S(i, j)) > 0 -> B[i]; sum(j: R(i, j) and i > 0) > 0 -> 1; default -> 0 }",
        ),
        (
            "Y[i] = case { X[i] > 0 -> A[i, j]; default -> B[i] }",
            "Y[i] = case { X[i] > 0 -> sum(j: A[i, j]); default -> B[i] }",
        ),
    ],
    "explicit projections": [
        ("Y[i] = sum(j: A[i, j] B[j, k] C[k])", "Y[i] = sum(j: sum(k: A[i, j] B[j, k] C[k]))"),
        ("Y[i] = max(j: A[i, j, k])", "Y[i] = sum(k: max(j: A[i, j, k]))"),
        ("Y[i] = sum(j: A[j] sum(j: B[i, j]))", "Y[i] = sum(j: A[j] sum(j: B[i, j]))"),
        ("Y[i] = exp(W[i, j]) + sum(j: exp(W[i, j]))", "Y[i] = exp(sum(j: W[i, j])) + sum(j: exp(W[i, j]))"),
    ],
    "other operators project once, last": [
        ("Y[i] max= A[i, j] B[j] + sum(k: C[i, k])", "Y[i] max= A[i, j] B[j] + sum(k: C[i, k])"),
        ("Y[i] avg= relu(A[i, j])", "Y[i] avg= relu(A[i, j])"),
        ("D[y] min= Edge(x, y), D[x] + W[x, y]", "D[y] min= Edge(x, y) (D[x] + W[x, y])"),
    ],
    "rules": [
        ("R(x) <- W[x, y]", "R(x) <- sum(y: W[x, y]) > 0"),
        ("R(x) <- W[x, y], S(y)", "R(x) <- W[x, y] > 0, S(y)"),
        ("R(x) <- S(x, y), W[x, y] V[z] > 0.5", "R(x) <- S(x, y), sum(z: W[x, y] V[z]) > 0.5"),
        ("R(x) = W[x, y] V[y, z]", "R(x) <- W[x, y] > 0, sum(z: V[y, z]) > 0"),
        ("R(x) <- (S(x, y) or P(y, x)), not Q(x)", "R(x) <- (S(x, y) or P(y, x)), not Q(x)"),
        ("C[x] = P(x, y)", "C[x] = sum(y: P(x, y))"),
    ],
    "functions along an axis keep it": [
        ("Y[i, j] = softmax(X[i, j, k])", "Y[i, j] = softmax(sum(k: X[i, j, k]), axis=j)"),
        ("Y[i., j] = softmax(X[i, j])", "Y[i, j] = softmax(X[i, j], axis=i)"),
        ("Y[i, j] = softmax(X[i, j], axis=0)", "Y[i, j] = softmax(X[i, j], axis=i)"),
        ("Y[i] = softmax(X[i, j], axis=j) V[j]", "Y[i] = sum(j: softmax(X[i, j], axis=j) V[j])"),
        ("M[b, m] = concat(A[b, h, v])", "M[b, m] = concat(A[b, h, v], axis=m)"),
    ],
    "losses take the mean of what the left-hand side lacks": [
        ("L = cross_entropy(G[e, c], T[e])", "L = avg(e: cross_entropy(G[e, c], T[e], axis=c))"),
        ("L[e] = cross_entropy(G[e, c], T[e])", "L[e] = cross_entropy(G[e, c], T[e], axis=c)"),
        (
            "L = cross_entropy(W[c, d] X[e, d] Z[e], T[e])",
            "L = avg(e: cross_entropy(sum(d: W[c, d] X[e, d] Z[e]), T[e], axis=c))",
        ),
        ("L = mse(A[e, j], B[e, j])", "L = avg(e, j: (A[e, j] - B[e, j])**2)"),
    ],
    "indices keep their form": [
        ("Y[i] = X[i, -1] + X[i, 2-5]", "Y[i] = X[i, -1] + X[i, 0-3]"),
        ("Y[i] = X[2:5, j] Z[i, 1:4] V[j]", "Y[i] = sum(j: X[2:5, j] Z[i, 1:4] V[j])"),
        ("Y[i] = (X[2:5, j] Z[i, 1:4] V[j])**2", "Y[i] = sum(j: X[2:5, j] Z[i, 1:4] V[j])**2"),
        ("Y[p, d] = E[X[p]+1, d]", "Y[p, d] = E[X[p]+1, d]"),
        ("Y[i] = X[9-i, (i+1)/2, 2*i+1]", "Y[i] = X[9-i, (i+1)/2, 2*i+1]"),
        ("R(x) <- P(x, _), Q(_, x)", "R(x) <- P(x, _1), Q(_2, x)"),
    ],
}
CASES = [(rule, *case) for rule, cases in RULES.items() for case in cases]


def build(text: str) -> ProgramIR:
    errors: list[FuseError] = []
    program = build_program(parse(Source(text), errors), errors)
    assert not errors, str(errors[0])
    return program


@pytest.mark.parametrize(("rule", "written", "explicit"), CASES, ids=[case[1] for case in CASES])
def test_projection(rule: str, written: str, explicit: str) -> None:
    program = build(written)
    assert equation_text(program.equations[0]) == explicit, rule
    assert build(explicit).equations == program.equations


SLICED = [
    "Y = abs(D[i]) (C[s] / D[i])",
    "Y = softmax(A[j], axis=j) exp(B[j]) C[s]",
    "Y = (C[s] D[s]) (A[s, j] > 0)",
    "Y = (A[s, j] B[s] / abs(C[s]))**2 G[j]",
    "Y = abs(C[s]) (D[i] / C[s])",
]


@pytest.mark.parametrize("written", SLICED)
def test_a_slice_is_summed_where_a_letter_is(written: str) -> None:
    sliced = build(written.replace("[s", "[0:3"))
    explicit = equation_text(sliced.equations[0])
    assert build(explicit).equations == sliced.equations
    assert _sums(sliced.equations[0].body) == _sums(build(written).equations[0].body)


def _sums(expr: Expr) -> list[tuple[str, tuple[str, ...]]]:
    """What every sum binds, a slice as `s`, and which tensors stand below it."""
    found: list[tuple[str, tuple[str, ...]]] = []
    stack = [expr]
    while stack:
        node = stack.pop()
        stack.extend(children(node))
        if isinstance(node, Project):
            below = tuple(sorted(read.tensor for read in reads(node)))
            found.extend(((v if v[0] != ":" else "s"), below) for v in node.variables)
    return sorted(found, key=str)


def test_a_sink_keeps_what_its_products_do_not_contract() -> None:
    program = build('"y.npy" = W[i, j] X[j]\n"z.npy" = W[i, j] + V[i]')
    assert [sink.variables for sink in program.sinks] == [("i",), ("i", "j")]
    assert expression_text(program.sinks[0].body) == "sum(j: W[i, j] X[j])"


def test_many_terms_and_deep_nesting_stay_fast() -> None:
    """Looking at siblings twice must not double the work with every level."""
    terms = " + ".join(f"A[i, j] B[j] {k}" for k in range(2000))
    build(f"Y[i] = ({terms}) C[i]")
    nested = "X[i, j]"
    for _ in range(24):
        nested = f"({nested} Z[j] + 1)**2"
    build(f"Y[i] = {nested}")
    letters = "abcdefghklmn"
    nested = f"X[{', '.join(letters)}]"
    for letter in letters:
        nested = f"(({nested} * 2 / exp(D[{letter}])) exp(E[{letter}]) (F[{letter}] > 1) + G[{letter}] G[{letter}])**2"
    build(f"Y = {nested}")
