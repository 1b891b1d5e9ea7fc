"""Derivations: every node is an instance of a rule whose body holds, and none could be shorter."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

from fuse_ref.errors import LimitError
from fuse_ref.relations.derivation import Derivation
from fuse_ref.relations.proofs import Aggregate, Fact, World, why, why_not
from fuse_ref.relations.rules import Apply, Assignment, Atom, Constant, Denial, Element, Filter, Rule, Variable
from fuse_ref.relations.tuples import Tuples
from tests.relations.by_sets import Facts, Row, heights
from tests.relations.by_sets import World as Sets
from tests.relations.drawn_rules import Drawn, atom, draw

Heights = dict[tuple[str, Row], int]


def tuples_of(rows: set[Row], shape: tuple[int, ...]) -> Tuples:
    columns = [np.array([row[k] for row in sorted(rows)], np.int64) for k in range(len(shape))]
    return Tuples.of(columns, shape, count=len(rows))


def world_of(drawn: Drawn, facts: Facts) -> World:
    relations = {name: tuples_of(facts.get(name, set()), shape) for name, shape in drawn.shapes.items()}
    return World(drawn.rules, relations, drawn.length, drawn.dense)


def derived_again(drawn: Drawn) -> World:
    """The world after a run that kept nothing of what rules derive."""
    shapes = {item.head: drawn.shapes[item.head] for item in drawn.rules}
    return World(drawn.rules, drawn.known, drawn.length, drawn.dense, shapes=shapes)


def instances(drawn: Drawn, facts: Facts, head: str, row: Row) -> list[tuple[str, tuple[tuple[str, Row], ...], int]]:
    """Rules that give a tuple: text, atoms that they read, and how many of their conditions are no atoms."""
    sets = Sets(facts, drawn.dense, drawn.length)
    found = []
    for item in drawn.rules:
        if item.head != head or not item.body:
            continue
        for env in sets.solutions(item.body, {}):
            if tuple(int(sets.value(term, env)) for term in item.terms) == row:
                atoms = tuple(
                    (part.relation, tuple(int(sets.value(term, env)) for term in part.terms))
                    for part in item.body
                    if isinstance(part, Atom)
                )
                found.append((item.text, atoms, sum(not isinstance(x, Atom | Assignment) for x in item.body)))
    return found


def least_size(
    drawn: Drawn, facts: Facts, least: Heights, fact: tuple[str, Row], known: dict[tuple[str, Row], int]
) -> int:
    """Of the derivations whose every part has least height, the nodes of the smallest."""
    if fact not in known:
        if least[fact] == 0:
            known[fact] = 1
        else:
            known[fact] = min(
                1 + others + sum(least_size(drawn, facts, least, part, known) for part in atoms)
                for _, atoms, others in instances(drawn, facts, *fact)
                if all(least[part] < least[fact] for part in atoms)
            )
    return known[fact]


def check(drawn: Drawn, facts: Facts, least: Heights, found: Derivation) -> None:
    """That a derivation is one, and that each of its parts is as low as can be."""
    for node in found.nodes:
        place = (node.relation, node.position)
        if node.kind == "fact":
            assert least[place] == 0
        elif node.kind == "derived":
            children = {(child.relation, child.position) for k in node.because if (child := found.nodes[k]).relation}
            fitting = [
                atoms
                for text, atoms, _ in instances(drawn, facts, *place)
                if text == node.rule and set(atoms) == children
            ]
            assert fitting, (place, node)
            assert least[place] == 1 + max((least[part] for part in children), default=0)


@pytest.mark.parametrize("part", range(3))
def test_drawn_rules(part: int) -> None:
    derived = 0
    for seed in range(1000 + 15 * part, 1015 + 15 * part):
        drawn = draw(seed)
        facts, least = heights(drawn.rules, drawn.stored(), drawn.dense, drawn.shapes, drawn.length)
        world, again = world_of(drawn, facts), derived_again(drawn)
        chance = random.Random(seed)
        true = sorted(least)
        sizes: dict[tuple[str, Row], int] = {}
        deep = [fact for fact in true if least[fact] > 1]
        for name, row in (*chance.sample(true, min(2, len(true))), *chance.sample(deep, min(6, len(deep)))):
            found = why(world, Fact(name, row))
            assert found.holds
            assert found.height == least[name, row]
            check(drawn, facts, least, found)
            assert found.size == least_size(drawn, facts, least, (name, row), sizes)
            other = why(again, Fact(name, row))
            assert (other.size, other.height) == (found.size, found.height)
            json.dumps(found.to_dict())
            derived += found.height > 1
        for _ in range(4):
            name = chance.choice(sorted(drawn.shapes))
            row = tuple(chance.randrange(size) for size in drawn.shapes[name])
            reason = why_not(world, Fact(name, row))
            assert reason.holds == (row in facts[name])
            assert [(n.kind, n.rule) for n in why_not(again, Fact(name, row)).nodes] == [
                (n.kind, n.rule) for n in reason.nodes
            ]
            if reason.holds:
                assert str(reason).splitlines()[0].endswith(" holds:")
                continue
            rules = [item.text for item in drawn.rules if item.head == name and item.body]
            assert [node.text for node in reason.nodes if node.kind == "failed"] == rules
            for node in reason.nodes:
                if node.kind == "failed":
                    kinds = [reason.nodes[k].kind for k in node.because]
                    assert kinds.count("missing") == 1
                    assert kinds[-1] == "missing"
                if node.kind == "holds":
                    assert node.position in facts[node.relation]
    assert derived > 5


# By hand ----------------------------------------------------------------------------------------

PEOPLE = ("Ann", "Bob", "Cy", "Dan", "New York")
PARENT = {(0, 1), (1, 2), (2, 3), (0, 4), (0, 2)}


def said(text: str, head: Atom, *body: object) -> Rule:
    return Rule(head.relation, head.terms, body, 0, text)  # type: ignore[arg-type]


FAMILY = (
    said("Ancestor(x, y) <- Parent(x, y)", atom("Ancestor", "x", "y"), atom("Parent", "x", "y")),
    said(
        "Ancestor(x, z) <- Ancestor(x, y), Parent(y, z)",
        atom("Ancestor", "x", "z"),
        atom("Ancestor", "x", "y"),
        atom("Parent", "y", "z"),
    ),
    said(
        "Proud(x, z) <- Ancestor(x, z), not Enemy(x, z), Kids[x] > 1",
        atom("Proud", "x", "z"),
        atom("Ancestor", "x", "z"),
        Denial(atom("Enemy", "x", "z")),
        Filter(">", Element("Kids", (Variable("x"),)), Constant(1)),
    ),
    said(
        "Next(x + 1) <- Parent(x, _)",
        Atom("Next", (Apply("add", (Variable("x"), Constant(1))),)),
        atom("Parent", "x", "_1"),
    ),  # type: ignore[arg-type]
)


def family(aggregates: tuple[Aggregate, ...] = ()) -> World:
    stored: Facts = {"Parent": PARENT, "Enemy": {(0, 2)}}
    dense = {"Kids": np.array([3, 1, 1, 0, 0])}
    shapes = {"Parent": (5, 5), "Enemy": (5, 5), "Ancestor": (5, 5), "Proud": (5, 5), "Next": (5,)}
    facts = heights(FAMILY, stored, dense, shapes, int)[0]
    relations = {name: tuples_of(facts[name], shape) for name, shape in shapes.items()}
    return World(FAMILY, relations, int, dense, names=lambda name, argument: PEOPLE, aggregates=aggregates)


KIDS = Aggregate("Kids", "=", (Variable("x"),), None, (atom("Parent", "x", "y"),))


def test_a_tree_reads_from_the_fact_down() -> None:
    assert str(why(family((KIDS,)), Fact("Proud", (0, 3)))) == (
        "Proud(Ann, Dan)   by Proud(x, z) <- Ancestor(x, z), not Enemy(x, z), Kids[x] > 1\n"
        "├─ Ancestor(Ann, Dan)   by Ancestor(x, z) <- Ancestor(x, y), Parent(y, z)\n"
        "│  ├─ Ancestor(Ann, Cy)   by Ancestor(x, y) <- Parent(x, y)\n"
        "│  │  └─ Parent(Ann, Cy)   fact\n"
        "│  └─ Parent(Cy, Dan)   fact\n"
        "├─ not Enemy(Ann, Dan)   no tuple fits\n"
        "└─ Kids[Ann] > 1   3 > 1\n"
        "   └─ Kids[Ann] = 3   counts 3\n"
        "      ├─ Parent(Ann, Bob)\n"
        "      ├─ Parent(Ann, Cy)\n"
        '      └─ Parent(Ann, "New York")'
    )


def test_heads_that_are_computed_and_variables_of_no_interest() -> None:
    found = why(family(), Fact("Next", (1,)))
    assert [node.text for node in found.nodes] == ["Next(Bob)", "Parent(Ann, Bob)"]
    assert found.height == 1
    assert str(why_not(family(), Fact("Next", (4,)))) == (
        'Next("New York") does not hold\n'
        "└─ Next(x + 1) <- Parent(x, _)\n"
        "   ├─ Parent(Ann, Bob)   holds\n"
        "   └─ gives Next(Bob)   another tuple"
    )


def test_the_first_condition_that_fails_is_named() -> None:
    assert str(why_not(family(), Fact("Ancestor", (1, 4)))) == (
        'Ancestor(Bob, "New York") does not hold\n'
        "├─ Ancestor(x, y) <- Parent(x, y)\n"
        '│  └─ Parent(Bob, "New York")   does not hold\n'
        "└─ Ancestor(x, z) <- Ancestor(x, y), Parent(y, z)\n"
        "   ├─ Ancestor(Bob, Cy)   holds\n"
        '   └─ Parent(Cy, "New York")   does not hold'
    )
    assert "not Enemy(Ann, Cy)   Enemy(Ann, Cy) holds" in str(why_not(family(), Fact("Proud", (0, 2))))
    assert "Kids[Bob] > 1   1 > 1 is false" in str(why_not(family(), Fact("Proud", (1, 3))))
    assert "it is none of the 5 facts of Parent" in str(why_not(family(), Fact("Parent", (3, 3))))
    assert "Ancestor(Dan, y)   no tuple fits" in str(why_not(family(), Fact("Ancestor", (3, 3))))


def test_why_of_what_does_not_hold_says_why_not_and_the_other_way_round() -> None:
    assert str(why(family(), Fact("Ancestor", (3, 0)))) == str(why_not(family(), Fact("Ancestor", (3, 0))))
    assert not why(family(), Fact("Ancestor", (3, 0)))
    assert str(why_not(family(), Fact("Ancestor", (0, 1)))).startswith("Ancestor(Ann, Bob) holds:\nAncestor(Ann, Bob)")


@pytest.mark.parametrize(
    ("operator", "value", "what", "listed"),
    [
        ("=", None, "counts 1000", ["Edge(0, 0)", "Edge(0, 1)", "Edge(0, 2)", "and 997 more"]),
        ("=", "Age", "the sum of 1000", ["Edge(0, 0), Age[0] = 7", "Edge(0, 1), Age[1] = 6", "Edge(0, 2), Age[2] = 5"]),
        ("max=", "Age", "the greatest of 1000", ["Edge(0, 0), Age[0] = 7"]),
        ("min=", "Age", "the least of 1000", ["Edge(0, 3), Age[3] = -9"]),
        ("avg=", "Age", "the mean of 1000", ["Edge(0, 0), Age[0] = 7"]),
    ],
)
def test_aggregates_say_what_contributed(operator: str, value: str | None, what: str, listed: list[str]) -> None:
    ages = np.zeros(1000)
    ages[:4] = (7, 6, 5, -9)
    terms = (Variable("x"),)
    element = None if value is None else Element(value, (Variable("y"),))
    part = Aggregate("Sum", operator, terms, element, (atom("Edge", "x", "y"),))
    rule = said(
        "Big(x) <- Mark(x), Sum[x] > 1",
        atom("Big", "x"),
        atom("Mark", "x"),
        Filter(">", Element("Sum", terms), Constant(-100)),
    )
    edges = Tuples.of([np.zeros(1000, np.int64), np.arange(1000)], (2, 1000))
    relations = {"Edge": edges, "Mark": tuples_of({(0,)}, (2,)), "Big": tuples_of({(0,)}, (2,))}
    world = World([rule], relations, int, {"Sum": np.array([4.0, 0.0]), "Age": ages}, aggregates=[part])
    found = why(world, Fact("Big", (0,)))
    (node,) = (node for node in found.nodes if node.kind == "sum")
    texts = [found.nodes[k].text for k in node.because]
    assert node.note == what
    assert texts[: len(listed)] == listed


def test_deep_chains_are_no_deep_recursion() -> None:
    count = 3000
    rules = (
        said("Reach(0)", atom("Reach", 0)),
        said("Reach(y) <- Reach(x), Edge(x, y)", atom("Reach", "y"), atom("Reach", "x"), atom("Edge", "x", "y")),
    )
    edges = Tuples.of([np.arange(count - 1), np.arange(1, count)], (count, count))
    world = World(rules, {"Edge": edges, "Reach": Tuples.of([np.arange(count)], (count,))}, int)
    found = why(world, Fact("Reach", (count - 1,)))
    assert (found.height, found.size, len(found)) == (count - 1, 2 * count - 1, 2 * count - 1)
    lines = str(found).splitlines()
    assert len(lines) < 400
    assert any("goes on below" in line for line in lines)
    assert len(json.dumps(found.to_dict())) > count


def test_memory_is_limited() -> None:
    count = 400
    rules = (
        said("Path(x, y) <- Edge(x, y)", atom("Path", "x", "y"), atom("Edge", "x", "y")),
        said(
            "Path(x, z) <- Path(x, y), Path(y, z)",
            atom("Path", "x", "z"),
            atom("Path", "x", "y"),
            atom("Path", "y", "z"),
        ),
    )
    first, second = np.triu_indices(count, 1)
    edges = Tuples.of([np.arange(count - 1), np.arange(1, count)], (count, count))
    paths = Tuples.of([first, second], (count, count))
    with pytest.raises(LimitError):
        why(World(rules, {"Edge": edges, "Path": paths}, int, memory=10_000), Fact("Path", (0, count - 1)))


@pytest.mark.parametrize(("count", "kept"), [(1000, True), (60, False)])
def test_two_recursive_atoms_need_no_search_through_all_their_uses(count: int, kept: bool) -> None:
    # 1,000 nodes in a circle: a million paths, a thousand million uses of the second rule.
    rules = (
        said("Path(x, y) <- Edge(x, y)", atom("Path", "x", "y"), atom("Edge", "x", "y")),
        said(
            "Path(x, z) <- Path(x, y), Path(y, z)",
            atom("Path", "x", "z"),
            atom("Path", "x", "y"),
            atom("Path", "y", "z"),
        ),
    )
    shape = (count, count)
    relations = {"Edge": Tuples.of([np.arange(count), np.roll(np.arange(count), -1)], shape)}
    if kept:
        places = np.arange(count)
        relations["Path"] = Tuples.of([np.repeat(places, count), np.tile(places, count)], shape)
    found = why(World(rules, relations, int, shapes={"Path": shape}), Fact("Path", (3, 12)))
    assert (found.height, found.size, len(found.facts)) == (5, 26, 9)
