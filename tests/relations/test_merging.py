"""Cycles of edges that rules make: what is derived with one position for all on a cycle is what rounds derive."""

from __future__ import annotations

import random
from collections.abc import Mapping

import numpy as np
import pytest

from fuse_ref.errors import LimitError
from fuse_ref.relations import graphs, merging
from fuse_ref.relations.derive import Limits, derive
from fuse_ref.relations.rules import Apply, Assignment, Atom, Constant, Denial, Filter, Literal, Rule, Term, Variable
from fuse_ref.relations.tuples import Tuples
from tests.relations.random_rules import length, random_tuples
from tests.support import plain_rules

X, Y, Z, W, U = (Variable(name) for name in "xyzwu")
ANY = Variable("_")


def p(*terms: Term) -> Atom:
    return Atom("P", terms)


def rule(head: Atom, *body: Literal) -> Rule:
    return Rule(head.relation, head.terms, body, 0, f"{head.relation}(…)")


BASE = rule(p(Y, X), Atom("A", (Y, X)))
ASSIGN = rule(p(Y, X), Atom("C", (Y, Z)), p(Z, X))
LOAD = rule(p(Y, W), Atom("L", (Y, X)), p(X, Z), p(Z, W))
STORE = rule(p(Z, W), Atom("S", (Y, X)), p(Y, Z), p(X, W))

PROGRAMS: dict[str, list[Rule]] = {
    "points to": [BASE, ASSIGN, LOAD, STORE],
    "one rule": [BASE, LOAD],
    "own edges": [BASE, rule(p(Y, W), p(Y, Z), Filter("!=", Y, Z), p(Z, W))],
    "its own fact": [rule(p(Constant(0), Constant(1))), BASE, LOAD, STORE],
    "twice in the body": [BASE, ASSIGN, rule(p(Y, W), p(X, Y), Atom("S", (X, U)), p(U, Z), p(Z, W))],
    "constants and anything": [BASE, ASSIGN, rule(p(Y, W), p(Constant(1), Y), p(Z, ANY), Atom("L", (Y, Z)), p(Z, W))],
    "conditions": [
        BASE,
        ASSIGN,
        rule(
            p(Y, W),
            Atom("L", (Y, X)),
            p(X, U),
            Assignment(Z, Apply("add", (U, Constant(1)))),
            Denial(Atom("C", (X, Z))),
            Filter("!=", Y, Constant(2)),
            p(Z, W),
        ),
    ],
    "beyond the axis": [
        BASE,
        rule(p(Y, W), p(X, Z), Assignment(Y, Apply("add", (X, Constant(2)))), Atom("C", (X, ANY)), p(Z, W)),
    ],
}


def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cycles are looked for after the first round and whenever a tuple was made in vain, and merged."""
    monkeypatch.setattr(merging, "_LEAST", -1)
    monkeypatch.setattr(merging, "_VAIN", -1)
    monkeypatch.setattr(merging, "_PAYS", 2.0)
    monkeypatch.setattr(merging, "_EDGES", 1000)


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("size", [0, 1, 2, 4, 6])
def test_same_as_rounds(name: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    always(monkeypatch)
    rules = [one for one in PROGRAMS[name] if one.body or size > 1]
    merged = 0
    for seed in range(9):
        choose = random.Random(100 * seed + size)
        known = random_tuples(choose, dict.fromkeys(("A", "C", "L", "S"), (size, size)))
        given = random_tuples(choose, {"P": (size, size)}) if seed % 3 == 2 else {}
        first = [rule(p(Y, X), Atom("Given", (Y, X)))] if given else []
        more = {"Given": given["P"]} if given else {}
        want = plain_rules.derive([*first, *rules], known | more, {}, {"P": (size, size)}, length)
        got = derive(rules, known | given, {}, {"P": (size, size)}, length)
        assert got.relations["P"] == want.relations["P"], (known, [one.algorithm for one in got.runs])
        assert set(got.relations) == {"P"}
        columns = got.relations["P"].columns
        assert len(Tuples.of(columns, (size, size))) == len(columns[0])
        if not given:
            assert sum(one.tuples for one in got.runs) == len(columns[0])
        merged += any("one position for all on a cycle" in one.algorithm for one in got.runs)
    assert merged or size < 4


def facts(size: int, seed: int) -> dict[str, Tuples]:
    draw = np.random.default_rng(seed)
    counts = {"A": size, "C": size, "L": size // 5, "S": size // 5}
    return {name: Tuples.of(list(draw.integers(0, size, (2, count))), (size, size)) for name, count in counts.items()}


@pytest.mark.parametrize("seed", [1, 2])
def test_points_to(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cycles that come with the tuples: most positions share another's, and rules make a part of what rounds make."""
    size = 300 + seed
    known, rules, shapes = facts(size, seed), PROGRAMS["points to"], {"P": (size, size)}
    monkeypatch.setattr(merging, "_LEAST", 1 << 40)
    want = derive(rules, known, {}, shapes, length)
    assert not any("cycle" in one.algorithm for one in want.runs)
    monkeypatch.setattr(merging, "_LEAST", 100)
    for _ in range(2):
        got = derive(rules, known, {}, shapes, length)
        assert got.relations["P"] == want.relations["P"]
        assert len(got.relations["P"]) > 10_000
        assert "one position for all on a cycle" in got.runs[-1].algorithm
        assert [one.tuples for one in got.runs][:1] == [one.tuples for one in want.runs][:1]


def test_too_many_edges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where rules make more edges than tuples are worth, rounds go on."""
    known, rules, shapes = facts(150, 3), PROGRAMS["points to"], {"P": (150, 150)}
    monkeypatch.setattr(merging, "_LEAST", 1 << 40)
    want = derive(rules, known, {}, shapes, length)
    always(monkeypatch)
    monkeypatch.setattr(merging, "_EDGES", 0)
    got = derive(rules, known, {}, shapes, length)
    assert not any("cycle" in one.algorithm for one in (*want.runs, *got.runs))
    assert got.relations["P"] == want.relations["P"]
    monkeypatch.setattr(merging, "_EDGES", 4)
    assert "cycle" in derive(rules, known, {}, shapes, length).runs[-1].algorithm


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.99])
def test_memory(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit stops rounds on merged positions too; what was derived is kept, and true."""
    monkeypatch.setattr(merging, "_LEAST", 100)
    size = 301
    known, rules, shapes = facts(size, 1), PROGRAMS["points to"], {"P": (size, size)}
    whole = derive(rules, known, {}, shapes, length).relations["P"].dense()
    high = next(1 << k for k in range(12, 40) if _fits(rules, known, shapes, 1 << k))
    with pytest.raises(LimitError) as caught:
        derive(rules, known, {}, shapes, length, Limits(memory=int(share * high / 2)))
    tuples = caught.value.partial["P"]
    assert isinstance(tuples, Tuples)
    partial = tuples.dense()
    assert partial.any()
    assert not (partial & ~whole).any()


def _fits(rules: list[Rule], known: dict[str, Tuples], shapes: Mapping[str, tuple[int, ...]], memory: int) -> bool:
    try:
        derive(rules, known, {}, shapes, length, Limits(memory=memory))
    except LimitError:
        return False
    return True


@pytest.mark.parametrize("rounds", [1, 64])
@pytest.mark.parametrize("seed", range(8))
def test_on_cycles(seed: int, rounds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "_CYCLE_ROUNDS", rounds)
    draw = np.random.default_rng(seed)
    n = int(draw.integers(1, 40))
    sources, targets = draw.integers(0, n, (2, int(draw.integers(0, 2 * n))))
    found = graphs.on_cycles(n, sources, targets)
    strong = graphs.strong_components(n, sources, targets)
    assert (strong[found] == strong).all()
    assert (found[found] == found).all()
    if rounds > 1 and len(np.unique(strong)) < n:
        assert (found != np.arange(n)).any()
