"""Logic problems: facts drawn from a seed, and the rules in Fuse's own text.

Shapes and sizes follow the literature's usual ones: points-to analysis of small procedures, trees, sparse random graphs
whole and in blocks, chains. What an engine writes by hand stands in `benchmarks.rivals.logic_*`, by family.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np

__all__ = ["PROBLEMS", "PROGRAMS", "Problem", "Souffle", "write"]

Facts: TypeAlias = dict[str, tuple[np.ndarray, ...]]  # of each relation, its columns

# By family. Relations are read from files of their names. What is counted is the export.
PROGRAMS: Final[dict[str, str]] = {
    "closure": """
Edge(x, y) = "Edge.tsv"
Path(x, y) <- Edge(x, y)
Path(x, z) <- Path(x, y), Edge(y, z)
export Path
""",
    "andersen": """
Addr(y, x) = "Addr.tsv"
Assign(y, x) = "Assign.tsv"
Load(y, x) = "Load.tsv"
Store(y, x) = "Store.tsv"
Points(y, x) <- Addr(y, x)
Points(y, x) <- Assign(y, z), Points(z, x)
Points(y, w) <- Load(y, x), Points(x, z), Points(z, w)
Points(z, w) <- Store(y, x), Points(y, z), Points(x, w)
export Points
""",
    "generation": """
Parent(x, p) = "Parent.tsv"
Same(x, y) <- Parent(x, p), Parent(y, p)
Same(x, y) <- Parent(x, p), Same(p, q), Parent(y, q)
export Same
""",
    "triangles": """
Edge(x, y) = "Edge.tsv"
Count = Edge(x, y) Edge(y, z) Edge(x, z)
export Count
""",
    "join": """
R(a, b, c) = "R.tsv"
S(c, d, e) = "S.tsv"
T(d, f, a) = "T.tsv"
Answer(a, e) <- R(a, 7, c), S(c, d, e), T(d, 3, a)
export Answer
""",
    "reach": """
Edge(x, y) = "Edge.tsv"
Path(x, y) <- Edge(x, y)
Path(x, z) <- Path(x, y), Edge(y, z)
Reached(x) <- Path(0, x)
export Reached
""",
    "mutual": """
Edge(x, y) = "Edge.tsv"
First(x, y) <- Edge(x, y)
First(x, z) <- Third(x, y), Edge(y, z)
Second(x, z) <- First(x, y), Edge(y, z), z != 7
Third(x, z) <- Second(x, y), Edge(y, z)
Reached(x) <- First(0, x)
export Reached
""",
}


@dataclass(frozen=True, slots=True)
class Souffle:
    """Soufflé's CPU seconds beside a rival's, both measured once on another machine with problems of this kind and size.

    It is in no package registry, so that it does not run here. Compiled programs are told without the 13 to 25
    seconds that a C++ compiler takes.
    """

    form: str  # "compiled" or "interpreted"
    seconds: float
    rival: str
    rival_seconds: float


@dataclass(frozen=True, slots=True)
class Problem:
    """One table of facts and the rules that run on it.

    A problem whose export is a number asks for it alone: every engine counts, and none keeps what it counted.

    Attributes:
        family: of `PROGRAMS`.
        size: "small", "medium" or "large": which runs have it.
        engines: the rivals that come to an end in the time that a run has.
        seconds: the most that Fuse may take, where the target is no ratio.
        souffle: what was measured elsewhere.
    """

    name: str
    family: str
    size: str
    draw: Callable[[np.random.Generator], Facts]
    engines: tuple[str, ...]
    seconds: float | None = None
    souffle: Souffle | None = None


def write(problem: Problem, folder: Path) -> None:
    """The facts of `problem` as files of integers separated by tabs, and its program."""
    for name, columns in problem.draw(np.random.default_rng(7)).items():
        rows = np.stack(columns, axis=1)
        np.random.default_rng(8).shuffle(rows)  # as facts come: in no order
        np.savetxt(folder / f"{name}.tsv", rows, fmt="%d", delimiter="\t")
    (folder / "program.fuse").write_text(PROGRAMS[problem.family], encoding="utf-8")


# Facts -------------------------------------------------------------------------------------------


def _distinct(columns: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    return tuple(np.unique(np.stack(columns, axis=1), axis=0).T)


def _blocks(count: int, nodes: int, edges: int) -> Callable[[np.random.Generator], Facts]:
    """Random graphs side by side, each of `nodes` nodes and `edges` edges."""

    def draw(random: np.random.Generator) -> Facts:
        first = np.repeat(np.arange(count) * nodes, edges)
        ends = (first + random.integers(0, nodes, len(first)) for _ in range(2))
        return {"Edge": _distinct(tuple(ends))}

    return draw


def _chains(count: int, nodes: int) -> Callable[[np.random.Generator], Facts]:
    def draw(_: np.random.Generator) -> Facts:
        steps = np.arange(count * nodes).reshape(count, nodes)
        return {"Edge": (steps[:, :-1].ravel(), steps[:, 1:].ravel())}

    return draw


def _trees(count: int, nodes: int) -> Callable[[np.random.Generator], Facts]:
    """Random recursive trees: each node's parent is any of the nodes before it."""

    def draw(random: np.random.Generator) -> Facts:
        child = np.tile(np.arange(1, nodes), count)
        first = np.repeat(np.arange(count) * nodes, nodes - 1)
        return {"Parent": (first + child, first + random.integers(0, child))}

    return draw


def _procedures(count: int, names: int, statements: int) -> Callable[[np.random.Generator], Facts]:
    """Procedures of `names` variables each; one statement in fifty names a variable of the one before."""

    def draw(random: np.random.Generator) -> Facts:
        facts = {}
        for kind, share in (("Addr", 0.35), ("Assign", 0.4), ("Load", 0.125), ("Store", 0.125)):
            of = np.repeat(np.arange(count), round(statements * share))
            left = of * names + random.integers(0, names, len(of))
            other = np.maximum(0, of - (random.random(len(of)) < 0.02))
            right = other * names + random.integers(0, names, len(of))
            facts[kind] = _distinct((left, right))
        return facts

    return draw


def _dense_graph(nodes: int, edges: int) -> Callable[[np.random.Generator], Facts]:
    def draw(random: np.random.Generator) -> Facts:
        ends = np.sort(random.integers(0, nodes, (edges, 2)), axis=1)
        ends = ends[ends[:, 0] < ends[:, 1]]
        return {"Edge": _distinct((ends[:, 0], ends[:, 1]))}

    return draw


def _three_columns(rows: int) -> Callable[[np.random.Generator], Facts]:
    def draw(random: np.random.Generator) -> Facts:
        sizes = {"R": (2000, 100, 5000), "S": (5000, 500, 10000), "T": (500, 100, 2000)}
        return {
            name: _distinct(tuple(random.integers(0, size, rows) for size in columns))
            for name, columns in sizes.items()
        }

    return draw


_ALL = ("DuckDB", "SciPy", "clingo")
_MOST = ("DuckDB", "SciPy")

PROBLEMS: Final[tuple[Problem, ...]] = (
    Problem("Andersen 1e4", "andersen", "small", _procedures(100, 71, 100), _ALL),
    Problem(
        "Andersen 1e5",
        "andersen",
        "medium",
        _procedures(1000, 71, 100),
        _MOST,
        souffle=Souffle("compiled", 1.8, "SciPy", 2.3),
    ),
    Problem(
        "Andersen 1e6",
        "andersen",
        "large",
        _procedures(10000, 71, 100),
        _MOST,
        souffle=Souffle("interpreted", 34.7, "SciPy", 20.8),
    ),
    Problem(
        "same generation 1e4",
        "generation",
        "small",
        _trees(5, 2000),
        _MOST,
        souffle=Souffle("interpreted", 0.82, "SciPy", 0.61),
    ),
    Problem(
        "same generation 1e5",
        "generation",
        "medium",
        _trees(100, 1000),
        _MOST,
        souffle=Souffle("compiled", 4.0, "SciPy", 1.6),
    ),
    Problem(
        "same generation 1e6",
        "generation",
        "large",
        _trees(16000, 63),
        _MOST,
        souffle=Souffle("interpreted", 4.5, "SciPy", 1.3),
    ),
    Problem(
        "closure 1e4",
        "closure",
        "small",
        _blocks(1, 2000, 10000),
        _MOST,
        souffle=Souffle("interpreted", 4.0, "SciPy", 0.8),
    ),
    Problem(
        "closure 1e5, 100 blocks",
        "closure",
        "medium",
        _blocks(100, 350, 1000),
        _MOST,
        souffle=Souffle("compiled", 5.0, "SciPy", 2.1),
    ),
    Problem(
        "closure 1e6, 20,000 blocks",
        "closure",
        "large",
        _blocks(20000, 30, 50),
        _MOST,
        souffle=Souffle("interpreted", 4.0, "SciPy", 1.7),
    ),
    Problem(
        "closure, five chains of 2,000",
        "closure",
        "medium",
        _chains(5, 2000),
        ("DuckDB",),
        souffle=Souffle("interpreted", 10.4, "DuckDB", 1.6),
    ),
    Problem("triangles, 400,000 edges", "triangles", "medium", _dense_graph(4000, 400000), _MOST),
    Problem("three columns, constants", "join", "medium", _three_columns(1_000_000), ("DuckDB",)),
    Problem("reachable from one node, 600,000 edges", "reach", "medium", _blocks(1, 200_000, 600_000), _ALL),
    Problem("a chain of 100,000 from one node", "reach", "small", _chains(1, 100_001), (), seconds=1.0),
    Problem("the same by three rules", "mutual", "small", _chains(1, 100_001), (), seconds=5.0),
)
