"""Trees, spans, recovery: what `parse` gives beside what the printer shows."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from fuse_ref.errors import FuseError, SyntaxFuseError
from fuse_ref.language import syntax_tree as st
from fuse_ref.language.parser import parse, parse_query
from fuse_ref.language.printer import print_expression
from fuse_ref.source import Source, Span
from tests.language.trees import nodes

HERE = Span(Source(""), 0, 0)
PROGRAMS = sorted((Path(__file__).parents[1] / "programs").glob("*.fuse"))


def only(text: str) -> st.Statement:
    (statement,) = parse(Source(text)).statements
    return statement


def name(word: str) -> st.Name:
    return st.Name(word, HERE)


# Trees -------------------------------------------------------------------------------------------


def test_one_chain_is_one_node_and_parentheses_nest() -> None:
    a, b, c = name("a"), name("b"), name("c")
    equation = only("Y = a b / c - (a - b) + c")
    assert isinstance(equation, st.Equation)
    assert equation.body == st.Sum(
        (
            ("+", st.Product((("*", a), ("*", b), ("/", c)), HERE)),
            ("-", st.Sum((("+", a), ("-", b)), HERE)),
            ("+", c),
        ),
        HERE,
    )


def test_how_tightly_operators_hold() -> None:
    equation = only("R(x) <- a - -b**-c**d x < 2, not A(x) B(x) or C(x)")
    assert isinstance(equation, st.Equation)
    power = st.Power(name("b"), st.Negate(st.Power(name("c"), name("d"), HERE), HERE), HERE)
    left = st.Sum((("+", name("a")), ("-", st.Product((("*", st.Negate(power, HERE)), ("*", name("x"))), HERE))), HERE)
    a, b, c = (st.Application(word, (name("x"),), (), HERE) for word in "ABC")
    assert equation.body == st.Or(
        (
            st.And(
                (
                    st.Compare("<", left, st.Number(2, HERE), HERE),
                    st.Product((("*", st.Not(a, HERE)), ("*", b)), HERE),
                ),
                HERE,
            ),
            c,
        ),
        HERE,
    )


def test_the_forms_of_the_brief() -> None:
    assert only("W[i, j] = const([[0, -1]])") == st.Equation(
        st.Reference("W", (name("i"), name("j")), HERE),
        "=",
        st.Application(
            "const",
            (st.Array((st.Array((st.Number(0, HERE), st.Negate(st.Number(1, HERE), HERE)), HERE),), HERE),),
            (),
            HERE,
        ),
        False,
        HERE,
    )
    assert only('W[i] = "w.npy"') == st.Equation(
        st.Reference("W", (name("i"),), HERE), "=", st.String("w.npy", HERE), False, HERE
    )
    assert only("Y = max(a, i: a)") == st.Equation(
        name("Y"), "=", st.Projection("max", ("a", "i"), name("a"), HERE), False, HERE
    )
    assert only("Y = max(a, i)") == st.Equation(
        name("Y"), "=", st.Application("max", (name("a"), name("i")), (), HERE), False, HERE
    )
    assert only("fn f(R(x, y), Q[p]) = 1") == st.Function(
        "f",
        (st.Application("R", (name("x"), name("y")), (), HERE), st.Reference("Q", (name("p"),), HERE)),
        st.Number(1, HERE),
        HERE,
    )


def test_numbers_keep_their_kind() -> None:
    for text, value in [("3", 3), ("3.0", 3.0), ("1e3", 1000.0), ("1_000", 1000)]:
        equation = only(f"Y = {text}")
        assert isinstance(equation, st.Equation)
        assert isinstance(equation.body, st.Number)
        assert (type(equation.body.value), equation.body.value) == (type(value), value)


def test_strings_are_resolved() -> None:
    assert only(r'import "a\"b\\c\nd"') == st.Import('a"b\\c\nd', None, HERE)


@pytest.mark.parametrize(
    "text", ["Ancestor(Alice, x)?", "Ancestor(Alice, x)", " Ancestor(Alice, x) ? # who", "Ancestor(Alice, x)."]
)
def test_a_query(text: str) -> None:
    assert parse_query(Source(text)) == st.Application("Ancestor", (name("Alice"), name("x")), (), HERE)


def test_other_queries() -> None:
    assert parse_query(Source("Y?")) == name("Y")
    assert parse_query(Source("Y[0, i]")) == st.Reference("Y", (st.Number(0, HERE), name("i")), HERE)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "FUSE076"),
        ("A(x)?; B(x)?", "FUSE076"),
        ("A(x), B(x)?", "FUSE074"),
        ("A(x) and B(x)", "FUSE074"),
        ("Y[i", "FUSE011"),
        ("Y[p.]?", "FUSE045"),
        ("A(x=3)?", "FUSE038"),
        ("A(max)?", "FUSE030"),
        ("A (x)?", "FUSE032"),
        ("A(x, )?", "FUSE014"),
    ],
)
def test_queries_that_are_none(text: str, code: str) -> None:
    with pytest.raises(SyntaxFuseError) as caught:
        parse_query(Source(text))
    assert caught.value.code == code


# Spans -------------------------------------------------------------------------------------------


def test_spans_of_a_statement() -> None:
    source = Source("# first\nY[i, *t] = (a  +2) X[p.q[ j ], 1:] ; Z = 3", "some.fuse")
    first, second = parse(source).statements
    found = [(type(node).__name__, node.span.text) for node in nodes(first)]
    assert found == [
        ("Equation", "Y[i, *t] = (a  +2) X[p.q[ j ], 1:]"),
        ("Reference", "Y[i, *t]"),
        ("Name", "i"),
        ("Virtual", "*t"),
        ("Product", "(a  +2) X[p.q[ j ], 1:]"),
        ("Sum", "(a  +2)"),
        ("Name", "a"),
        ("Number", "2"),
        ("Reference", "X[p.q[ j ], 1:]"),
        ("Reference", "p.q[ j ]"),
        ("Name", "j"),
        ("Slice", "1:"),
        ("Number", "1"),
    ]
    assert str(first.span) == "some.fuse:2:1"
    assert str(second.span) == "some.fuse:2:38"
    assert all(node.span.source is source for node in nodes(first))


def test_spans_of_declarations() -> None:
    text = 'axis d = 64, x = {A, "b c"}\nparam W[d] ~ zeros( )\nR(A) .\nfn f(Q[p]) = Q[p]\nexport  Y'
    spans = [statement.span.text for statement in parse(Source(text)).statements]
    assert spans == ['axis d = 64, x = {A, "b c"}', "param W[d] ~ zeros( )", "R(A) .", "fn f(Q[p]) = Q[p]", "export  Y"]
    axes = parse(Source(text)).statements[0]
    assert isinstance(axes, st.AxisDeclaration)
    assert [item.span.text for item in axes.items] == ["d = 64", 'x = {A, "b c"}']


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_the_text_of_a_span_is_its_node(path: Path) -> None:
    """Every expression of every program, cut out by its span, reads as itself."""
    checked = 0
    for node in nodes(parse(Source(path.read_text(encoding="utf-8"))).statements):
        text = node.span.text
        assert text == text.strip()
        if isinstance(node, st.Statement):
            assert only(text) == node
        elif not any(isinstance(part, st.Virtual | st.Normalised | st.Array) for part in nodes(node)):
            equation = only(f"Y = {text}")
            assert isinstance(equation, st.Equation)
            assert equation.body == node, print_expression(equation.body)
            checked += 1
    assert checked > 10


# Recovery ----------------------------------------------------------------------------------------

BROKEN = """\
A = 1
B = (2
C = 3 +
D[i] = X[i]
E = $
F == 4
G = 5; H = ; I = 6
J[i] = relu(X[i]
K[i] = X[i] * (1:2)
export
L(x) <- M(x),
N(x) <- O(x)
P = Q(x)) + 1
"""


def test_every_mistake_of_a_file_is_found_and_the_rest_is_read() -> None:
    source = Source(BROKEN, "b.fuse")
    errors: list[FuseError] = []
    module = parse(source, errors)
    assert [(error.code, error.span.line) for error in errors if error.span] == [
        ("FUSE011", 2),
        ("FUSE014", 3),
        ("FUSE001", 5),
        ("FUSE019", 6),
        ("FUSE014", 7),
        ("FUSE011", 8),
        ("FUSE043", 9),
        ("FUSE060", 10),
        ("FUSE014", 11),
        ("FUSE012", 13),
    ]
    assert [statement.span.text for statement in module.statements] == [
        "A = 1",
        "D[i] = X[i]",
        "G = 5",
        "I = 6",
        "N(x) <- O(x)",
    ]
    with pytest.raises(SyntaxFuseError) as caught:
        parse(source)
    assert caught.value.code == "FUSE011"
    assert [error.code for error in caught.value.others] == [error.code for error in errors[1:]]
    assert "(9 more errors: fuse check shows all)" in str(caught.value)
    # The errors of the second call are new objects with the same words.
    assert [error.message for error in caught.value.others] == [error.message for error in errors[1:]]


def test_one_statement_can_have_several_misplaced_forms() -> None:
    errors: list[FuseError] = []
    parse(Source('Y[i] = X[p.] + "a" * relu([1])'), errors)
    assert [error.code for error in errors] == ["FUSE045", "FUSE049", "FUSE047"]


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("Y = f(X[i]\nZ = 3\n", ["Z = 3"]),
        ("Y = f(X[i]\nParent(A, B)\nZ = 3", ["Parent(A, B)", "Z = 3"]),
        ("Y = f(X[i],\nZ = 3", ["Z = 3"]),
        ("Y = f(X[i],\n  T=3", []),
        ("Y = f(X[i],\n  T=3\nexport Z", ["export Z"]),
        ("W = [1, 2\nZ = g(3)", ["Z = g(3)"]),
        ("Y = case { a -> 1\nexport Z", ["export Z"]),
        ("Y = f(\nX[i]\n\n\nexport Z", ["export Z"]),
        ("Y = f(X[i]; Z = 3", ["Z = 3"]),
    ],
)
def test_a_forgotten_bracket_does_not_swallow_the_file(text: str, rest: list[str]) -> None:
    errors: list[FuseError] = []
    module = parse(Source(text), errors)
    assert [(error.code, error.span.line) for error in errors if error.span] == [("FUSE011", 1)]
    assert [statement.span.text for statement in module.statements] == rest


def test_an_error_shows_the_place() -> None:
    with pytest.raises(SyntaxFuseError) as caught:
        parse(Source("A = 1\nY[i] = X [i]\n", "net.fuse"))
    assert str(caught.value) == (
        "net.fuse:2:10: FUSE031: 'X' and its '[' must touch\n2 | Y[i] = X [i]\n  |          ^\nhelp: write X[…]"
    )
    assert isinstance(caught.value, SyntaxError)


# Size and speed ----------------------------------------------------------------------------------


def test_a_sum_of_5000_terms_is_one_node() -> None:
    equation = only("Y = " + " + ".join(f"X{number}" for number in range(5000)))
    assert isinstance(equation, st.Equation)
    assert isinstance(equation.body, st.Sum)
    assert len(equation.body.terms) == 5000


def test_deep_nesting() -> None:
    assert only("Y = " + "(" * 200 + "x" + ")" * 200) == only("Y = x")
    deep = only("Y = " + "f(" * 95 + "x" + ")" * 95)
    assert only("Y = " + "f(" * 95 + "x" + ")" * 95) == deep


@pytest.mark.parametrize(
    "text",
    [
        "Y = " + "(" * 257 + "x" + ")" * 257,
        "Y = " + "f(" * 5000 + "x" + ")" * 5000,
        "Y = " + "-" * 5000 + "x",
        "Y = " + "x**" * 5000 + "x",
        "Y = " + "X[" * 150 + "i" + "]" * 150,
        "W = " + "[" * 150 + "1" + "]" * 150,
        "R(x) <- " + "not (" * 150 + "A(x)" + ")" * 150,
    ],
    ids=["parentheses", "calls", "signs", "powers", "gathers", "literals", "not"],
)
def test_too_deep_is_an_error_and_no_crash(text: str) -> None:
    with pytest.raises(SyntaxFuseError, match=r"FUSE080: more than (256|100) levels"):
        parse(Source(text))


def test_200_equations_are_read_quickly() -> None:
    text = "\n".join(
        f"Stream{k}[b+1, p, d.] = lnorm(W{k}[b, d, f] Hid[b, p, f] + Mid[b, p, d] * 0.5 - exp(Q[b, p, d] / sqrt(Dk)))"
        for k in range(200)
    )
    assert len(parse(Source(text)).statements) == 200
    seconds = []
    for _ in range(5):
        start = time.thread_time()
        parse(Source(text))
        seconds.append(time.thread_time() - start)
    assert min(seconds) < 0.5  # 0.1 on a machine that does nothing else


def test_the_tables_are_read_once_even_by_several_threads_and_without_lark() -> None:
    code = """
import sys, threading
from fuse_ref.language import automaton
from fuse_ref.language.parser import parse
from fuse_ref.source import Source
built = []
original = automaton.Automaton.__init__
def counting(self, *args, **kwargs):
    built.append(1)
    original(self, *args, **kwargs)
automaton.Automaton.__init__ = counting
results = []
threads = [threading.Thread(target=lambda: results.append(parse(Source("Y = X")))) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
assert len(results) == 4 and len(built) == 1, (len(results), len(built))
assert "lark" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr


def test_several_threads_parse_at_once() -> None:
    texts = [path.read_text(encoding="utf-8") for path in PROGRAMS]
    expected = [parse(Source(text)) for text in texts]
    wrong: list[int] = []

    def work(number: int) -> None:
        for _ in range(3):
            if [parse(Source(text)) for text in texts] != expected:
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
