"""Tuples that are counted and not kept are as many as those that are kept."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import scipy.sparse  # noqa: F401  (where it is loaded, joins are made as sparse products, which merge equal bindings)

from fuse_ref import ExecutionConfig, Program
from fuse_ref.relations.derive import derive
from fuse_ref.relations.rules import Atom, Denial, Filter, Rule, Variable
from fuse_ref.relations.tuples import Tuples

X, Y, Z, W = (Variable(name) for name in "xyzw")
BODIES = {
    "path": (Atom("E", (X, Y)), Atom("E", (Y, Z)), Atom("E", (X, Z))),
    "back": (Atom("E", (X, Y)), Atom("E", (Y, Z)), Atom("E", (Z, X))),
    "two relations": (Atom("E", (X, Y)), Atom("F", (Y, Z)), Atom("F", (X, Z))),
    "open": (Atom("E", (X, Y)), Atom("F", (Y, Z))),
    "compared": (Atom("E", (X, Y)), Atom("E", (Y, Z)), Atom("F", (X, Z)), Filter("!=", X, Z)),
    "denied": (Atom("E", (X, Y)), Atom("E", (Y, Z)), Denial(Atom("F", (X, Z)))),
    "not all are named": (Atom("E", (X, Y)), Atom("E", (Y, Z)), Atom("F", (X, Variable("_")))),
    "four": (Atom("E", (X, Y)), Atom("E", (Y, Z)), Atom("E", (Z, W)), Atom("F", (X, W))),
}


def relation(rng: np.random.Generator, size: int, count: int) -> Tuples:
    return Tuples.of([rng.integers(0, max(size, 1), count) for _ in range(2)], (size, size))


@pytest.mark.parametrize(("size", "count"), [(0, 0), (1, 1), (7, 0), (9, 30), (60, 1500), (130, 9000), (1000, 3000)])
@pytest.mark.parametrize("name", BODIES)
def test_as_many_as_are_derived(name: str, size: int, count: int) -> None:
    body = BODIES[name]
    terms = (X, Y, Z, W) if name == "four" else (X, Y, Z)
    if name == "four" and count > 2000:
        count = 2000
    rule = Rule("H", terms, body, -1, "H")
    shapes = {"H": (size,) * len(terms)}
    for seed in range(2):
        rng = np.random.default_rng([size, count, seed])
        known = {"E": relation(rng, size, count), "F": relation(rng, size, count // 2)}
        whole = derive([rule], known, {}, shapes, lambda _: size).relations["H"]
        for columns in ((), (0,), (2,), (0, 1), (1, 2)):
            found = derive([rule], known, {}, shapes, lambda _: size, counted={"H": columns})
            expected = np.zeros([size for _ in columns], np.int64)
            np.add.at(expected, tuple(whole.columns[k] for k in columns), 1 if columns else len(whole))
            if "H" in found.counts:
                np.testing.assert_array_equal(found.counts["H"], expected)
                assert found.runs[0].tuples == len(whole)
                assert "H" not in found.relations
            else:
                assert found.relations["H"] == whole
        assert name == "not all are named" or "H" in found.counts


def test_dense_relations_are_compared_as_bits() -> None:
    rng = np.random.default_rng(1)
    known = {"E": relation(rng, 100, 4000)}
    rule = Rule("H", (X, Y, Z), BODIES["path"], -1, "H")
    found = derive([rule], known, {}, {"H": (100,) * 3}, lambda _: 100, counted={"H": ()})
    assert "bits that rows of E have in common" in found.runs[0].algorithm
    sparse = {"E": relation(rng, 10_000, 4000)}
    found = derive([rule], sparse, {}, {"H": (10_000,) * 3}, lambda _: 10_000, counted={"H": ()})
    assert "counted block by block" in found.runs[0].algorithm


PROGRAM = """
input Edge(x, y)
Count = Edge(x, y) Edge(y, z) Edge(x, z)
Corners[x] = Edge(x, y) Edge(y, z) Edge(x, z)
Pairs[z, x] = Edge(x, y) Edge(y, z) Edge(x, z)
Path(x, z) <- Edge(x, y), Edge(y, z)
Twice = Path(x, z)
export Count, Corners, Pairs, Twice
"""


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_programs(precision: Literal["float32", "float64"]) -> None:
    runner = Program(PROGRAM).compile("numpy", config=ExecutionConfig(precision=precision))
    for size, share in ((1, 1.0), (0, 0.0), (6, 0.5), (80, 0.3)):
        edge = np.random.default_rng(size).random((size, size)) < share
        found = runner(Edge=edge)
        number = edge.astype(np.int64)
        pairs = (number @ number) * number
        assert found["Count"] == pairs.sum()
        np.testing.assert_array_equal(found["Corners"], pairs.sum(1))
        np.testing.assert_array_equal(found["Pairs"], pairs.T)
        assert found["Twice"] == np.count_nonzero(number @ number)
        assert found["Pairs"].dtype == np.dtype(precision)
