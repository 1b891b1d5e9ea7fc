"""The printer, case by case: what it writes for what was typed."""

from __future__ import annotations

import pytest

from fuse_ref.language import syntax_tree as st
from fuse_ref.language.parser import parse
from fuse_ref.language.printer import print_expression, print_module, print_statement
from fuse_ref.source import Source, Span

HERE = Span(Source(""), 0, 0)


def body(text: str) -> st.Expression:
    (equation,) = parse(Source(f"Y = {text}")).statements
    assert isinstance(equation, st.Equation)
    return equation.body


@pytest.mark.parametrize(
    ("typed", "printed"),
    [
        # Spaces and signs
        ("W[i,j]X[j]", "W[i, j] X[j]"),
        ("W[i,j]*X[j]", "W[i, j] X[j]"),
        ("2*X[i]", "2 X[i]"),
        ("2 L", "2 * L"),
        ("X[i] 2", "X[i] * 2"),
        ("X[i] Half", "X[i] Half"),
        ("a b c", "a * b * c"),
        ("a (b+c)", "a (b + c)"),
        ("(a+b) c", "(a + b) c"),
        ("a/b/c", "a / b / c"),
        ("a/(b c)", "a / (b * c)"),
        ("a b/c d", "a * b / c * d"),
        ("x^2", "x**2"),
        ("-x^2", "-x**2"),
        ("(-x)**2", "(-x)**2"),
        ("x**-2", "x**-2"),
        ("x**--2", "x**--2"),
        ("x**-y**z", "x**-y**z"),
        ("a**b**c", "a**b**c"),
        ("(a**b)**c", "(a**b)**c"),
        ("a**(b c)", "a**(b * c)"),
        ("a--b", "a - -b"),
        ("a*-b", "a * -b"),
        ("a/-b", "a / -b"),
        ("-a b", "-a * b"),
        ("-(a b)", "-(a * b)"),
        ("- - a", "--a"),
        # Parentheses that mean something stay, the others go
        ("(a)", "a"),
        ("((a + b))", "a + b"),
        ("(a + b) + c", "(a + b) + c"),
        ("a + (b - c)", "a + (b - c)"),
        ("a + b - c", "a + b - c"),
        ("a (b c)", "a (b * c)"),
        ("(a*b) + c", "a * b + c"),
        ("((u)) ((u))", "u * u"),
        ("(X[i,j] X[k,j])**2", "(X[i, j] X[k, j])**2"),
        ("(A[x] and B[x]) and C[x]", "(A[x] and B[x]) and C[x]"),
        # Logic
        ("f(A(x) and B(x) or C(x))", "f(A(x) and B(x) or C(x))"),
        ("f((A(x) or B(x)) and C(x))", "f((A(x) or B(x)) and C(x))"),
        ("f((A(x), B(x)))", "f(A(x) and B(x))"),
        ("f(A(x) ∧ B(x))", "f(A(x) and B(x))"),
        ("¬A(x)", "not A(x)"),
        ("not(x==y)", "not (x == y)"),
        ("(not x) == y", "(not x) == y"),
        ("not A[x] == y", "not A[x] == y"),
        ("not (A(x) B(x))", "not (A(x) B(x))"),
        ("A(x) not B(x)", "A(x) not B(x)"),
        ("(a<b) == (c>d)", "(a < b) == (c > d)"),
        ("a+b<=c", "a + b <= c"),
        # Calls and projections
        ("f( )", "f()"),
        ("sig(X[i],T=1)", "sig(X[i], T=1)"),
        ('softmax(X[i,j],axis="j")', 'softmax(X[i, j], axis="j")'),
        ("softmax(X[i,j],axis=j)", "softmax(X[i, j], axis=j)"),
        ("sum(i,j:A[i]B[j])", "sum(i, j: A[i] B[j])"),
        ("sum(i:-A[i])", "sum(i: -A[i])"),
        ("max(a,b)", "max(a, b)"),
        ("max(X[i],axis=i)", "max(X[i], axis=i)"),
        ("prod(k: (a))", "prod(k: a)"),
        ("case{x>0->1;default->0}", "case { x > 0 -> 1; default -> 0 }"),
        ("case { x > 0 -> 1; }", "case { x > 0 -> 1 }"),
        ("case { default -> 2 }", "case { default -> 2 }"),
        ("2 case { x > 0 -> 1 } X[i]", "2 case { x > 0 -> 1 } X[i]"),
        # Index forms
        ("X[ 2 * x+dx ]", "X[2*x+dx]"),
        ("X[(i + 1) / S]", "X[(i+1)/S]"),
        ("X[N - 1 - i]", "X[N-1-i]"),
        ("X[-1, - x]", "X[-1, -x]"),
        ("X[4 : 8, :n, ::2, :, 1::3, :-1, i+1:]", "X[4:8, :n, ::2, :, 1::3, :-1, i+1:]"),
        ("X[::]", "X[:]"),
        ("X[1:2:]", "X[1:2]"),
        ("E[X[p] + 1, d]", "E[X[p]+1, d]"),
        ("H[i, * t + 1]", "H[i, *t+1]"),
        ("H[*t-3, 2*t]", "H[*t-3, 2*t]"),
        ("H[2 (*t)]", "H[2*(*t)]"),
        ('R[Alice, "New York"]', 'R[Alice, "New York"]'),
        ("R(x, t+1)", "R(x, t+1)"),
        ("R(x, *t + 1, 2:3)", "R(x, *t+1, 2:3)"),
        ("R(x, t + 1 + k)", "R(x, t + 1 + k)"),
        # Literals and numbers
        ("[ 1,[ ],-2.50, L,[-L ] ]", "[1, [], -2.5, L, [-L]]"),
        ("[1, 2,]", "[1, 2]"),
        ("const([[0,1],[1,0]])", "const([[0, 1], [1, 0]])"),
        ("const(-0.5)", "const(-0.5)"),
        ("1_000", "1000"),
        ("1e3", "1000.0"),
        ("1E-7", "1e-07"),
        ("2.0", "2.0"),
        ("0.1", "0.1"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        (r'"a\"b\\c\nd"', r'"a\"b\\c\nd"'),
    ],
)
def test_expressions(typed: str, printed: str) -> None:
    tree = body(typed)
    assert print_expression(tree) == printed
    assert body(printed) == tree


@pytest.mark.parametrize(
    ("typed", "printed"),
    [
        ("Y[p,q.]=softmax(S[p,q])", "Y[p, q.] = softmax(S[p, q])"),
        ("Y+=1", "Y += 1"),
        ("Y[i]max=X[i,j]", "Y[i] max= X[i, j]"),
        ("Y[i] avg=X[i,j];", "Y[i] avg= X[i, j]"),
        ("A(x)<-B(x),C(x)", "A(x) <- B(x), C(x)"),
        ("A(x) :- B(x) and C(x).", "A(x) <- B(x), C(x)"),
        ("A(x) ← B(x) ∧ ¬C(x)", "A(x) <- B(x), not C(x)"),
        ("A(x) = B(x), C(x)", "A(x) = B(x), C(x)"),
        ("A(x) <- B(x), C(x) or D(x), E(x)", "A(x) <- B(x) and C(x) or D(x) and E(x)"),
        ("A(x) <- (B(x), C(x)), D(x)", "A(x) <- (B(x) and C(x)), D(x)"),
        ("A(x) <- B(x), not (C(x), D(x))", "A(x) <- B(x), not (C(x) and D(x))"),
        ("D[y] min= Edge(x,y),D[x]+W[x,y]", "D[y] min= Edge(x, y), D[x] + W[x, y]"),
        ("Wet <- Rain", "Wet <- Rain"),
        ("Parent( Alice,Bob ) .", "Parent(Alice, Bob)"),
        ('"out.npz"=Y[i]', '"out.npz" = Y[i]'),
        ('"out.npz" = A(x) and B(x)', '"out.npz" = A(x) and B(x)'),
        ("Ancestor(Alice,x) ?", "Ancestor(Alice, x)?"),
        ("Y?", "Y?"),
        ("export Y,nn.Z", "export Y, nn.Z"),
        ("axis d=64,e=2*L", "axis d = 64, e = 2 * L"),
        ('axis x={Ann,"New York","3","max","Bob"}', 'axis x = {Ann, "New York", "3", "max", Bob}'),
        ("axis x = { }", "axis x = {}"),
        ("input X[b,p]:int64", "input X[b, p]: int64"),
        ("input Edge(x,y)", "input Edge(x, y)"),
        ("input S", "input S"),
        ("param W[o,d]~normal( 0,-1.5 )", "param W[o, d] ~ normal(0, -1.5)"),
        ("param W[o,d] ~ kaiming(a=sqrt(5))", "param W[o, d] ~ kaiming(a=sqrt(5))"),
        ("param W", "param W"),
        ("fn f(Q[p,k],R(x),s)=Q[p,k], R(x)", "fn f(Q[p, k], R(x), s) = Q[p, k], R(x)"),
        ("fn zero() = 0", "fn zero() = 0"),
        ('import"a.fuse"', 'import "a.fuse"'),
        ('import "a.fuse"as nn', 'import "a.fuse" as nn'),
    ],
)
def test_statements(typed: str, printed: str) -> None:
    module = parse(Source(typed))
    assert print_module(module) == f"{printed}\n"
    assert parse(Source(printed)) == module


def test_long_statements_break_at_their_outermost_gaps() -> None:
    relations = [f"Relation{number}(x, y, {'z' * number})" for number in range(1, 9)]
    (rule,) = parse(Source(f"R(x, y) <- {', '.join(relations)}")).statements
    assert print_statement(rule).split("\n") == [
        f"R(x, y) <- {', '.join(relations[:4])},",
        f"    {', '.join(relations[4:7])},",
        f"    {relations[7]}",
    ]
    (loss,) = parse(
        Source(
            "Loss = cross_entropy(" + " + ".join(f"Weights{n}[b, i] Feat{n}[b, i]" for n in range(5)) + ", Target[b])"
        )
    ).statements
    assert print_statement(loss).split("\n") == [
        "Loss = cross_entropy(Weights0[b, i] Feat0[b, i] + Weights1[b, i] Feat1[b, i] +",
        "    Weights2[b, i] Feat2[b, i] + Weights3[b, i] Feat3[b, i] + Weights4[b, i] Feat4[b, i], Target[b])",
    ]


def test_a_product_outside_brackets_is_not_broken_between_its_factors() -> None:
    """There a line end would end the statement."""
    factors = " ".join(f"LongTensorName{n}[i, j, k]" for n in range(8))
    (equation,) = parse(Source(f"Y[i] = {factors}")).statements
    assert print_statement(equation).split("\n") == ["Y[i] =", f"    {factors}"]


def test_an_empty_module() -> None:
    assert print_module(st.Module(())) == ""


def test_a_negative_number_of_a_tree_that_was_not_parsed() -> None:
    power = st.Power(st.Number(-2, HERE), st.Number(-3, HERE), HERE)
    assert print_expression(power) == "(-2)**(-3)"
    total = st.Sum((("+", st.Number(-2, HERE)), ("-", st.Number(-3, HERE))), HERE)
    assert print_expression(total) == "-2 - -3"


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_numbers_that_no_text_has(value: float) -> None:
    with pytest.raises(ValueError, match="cannot be written as a number"):
        print_expression(st.Number(value, HERE))
