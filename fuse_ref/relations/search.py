"""Linear recursion as search in one graph whose nodes are the tuples of all relations of the stratum.

Each recursive rule has one atom of the stratum; the rest of its body tells which tuples of the head follow from
which tuples of that atom. Arguments that every rule hands on unchanged are no part of a node: a node has a
row of what they may be instead.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from fuse_ref.records import dataclass
from fuse_ref.relations.graphs import reachable
from fuse_ref.relations.rules import (
    Apply,
    Assignment,
    Atom,
    Constant,
    Domain,
    Literal,
    Rule,
    Value,
    Variable,
    literal_variables,
    value_variables,
)
from fuse_ref.relations.setting import Columns, Setting, guarded
from fuse_ref.relations.tuples import Tuples
from fuse_ref.relations.unions import unions

__all__ = ["search"]

_POSITIONS: Final = "special~positions"
_MOST_POSITIONS: Final = 1 << 22  # of an axis that no atom of a rule bounds
_MOST_KEYS: Final = 1 << 62


def search(bases: Sequence[Rule], steps: Sequence[Rule], setting: Setting) -> tuple[dict[str, Tuples], str] | None:
    """The relations of `bases` and `steps` where every step is linear and bounded by one atom; None elsewhere."""
    heads = sorted({rule.head for rule in (*bases, *steps)})
    moves = [_move(rule, set(heads)) for rule in steps]
    if any(move is None for move in moves):
        return None
    layout = _layout(heads, [move for move in moves if move is not None], setting.shapes)
    if layout is None:
        return None
    plans = [_body(move, layout, setting) for move in moves if move is not None]
    if any(plan is None for plan in plans):
        return None
    own = _nodes_of_bases(bases, layout, setting)
    edges = _edges([plan for plan in plans if plan is not None], own[0], layout, setting)
    return _searched(own, edges, layout, setting)


# Shape -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Move:
    """A rule with one atom of the stratum."""

    rule: Rule
    atom: Atom
    rest: tuple[Literal, ...]


def _move(rule: Rule, heads: set[str]) -> _Move | None:
    own = [literal for literal in rule.body if isinstance(literal, Atom) and literal.relation in heads]
    if len(own) != 1:
        return None
    return _Move(rule, own[0], tuple(literal for literal in rule.body if literal is not own[0]))


@dataclass(frozen=True, slots=True)
class _Layout:
    """Which arguments make a node, and how nodes are numbered.

    Attributes:
        kept: of each relation, the arguments that every rule hands on, in one order for all relations.
        moved: of each relation, the other arguments.
        offset: where the nodes of each relation begin.
        count: of all nodes.
    """

    shapes: Mapping[str, tuple[int, ...]]
    kept: dict[str, tuple[int, ...]]
    moved: dict[str, tuple[int, ...]]
    offset: dict[str, int]
    count: int

    def moved_sizes(self, relation: str) -> tuple[int, ...]:
        return tuple(self.shapes[relation][k] for k in self.moved[relation])

    def kept_sizes(self, relation: str) -> tuple[int, ...]:
        return tuple(self.shapes[relation][k] for k in self.kept[relation])


def _layout(heads: Sequence[str], moves: Sequence[_Move], shapes: Mapping[str, tuple[int, ...]]) -> _Layout | None:
    handed = [(move, _handed_on(move)) for move in moves]
    kept = {name: set(range(len(shapes[name]))) for name in heads}
    growing = True
    while growing:
        growing = False
        for move, pairs in handed:
            head, body = kept[move.rule.head], kept[move.atom.relation]
            good = {(k, j) for k, j in pairs if k in head and j in body}
            for mine, left in ((head, {k for k, _ in good}), (body, {j for _, j in good})):
                if mine - left:
                    mine &= left
                    growing = True
    order = _ordered(heads, handed, kept)
    if order is None or len({tuple(shapes[name][k] for k in order[name]) for name in heads}) > 1:
        return None
    moved = {name: tuple(k for k in range(len(shapes[name])) if k not in kept[name]) for name in heads}
    offset, count = {}, 0
    for name in heads:
        offset[name] = count
        count += math.prod(shapes[name][k] for k in moved[name])
    if max(count, math.prod(shapes[heads[0]][k] for k in order[heads[0]])) >= _MOST_KEYS:
        return None
    return _Layout(shapes, order, moved, offset, count)


def _handed_on(move: _Move) -> set[tuple[int, int]]:
    """(k, j) where argument k of the head is argument j of the atom, and nothing else asks what it is."""
    names = [name for term in (*move.rule.terms, *move.atom.terms) for name in value_variables(term)]
    names += [name for literal in move.rest for name in literal_variables(literal)]
    return {
        (k, j)
        for k, term in enumerate(move.rule.terms)
        for j, other in enumerate(move.atom.terms)
        if isinstance(term, Variable) and term == other and names.count(term.name) == 2
    }


def _ordered(
    heads: Sequence[str], handed: Sequence[tuple[_Move, set[tuple[int, int]]]], kept: Mapping[str, set[int]]
) -> dict[str, tuple[int, ...]] | None:
    """The kept arguments of each relation in one order; None where rules change their order on the way round."""
    found = {heads[0]: tuple(sorted(kept[heads[0]]))}
    while len(found) < len(heads):
        before = len(found)
        for move, pairs in handed:
            head, body = move.rule.head, move.atom.relation
            if head in found and body not in found:
                to_body = dict(pairs)
                found[body] = tuple(to_body[k] for k in found[head])
            elif body in found and head not in found:
                to_head = {j: k for k, j in pairs}
                found[head] = tuple(to_head[j] for j in found[body])
        if len(found) == before:
            return None
    for move, pairs in handed:
        to_body = dict(pairs)
        if tuple(to_body[k] for k in found[move.rule.head]) != found[move.atom.relation]:
            return None
    return found


# Edges -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Plan:
    """How the edges of a move are found."""

    move: _Move
    body: tuple[Literal, ...]
    positions: str | None  # "axis" or "seen": what the only variable of the atom may be, where no atom bounds it


def _body(move: _Move, layout: _Layout, setting: Setting) -> _Plan | None:
    head = [move.rule.terms[k] for k in layout.moved[move.rule.head]]
    tail = [move.atom.terms[j] for j in layout.moved[move.atom.relation]]
    needed = {name for term in (*head, *tail) for name in value_variables(term)}
    if guarded(move.rest, needed):
        return _Plan(move, move.rest, None)
    match tail:
        case [Variable(name)] if not any(isinstance(literal, Atom | Domain) for literal in move.rest):
            pass
        case _:
            return None
    bound = Atom(_POSITIONS, (Variable(name),))
    body = (bound, *move.rest)
    if not guarded(body, needed):
        return None
    made = any(isinstance(literal, Assignment) for literal in move.rest) or any(
        isinstance(term, Apply) for term in head
    )
    if not made and head == tail:
        return _Plan(move, body, "seen")
    size = setting.shapes[move.atom.relation][layout.moved[move.atom.relation][0]]
    return _Plan(move, body, "axis") if size <= _MOST_POSITIONS else None


def _nodes_of_bases(bases: Sequence[Rule], layout: _Layout, setting: Setting) -> Columns:
    """The nodes that base rules give, and the numbers of what is kept beside them."""
    nodes, kept = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for rule in bases:
        shape = layout.shapes[rule.head]
        if shape:
            columns = setting.columns(rule.terms, rule.body, shape, rule, {})
            count = len(columns[0])
        else:
            columns, count = (), _holds(rule, setting)
        nodes.append(_node(rule.head, [columns[k] for k in layout.moved[rule.head]], count, layout))
        kept.append(_packed([columns[k] for k in layout.kept[rule.head]], layout.kept_sizes(rule.head), count))
    return np.concatenate(nodes), np.concatenate(kept)


def _holds(rule: Rule, setting: Setting) -> int:
    # One column that is always 0: bodies of rules without arguments are asked like all others.
    return min(1, len(setting.columns([Constant(0)], rule.body, [1], rule, {})[0]))


def _edges(plans: Sequence[_Plan], nodes: np.ndarray, layout: _Layout, setting: Setting) -> Columns:
    sources, targets = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    # Rules that only hand a position on run last, over the positions that the others know.
    for plan in sorted(plans, key=lambda plan: plan.positions == "seen"):
        rule, atom = plan.move.rule, plan.move.atom
        tail, head = layout.moved[atom.relation], layout.moved[rule.head]
        sizes = layout.moved_sizes(atom.relation) + layout.moved_sizes(rule.head)
        terms: list[Value] = [atom.terms[j] for j in tail] + [rule.terms[k] for k in head]
        more: dict[str, Tuples] = {}
        if plan.positions is not None:
            every = np.arange(sizes[0])
            if plan.positions == "seen":
                every = _seen(np.concatenate((nodes, *sources, *targets)), layout, sizes[0])
            more[_POSITIONS] = Tuples([every], sizes[:1], ordered=True)
        columns = setting.columns(terms or [Constant(0)], plan.body, sizes or (1,), rule, more)
        count = len(columns[0])
        sources.append(_node(atom.relation, columns[: len(tail)], count, layout))
        targets.append(_node(rule.head, columns[len(tail) : len(tail) + len(head)], count, layout))
    return np.concatenate(sources), np.concatenate(targets)


def _seen(nodes: np.ndarray, layout: _Layout, size: int) -> np.ndarray:
    """The positions below `size` that nodes of relations with one moved argument stand for."""
    parts = [np.empty(0, np.int64)]
    for name, moved in layout.moved.items():
        if len(moved) == 1:
            low = layout.offset[name]
            high = low + min(size, layout.moved_sizes(name)[0])
            parts.append(nodes[(nodes >= low) & (nodes < high)] - low)
    return _distinct(np.concatenate(parts))


def _node(relation: str, columns: Sequence[np.ndarray], count: int, layout: _Layout) -> np.ndarray:
    return _packed(columns, layout.moved_sizes(relation), count) + layout.offset[relation]


def _packed(columns: Sequence[np.ndarray], sizes: Sequence[int], count: int) -> np.ndarray:
    found = np.zeros(count, np.int64)
    for column, size in zip(columns, sizes, strict=True):
        found *= size
        found += column
    return found


def _unpacked(keys: np.ndarray, sizes: Sequence[int]) -> list[np.ndarray]:
    found: list[np.ndarray] = []
    for size in reversed(sizes[1:]):
        keys, column = np.divmod(keys, size)
        found.insert(0, column)
    return [keys, *found] if sizes else []


# Search ------------------------------------------------------------------------------------------


def _searched(own: Columns, edges: Columns, layout: _Layout, setting: Setting) -> tuple[dict[str, Tuples], str] | None:
    used = len(own[0]) + 2 * len(edges[0])
    names = None
    (seeds, kept), (sources, targets), count = own, edges, layout.count
    if count > max(8 * used, 1 << 18):
        names = np.unique(np.concatenate((seeds, sources, targets)))
        seeds, sources, targets = (np.searchsorted(names, part) for part in (seeds, sources, targets))
        count = len(names)
    values = _distinct(kept)
    if not any(layout.kept.values()) or len(values) == 1:
        nodes = np.flatnonzero(reachable(count, sources, targets, seeds))
        columns, ordered, storage = np.zeros(len(nodes), np.int64), True, "breadth first"
    else:
        pairs = unions(count, (targets, sources), (seeds, np.searchsorted(values, kept)), len(values), setting.room)
        if pairs is None:
            return None
        nodes, columns, ordered, storage = pairs.nodes, pairs.columns, pairs.ordered, pairs.storage
    nodes = nodes if names is None else names[nodes]
    relations = {}
    for name in layout.kept:
        low = layout.offset[name]
        high = low + math.prod(layout.moved_sizes(name))
        here: slice | np.ndarray
        if ordered:
            here = slice(*np.searchsorted(nodes, (low, high)))
        else:
            here = np.flatnonzero((nodes >= low) & (nodes < high))
        relations[name] = _tuples(name, nodes[here] - low, values[columns[here]], ordered, layout)
    several = f" over {len(relations)} relations" if len(relations) > 1 else ""
    return relations, f"graph search{several}: {storage}"


def _distinct(keys: np.ndarray) -> np.ndarray:
    keys = np.sort(keys)
    return keys[np.concatenate(([True], keys[1:] != keys[:-1]))[: len(keys)]]


def _tuples(name: str, nodes: np.ndarray, kept: np.ndarray, ordered: bool, layout: _Layout) -> Tuples:
    shape, order = layout.shapes[name], layout.moved[name] + layout.kept[name]
    columns = _unpacked(nodes, layout.moved_sizes(name)) + _unpacked(kept, layout.kept_sizes(name))
    placed = dict(zip(order, columns, strict=True))
    in_order = ordered and order == tuple(sorted(order))
    return Tuples([placed[k] for k in range(len(shape))], shape, count=len(nodes), ordered=in_order)
