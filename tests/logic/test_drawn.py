"""Random logic programs: 150 of the thousands that `python -m tests.logic` draws, and what finds faults among them.

All by NumPy, as a whole and on demand; one of ten by torch and JAX too.
"""

from __future__ import annotations

from collections import Counter

import pytest

from tests.logic.by_sets import answer, evaluate
from tests.logic.compare import Problem, examined, problems, shrunken
from tests.logic.draw import draw
from tests.logic.sketch import Aggregate, Atom, Compare, Either, Given, Query, Rule, Sketch, Term, Threshold


@pytest.mark.parametrize("first", range(1, 151, 10))
def test_ten_programs(first: int) -> None:
    for seed in range(first, first + 10):
        assert examined(seed, engines=10) == "", f"seed {seed}"


def test_everything_is_drawn() -> None:
    seen: Counter[str] = Counter()
    for seed in range(1, 151):
        sketch = draw(seed)
        seen.update(f"given as {item.way}" for item in sketch.given)
        seen.update("empty" for item in sketch.given if not item.tuples)
        seen.update(f"arity {len(sorts)}" for sorts in sketch.sorts.values())
        seen.update(("one position",) * (sketch.size == 1))
        seen.update("query" for _ in sketch.queries)
        seen.update(("for clingo",) * (sketch.clingo() is not None))
        for rule in sketch.rules:
            if isinstance(rule, Aggregate):
                seen[f"aggregate {rule.operator}"] += 1
                continue
            own = sum(isinstance(item, Atom) and item.relation == rule.head.relation for item in rule.body)
            seen[f"recursive {min(own, 2)}"] += 1
            for item in rule.body:
                kind = "denial" if isinstance(item, Atom) and item.denied else type(item).__name__
                seen[kind] += 1
                if isinstance(item, Atom):
                    seen.update(f"term {term.kind}" for term in item.terms)
    expected = {
        *(f"given as {way}" for way in ("facts", "input", "indices", "truth", ".tsv", ".csv")),
        *(f"arity {count}" for count in range(5)),
        *(f"aggregate {operator}" for operator in ("=", "max=", "min=", "avg=", "prod=")),
        *(f"term {kind}" for kind in ("variable", "half", "twice", "symbol", "number", "any")),
        *("empty", "one position", "query", "for clingo", "recursive 0", "recursive 1", "recursive 2"),
        *("denial", "Atom", "Compare", "Threshold", "Either"),
    }
    assert {name for name in expected if seen[name] < 3} == set()


# The judges themselves --------------------------------------------------------------------------


X, Y, Z = (Term("variable", name) for name in "xyz")
EDGES = Given("E", "ss", "input", (("a", "b"), ("b", "c"), ("c", "a"), ("d", "d")))


def _closure(*more: Rule) -> Sketch:
    rules = (
        Rule(Atom("P", (X, Y)), (Atom("E", (X, Y)),)),
        Rule(Atom("P", (X, Z)), (Atom("P", (X, Y)), Atom("E", (Y, Z)))),
        *more,
    )
    names = dict.fromkeys(rule.head.relation for rule in more)
    sorts = {"E": "ss", "P": "ss"} | dict.fromkeys(names, "ss")
    return Sketch(1, (EDGES,), (), rules, sorts, (Query("P", (X, X)),), ("P", *names))


def test_the_closure_of_sets() -> None:
    sketch = _closure(
        Rule(Atom("N", (X, Y)), (Atom("E", (X, Term("any"))), Atom("E", (Y, Term("any"))), Atom("P", (X, Y), True)))
    )
    relations, _ = evaluate(sketch)
    ring = {(a, b) for a in "abc" for b in "abc"}
    assert relations["P"] == ring | {("d", "d")}
    assert relations["N"] == {(a, b) for a in "abcd" for b in "abcd" if (a == "d") != (b == "d")}
    assert answer(sketch.queries[0], relations["P"]) == {(name,) for name in "abcd"}
    assert problems(sketch) == []


def test_a_fault_is_found_and_made_small() -> None:
    sketch = draw(7)
    right = problems(sketch)
    assert right == []

    # As if an engine lost every tuple whose arguments are equal.
    def faulty(candidate: Sketch) -> list[Problem]:
        relations, _ = evaluate(candidate)
        lost = [name for name in candidate.exports if any(len(set(row)) < len(row) for row in relations.get(name, ()))]
        return [Problem("made up", "relation", name) for name in lost]

    found = next(seed for seed in range(1, 100) if faulty(draw(seed)))
    smallest = shrunken(draw(found), lambda candidate: bool(faulty(candidate)))
    assert faulty(smallest)
    assert len(smallest.rules) <= 2
    assert sum(len(item.tuples) for item in smallest.given) <= 2


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (Compare("!=", X, Term("symbol", "New York")), 'x != "New York"'),
        (Threshold("V", (Term("variable", "t"),), "<", 2), "V[t] < 2"),
        (Either(((Atom("P", (X,), True),), (Compare("==", X, Y),))), "(not P(x) or x == y)"),
        (
            Atom("P", (Term("half", "t"), Term("variable", "t", 1), Term("any"), Term("symbol", "Ann"))),
            "P(t/2, t+1, _, Ann)",
        ),
    ],
)
def test_texts(item: Compare | Threshold | Either | Atom, text: str) -> None:
    assert item.fuse() == text
