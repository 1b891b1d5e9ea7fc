"""Same generation over a forest: pairs are blocks of nodes of one depth below one root, never joined."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fuse_ref.relations.graphs import gathered
from fuse_ref.relations.rules import Atom, Filter, Literal, Rule, Variable
from fuse_ref.relations.setting import Setting
from fuse_ref.relations.tuples import Tuples

__all__ = ["same_generation"]


def same_generation(
    bases: Sequence[Rule], steps: Sequence[Rule], setting: Setting
) -> tuple[dict[str, Tuples], str] | None:
    """`S(x, y) <- P(x, p), P(y, p)` and `S(x, y) <- P(x, p), S(p, q), P(y, q)` where P gives each x one p at most.

    The base rule may ask `x != y` too. Then two nodes are in S when a walk of the same length leads from both to
    one node; in a forest these are the nodes of one depth below one root. None where P is no forest.
    """
    if len(bases) != 1 or len(steps) != 1 or bases[0].head != steps[0].head:
        return None
    upwards = _siblings(bases[0])
    if upwards is None or _cousins(steps[0]) != upwards[:3]:
        return None
    relation, child, parent, distinct = upwards
    shape, tuples = setting.shapes[bases[0].head], setting.known.get(relation)
    if tuples is None or tuples.arity != 2 or shape != (tuples.shape[child],) * 2:
        return None
    if tuples.shape[child] != tuples.shape[parent] or tuples.shape[child] > max(8 * len(tuples), 1 << 16):
        return None
    depth_root = _depths(tuples.columns[child], tuples.columns[parent], shape[0])
    if depth_root is None:
        return None
    found = _blocks(*depth_root, distinct, shape, setting)
    return {bases[0].head: found}, "same generation: blocks of one depth below one root"


def _sides(rule: Rule) -> tuple[str, str] | None:
    match rule.terms:
        case (Variable(x), Variable(y)) if x != y:
            return x, y
        case _:
            return None


def _pairs(body: Sequence[Literal]) -> list[tuple[str, str, str]] | None:
    found = []
    for literal in body:
        match literal:
            case Atom(relation, (Variable(first), Variable(second))) if first != second:
                found.append((relation, first, second))
            case _:
                return None
    return found


def _siblings(rule: Rule) -> tuple[str, int, int, bool] | None:
    """The relation, which of its arguments is the child, which the parent, and whether siblings are two."""
    sides = _sides(rule)
    if sides is None:
        return None
    filters = [literal for literal in rule.body if isinstance(literal, Filter)]
    for item in filters:
        match item:
            case Filter("!=", Variable(a), Variable(b)) if {a, b} == set(sides):
                pass
            case _:
                return None
    atoms = _pairs([literal for literal in rule.body if not isinstance(literal, Filter)])
    if atoms is None or len(atoms) != 2 or atoms[0][0] != atoms[1][0]:
        return None
    for child, parent in ((1, 2), (2, 1)):
        if atoms[0][parent] == atoms[1][parent] not in sides and {atoms[0][child], atoms[1][child]} == set(sides):
            return atoms[0][0], child - 1, parent - 1, bool(filters)
    return None


def _cousins(rule: Rule) -> tuple[str, int, int] | None:
    sides = _sides(rule)
    atoms = _pairs(rule.body)
    if sides is None or atoms is None or len(atoms) != 3:
        return None
    inner = [atom for atom in atoms if atom[0] == rule.head]
    outer = [atom for atom in atoms if atom[0] != rule.head]
    if len(inner) != 1 or outer[0][0] != outer[1][0]:
        return None
    (_, p, q), x, y = inner[0], *sides
    if len({p, q, x, y}) < 4:
        return None
    for child, parent in ((1, 2), (2, 1)):
        if {(atom[child], atom[parent]) for atom in outer} in ({(x, p), (y, q)}, {(x, q), (y, p)}):
            return outer[0][0], child - 1, parent - 1
    return None


def _depths(child: np.ndarray, parent: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Each node's depth and root; None where a node has two parents or is its own ancestor. Paths are doubled."""
    above = np.arange(n)
    above[child] = parent
    if len(child) and (np.bincount(child, minlength=n).max() > 1 or (child == parent).any()):
        return None
    depth = (above != np.arange(n)).astype(np.int64)
    for _ in range(n.bit_length() + 1):
        further = above[above]
        if np.array_equal(further, above):
            # A cycle whose length is a power of two seems to end too, but in nodes that have a parent.
            return None if (depth[above] > 0).any() else (depth, above)
        depth += depth[above]
        above = further
    return None


def _blocks(depth: np.ndarray, root: np.ndarray, distinct: bool, shape: tuple[int, ...], setting: Setting) -> Tuples:
    nodes = np.flatnonzero(depth)
    order = nodes[np.lexsort((nodes, depth[nodes], root[nodes]))]
    new = (root[order][1:] != root[order][:-1]) | (depth[order][1:] != depth[order][:-1])
    first = np.flatnonzero(np.concatenate(([True], new)))[: len(order)]
    number = np.diff(np.append(first, len(order)))
    block = np.empty(shape[0], np.int64)
    block[order] = np.repeat(np.arange(len(first)), number)
    lengths = number[block[nodes]]
    total = int(lengths.sum())
    setting.room(total * 8)
    dtype = np.int32 if shape[0] < 2**31 else np.int64
    names = order.astype(dtype)
    sources, targets = np.repeat(nodes.astype(dtype), lengths), np.empty(total, dtype)
    ends, starts = np.cumsum(lengths), first[block[nodes]]
    low = written = 0
    while low < len(nodes):  # some rows at a time, which keeps what is held beside the result small
        high = max(low + 1, int(np.searchsorted(ends, written + (1 << 20), side="right")))
        taken = gathered(starts[low:high], lengths[low:high])
        targets[written : written + len(taken)] = names[taken]
        written += len(taken)
        low = high
    if distinct:
        other = sources != targets
        sources, targets = sources[other], targets[other]
    return Tuples((sources, targets), shape, ordered=True)
