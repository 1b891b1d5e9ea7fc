"""Special algorithms derive what the plain evaluation derives, on graphs of every kind, and decline what does not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from fuse_ref.relations.closure import special
from fuse_ref.relations.rules import (
    Apply,
    Assignment,
    Atom,
    Constant,
    Denial,
    Filter,
    Literal,
    Rule,
    Term,
    Value,
    Variable,
)
from fuse_ref.relations.setting import Setting
from fuse_ref.relations.tuples import Tuples
from tests.support.plain_rules import derive

V = {name: Variable(name) for name in "abcpqstuvwxyz"}


def atom(text: str) -> Atom:
    """`E(x, 3)`."""
    name, _, inner = text.rstrip(")").partition("(")
    return Atom(name, tuple(_term(part.strip()) for part in inner.split(",") if part.strip()))


def _term(text: str) -> Term:
    return Constant(int(text)) if text.lstrip("-").isdigit() else Variable(text)


def rule(head: str, *body: str | Literal) -> Rule:
    made = atom(head)
    literals = [_literal(item) if isinstance(item, str) else item for item in body]
    return Rule(made.relation, made.terms, tuple(literals), 0, head)


def _literal(text: str) -> Literal:
    for operator in ("!=", "<=", ">=", "==", "<", ">"):
        if operator in text:
            left, right = text.split(operator)
            return Filter(operator, _term(left.strip()), _term(right.strip()))  # type: ignore[arg-type]
    return Denial(atom(text[4:])) if text.startswith("not ") else atom(text)


def plus(value: Value, number: int) -> Apply:
    return Apply("add", (value, Constant(number)))


def relation(pairs: Sequence[tuple[int, ...]], shape: tuple[int, ...]) -> Tuples:
    columns = [np.array([pair[k] for pair in pairs], np.int64) for k in range(len(shape))]
    return Tuples.of(columns, shape, count=len(pairs))


def found(rules: Sequence[Rule], known: Mapping[str, Tuples], shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    """The algorithm that ran; what it derived is what the plain evaluation derives."""

    def solve(
        made: Sequence[Rule], more: Mapping[str, Tuples], heads: Mapping[str, tuple[int, ...]]
    ) -> Mapping[str, Tuples]:
        return derive(made, {**known, **more}, {}, heads, int).relations

    result = special(rules, Setting(known, shapes, solve, lambda count: None))
    if result is None:
        return None
    expected = _plain(rules, known, shapes)
    assert result.relations.keys() == expected.keys()
    for name, tuples in result.relations.items():
        assert tuples.shape == shapes[name]
        assert tuples.positions.tolist() == expected[name], name
        if tuples.ordered:
            rows = list(zip(*(column.tolist() for column in tuples.columns), strict=True)) if tuples.arity else []
            assert rows == sorted(rows)
    return result.algorithm


def _plain(
    rules: Sequence[Rule], known: Mapping[str, Tuples], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, list[list[int]]]:
    made = derive(rules, known, {}, shapes, int).relations
    return {name: tuples.positions.tolist() for name, tuples in made.items()}


def graph(kind: str, n: int, seed: int) -> list[tuple[int, int]]:
    draw = np.random.default_rng(seed)
    match kind:
        case "empty":
            return []
        case "chain":
            return [(k, k + 1) for k in range(n - 1)]
        case "cycle":
            return [(k, (k + 1) % n) for k in range(n)]
        case "acyclic":
            ends = np.sort(draw.integers(0, n, (2 * n, 2)), axis=1)
            return [(int(a), int(b)) for a, b in ends if a != b]
        case "blocks":
            places = draw.integers(0, n, (n, 2))
            return [(int(a), int(b)) for a, b in places if a // 5 == b // 5]
        case "forest":
            return [(k, int(draw.integers(0, k))) for k in range(1, n) if draw.random() < 0.8]
        case _:
            return [(int(a), int(b)) for a, b in draw.integers(0, n, (2 * n, 2))]


KINDS = ("empty", "chain", "cycle", "acyclic", "blocks", "random")

CLOSURES = {
    "left-linear": [rule("P(x,z)", "E(x,z)"), rule("P(x,z)", "P(x,y)", "E(y,z)")],
    "right-linear": [rule("P(x,z)", "E(x,z)"), rule("P(x,z)", "E(x,y)", "P(y,z)")],
    "not linear": [rule("P(x,z)", "E(x,z)"), rule("P(x,z)", "P(y,z)", "P(x,y)")],
    "backwards": [rule("P(x,z)", "E(z,x)"), rule("P(x,z)", "P(x,y)", "E(z,y)")],
    "two bases": [rule("P(x,z)", "E(x,z)"), rule("P(x,z)", "F(x,z)"), rule("P(x,z)", "P(x,y)", "E(y,z)")],
    "other base": [rule("P(x,z)", "F(x,z)", "x != z"), rule("P(x,z)", "P(x,y)", "E(y,z)")],
    "other base, left": [rule("P(x,z)", "F(x,z)", "x < z"), rule("P(x,z)", "E(x,y)", "P(y,z)")],
    "one source": [rule("P(x,z)", "E(x,z)", "x == 0"), rule("P(x,z)", "P(x,y)", "E(y,z)")],
    "both sides": [rule("P(x,z)", "F(x,z)"), rule("P(x,z)", "P(x,y)", "E(y,z)"), rule("P(x,z)", "F(x,y)", "P(y,z)")],
    "squares and right": [
        rule("P(x,z)", "F(x,z)"),
        rule("P(x,z)", "P(x,y)", "E(y,z)"),
        rule("P(x,z)", "P(x,y)", "P(y,z)"),
    ],
    "squares and left": [
        rule("P(x,z)", "F(x,z)"),
        rule("P(x,z)", "E(x,y)", "P(y,z)"),
        rule("P(x,z)", "P(x,y)", "P(y,z)"),
    ],
    "all": [
        rule("P(x,z)", "F(x,z)"),
        rule("P(x,z)", "E(x,y)", "P(y,z)"),
        rule("P(x,z)", "P(x,y)", "E(z,y)"),
        rule("P(x,z)", "P(x,y)", "P(y,z)"),
    ],
    "symmetric": [rule("P(x,z)", "E(x,z)"), rule("P(x,z)", "P(z,x)")],
    "symmetric, right": [rule("P(x,z)", "F(x,z)"), rule("P(x,z)", "P(z,x)"), rule("P(x,z)", "P(x,y)", "E(y,z)")],
    "equivalence": [rule("P(x,z)", "E(x,z)"), rule("P(x,z)", "P(z,x)"), rule("P(x,z)", "P(x,y)", "P(y,z)")],
    "filtered edges": [rule("P(x,z)", "E(x,z)"), rule("P(x,z)", "P(x,y)", "E(y,z)", "y != 2", "not F(y,z)")],
    "marked edges": [rule("P(x,z)", "E(x,z)"), rule("P(x,z)", "P(x,y)", "E(y,z)", "F(z,_)")],
    "a fact": [rule("P(1,0)"), rule("P(x,z)", "P(x,y)", "E(y,z)")],
}


@pytest.mark.parametrize("name", CLOSURES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_closure_is_found(name: str, kind: str) -> None:
    for n, seed in ((2, 0), (12, 1)):
        known = {
            "E": relation(graph(kind, n, seed), (n, n)),
            "F": relation(graph("random", n, seed + 9)[: n // 2], (n, n)),
        }
        algorithm = found(CLOSURES[name], known, {"P": (n, n)})
        assert algorithm is not None
        assert "closure" in algorithm


def test_axes_of_size_one_and_none() -> None:
    for n, pairs in ((0, []), (1, []), (1, [(0, 0)])):
        for rules in CLOSURES.values():
            if rules is not CLOSURES["a fact"]:
                known = {"E": relation(pairs, (n, n)), "F": relation(pairs, (n, n))}
                assert found(rules, known, {"P": (n, n)}) is not None


def test_a_long_axis_of_which_little_is_used() -> None:
    n = 1 << 30
    pairs = [(n - 1, 5), (5, n // 2), (n // 2, 5), (7, 7)]
    for rules in (CLOSURES["left-linear"], CLOSURES["both sides"], CLOSURES["equivalence"]):
        known = {"E": relation(pairs, (n, n)), "F": relation(pairs[:2], (n, n))}
        assert found(rules, known, {"P": (n, n)}) is not None


def test_what_lies_outside_of_the_head_is_dropped() -> None:
    known = {"E": relation([(0, 1), (1, 4), (4, 2), (2, 3)], (5, 5))}
    assert found(CLOSURES["left-linear"], known, {"P": (4, 4)}) is not None


SEARCHES: dict[str, tuple[list[Rule], dict[str, int]]] = {
    "reach": ([rule("R(x)", "S(x)"), rule("R(y)", "R(x)", "E(x,y)")], {"R": 1}),
    "from a constant": ([rule("R(0)"), rule("R(y)", "R(x)", "E(x,y)")], {"R": 1}),
    "backwards": ([rule("R(x)", "S(x)"), rule("R(x)", "R(y)", "E(x,y)")], {"R": 1}),
    "three relations": (
        [
            rule("A(x)", "S(x)"),
            rule("B(y)", "A(x)", "E(x,y)", "y > 1"),
            rule("C(y)", "B(x)", "E(x,y)"),
            rule("A(y)", "C(x)", "E(x,y)", "x != y"),
        ],
        {"A": 1, "B": 1, "C": 1},
    ),
    "copies": ([rule("A(x)", "S(x)"), rule("B(x)", "A(x)"), rule("A(y)", "B(x)", "E(x,y)")], {"A": 1, "B": 1}),
    "filtered copies": (
        [rule("A(x)", "S(x)"), rule("B(x)", "A(x)", "x != 3"), rule("A(y)", "B(x)", "E(x,y)")],
        {"A": 1, "B": 1},
    ),
    "counting": (
        [rule("A(1)"), Rule("A", (plus(V["x"], 2),), (atom("A(x)"), _literal("x < 8")), 0, "A(x+2)")],
        {"A": 1},
    ),
    "assigned": (
        [rule("A(1)"), rule("A(y)", "A(x)", Assignment(V["y"], plus(V["x"], 3)))],
        {"A": 1},
    ),
    "pairs as nodes": ([rule("R(x,x)", "S(x)"), rule("R(y,z)", "R(x,y)", "T(x,y,z)")], {"R": 2}),
    "kept": ([rule("R(x,x)", "S(x)"), rule("R(c,y)", "R(c,x)", "E(x,y)", "S(x)")], {"R": 2}),
    "two kept": (
        [rule("A(x,u,v)", "T(u,v,x)"), rule("B(v,y,u)", "A(x,u,v)", "E(x,y)"), rule("A(x,u,v)", "B(v,x,u)")],
        {"A": 3, "B": 3},
    ),
    "a constant in the atom": (
        [rule("A(x)", "S(x)"), rule("B(y)", "A(2)", "S(y)"), rule("A(y)", "B(x)", "E(x,y)")],
        {"A": 1, "B": 1},
    ),
    "no arguments": (
        [rule("A(x)", "S(x)"), rule("B()", "A(x)", "E(x,x)"), rule("A(x)", "B()", "E(x,_)")],
        {"A": 1, "B": 0},
    ),
    "a base without arguments": (
        [rule("B()", "E(0,_)"), rule("A(x)", "B()", "S(x)"), rule("B()", "A(x)", "S(x)")],
        {"A": 1, "B": 0},
    ),
}


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_search_is_found(name: str, kind: str) -> None:
    rules, arities = SEARCHES[name]
    for n, seed in ((3, 0), (11, 1)):
        known = _search_data(kind, n, seed)
        algorithm = found(rules, known, {head: (n,) * arity for head, arity in arities.items()})
        assert algorithm is not None
        assert "graph search" in algorithm or "closure" in algorithm


def _search_data(kind: str, n: int, seed: int) -> dict[str, Tuples]:
    draw = np.random.default_rng(seed)
    three = [tuple(row) for row in draw.integers(0, n, (2 * n, 3)).tolist()]
    some = [(int(x),) for x in draw.integers(0, n, n // 3)]
    return {"E": relation(graph(kind, n, seed), (n, n)), "S": relation(some, (n,)), "T": relation(three, (n,) * 3)}


def test_shapes_that_do_not_fit_are_left_alone() -> None:
    n = 6
    known = _search_data("random", n, 3)
    for rules in (
        [rule("P(x,z)", "E(x,z)"), rule("P(x,z)", "P(x,y)", "E(y,z)", "x != z")],
        [rule("P(x,z)", "E(x,z)"), rule("P(x,z)", "P(x,y)", "P(z,y)")],
        [rule("P(x,z)", "E(x,z)"), rule("P(x,z)", "P(x,x)", "E(x,z)"), rule("P(x,z)", "P(z,x)", "P(x,x)")],
        [rule("P(x,z)", "E(x,z)"), rule("P(z,x)", "P(x,z)", "S(x)")],
        [rule("P(x,z)", "E(x,z)"), rule("P(x,z)", "P(x,y)", "T(y,u,w)", "T(w,u,z)")],
        [rule("P(x,z)", "E(x,z)"), rule("P(x,z)", "P(x,y)", "E(y,z)", "P(z,z)")],
    ):
        found(rules, known, {"P": (n, n)})
    assert found([rule("P(x,z)", "E(x,z)"), rule("P(x,z)", "P(x,y)", "E(y,z)", "x != z")], known, {"P": (n, n)}) is None
    assert found([rule("P(x,z)", "E(x,z)")], known, {"P": (n, n)}) is None


SAME = [rule("S(x,y)", "P(x,p)", "P(y,p)"), rule("S(x,y)", "P(x,p)", "S(p,q)", "P(y,q)")]
OTHERS = [rule("S(x,y)", "P(x,p)", "P(y,p)", "x != y"), rule("S(x,y)", "P(y,q)", "S(p,q)", "P(x,p)")]
BELOW = [rule("S(x,y)", "P(p,y)", "P(p,x)", "y != x"), rule("S(x,y)", "P(p,x)", "S(p,q)", "P(q,y)")]


@pytest.mark.parametrize("rules", [SAME, OTHERS])
@pytest.mark.parametrize("kind", ["empty", "chain", "forest"])
def test_same_generation_over_a_forest(rules: list[Rule], kind: str) -> None:
    for n, seed in ((1, 0), (2, 1), (14, 2), (15, 3)):
        algorithm = found(rules, {"P": relation(graph(kind, n, seed), (n, n))}, {"S": (n, n)})
        assert algorithm == "same generation: blocks of one depth below one root"
        flipped = relation([(b, a) for a, b in graph(kind, n, seed)], (n, n))
        assert found(BELOW, {"P": flipped}, {"S": (n, n)}) == algorithm


SIDES = {
    "one relation": SAME,
    "two relations": [rule("S(x,y)", "E(x,y)"), rule("S(x,y)", "P(x,p)", "S(p,q)", "E(q,y)")],
    "the other one ends": [rule("S(x,y)", "P(x,y)"), rule("S(x,y)", "E(x,p)", "S(p,q)", "P(q,y)")],
    "filters": [
        rule("S(x,y)", "E(x,y)", "x != y"),
        rule("S(2,y)", "E(_,y)"),
        rule("S(x,y)", "P(x,p)", "x != 3", "not E(x,p)", "S(p,q)", "E(y,q)", "q > 1"),
    ],
}


@pytest.mark.parametrize("name", SIDES)
@pytest.mark.parametrize("kind", ["empty", "chain", "forest", "acyclic"])
def test_recursion_at_both_sides(name: str, kind: str) -> None:
    for n, seed in ((3, 0), (9, 1), (10, 2)):
        known = {"P": relation(graph(kind, n, seed), (n, n)), "E": relation(graph("random", n, seed), (n, n))}
        algorithm = found(SIDES[name], known, {"S": (n, n)})
        assert algorithm is not None
        assert "both sides" in algorithm or (name == "one relation" and "same generation" in algorithm)


def test_sides_that_know_of_each_other_are_left_alone() -> None:
    known = {"P": relation(graph("forest", 9, 1), (9, 9)), "E": relation(graph("random", 9, 1), (9, 9))}
    for body in (("P(x,p)", "S(p,q)", "P(y,q)", "x != y"), ("P(x,p)", "S(p,q)", "E(y,q)", "E(p,q)")):
        assert found([rule("S(x,y)", "E(x,y)"), rule("S(x,y)", *body)], known, {"S": (9, 9)}) is None


def test_same_generation_of_two_parents_is_no_forest() -> None:
    algorithm = found(SAME, {"P": relation([(0, 1), (0, 2), (3, 2)], (4, 4))}, {"S": (4, 4)})
    assert algorithm == "recursion at both sides: 2 products of sparse rows"


def test_same_generation_along_a_cycle_is_left_alone() -> None:
    for pairs in (
        [(0, 1), (1, 0)],
        [(0, 0)],
        [(0, 1), (1, 2), (2, 3), (3, 0)],
        [(0, 1), (1, 2), (2, 0)],
    ):
        assert found(SAME, {"P": relation(pairs, (4, 4))}, {"S": (4, 4)}) is None


def test_a_long_chain_takes_no_round_for_each_node() -> None:
    n = 100_001
    steps = np.arange(n - 1)
    known = {"E": Tuples((steps, steps + 1), (n, n), ordered=True)}
    rules = [
        rule("A(0)"),
        rule("B(y)", "A(x)", "E(x,y)"),
        rule("C(y)", "B(x)", "E(x,y)"),
        rule("A(y)", "C(x)", "E(x,y)"),
    ]
    shapes = {"A": (n,), "B": (n,), "C": (n,)}
    made = special(rules, Setting(known, shapes, _facts, lambda count: None))
    assert made is not None
    assert made.algorithm == "graph search over 3 relations: breadth first"
    for start, name in enumerate("ABC"):
        np.testing.assert_array_equal(made.relations[name].columns[0], np.arange(start, n, 3))


def _facts(
    rules: Sequence[Rule], more: Mapping[str, Tuples], shapes: Mapping[str, tuple[int, ...]]
) -> Mapping[str, Tuples]:
    return derive(rules, more, {}, shapes, int).relations
