"""Places for the nodes of a graph, in layers from top to bottom: what is read stands above what reads it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Final

from fuse_ref.analysis.graph import groups
from fuse_ref.records import dataclass

__all__ = ["Layout", "Point", "lay_out"]

Point = tuple[float, float]

_GAP: Final = 16.0  # between neighbours of a layer
_LAYER: Final = 58.0  # from one layer to the next
_BEND: Final = 6.0  # width kept for an edge that passes a layer
_SWEEPS: Final = 8
_MOVES: Final = 12


@dataclass(frozen=True, slots=True)
class Layout:
    centres: Mapping[str, Point]  # of the nodes
    paths: tuple[tuple[Point, ...], ...]  # of the edges, in their order: from tail to head
    backward: tuple[bool, ...]  # edges that close a cycle, in their order
    width: float
    height: float


def lay_out(widths: Mapping[str, float], edges: Sequence[tuple[str, str]]) -> Layout:
    """Layers by the longest path, neighbours ordered so that few edges cross.

    The method is that of Sugiyama, Tagawa and Toda (1981), each part in its simplest form: the edges of
    cycles that lead back in the order of the nodes are turned round, edges over several layers get a bend in each, layers are ordered by
    the mean place of their neighbours, and places move to the mean as far as room allows.

    Args:
        widths: of each node, in the order in which cycles are to be read.
        edges: (tail, head); an edge from a node to itself has a path of its two ends.
    """
    backward = _closing(tuple(widths), edges)
    down = [(h, t) if back else (t, h) for (t, h), back in zip(edges, backward, strict=True)]
    layer = _layers(tuple(widths), down)
    chains, sizes, level = _bends(down, layer, widths)
    order = _ordered(level, chains, sizes)
    x = _placed(order, chains, sizes)
    left = min((x[name] - sizes[name] / 2 for name in x), default=0.0)
    width = max((x[name] + sizes[name] / 2 - left for name in x), default=0.0)
    place = {name: (x[name] - left, level[name] * _LAYER) for name in x}
    paths = tuple(
        tuple(place[name] for name in (reversed(chain) if back else chain))
        for chain, back in zip(chains, backward, strict=True)
    )
    height = max(level.values(), default=0) * _LAYER
    return Layout({name: place[name] for name in widths}, paths, tuple(backward), width, height)


def _closing(names: Sequence[str], edges: Sequence[tuple[str, str]]) -> list[bool]:
    """Which edges of cycles lead back, by the order of the names."""
    following: dict[str, list[str]] = {name: [] for name in names}
    for tail, head in edges:
        following[tail].append(head)
    place = {name: k for k, name in enumerate(names)}
    of = {name: k for k, members in enumerate(groups(names, following)) for name in members}
    return [of[tail] == of[head] and place[head] <= place[tail] for tail, head in edges]


def _layers(names: Sequence[str], edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    above: dict[str, list[str]] = {name: [] for name in names}
    below: dict[str, list[str]] = {name: [] for name in names}
    for tail, head in edges:
        if tail != head:
            above[head].append(tail)
            below[tail].append(head)
    waiting = {name: len(tails) for name, tails in above.items()}
    ready = [name for name in names if not waiting[name]]
    order: list[str] = []
    for name in ready:  # grows while it is read
        order.append(name)
        for head in below[name]:
            waiting[head] -= 1
            if not waiting[head]:
                ready.append(head)
    layer: dict[str, int] = {}
    for name in order:
        layer[name] = max((layer[tail] + 1 for tail in above[name]), default=0)
    # What nothing leads to stands just above its first reader.
    for name in order:
        if not above[name] and below[name]:
            layer[name] = min(layer[head] for head in below[name]) - 1
    return layer


def _bends(
    edges: Sequence[tuple[str, str]], layer: Mapping[str, int], widths: Mapping[str, float]
) -> tuple[list[list[str]], dict[str, float], dict[str, int]]:
    """Each edge as a chain of names, one a layer, with the widths and layers of all names."""
    sizes, level = dict(widths), dict(layer)
    chains = []
    for number, (tail, head) in enumerate(edges):
        chain = [tail]
        for between in range(layer[tail] + 1, layer[head]):
            name = f" {number} {between}"  # no node's name begins with a blank
            sizes[name], level[name] = _BEND, between
            chain.append(name)
        chains.append([*chain, head])
    return chains, sizes, level


def _ordered(level: Mapping[str, int], chains: Sequence[Sequence[str]], sizes: Mapping[str, float]) -> list[list[str]]:
    order: list[list[str]] = [[] for _ in range(max(level.values(), default=-1) + 1)]
    for name in sizes:
        order[level[name]].append(name)
    above, below = _neighbours(chains)
    for sweep in range(_SWEEPS):
        downward = sweep % 2 == 0
        near = above if downward else below
        for names in order if downward else reversed(order):
            place = {name: k for row in order for k, name in enumerate(row)}
            keys = {name: _mean([place[n] for n in near.get(name, ())], place[name]) for name in names}
            names.sort(key=keys.__getitem__)
    return order


def _placed(
    order: Sequence[Sequence[str]], chains: Sequence[Sequence[str]], sizes: Mapping[str, float]
) -> dict[str, float]:
    x: dict[str, float] = {}
    for names in order:
        edge = 0.0
        for name in names:
            x[name] = edge + sizes[name] / 2
            edge += sizes[name] + _GAP
    above, below = _neighbours(chains)
    for move in range(_MOVES):
        near = above if move % 2 == 0 else below
        for names in order if move % 2 == 0 else reversed(order):
            wanted = [_mean([x[n] for n in near.get(name, ())], x[name]) for name in names]
            x.update(zip(names, _spread(wanted, [sizes[name] for name in names]), strict=True))
    return x


def _spread(wanted: Sequence[float], widths: Sequence[float]) -> list[float]:
    """Places near the wanted ones, in their order and without overlap: neighbours that clash become a block."""
    blocks: list[tuple[float, int, float]] = []  # sum of wanted starts, members, width
    for place, width in zip(wanted, widths, strict=True):
        total, count, size = place - width / 2, 1, width + _GAP
        while blocks and blocks[-1][0] / blocks[-1][1] + blocks[-1][2] > total / count:
            before, members, room = blocks.pop()
            # Each member of the right block wants the block's start to lie further left by the room before it.
            total, count, size = before + total - count * room, members + count, room + size
        blocks.append((total, count, size))
    places: list[float] = []
    for total, count, _ in blocks:
        edge = total / count
        for width in widths[len(places) : len(places) + count]:
            places.append(edge + width / 2)
            edge += width + _GAP
    return places


def _neighbours(chains: Sequence[Sequence[str]]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    above: dict[str, list[str]] = {}
    below: dict[str, list[str]] = {}
    for chain in chains:
        for tail, head in itertools.pairwise(chain):
            if tail != head:
                above.setdefault(head, []).append(tail)
                below.setdefault(tail, []).append(head)
    return above, below


def _mean(places: Sequence[float], otherwise: float) -> float:
    return sum(places) / len(places) if places else otherwise
