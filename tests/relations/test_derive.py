"""The logic engine against one that goes tuple by tuple, on rules of every kind."""

from __future__ import annotations

import random
from collections.abc import Mapping

import numpy as np
import pytest

from fuse_ref.relations.derive import Derived, Limits, derive
from fuse_ref.relations.rules import Atom, Constant, Rule, Variable
from fuse_ref.relations.tuples import Tuples
from tests.relations.random_rules import length, random_rules, random_tuples
from tests.support import plain_rules

X, Y, Z, W = (Variable(name) for name in "xyzw")


def atom(relation: str, *terms: Variable | Constant) -> Atom:
    return Atom(relation, terms)


def rule(head: Atom, *body: object) -> Rule:
    return Rule(head.relation, head.terms, body, 0, f"{head.relation}(…)")  # type: ignore[arg-type]


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
