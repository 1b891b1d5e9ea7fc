"""Rows of a closure: what each node of a graph has itself, and what the nodes have that it leads to.

Strongly connected components share one row. Rows are bits, numbered anew in each weak component, so that many
small components are as cheap as one dense relation of their own; a level of the condensed graph is one
vectorised OR over all components at once (Purdom, A transitive closure algorithm, 1970; Nuutila, Efficient
transitive closure computation in large digraphs, 1995, on condensation first).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np

from fuse_ref.records import dataclass
from fuse_ref.relations import bits
from fuse_ref.relations.graphs import distinct_edges, gathered, levels, reachable, strong_components, weak_components

__all__ = ["Pairs", "Room", "unions"]

Room = Callable[[int], None]  # called with the bytes that are about to be held; raises where they are too many

_LARGE: Final = 300_000  # edges
_DEEP: Final = 4000  # levels that are worth one round each; they fit in 16 bits
_SEARCHES: Final = 1 << 31  # steps of searches, one for each column, that replace rounds over a deep graph
_FEW: Final = 4  # columns for which a search each is cheaper than rows
_ONE: Final = 1 << 17  # words that rows may take before components are told apart
_MANY: Final = 1 << 22  # words that rows may take even where few bits would be 1
_MOST: Final = 1 << 25  # words that rows may take: a quarter of a gigabyte
_CHUNK: Final = 1 << 20  # words or tuples that are worked on at once


@dataclass(frozen=True, slots=True)
class Pairs:
    """Nodes and what each has: by ascending node where `ordered`, and then by ascending column."""

    nodes: np.ndarray  # int32 or int64
    columns: np.ndarray
    ordered: bool
    storage: str  # how they were found, for the plan: "bit-packed rows", "3 components, bit-packed rows", …


def unions(
    n: int, edges: tuple[np.ndarray, np.ndarray], own: tuple[np.ndarray, np.ndarray], width: int, room: Room
) -> Pairs | None:
    """Row k holds the columns of `own` that stand beside node k, and the rows of the nodes that k leads to.

    Args:
        n: number of nodes.
        edges: sources and targets.
        own: nodes and columns.
        width: number of columns.
        room: asked before bits and results are made.

    Returns:
        All pairs, each once; None where the rows would be too long and too many for bits.
    """
    if width <= _FEW:
        return _searched(n, n, np.arange(n), edges, own, width, room)
    sources, targets = edges
    if len(own[0]) * 8 < n:
        near = reachable(n, targets, sources, own[0])[targets]
        sources, targets = sources[near], targets[near]
    # A graph without cycles needs no condensation. Large ones are not tried: SciPy costs less there.
    between = sources != targets
    level = levels(n, sources[between], targets[between], _DEEP) if len(sources) < _LARGE else None
    if level is None:
        group = strong_components(n, sources, targets)
        groups = int(group.max()) + 1
        tails, heads = distinct_edges(groups, group[sources], group[targets])
        own = (group[own[0]], own[1])
        level = levels(groups, tails, heads, _DEEP)
    else:
        group, groups = np.arange(n), n
        tails, heads = sources[between], targets[between]
    if level is None:
        return _searched(n, groups, group, (tails, heads), own, width, room)
    lists = _rows(group, groups, tails, heads, level, own, width, room)
    return None if lists is None else _emitted(n, group, groups, lists)


def _searched(
    n: int,
    groups: int,
    group: np.ndarray,
    edges: tuple[np.ndarray, np.ndarray],
    own: tuple[np.ndarray, np.ndarray],
    width: int,
    room: Room,
) -> Pairs | None:
    """One search against the edges for each column: the graph is deep, and columns are few."""
    if width * (groups + len(edges[0])) > _SEARCHES:
        return None
    order = np.argsort(own[1], kind="stable")
    ends = np.searchsorted(own[1][order], np.arange(width + 1))
    found = []
    for column in range(width):
        seen = reachable(groups, edges[1], edges[0], own[0][order[ends[column] : ends[column + 1]]])
        found.append(np.flatnonzero(seen[group]).astype(np.int32 if n < 2**31 else np.int64))
        room(found[-1].nbytes * 2)
    columns = np.repeat(np.arange(width, dtype=np.int32), [len(nodes) for nodes in found])
    nodes = np.concatenate([np.empty(0, np.int32), *found])
    return Pairs(nodes, columns, width == 1, "one graph search for each column")


# Rows --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Lists:
    """The columns of each row."""

    number: np.ndarray  # (groups,) how many
    start: np.ndarray  # (groups,) where they begin in `columns`
    columns: np.ndarray
    straight: bool  # whether the lists stand one after another in the order of the groups
    storage: str


def _rows(
    group: np.ndarray,
    groups: int,
    tails: np.ndarray,
    heads: np.ndarray,
    level: np.ndarray,
    own: tuple[np.ndarray, np.ndarray],
    width: int,
    room: Room,
) -> _Lists | None:
    parts = _components(groups, tails, heads, own, width)
    size = np.minimum(parts.words[parts.of_group], bits.words(width))
    taken = int(size.sum())
    if taken > _MOST:
        return None
    # Edges level by level, and within a level node by node.
    if (tails[1:] < tails[:-1]).any():
        order = np.argsort(tails, kind="stable")
        tails, heads = tails[order], heads[order]
    order = np.argsort(level[tails].astype(np.int16), kind="stable")  # which NumPy sorts by digits
    tails, heads = tails[order], heads[order]
    if taken > _MANY:
        # No row has more columns than there are ways to come to one: rows that are nearly empty are no bits.
        ways = np.bincount(own[0], minlength=groups).astype(np.float64).reshape(-1, 1)
        with np.errstate(over="ignore"):
            _spread(ways, tails, heads, level[tails], np.add)
        if float(np.minimum(ways, width).sum()) < taken / 8:
            return None
    room(taken * 8)
    number = np.zeros(groups, np.int64)
    kinds: list[tuple[np.ndarray, np.ndarray]] = []
    for kind in np.flatnonzero(np.bincount(size)).tolist():
        members = np.flatnonzero(size == kind)
        place = np.empty(groups, np.int64)
        place[members] = np.arange(len(members))
        here = size[own[0]] == kind
        rows = bits.from_pairs(place[own[0][here]], parts.local[own[1][here]], (len(members), kind * bits.WORD))
        here = size[tails] == kind
        _spread(rows, place[tails[here]], place[heads[here]], level[tails[here]], np.bitwise_or)
        number[members] = bits.counts(rows)
        kinds.append((members, rows))
    room(int((number * np.bincount(group, minlength=groups)).sum()) * 8)
    start = np.zeros(groups, np.int64)
    columns: list[np.ndarray] = []
    filled = 0
    for members, rows in kinds:
        lengths, local = bits.nonzero(rows)
        start[members] = filled + np.cumsum(lengths) - lengths
        filled += len(local)
        columns.append(parts.global_columns(members, lengths, local))
    found = columns[0] if len(columns) == 1 else np.concatenate([np.empty(0, np.int32), *columns])
    name = "bit-packed rows" if parts.count == 1 else f"{parts.count} components, bit-packed rows"
    return _Lists(number, start, found, len(kinds) == 1, name)


@dataclass(frozen=True, slots=True)
class _Parts:
    """Weak components of groups and columns together, each with columns numbered from 0 in ascending order."""

    count: int
    of_group: np.ndarray  # (groups,)
    words: np.ndarray  # (count,) of a row
    local: np.ndarray  # (width,) the number of each column in its component
    first: np.ndarray  # (count,) where the columns of a component begin in `columns`
    columns: np.ndarray | None  # columns by component; None where there is one component

    def global_columns(self, members: np.ndarray, lengths: np.ndarray, local: np.ndarray) -> np.ndarray:
        if self.columns is None:
            return local
        local += np.repeat(self.first[self.of_group[members]], lengths)
        found: np.ndarray = self.columns[local]
        return found


def _components(
    groups: int, tails: np.ndarray, heads: np.ndarray, own: tuple[np.ndarray, np.ndarray], width: int
) -> _Parts:
    if groups * bits.words(width) <= _ONE:
        nothing = np.zeros(groups, np.int64)
        return _Parts(1, nothing, np.array([bits.words(width)]), np.arange(width), np.zeros(1, np.int64), None)
    labels = weak_components(
        groups + width, np.concatenate((tails, own[0])), np.concatenate((heads, own[1] + np.int64(groups)))
    )
    count = int(labels.max()) + 1
    of_group, of_column = labels[:groups], labels[groups:]
    sizes = np.bincount(of_column, minlength=count)
    first = np.cumsum(sizes) - sizes
    if (of_column[1:] >= of_column[:-1]).all():
        order = np.arange(width, dtype=np.int32)
    else:
        order = np.argsort(of_column, kind="stable").astype(np.int32)
    local = np.empty(width, np.int64)
    local[order] = np.arange(width) - np.repeat(first, sizes)
    used = int(np.count_nonzero(np.bincount(of_group[own[0]])))
    return _Parts(used, of_group, _rounded(sizes), local, first, order)


def _rounded(sizes: np.ndarray) -> np.ndarray:
    """Words for rows of `sizes` bits: 1, 2, 3, 4, 6, 8, 12, 16, 24, …, so that kinds of rows are few."""
    steps = [1, 2, 3]
    while steps[-1] * bits.WORD < int(sizes.max(initial=0)):
        steps.append(steps[-2] * 2)
    table = np.array(steps)
    found: np.ndarray = table[np.searchsorted(table, np.maximum(1, -(-sizes // bits.WORD)))]
    return found


def _spread(rows: np.ndarray, tails: np.ndarray, heads: np.ndarray, level: np.ndarray, join: np.ufunc) -> None:
    """Join rows of heads to rows of tails, level by level; edges are ordered by level and tail."""
    if not len(tails):
        return
    first = np.flatnonzero(np.concatenate(([True], tails[1:] != tails[:-1])))
    nodes = tails[first]
    turns = np.flatnonzero(np.concatenate(([True], level[first][1:] != level[first][:-1], [True])))
    ends = np.append(first, len(tails))
    single = rows.shape[1] == 1
    work = rows[:, 0] if single else rows
    for low, high in _spans(turns, ends, rows.shape[1]):
        begin, end = ends[low], ends[high]
        above = work[heads[begin:end]]
        if end - begin > high - low:
            above = join.reduceat(above, first[low:high] - begin, axis=0)
        work[nodes[low:high]] = join(work[nodes[low:high]], above)


def _spans(turns: np.ndarray, ends: np.ndarray, width: int) -> Iterator[tuple[int, int]]:
    """Ranges of nodes of one level with not too many edges."""
    most = max(1, _CHUNK // width)
    marks = turns.tolist()
    for low, high in itertools.pairwise(marks):
        while ends[high] - ends[low] > most and high - low > 1:
            middle = max(low + 1, int(np.searchsorted(ends, ends[low] + most)) - 1)
            yield low, middle
            low = middle
        yield low, high


# Results -----------------------------------------------------------------------------------------


def _emitted(n: int, group: np.ndarray, groups: int, lists: _Lists) -> Pairs:
    number = lists.number[group]
    total = int(number.sum())
    nodes = np.repeat(np.arange(n, dtype=np.int32 if n < 2**31 else np.int64), number)
    if groups == n and lists.straight:
        return Pairs(nodes, lists.columns, True, lists.storage)
    columns = np.empty(total, lists.columns.dtype)
    first = lists.start[group]
    ends = np.cumsum(number)
    low = written = 0
    while low < n:
        high = max(low + 1, int(np.searchsorted(ends, written + _CHUNK, side="right")))
        taken = gathered(first[low:high], number[low:high])
        columns[written : written + len(taken)] = lists.columns[taken]
        written += len(taken)
        low = high
    return Pairs(nodes, columns, True, lists.storage)
