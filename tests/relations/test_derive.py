"""The logic engine against one that goes tuple by tuple, on rules of every kind."""

from __future__ import annotations

import random
from collections.abc import Mapping

import numpy as np
import pytest

from fuse_ref.analysis.lengths import Fixed
from fuse_ref.errors import LimitError
from fuse_ref.relations import derive as derivation
from fuse_ref.relations import index, join, keys, source
from fuse_ref.relations.derive import Derived, Limits, derive
from fuse_ref.relations.rules import (
    Apply,
    Assignment,
    Atom,
    Constant,
    Denial,
    Domain,
    Element,
    Filter,
    Literal,
    Rule,
    Variable,
)
from fuse_ref.relations.steps import Step
from fuse_ref.relations.tuples import Tuples
from tests.relations.random_rules import length, random_rules, random_tuples
from tests.support import plain_rules

X, Y, Z, W = (Variable(name) for name in "xyzw")


def atom(relation: str, *terms: Variable | Constant) -> Atom:
    return Atom(relation, terms)


def rule(head: Atom, *body: Literal) -> Rule:
    return Rule(head.relation, head.terms, body, 0, f"{head.relation}(…)")


def run(
    rules: list[Rule], known: Mapping[str, Tuples], shapes: Mapping[str, tuple[int, ...]], limits: Limits | None = None
) -> Derived:
    return derive(rules, known, {}, shapes, length, limits or Limits())


def pairs(rows: object, *shape: int) -> Tuples:
    return Tuples.of(list(np.array(rows, np.int64).reshape(-1, len(shape)).T), shape)


@pytest.mark.parametrize("seed", range(40))
def test_random_rules(seed: int) -> None:
    found = 0
    for number in range(8):
        choose = random.Random(100 * seed + number)
        made = random_rules(choose, choose.choice((0, 1, 1, 2, 3, 3, 4)))
        for _ in range(2):
            known = random_tuples(choose, made.inputs)
            want = plain_rules.derive(made.rules, known, made.dense, made.heads, length)
            got = derive(made.rules, known, made.dense, made.heads, length)
            assert got.relations.keys() == want.relations.keys()
            for head, tuples in got.relations.items():
                assert tuples == want.relations[head], (head, made.rules)
                assert len(Tuples.of(tuples.columns, tuples.shape, count=len(tuples))) == len(tuples)
                found += len(tuples)
            assert sum(one.tuples for one in got.runs) == sum(one.tuples for one in want.runs)
    assert found


@pytest.mark.parametrize("choice", [0, 100])
def test_random_rules_block_by_block(monkeypatch: pytest.MonkeyPatch, choice: int) -> None:
    """The same with blocks of a few bindings, indexes made of parts, products and tables from the first tuple on."""
    monkeypatch.setattr(join, "BLOCK", 3)
    monkeypatch.setattr(join, "GATHER", 5)
    monkeypatch.setattr(join, "PRODUCT", 0)
    monkeypatch.setattr(join, "FIRST_PRODUCT", 0)
    monkeypatch.setattr(index, "_WORTH_LOADING", choice)
    monkeypatch.setattr(source, "LARGE", 4)
    monkeypatch.setattr(index, "_SMALL", 0)
    monkeypatch.setattr(index, "sparse_is_loaded", lambda: False)
    monkeypatch.setattr(index, "_FLAGS", 0)
    monkeypatch.setattr(index, "BATCH", 2)
    monkeypatch.setattr(keys, "BATCH", 4)
    monkeypatch.setattr(keys, "FLAGS", 0)
    monkeypatch.setattr(keys, "_CACHED", 0)
    monkeypatch.setattr(derivation, "special", lambda *_: None)
    for seed in range(12):
        choose = random.Random(7000 + seed + choice)
        made = random_rules(choose, choose.choice((2, 3, 4, 5)))
        for _ in range(2):
            known = random_tuples(choose, made.inputs)
            want = plain_rules.derive(made.rules, known, made.dense, made.heads, length)
            got = derive(made.rules, known, made.dense, made.heads, length)
            for head, tuples in got.relations.items():
                assert tuples == want.relations[head], (seed, head, made.rules)
                assert len(Tuples.of(tuples.columns, tuples.shape, count=len(tuples))) == len(tuples)


@pytest.mark.parametrize("seed", [1, 2])
def test_points_to(seed: int) -> None:
    """Mutual and non-linear recursion of a size at which products, gathered blocks and merged indexes are used."""
    random_ = np.random.default_rng(seed)
    size = 300 + seed
    facts = {
        name: random_.integers(0, size, (count, 2)) for name, count in (("A", 300), ("C", 400), ("L", 60), ("S", 60))
    }
    rules = [
        rule(atom("P", Y, X), atom("A", Y, X)),
        rule(atom("P", Y, X), atom("C", Y, Z), atom("P", Z, X)),
        rule(atom("P", Y, W), atom("L", Y, X), atom("P", X, Z), atom("P", Z, W)),
        rule(atom("P", Z, W), atom("S", Y, X), atom("P", Y, Z), atom("P", X, W)),
    ]
    got = run(rules, {name: pairs(rows, size, size) for name, rows in facts.items()}, {"P": (size, size)})
    given = {name: np.zeros((size, size), np.float32) for name in facts}
    for name, rows in facts.items():
        given[name][tuple(rows.T)] = 1
    want, before = given["A"], np.zeros_like(given["A"])
    while (want != before).any():
        before = want
        stored = want.T @ (given["S"] @ want)
        want = (want + given["C"] @ want + (given["L"] @ want) @ want + stored > 0).astype(np.float32)
    assert np.array_equal(got.relations["P"].dense(), want > 0)
    assert sum(one.tuples for one in got.runs) == int(want.sum()) > 10_000
    assert all("semi-naive" in one.algorithm for one in got.runs[1:])


def test_wide_tuples() -> None:
    """Tuples that no 63 bits hold, with positions beyond int32 too."""
    big = (1 << 31, 1 << 31, 1 << 40)
    rows = [(0, 0, 0), (5, 2**31 - 1, 2**40 - 1), (2**31 - 1, 5, 2**39), (0, 0, 1)]
    known = {"E": Tuples([np.array(column) for column in zip(*rows, strict=True)], big)}
    turned = (big[1], big[0], big[2])
    rules = [
        rule(atom("P", X, Y, Z), atom("E", Y, X, Z)),
        rule(atom("Q", X, Y, Z), atom("P", Y, X, Z)),
        rule(atom("Q", X, Y, Z), atom("Q", Y, X, Z)),
        rule(atom("Q", X, Y, Z), atom("E", X, Y, Z), Denial(atom("P", Y, X, Z))),
    ]
    for _ in range(2):
        got = run(rules, known, {"P": turned, "Q": (big[0], big[0], big[2])})
        assert got.relations["P"].positions.tolist() == sorted([y, x, z] for x, y, z in rows)
        assert got.relations["Q"].positions.tolist() == sorted(
            [list(row) for row in {*rows, *((y, x, z) for x, y, z in rows)}]
        )


def test_selective_constants_are_read_first() -> None:
    known = {"R": pairs(np.argwhere(np.ones((50, 50))), 50, 50), "S": pairs([(1, 2), (3, 4)], 50, 50)}
    got = run([rule(atom("P", X, Y), atom("R", X, Y), atom("S", Constant(3), Y))], known, {"P": (50, 50)})
    assert got.relations["P"].positions.tolist() == [[x, 4] for x in range(50)]
    assert got.runs[0].algorithm.startswith("join: S, R;")


def test_sums_in_heads_come_more_than_once() -> None:
    known = {"A": pairs([(1,), (2,)], 3), "B": pairs([(1,), (2,)], 3), "F": pairs([(1, 2), (2, 1)], 3, 3)}
    total = Apply("add", (X, Y))
    rules = [
        Rule("P", (total,), (atom("A", X), atom("B", Y)), 0, "P(x + y) <- A(x), B(y)"),
        # One given, the other is what is left; and by a key of F.
        Rule("Q", (total, X), (atom("A", X), atom("B", Y)), 0, "Q(x + y, x) <- A(x), B(y)"),
        rule(atom("R", X), atom("F", X, Y), atom("B", Y)),
    ]
    got = run(rules, known, {"P": (9,), "Q": (9, 9), "R": (9,)})
    assert sorted(got.relations["P"].columns[0].tolist()) == [2, 3, 4]
    assert len(got.relations["Q"]) == 4
    assert ["no tuple comes twice" in one.algorithm for one in got.runs] == [False, True, True]


def test_rounds_follow_the_new_tuples() -> None:
    """A chain of 3,000 with a shortcut: 3,000 rounds, each of them as cheap at the end as at the beginning."""
    size = 3001
    edges = [(k, k + 1) for k in range(size - 1)] + [(0, 2)]
    rules = [
        rule(atom("P", X), atom("E", Constant(0), X)),
        rule(atom("P", Y), atom("P", X), atom("E", X, Y), Filter("<", X, Y)),
    ]
    calls: list[int] = []
    kept = join.Join._kept

    def counted(
        self: join.Join, step: Step, columns: dict[str, np.ndarray], count: int
    ) -> tuple[dict[str, np.ndarray], int]:
        calls.append(count)
        return kept(self, step, columns, count)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(derivation, "special", lambda *_: None)
        patch.setattr(join.Join, "_kept", counted)
        got = run(rules, {"E": pairs(edges, size, size)}, {"P": (size,)})
    assert len(got.relations["P"]) == size - 1
    assert got.runs[1].rounds >= size - 3
    assert sum(calls) < 2 * size


def test_known_relation_that_rules_define_too() -> None:
    rules = [rule(atom("P", X, Z), atom("P", X, Y), atom("E", Y, Z))]
    known = {"P": pairs([(0, 1)], 4, 4), "E": pairs([(1, 2), (2, 3), (0, 0)], 4, 4)}
    got = run(rules, known, {"P": (4, 4)})
    assert got.relations["P"].positions.tolist() == [[0, 1], [0, 2], [0, 3]]
    assert got.runs[0].tuples == 2
    assert len(known["P"]) == 1


def test_memory_limit_keeps_what_was_derived() -> None:
    chain = pairs([(k, k + 1) for k in range(300)], 301, 301)
    rules = [
        rule(atom("F", X), atom("E", X, Y)),
        rule(atom("P", X, Z), atom("E", X, Z)),
        rule(atom("P", X, Z), atom("E", X, Y), atom("P", Y, Z), Filter("!=", X, Z), atom("F", X)),
    ]
    shapes = {"P": (301, 301), "F": (301,)}
    whole = run(rules, {"E": chain}, shapes)
    with pytest.raises(LimitError, match=r"memory_limit=200000: P, with \d+ tuples so far") as caught:
        run(rules, {"E": chain}, shapes, Limits(memory=200_000))
    assert caught.value.code == "FUSE262"
    part = caught.value.partial
    assert part["F"] == whole.relations["F"]
    assert isinstance(part["P"], Tuples)
    found, every = ({tuple(row) for row in tuples.positions.tolist()} for tuples in (part["P"], whole.relations["P"]))
    assert 300 < len(found) < len(every)
    assert found < every
    assert run(rules, {"E": chain}, shapes, Limits(memory=2_000_000)).relations == whole.relations


def test_time_limit() -> None:
    chain = pairs([(k, k + 1) for k in range(300)], 301, 301)
    rules = [rule(atom("P", X, Z), atom("E", X, Z)), rule(atom("P", X, Z), atom("P", X, Y), atom("E", Y, Z))]
    with pytest.raises(LimitError, match=r"time_limit=0\.0") as caught:
        run(rules, {"E": chain}, {"P": (301, 301)}, Limits(seconds=0.0))
    assert caught.value.code == "FUSE263"
    assert caught.value.partial.keys() == {"P"}


def test_deep_programs_need_no_deep_stack() -> None:
    count = 1200
    rules = [rule(atom(f"P{k + 1}", X), atom(f"P{k}", X)) for k in range(count)]
    rules.append(rule(atom("P0", X), atom(f"P{count}", X)))
    rules.append(rule(atom("P0", Constant(1))))
    got = run(rules, {}, {f"P{k}": (3,) for k in range(count + 1)})
    assert all(tuples.positions.tolist() == [[1]] for tuples in got.relations.values())


def test_functions_beyond_arithmetic_are_given() -> None:
    known = {"E": pairs([(k,) for k in range(5)], 5)}
    square = Apply("square", (X,), (("kind", "whole"),))
    asked = []

    def functions(name: str, arguments: object, options: object) -> object:
        asked.append((name, options))
        return np.square(arguments[0])  # type: ignore[index]

    rules = [rule(atom("P", X, Y), atom("E", X), Assignment(Y, square))]
    got = derive(rules, known, {}, {"P": (5, 5)}, length, functions=functions)
    assert got.relations["P"].positions.tolist() == [[0, 0], [1, 1], [2, 4]]
    assert asked[0] == ("square", (("kind", "whole"),))


def test_comparisons_are_of_the_tensor_s_precision() -> None:
    """0.1 of float32 equals the constant 0.1, as in the dense engines; a read outside is 0."""
    near = np.array([0.1, 0.2, 0.3])
    for kind in (np.float32, np.float64):
        rules = [
            rule(atom("P", X), Domain(X, Fixed(6)), Filter("==", Element("W", (X,)), Constant(0.1))),
            rule(atom("Q", X), Domain(X, Fixed(6)), Filter("<=", Element("W", (X,)), Constant(0.0))),
        ]
        got = derive(rules, {}, {"W": near.astype(kind)}, {"P": (6,), "Q": (6,)}, length)
        assert got.relations["P"].positions.tolist() == [[0]]
        assert got.relations["Q"].positions.tolist() == [[3], [4], [5]]
