"""Programs on demand: answers and derivations equal those of runs that derive everything."""

from __future__ import annotations

import numpy as np
import pytest

from fuse_ref import ExecutionConfig, Program

DEMAND = ExecutionConfig(mode="demand")

FAMILY = """
Parent(Ann, Bob)
Parent(Ann, Cy)
Parent(Bob, Dan)
Parent(Cy, Eve)
Parent(Eve, Fay)
Enemy(Dan, Fay)
Ancestor(x, y) <- Parent(x, y)
Ancestor(x, z) <- Ancestor(x, y), Ancestor(y, z)
Same(x, y) <- Parent(p, x), Parent(p, y)
Same(x, y) <- Parent(p, x), Same(p, q), Parent(q, y)
Kids[x] = Parent(x, y)
Big(x) <- Parent(x, y), Kids[x] > 1
Alone(x, y) <- Same(x, y), not Enemy(x, y), x != y
"""


@pytest.mark.parametrize(
    "query",
    [
        "Ancestor(Ann, x)?",
        "Ancestor(x, Fay)?",
        "Ancestor(Ann, Fay)?",
        "Ancestor(Fay, Ann)?",
        "Ancestor(x, y)?",
        "Same(Dan, x)?",
        "Alone(Dan, x)?",
        "Alone(x, x)?",
        "Big(x)?",
        "Big(Bob)?",
        "Kids[x]?",
        "Parent(Ann, x)?",
        "Ancestor(Zoe, x)?",
    ],
)
def test_answers(query: str) -> None:
    everything, needed = Program(FAMILY).compile(), Program(FAMILY).compile(config=DEMAND)
    assert set(needed.query(query).rows) == set(everything.query(query).rows)


@pytest.mark.parametrize(
    "fact", ["Ancestor(Ann, Fay)", "Same(Dan, Eve)", "Alone(Dan, Eve)", "Big(Ann)", "Parent(Ann, Cy)"]
)
def test_derivations(fact: str) -> None:
    everything, needed = Program(FAMILY).compile().why(fact), Program(FAMILY).compile(config=DEMAND).why(fact)
    assert str(needed) == str(everything)
    assert needed.holds


@pytest.mark.parametrize(
    "fact", ["Ancestor(Fay, Ann)", "Same(Ann, Eve)", "Alone(Dan, Fay)", "Big(Bob)", "Parent(Cy, Ann)"]
)
def test_what_is_missing(fact: str) -> None:
    everything, needed = Program(FAMILY).compile(), Program(FAMILY).compile(config=DEMAND)
    assert str(needed.why_not(fact)) == str(everything.why_not(fact))
    assert not needed.why_not(fact).holds


def test_a_node_of_a_large_graph() -> None:
    text = "input Edge(x, y)\nPath(x, y) <- Edge(x, y)\nPath(x, z) <- Path(x, y), Edge(y, z)\nexport Path\n"
    found = {}
    for count in (20_000, 50):
        runner = Program(text.replace("export Path", "From(y) <- Path(0, y)\nexport From")).compile(config=DEMAND)
        edges = np.stack([np.arange(count), np.arange(1, count + 1)], 1)
        assert len(runner(Edge=edges)["From"]) == count
        assert len(runner.query(f"Path(x, {count})?")) == count
        assert runner.why(f"Path({count - 10}, {count})").height == 10
        found[count] = str(runner.explain())
    # Pairs would be 200 million.
    assert "Path~bf(z) <- Path~bf(y), Edge(y, z): " in found[20_000]
