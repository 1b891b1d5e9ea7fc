"""Graph algorithms over arrays of edges against plain loops, with every way that sizes choose."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from fuse_ref.relations import graphs, unions

Edges = tuple[np.ndarray, np.ndarray]


def random_edges(n: int, count: int, seed: int) -> Edges:
    draw = np.random.default_rng(seed)
    return draw.integers(0, n, count), draw.integers(0, n, count)


CASES = [(1, 0), (1, 2), (5, 0), (6, 5), (20, 14), (20, 20), (20, 40), (40, 45)]


def closure(n: int, edges: Edges) -> list[set[int]]:
    """What a path of any length leads to, none included."""
    reach = [{k} for k in range(n)]
    growing = True
    while growing:
        growing = False
        for a, b in zip(*(part.tolist() for part in edges), strict=True):
            if not reach[b] <= reach[a]:
                reach[a] |= reach[b]
                growing = True
    return reach


@pytest.mark.parametrize("shallow", [0, 2, 300])
@pytest.mark.parametrize(("n", "count"), CASES)
def test_reachable(n: int, count: int, shallow: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "_SHALLOW", shallow)
    for seed in range(3):
        edges = random_edges(n, count, seed)
        for seeds in ([], [0], [0, n - 1, 0]):
            expected = set().union(*(closure(n, edges)[k] for k in seeds))
            found = graphs.reachable(n, *edges, np.array(seeds, np.int64))
            assert set(np.flatnonzero(found).tolist()) == expected


@pytest.mark.parametrize("turns", [0, 1, 12])
@pytest.mark.parametrize(("n", "count"), CASES)
def test_components(n: int, count: int, turns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "_TURNS", turns)
    for seed in range(3):
        edges = random_edges(n, count, seed)
        reach = closure(n, edges)
        strong = [next(k for k in range(n) if k in reach[node] and node in reach[k]) for node in range(n)]
        both = closure(n, (np.concatenate(edges), np.concatenate(edges[::-1])))
        for found, expected in (
            (graphs.strong_components(n, *edges), strong),
            (graphs.weak_components(n, *edges), [min(part) for part in both]),
        ):
            assert found.tolist() == [sorted(set(expected)).index(leader) for leader in expected]


def test_an_edge_that_stands_twice_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "_LARGE", 0)
    edges = np.array([0, 0, 1, 1, 2]), np.array([1, 1, 0, 2, 1])
    assert graphs.strong_components(4, *edges).tolist() == [0, 0, 0, 1]


def test_levels() -> None:
    edges = np.array([0, 0, 1, 4, 0]), np.array([1, 2, 2, 3, 1])
    found = graphs.levels(6, *edges, 9)
    assert found is not None
    assert found.tolist() == [2, 1, 0, 0, 1, 0]
    assert graphs.levels(6, *edges, 1) is None
    assert graphs.levels(2, np.array([0, 1]), np.array([1, 0]), 9) is None


SETTINGS: dict[str, dict[str, int]] = {
    "as it is": {},
    "rows": {"_FEW": 0},
    "components": {"_FEW": 0, "_ONE": 0},
    "many blocks": {"_FEW": 0, "_ONE": 0, "_CHUNK": 3},
    "large": {"_FEW": 0, "_LARGE": 0},
    "deep": {"_FEW": 0, "_DEEP": 0},
}


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize(("n", "count"), CASES)
def test_unions(n: int, count: int, setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SETTINGS[setting].items():
        monkeypatch.setattr(unions, name, value)
    for seed, width in ((0, 1), (1, 6), (2, 150)):
        edges = random_edges(n, count, seed)
        own = random_edges(n, 2 * n, seed + 7)[0], np.random.default_rng(seed).integers(0, width, 2 * n)
        found = unions.unions(n, edges, own, width, lambda count: None)
        assert found is not None
        has: list[set[int]] = [set() for _ in range(n)]
        for node, column in zip(*(part.tolist() for part in own), strict=True):
            has[node].add(column)
        expected = [
            (node, column)
            for node, part in enumerate(closure(n, edges))
            for column in set().union(*(has[k] for k in part))
        ]
        pairs = list(zip(found.nodes.tolist(), found.columns.tolist(), strict=True))
        assert sorted(pairs) == sorted(expected)
        assert not found.ordered or pairs == sorted(pairs)


def test_rows_that_would_be_too_many_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = np.arange(9)
    for name in ("_FEW", "_ONE", "_MOST"):
        monkeypatch.setattr(unions, name, 0)
    assert unions.unions(10, (steps, steps + 1), (steps, steps + 1), 10, lambda count: None) is None
    monkeypatch.setattr(unions, "_MOST", 1 << 25)
    monkeypatch.setattr(unions, "_MANY", 0)
    one = np.zeros(1, np.int64)
    assert unions.unions(1000, (one, one + 1), (one, one), 1000, lambda count: None) is None
    assert unions.unions(10, (steps, steps + 1), (steps, steps + 1), 10, lambda count: None) is not None
    monkeypatch.setattr(unions, "_SEARCHES", 0)
    monkeypatch.setattr(unions, "_DEEP", 0)
    assert unions.unions(10, (steps, steps + 1), (steps, steps + 1), 10, lambda count: None) is None


def test_ways_that_no_float_counts_do_not_disturb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unions, "_MANY", 0)
    steps = np.repeat(np.arange(1500), 2)
    found = unions.unions(1501, (steps, steps + 1), (steps, steps + 1), 1501, lambda count: None)
    assert found is not None
    assert len(found.nodes) == 1500 * 1501 // 2


def test_room_is_asked_before_the_result_is_made() -> None:
    steps = np.arange(99)
    asked: list[int] = []
    found = unions.unions(100, (steps, steps + 1), (steps, steps + 1), 100, asked.append)
    assert found is not None
    assert max(asked) == 8 * len(found.nodes) == 8 * 99 * 100 // 2

    def refuse(count: int) -> None:
        if count > 20_000:
            raise MemoryError(count)

    with pytest.raises(MemoryError, match="39600"):
        unions.unions(100, (steps, steps + 1), (steps, steps + 1), 100, refuse)


def test_depth_is_no_recursion() -> None:
    n = sys.getrecursionlimit() * 5
    steps = np.arange(n - 1)
    assert graphs.reachable(n, steps, steps + 1, np.array([0])).all()
    assert not graphs.strong_components(n, np.arange(n), np.roll(np.arange(n), 1)).any()
