"""`fn`: calls of a program's own functions mean what the same text by hand means."""

from __future__ import annotations

import pytest

from fuse_ref import AxisError, FuseError, OperatorError, Program

HEAD = "fn head(Q[p, k], K[q, k], V[q, v]) = softmax(Q[p, k] K[q, k] / 2, axis=q) V[q, v]\n"

# (functions and calls, the same by hand)
PAIRS = {
    "leading indices are kept": (
        HEAD + "Y[b, h, p, v] = head(Query[b, h, p, k], Key[b, h, q, k], Val[b, h, q, v])",
        "Y[b, h, p, v] = softmax(Query[b, h, p, k] Key[b, h, q, k] / 2, axis=q) Val[b, h, q, v]",
    ),
    "the caller's letters": (
        HEAD + "Y[b, i, v] = head(X[b, i, d], X[b, j, d], Val[j, v])",
        "Y[b, i, v] = softmax(X[b, i, d] X[b, j, d] / 2, axis=j) Val[j, v]",
    ),
    "a call in a product is a parenthesis": (
        HEAD + "Y[p, o] = head(Q[p, k], K[q, k], V[q, v]) W[v, o]",
        "Y[p, o] = (softmax(Q[p, k] K[q, k] / 2, axis=q) V[q, v]) W[v, o]",
    ),
    "defined after its use": ("Y[i] = twice(X[i])\nfn twice(A[j]) = 2 A[j]", "Y[i] = 2 X[i]"),
    "own letters are renamed apart": (
        "fn norm(A[i]) = A[i] / sqrt(A[j]**2)\nY[j] = norm(X[j]) norm(Z[j])",
        "Y[j] = (X[j] / sqrt(X[j']**2)) (Z[j] / sqrt(Z[j'']**2))",
    ),
    "own letters are summed inside": (
        "fn total(A[i]) = A[j]\nY[i] = total(X[i])**2 B[i]",
        "Y[i] = sum(j: X[j])**2 B[i]",
    ),
    "own letters are summed term by term": (
        "fn f(W[i, k], B[i]) = W[i, j] + B[i]\nY[i] = 2 f(X[i, k], C[i])",
        "Y[i] = 2 (sum(j: X[i, j]) + C[i])",
    ),
    "own letters under max=": (
        "fn norm(A[i]) = A[i] / sqrt(A[j]**2)\nY[b] max= norm(X[b, i])",
        "Y[b] max= X[b, i] / sqrt(sum(j: X[b, j]**2))",
    ),
    "nested calls": (
        "fn f(A[i]) = g(A[i]) + g(2 A[i])\nfn g(A[i]) = A[i]**2\nY[t] = f(g(X[t]))",
        "Y[t] = (X[t]**2)**2 + (2 (X[t]**2))**2",
    ),
    "numbers and constants": (
        "L = 3\nfn f(A[i], n, s) = s A[i+n]\nY[t] = f(X[t], L-1, 0.5)",
        "L = 3\nY[t] = 0.5 X[t+L-1]",
    ),
    "keywords": ("fn f(A[i], s) = s A[i]\nY[t] = f(X[t], s=B[t])", "Y[t] = B[t] X[t]"),
    "expressions as arguments": (
        "fn move(A[i]) = A[i+1] - A[i]\nY[b, t] = move(tanh(X[b, t] + B[t]))",
        "Y[b, t] = tanh(X[b, t+1] + B[t+1]) - tanh(X[b, t] + B[t])",
    ),
    "shifted arguments": ("fn move(A[i]) = A[i+1] - A[i]\nY[t] = move(X[2*t+1])", "Y[t] = X[2*(t+1)+1] - X[2*t+1]"),
    "gathers": ("fn f(E[i, d]) = E[i, d] + i\nY[p, d] = f(Emb[T[p], d])", "Y[p, d] = Emb[T[p], d] + p"),
    "constants as indices": ("fn f(E[i, d]) = E[i, d] + i\nY[d] = f(X[2, d])", "Y[d] = X[2, d] + 2"),
    "a nameless index is one index": ("fn f(A[i]) = A[i] / A[i]\nY[i] = f(X[_, i])", "Y[i] = X[j, i] / X[j, i]"),
    "bound letters": ("fn f(A[i]) = max(i: A[i])\nY[b] = f(X[b, t])", "Y[b] = max(t: X[b, t])"),
    "means": (
        "fn f(A[e], B[e], W[k]) = mse(A[e], B[e]) + W[j]**2\nL = f(X[t], Y[t], V[d])",
        "L = mse(X[t], Y[t]) + V[j]**2",
    ),
    "relations": (
        "fn two(P(x, y)) = P(x, z), P(z, y)\nR(a, b) <- two(Edge(a, b))",
        "R(a, b) <- Edge(a, z), Edge(z, b)",
    ),
    "sizes": ("fn twice(n) = 2 n\naxis i = twice(4)\nY[i] = X[i]", "axis i = 8\nY[i] = X[i]"),
    "sinks": ('fn f(A[i]) = A[i]**2\n"y.npy" = f(X[t])', '"y.npy" = X[t]**2'),
    "streams": (
        "fn f(H[i, s]) = tanh(H[i, s])\nH[i, *t+1] = f(H[i, *t]) + U[i, t]",
        "H[i, *t+1] = tanh(H[i, *t]) + U[i, t]",
    ),
}


def means(text: str) -> object:
    """The equations alone, with the letters of nameless indices made equal."""
    return Program(text.replace("_'", "j")).explicit().replace("_'", "j")


@pytest.mark.parametrize(("called", "written"), PAIRS.values(), ids=PAIRS)
def test_a_call_means_its_body(called: str, written: str) -> None:
    assert means(called) == means(written)


@pytest.mark.parametrize(("called", "written"), PAIRS.values(), ids=PAIRS)
def test_the_explicit_form_has_the_same_meaning(called: str, written: str) -> None:
    program = Program(called)
    assert Program(program.explicit()).ir == program.ir
    assert Program(program.explicit()).digest == program.digest


def test_formatting_keeps_the_function() -> None:
    text = "fn twice(A[i])=2*A[i]\nY[i]=twice( X[i] )"
    assert Program(text).format() == "fn twice(A[i]) = 2 A[i]\nY[i] = twice(X[i])\n"


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        (
            HEAD + "Y[p, v] = head(Q[p, k], K[q, k])",
            OperatorError,
            "called with 2 arguments, and line 1 defines head(Q[p, k]",
        ),
        (HEAD + "Y[p, v] = head(Q[p, k], V[q, v], Q=X[p, k])", OperatorError, "two arguments for Q"),
        (HEAD + "Y[p, v] = head(Q[p], K[q, k], V[q, v])", AxisError, "Q[p, k] has 2 indices, and Q[p] has only 1"),
        (HEAD + "Y[p, v] = head(Q, K[q, k], V[q, v])", AxisError, "and Q has no index"),
        ("fn f(A[i]) = A\nY[i] = f(X[i])", AxisError, "A is read with no index but has 1 index (line 1)"),
        ("fn f(A[i]) = f(A[i])\nY[i] = 2 X[i]", OperatorError, "calls itself: f -> f"),
        ("fn f(A[i]) = sum(i: A[i])\nY = f(X[:3])", AxisError, "needs a plain variable, and ':3' is none"),
        ("fn f(A[i, i]) = A[i, i]\nY[i] = X[i]", AxisError, "the letters of a parameter differ"),
        ("fn f(A[i], A[j]) = A[i]\nY[i] = X[i]", AxisError, "two parameters of f"),
        ("fn f(A[i]) = 2 A[i]\nY[i] = X[i]\nf(X[0])?", OperatorError, "f is called with without arguments"),
    ],
)
def test_calls_that_do_not_fit(text: str, error: type[FuseError], words: str) -> None:
    with pytest.raises(error) as caught:
        Program(text)
    assert words in str(caught.value)
    assert caught.value.span is not None


def test_a_mistake_in_a_body_is_shown_where_it_stands() -> None:
    with pytest.raises(FuseError) as caught:
        Program("fn f(A[i]) = relu(A[i], 1)\nY[i] = f(X[i])")
    assert caught.value.span is not None
    assert caught.value.span.line == 1
