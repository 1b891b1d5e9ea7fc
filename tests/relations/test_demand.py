"""Rules rewritten for goals: the same answers, nothing that is not true, and a graph search where one is enough."""

from __future__ import annotations

import random

import pytest

from fuse_ref.relations.demand import Demanded, demand
from fuse_ref.relations.rules import Atom, Constant, Denial, Filter, Rule, Variable
from tests.relations.by_sets import Facts, heights
from tests.relations.drawn_rules import ARITY, Drawn, atom, draw, rule


def fits(row: tuple[int, ...], goal: Atom, drawn: Drawn) -> bool:
    return all(
        isinstance(term, Variable) or (term.value if isinstance(term.value, int) else drawn.length(term.value)) == value
        for term, value in zip(goal.terms, row, strict=True)
    )


def goals_of(chance: random.Random, size: int) -> list[Atom]:
    found = []
    for _ in range(chance.randint(1, 3)):
        relation = chance.choice("PQRSTUVZ")
        terms = [
            Constant(chance.randrange(size)) if chance.random() < 0.5 else Variable("abc"[k])
            for k in range(ARITY[relation])
        ]
        found.append(Atom(relation, tuple(terms)))
    return found


def needed_of(drawn: Drawn, demanded: Demanded) -> Facts:
    return heights(demanded.rules, drawn.stored(), drawn.dense, demanded.shapes(drawn.shapes), drawn.length)[0]


@pytest.mark.parametrize("part", range(5))
def test_answers_are_those_of_all_that_the_rules_derive(part: int) -> None:
    forms = set()
    for seed in range(25 * part, 25 * part + 25):
        drawn = draw(seed)
        chance = random.Random(~seed)
        goals = goals_of(chance, drawn.size)
        sizes = {name: len(tuples) for name, tuples in drawn.known.items()} if seed % 2 else None
        demanded = demand(drawn.rules, goals, sizes=sizes)
        full = heights(drawn.rules, drawn.stored(), drawn.dense, drawn.shapes, drawn.length)[0]
        found = needed_of(drawn, demanded)
        for goal in goals:
            wanted = {row for row in full[goal.relation] if fits(row, goal, drawn)}
            assert {row for row in found.get(goal.relation, ()) if fits(row, goal, drawn)} == wanted, (seed, goal)
        for name, rows in found.items():
            forms.add(name.split("~")[0] if name.startswith(("magic", "sup")) else name.partition("~")[2])
            relation = name.partition("~")[0]
            if relation in ("magic", "sup"):
                continue
            # What was derived is true: of no relation more than the whole program derives.
            places = [k for _, k in demanded.places.get(name, ((relation, k) for k in range(ARITY[relation])))]
            assert rows <= {tuple(row[k] for k in places) for row in full[relation]}, (seed, name)
    assert {"magic", "sup", "bf", "fb", "bb", "facts"} <= forms  # all kinds were tried


EDGE, PATH = "Edge", "Path"
BASE = rule(atom(PATH, "x", "y"), atom(EDGE, "x", "y"))
LEFT = rule(atom(PATH, "x", "z"), atom(PATH, "x", "y"), atom(EDGE, "y", "z"))
RIGHT = rule(atom(PATH, "x", "z"), atom(EDGE, "x", "y"), atom(PATH, "y", "z"))
BOTH = rule(atom(PATH, "x", "z"), atom(PATH, "x", "y"), atom(PATH, "y", "z"))


def texts(demanded: Demanded) -> list[str]:
    return [item.text for item in demanded.rules]


def test_constants_are_put_into_left_linear_rules() -> None:
    assert texts(demand((BASE, LEFT), [atom(PATH, 3, "y")])) == [
        "Path(3, y) <- Path~bf(y)",
        "Path~bf(y) <- Edge(3, y)",
        "Path~bf(z) <- Path~bf(y), Edge(y, z)",
    ]


def test_right_linear_rules_keep_only_from_where_they_are_asked() -> None:
    assert texts(demand((BASE, RIGHT), [atom(PATH, 3, "y")])) == [
        "Path(3, y) <- Path~bf(y)",
        "magic~Path~bf(3)",
        "Path~bf(y) <- magic~Path~bf(x), Edge(x, y)",
        "magic~Path~bf(y) <- magic~Path~bf(x), Edge(x, y)",
    ]


@pytest.mark.parametrize("rules", [(BASE, LEFT), (BASE, RIGHT), (BASE, BOTH), (BASE, LEFT, RIGHT), (BASE, LEFT, BOTH)])
@pytest.mark.parametrize("goal", [atom(PATH, 1, "y"), atom(PATH, "x", 4), atom(PATH, 1, 4), atom(PATH, 4, 1)])
def test_paths_from_or_to_a_node_need_no_pairs(rules: tuple[Rule, ...], goal: Atom) -> None:
    edges = {(k, k + 1) for k in range(6)} | {(5, 2)}
    demanded = demand(rules, [goal])
    assert all(len(item.terms) < 2 for item in demanded.rules if item.head != PATH)
    shapes = {EDGE: (7, 7), PATH: (7, 7)}
    full = heights(rules, {EDGE: edges}, {}, shapes, int)[0][PATH]
    found = heights(demanded.rules, {EDGE: edges}, {}, demanded.shapes(shapes), int)[0].get(PATH, set())
    wanted = {
        row
        for row in full
        if all(isinstance(t, Variable) or t.value == v for t, v in zip(goal.terms, row, strict=True))
    }
    assert found == wanted


def test_mutual_recursion_is_searched_too() -> None:
    rules = (
        rule(atom("A", "x", "y"), atom(EDGE, "x", "y")),
        rule(atom("A", "x", "z"), atom("B", "x", "y"), atom(EDGE, "y", "z"), Filter("<", Variable("y"), Variable("z"))),
        rule(atom("B", "x", "z"), atom("C", "x", "y"), atom(EDGE, "y", "z")),
        rule(atom("C", "x", "z"), atom("A", "x", "y"), atom(EDGE, "y", "z")),
    )
    assert texts(demand(rules, [atom("A", 0, "y")])) == [
        "A(0, y) <- A~bf(y)",
        "A~bf(y) <- Edge(0, y)",
        "A~bf(z) <- B~bf(y), Edge(y, z), y < z",
        "B~bf(z) <- C~bf(y), Edge(y, z)",
        "C~bf(z) <- A~bf(y), Edge(y, z)",
    ]


@pytest.mark.parametrize("rules", [(BASE, LEFT), (BASE, RIGHT), (BASE, BOTH), (BASE, LEFT, RIGHT)])
@pytest.mark.parametrize("roots", [set(), {(4,)}, {(0,), (5,)}])
def test_what_several_reach_together_needs_no_pairs(rules: tuple[Rule, ...], roots: set[tuple[int, ...]]) -> None:
    live = rule(atom("Live", "y"), atom("Root", "x"), atom(PATH, "x", "y"), atom("Mark", "y"))
    demanded = demand((*rules, live), [atom("Live", "y")])
    assert all(len(item.terms) == 1 for item in demanded.rules)
    shapes = {EDGE: (7, 7), PATH: (7, 7), "Root": (7,), "Mark": (7,), "Live": (7,)}
    stored: Facts = {EDGE: {(0, 1), (1, 2), (2, 0), (4, 5), (5, 6), (3, 4)}, "Root": roots, "Mark": {(0,), (2,), (6,)}}
    full = heights((*rules, live), stored, {}, shapes, int)[0]["Live"]
    assert heights(demanded.rules, stored, {}, demanded.shapes(shapes), int)[0]["Live"] == full
    assert bool(full) == bool(roots)


@pytest.mark.parametrize("bad", [set(), {(3,)}])
def test_what_is_denied_before_a_search_still_counts(bad: set[tuple[int, ...]]) -> None:
    rules = (
        BASE,
        LEFT,
        rule(atom("Bad", "x"), atom("Mark", "x")),
        rule(atom("Live", "y"), atom("Root", "x"), Denial(atom("Bad", "x")), atom(PATH, "x", "y")),
    )
    demanded = demand(rules, [atom("Live", "y")])
    shapes = {EDGE: (7, 7), PATH: (7, 7), "Root": (7,), "Mark": (7,), "Live": (7,), "Bad": (7,)}
    stored: Facts = {EDGE: {(3, 4), (4, 5), (0, 1)}, "Root": {(3,), (6,)}, "Mark": bad}
    full = heights(rules, stored, {}, shapes, int)[0]["Live"]
    assert full == (set() if bad else {(4,), (5,)})
    assert heights(demanded.rules, stored, {}, demanded.shapes(shapes), int)[0]["Live"] == full


def test_who_reaches_what_keeps_pairs() -> None:
    live = rule(atom("Live", "x", "y"), atom("Root", "x"), atom(PATH, "x", "y"))
    found = texts(demand((BASE, LEFT, live), [atom("Live", "x", "y")]))
    assert "Live(x, y) <- Root(x), Path~bf(x, y)" in found


def test_same_generation_uses_magic_sets() -> None:
    rules = (
        rule(atom("Same", "x", "y"), atom("Flat", "x", "y")),
        rule(atom("Same", "x", "y"), atom("Up", "x", "u"), atom("Same", "u", "v"), atom("Up", "y", "v")),
    )
    found = texts(demand(rules, [atom("Same", 3, "y")]))
    assert "magic~Same~bf(u) <- magic~Same~bf(x), Up(x, u)" in found
    assert "Same~bf(x, y) <- magic~Same~bf(x), Up(x, u), Same~bf(u, v), Up(y, v)" in found


def test_symbols_stand_in_the_texts() -> None:
    found = demand((BASE, LEFT), [atom(PATH, 1, "y")], names=lambda relation, argument: ("Ann", "New York"))
    assert texts(found)[1] == 'Path~bf(y) <- Edge("New York", y)'


def test_unneeded_rules_go_and_whole_relations_keep_their_rules() -> None:
    other = rule(atom("Other", "x"), atom(EDGE, "x", "x"))
    assert demand((BASE, LEFT, other), [atom(PATH, "x", "y")]).rules == (BASE, LEFT)


def test_a_goal_with_free_arguments_serves_the_others() -> None:
    found = demand((BASE, RIGHT), [atom(PATH, 0, "y"), atom(PATH, "x", "y")])
    assert found.rules == (BASE, RIGHT)


def test_many_constants_share_one_relation() -> None:
    demanded = demand((BASE, LEFT), [atom(PATH, k, "y") for k in range(20)])
    assert len({item.head for item in demanded.rules}) == 3
    edges = {(k, (3 * k + 1) % 30) for k in range(30)}
    shapes = {EDGE: (30, 30), PATH: (30, 30)}
    full = heights((BASE, LEFT), {EDGE: edges}, {}, shapes, int)[0][PATH]
    found = heights(demanded.rules, {EDGE: edges}, {}, demanded.shapes(shapes), int)[0][PATH]
    assert found == {row for row in full if row[0] < 20}


def test_what_would_not_be_stratified_is_derived_whole() -> None:
    # What Odd is needed for depends on Good, which is denied below it.
    rules = (
        rule(atom("Odd", "x", "y"), atom(EDGE, "x", "y"), Denial(atom("Bad", "y"))),
        rule(atom("Bad", "x"), atom("Good", "x", "y"), atom("Mark", "y")),
        rule(atom("Good", "x", "y"), atom(EDGE, "x", "y"), atom(EDGE, "y", "x")),
        rule(atom("Top", "x", "z"), atom("Odd", "x", "y"), atom("Good", "y", "z")),
    )
    demanded = demand(rules, [atom("Top", 0, "z")])
    edges = {(0, 1), (1, 0), (0, 2), (2, 3), (3, 2), (2, 2)}
    shapes = {EDGE: (4, 4), "Mark": (4,), "Odd": (4, 4), "Bad": (4,), "Good": (4, 4), "Top": (4, 4)}
    stored: Facts = {EDGE: edges, "Mark": {(0,)}}
    full = heights(rules, stored, {}, shapes, int)[0]["Top"]
    found = heights(demanded.rules, stored, {}, demanded.shapes(shapes), int)[0]["Top"]
    assert found == {row for row in full if row[0] == 0} != set()


def test_relations_that_are_given_and_derived() -> None:
    edges, given = {(0, 1), (1, 2)}, {(2, 5), (7, 8)}
    for goal, wanted in ((atom(PATH, 0, "y"), {1, 2, 5}), (atom(PATH, 7, "y"), {8})):
        for rules in ((BASE, LEFT), (BASE, RIGHT), (BASE, BOTH)):
            demanded = demand(rules, [goal], given=[PATH])
            shapes = {EDGE: (9, 9), PATH: (9, 9)}
            found = heights(demanded.rules, {EDGE: edges, PATH: given}, {}, demanded.shapes(shapes), int)[0][PATH]
            full = heights(rules, {EDGE: edges, PATH: given}, {}, shapes, int)[0][PATH]
            start = goal.terms[0]
            assert isinstance(start, Constant)
            assert {y for x, y in found if x == start.value} == {y for x, y in full if x == start.value}
            assert wanted >= {y for x, y in found if x == start.value}


@pytest.mark.parametrize("length", [3_000])
def test_long_programs_are_no_deep_recursion(length: int) -> None:
    rules = [rule(atom("R0", "x", "y"), atom(EDGE, "x", "y"))]
    rules += [rule(atom(f"R{k}", "x", "y"), atom(f"R{k - 1}", "x", "y")) for k in range(1, length)]
    demanded = demand(rules, [atom(f"R{length - 1}", 0, "y")])
    assert len(demanded.rules) == length + 1
