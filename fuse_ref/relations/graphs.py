"""Graphs as arrays of edges: search, components and levels without a step of Python for each node.

Nodes are 0 to n - 1, edges two arrays of one length. Edges may stand twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from fuse_ref.records import dataclass

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = [
    "Graph",
    "distinct_edges",
    "gathered",
    "levels",
    "on_cycles",
    "reachable",
    "strong_components",
    "weak_components",
]

_LARGE: Final = 300_000  # edges from which loading SciPy, a fifth of a second, costs less than not to
_TURNS: Final = 12
_CYCLE_TURNS: Final = 3
_CYCLE_ROUNDS: Final = 64
_SHALLOW: Final = 300  # rounds of a search, at some 15 µs each, that cost less than loading SciPy


@dataclass(frozen=True, slots=True)
class Graph:
    """Edges by the node that they leave.

    Attributes:
        n: number of nodes.
        start: (n + 1,) int64; the edges of node k are start[k] to start[k + 1] - 1.
        targets: where each edge leads.
    """

    n: int
    start: np.ndarray
    targets: np.ndarray

    @classmethod
    def of(cls, n: int, sources: np.ndarray, targets: np.ndarray) -> Graph:
        start = np.zeros(n + 1, np.int64)
        np.cumsum(np.bincount(sources, minlength=n), out=start[1:])
        if (sources[1:] < sources[:-1]).any():
            if n < 2**31:
                # One number for both ends sorts faster than an order of the sources.
                keys = sources.astype(np.int64)
                keys *= n
                keys += targets
                keys.sort()
                keys %= n
                targets = keys
            else:
                targets = targets[np.argsort(sources, kind="stable")]
        return cls(n, start, targets)

    def successors(self, nodes: np.ndarray) -> np.ndarray:
        """Where the edges of `nodes` lead, one node after the other."""
        first = self.start[nodes]
        found: np.ndarray = self.targets[gathered(first, self.start[nodes + 1] - first)]
        return found


def gathered(first: np.ndarray, number: np.ndarray) -> np.ndarray:
    """The whole numbers first[k], first[k] + 1, … (number[k] of them), k by k."""
    total = int(number.sum())
    if total == len(number) and (number == 1).all():
        return first
    end = np.cumsum(number)
    found = np.arange(total)
    found += np.repeat(first - end + number, number)
    return found


def _distinct(nodes: np.ndarray, scratch: np.ndarray) -> np.ndarray:
    """Each of `nodes` once; `scratch` has a place for every node of the graph."""
    if len(nodes) < 2:
        return nodes
    order = np.arange(len(nodes))
    scratch[nodes] = order
    found: np.ndarray = nodes[scratch[nodes] == order]
    return found


def reachable(n: int, sources: np.ndarray, targets: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """(n,) truth values: which nodes a path from one of `seeds` reaches, the seeds themselves included.

    One vectorised round for each distance; graphs that are deep are searched by SciPy's breadth-first search,
    whose cost follows the edges whatever the depth.
    """
    seen = np.zeros(n, np.bool_)
    seen[seeds] = True
    if not len(sources) or not len(seeds):
        return seen
    graph = Graph.of(n, sources, targets)
    scratch = np.empty(n, np.int64)
    front = np.flatnonzero(seen)
    for _ in range(_SHALLOW):
        front = graph.successors(front)
        front = _distinct(front[~seen[front]], scratch)
        if not len(front):
            return seen
        seen[front] = True
    seen[_deep_search(graph, front)] = True
    return seen


def _deep_search(graph: Graph, seeds: np.ndarray) -> np.ndarray:
    from scipy.sparse.csgraph import breadth_first_order

    # One more node, with an edge to each seed, makes one search of many.
    n = graph.n
    start = np.append(graph.start, graph.start[-1] + len(seeds))
    order = breadth_first_order(
        _matrix(n + 1, start, np.concatenate((graph.targets, seeds))), n, return_predecessors=False
    )
    return np.asarray(order[1:])


def _matrix(n: int, start: np.ndarray, targets: np.ndarray) -> csr_array:
    from scipy.sparse import csr_array

    small = np.int32 if max(n, len(targets)) < 2**31 else np.int64
    # float64 is what the searches convert to.
    return csr_array((np.ones(len(targets)), targets.astype(small), start.astype(small)), shape=(n, n))


def distinct_edges(n: int, sources: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The edges in order, each once, without those from a node to itself."""
    between = sources != targets
    keys = sources[between].astype(np.int64)
    keys *= n
    keys += targets[between]
    if (keys[1:] <= keys[:-1]).any():
        keys.sort()
        keys = keys[np.concatenate(([True], keys[1:] != keys[:-1]))]
    return np.divmod(keys, n)


def strong_components(n: int, sources: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(n,) the number of each node's strongly connected component, in the order of their smallest nodes."""
    if len(sources) < _LARGE:
        labels = _by_pivots(n, sources, targets)
        if labels is not None:
            return _in_order(labels)
    from scipy.sparse.csgraph import connected_components

    # SciPy 1.17 never ends on some graphs with an edge that stands twice.
    graph = Graph.of(n, *distinct_edges(n, sources, targets))
    _, labels = connected_components(_matrix(n, graph.start, graph.targets), directed=True, connection="strong")
    return _in_order(labels)


def _by_pivots(n: int, sources: np.ndarray, targets: np.ndarray) -> np.ndarray | None:
    """(n,) a node of each node's component; None where components are too many for this.

    What leads to a node and is led to by it is the node's component. One node of each weak component is searched from
    at once, what is between the parts that this tells apart belongs to no component, and all is done again
    (Fleischer, Hendrickson and Pinar, On identifying strongly connected components in parallel, 2000).
    """
    labels = np.arange(n)
    for _ in range(_TURNS):
        sources, targets = _trimmed(n, sources, targets)
        if not len(sources):
            return labels
        part = weak_components(n, sources, targets)
        degree = np.bincount(sources, minlength=n) * np.bincount(targets, minlength=n)
        most = np.zeros(n, np.int64)
        np.maximum.at(most, part, degree)
        pivots = np.full(n, -1)
        best = np.flatnonzero((degree > 0) & (degree == most[part]))
        pivots[part[best]] = best
        seeds = pivots[pivots >= 0]
        ahead, behind = reachable(n, sources, targets, seeds), reachable(n, targets, sources, seeds)
        both = ahead & behind
        labels[both] = pivots[part[both]]
        kind = np.add(ahead, 2 * behind.astype(np.int8), dtype=np.int8)
        left = (kind[sources] == kind[targets]) & (kind[sources] < 3)
        sources, targets = sources[left], targets[left]
    return None


def _trimmed(n: int, sources: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Without edges of nodes that nothing leads to or that lead nowhere, most of them."""
    kept = sources != targets
    for _ in range(_TURNS):
        if kept.all():
            break
        sources, targets = sources[kept], targets[kept]
        inner = np.zeros((2, n), np.bool_)
        inner[0, sources] = True
        inner[1, targets] = True
        alive = inner[0] & inner[1]
        kept = alive[sources] & alive[targets]
    return sources[kept], targets[kept]


def on_cycles(n: int, sources: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(n,) a node of each node's strongly connected component, alike for most of its nodes: some may stay alone.

    Every node takes the greatest node that leads to it, as far as some rounds tell, and those of its nodes that lead
    back to it are on a cycle with it (Orzan, On distributed verification and verified distribution, 2004, section 5).
    """
    labels = np.arange(n)
    for _ in range(_CYCLE_TURNS):
        sources, targets = _trimmed(n, sources, targets)
        if not len(sources):
            break
        most = np.arange(n)
        tails, heads = sources, targets
        for _ in range(_CYCLE_ROUNDS):
            before = most[heads]
            np.maximum.at(most, heads, most[tails])
            changed = np.zeros(n, np.bool_)
            changed[heads[most[heads] != before]] = True
            left = changed[sources]
            tails, heads = sources[left], targets[left]
            if not len(tails):
                break
        inner = most[sources] == most[targets]
        sources, targets = sources[inner], targets[inner]
        back = most == np.arange(n)
        tails, heads = sources, targets
        for _ in range(_CYCLE_ROUNDS):
            left = ~back[tails]
            tails, heads = tails[left], heads[left]
            reached = tails[back[heads]]
            if not len(reached):
                break
            back[reached] = True
        merged = back & (most != np.arange(n))
        labels[merged] = most[merged]
        left = ~(back[sources] | back[targets])
        sources, targets = sources[left], targets[left]
    return labels


def weak_components(n: int, sources: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(n,) the number of each node's component where edges lead both ways, in the order of their smallest nodes.

    Every tree hooks itself to the smallest tree beside it, then all paths are halved (after Shiloach and Vishkin,
    An O(log n) parallel connectivity algorithm, 1982).
    """
    labels = np.arange(n)
    while len(sources):
        sources, targets = labels[sources], labels[targets]
        different = sources != targets
        sources, targets = sources[different], targets[different]
        np.minimum.at(labels, np.maximum(sources, targets), np.minimum(sources, targets))
        while True:
            halved = labels[labels]
            if np.array_equal(halved, labels):
                break
            labels = halved
    return _in_order(labels)


def _in_order(labels: np.ndarray) -> np.ndarray:
    n = len(labels)
    first = np.full(n, n)
    np.minimum.at(first, labels, np.arange(n))
    leads = first[labels] == np.arange(n)
    number = np.cumsum(leads) - 1
    found: np.ndarray = number[first[labels]]
    return found


def levels(n: int, sources: np.ndarray, targets: np.ndarray, most: int) -> np.ndarray | None:
    """(n,) the longest path from each node; None where there is a cycle, or a path longer than `most`."""
    found = np.zeros(n, np.int64)
    if not len(sources):
        return found
    backwards = Graph.of(n, targets, sources)
    left = np.bincount(sources, minlength=n)
    scratch = np.empty(n, np.int64)
    front = np.flatnonzero(left == 0)
    done = 0
    for level in range(most + 1):
        found[front] = level
        done += len(front)
        if done == n:
            return found
        before = backwards.successors(front)
        np.subtract.at(left, before, 1)
        front = _distinct(before[left[before] == 0], scratch)
        if not len(front):
            return None
    return None
