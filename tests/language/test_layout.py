"""Lines, brackets, arrows, touching names, numbers: what the grammar's rules do not say."""

from __future__ import annotations

import pytest

from fuse_ref.errors import SyntaxFuseError
from fuse_ref.language.parser import parse
from fuse_ref.language.printer import print_module
from fuse_ref.source import Source


def printed(text: str) -> list[str]:
    return print_module(parse(Source(text))).splitlines()


@pytest.mark.parametrize(
    ("text", "statements"),
    [
        ("A = 1; B = 2\nC = 3", ["A = 1", "B = 2", "C = 3"]),
        (";; A = 1 ;\n\n; B = 2;", ["A = 1", "B = 2"]),
        ("A = 1 # 2\n# B = 3\nC = 4", ["A = 1", "C = 4"]),
        ("", []),
        ("# nothing", []),
        ("A = 1\r\nB = 2\r\n", ["A = 1", "B = 2"]),
        ("\ufeffA = 1", ["A = 1"]),
        ("A\t=\u00a01", ["A = 1"]),
        ("Y =\n  1", ["Y = 1"]),
        ("Y = A +\n\n  # and\n  B", ["Y = A + B"]),
        ("Y = A\n-B[i]\nfoo(x)?", None),
        ("R(x) <-\n A(x),\n B(x)\nS(A)", ["R(x) <- A(x), B(x)", "S(A)"]),
        ("R(x) <- A(x) and\n not\n B(x) or\n C(x)", ["R(x) <- A(x) and not B(x) or C(x)"]),
        ("export A,\nB", ["export A, B"]),
        ("axis d = 1,\ne = 2,\nf = 3", ["axis d = 1, e = 2, f = 3"]),
        ("param W[i] ~\n zeros()", ["param W[i] ~ zeros()"]),
        ("Y = f(A\n(B))", ["Y = f(A * B)"]),
        ("Y[\ni\n] = f(\nX[i],\nT=1\n)", ["Y[i] = f(X[i], T=1)"]),
        ("Y[p] = softmax(X[p],\naxis=p)", ["Y[p] = softmax(X[p], axis=p)"]),
        ("Y = case {\n a -> 1;\n default -> 2\n}\nZ = 1", ["Y = case { a -> 1; default -> 2 }", "Z = 1"]),
        ("W = [\n [1, 2],\n [3, 4],\n]", ["W = [[1, 2], [3, 4]]"]),
        ("axis x = {\n Ann,\n Bob,\n}", ["axis x = {Ann, Bob}"]),
    ],
)
def test_where_a_statement_ends(text: str, statements: list[str] | None) -> None:
    if statements is None:
        with pytest.raises(SyntaxFuseError):
            parse(Source(text))
    else:
        assert printed(text) == statements


@pytest.mark.parametrize(
    ("text", "statement"),
    [
        ("R(x) <- A[x] <-1", "R(x) <- A[x] < -1"),
        ("R(x) = A[x]<-1", "R(x) = A[x] < -1"),
        ("R(x) <- A(x), (A[x]<-B[x])", "R(x) <- A(x), A[x] < -B[x]"),
        ("Y = f(a<-b)", "Y = f(a < -b)"),
        ("Y = X[:-1]", "Y = X[:-1]"),
        ("Y = sum(j:-X[j])", "Y = sum(j: -X[j])"),
        ("Y[i] = case { X[i]<-1->2 }", "Y[i] = case { X[i] < -1 -> 2 }"),
        ("R(x) :- A(x)", "R(x) <- A(x)"),
        ("R(x) <--A[x]", "R(x) <- -A[x]"),
    ],
)
def test_the_arrow_once_and_outside_brackets(text: str, statement: str) -> None:
    assert printed(text) == [statement]


@pytest.mark.parametrize(
    ("text", "statement"),
    [
        ("Y = a(b)", "Y = a(b)"),
        ("Y = a (b)", "Y = a * b"),
        ("Y = a (b + c)", "Y = a (b + c)"),
        ("Y = 2(b + c)", "Y = 2 (b + c)"),
        ("Y = f(a)(b + c)", "Y = f(a) (b + c)"),
        ("Y = X[i](b + c)", "Y = X[i] (b + c)"),
        ("Y = (a + b)(b + c)", "Y = (a + b) (b + c)"),
        ("Y = p'(b)", "Y = p'(b)"),
        ("R(x) <- A(x), not(B(x))", "R(x) <- A(x), not B(x)"),
        ("Y = nn.f(b)", "Y = nn.f(b)"),
    ],
)
def test_a_call_touches_its_parenthesis(text: str, statement: str) -> None:
    assert printed(text) == [statement]


@pytest.mark.parametrize(
    ("text", "statement"),
    [
        ("Parent(A, B).", "Parent(A, B)"),
        ("X(1).", "X(1)"),
        ("R(x) <- A(x). # done", "R(x) <- A(x)"),
        ("R(x) <- A(x) .;", "R(x) <- A(x)"),
        ("R(x) <- A(x, y), x != y.", "R(x) <- A(x, y), x != y"),
        ("Edge[A, B] = 0.8.", "Edge[A, B] = 0.8"),
        ("Edge[A, B] = 1 .", "Edge[A, B] = 1"),
        ("Y[p, p'.] = S[p, p']", "Y[p, p'.] = S[p, p']"),
        ("Y[p., q] = S[p, q]", "Y[p., q] = S[p, q]"),
        ("Y[p, p'.] = S[p, p'].", "Y[p, p'.] = S[p, p']"),
    ],
)
def test_dots(text: str, statement: str) -> None:
    assert printed(text) == [statement]


@pytest.mark.parametrize(
    ("text", "statement"),
    [
        ("Y = 3x", "Y = 3 * x"),
        ("Y[j] = 3j", "Y[j] = 3 * j"),
        ("Y = X[2x+dx]", "Y = X[2*x+dx]"),
        ("Y = 2e", "Y = 2 * e"),
        ("Y = 2e-3", "Y = 0.002"),
        ("Y = 2e+d", "Y = 2 * e + d"),
        ("Y = 1_0.0_1", "Y = 10.01"),
        ("Y = 2X[i]", "Y = 2 X[i]"),
        ("Y = 00", "Y = 0"),
    ],
)
def test_a_number_ends_where_it_can_go_no_further(text: str, statement: str) -> None:
    assert printed(text) == [statement]


def test_two_spellings_of_an_accented_letter_are_one_name() -> None:
    assert parse(Source("Gro\u0308ße = 1")) == parse(Source("Größe = 1"))


@pytest.mark.parametrize("word", ["notx", "maximum", "input_", "axis'", "casein", "_in", "Sum"])
def test_names_that_begin_like_reserved_words(word: str) -> None:
    assert printed(f"{word} = {word} X") == [f"{word} = {word} * X"]
