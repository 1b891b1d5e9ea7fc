"""Linear recursion that goes on at both sides: `S(x, y) <- L(x, p), S(p, q), R(q, y)`, as in the same generation.

Where L has no cycle every row of S is made once, after the rows that it needs: the rows of one depth are a Boolean
product of sparse matrices, and what R makes of a row is found once for all that read it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from fuse_ref.relations.graphs import Graph, gathered, levels
from fuse_ref.relations.rules import Atom, Literal, Rule, Variable, literal_variables
from fuse_ref.relations.setting import Columns, Setting, guarded
from fuse_ref.relations.tuples import Tuples

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["both_sides"]

_DEEP: Final = 2000  # depths, a few products each
_MOST: Final = 1 << 26  # positions of an axis, for each of which some numbers are held


def both_sides(bases: Sequence[Rule], steps: Sequence[Rule], setting: Setting) -> tuple[dict[str, Tuples], str] | None:
    """The relation of `bases` and one step of this shape; None where neither L nor R is without cycles."""
    if len(steps) != 1 or not bases or any(rule.head != steps[0].head for rule in bases):
        return None
    (step,) = steps
    found = _sides(step)
    shape = setting.shapes[step.head]
    if found is None or max(shape) > _MOST:
        return None
    (x, p, left), (y, q, right) = found
    outer = setting.columns((Variable(x), Variable(p)), left, (shape[0],) * 2, step, {})
    inner = setting.columns((Variable(y), Variable(q)), right, (shape[1],) * 2, step, {})
    parts = [setting.columns(rule.terms, rule.body, shape, rule, {}) for rule in bases]
    nothing = np.empty(0, np.int32)
    base = tuple(np.concatenate([nothing, *(part[k] for part in parts)]) for k in range(2))
    used = sum(len(part[0]) for part in (outer, inner, base))
    if max(shape) > max(8 * used, 1 << 16):
        return None
    for turned in (False, True):
        above, beside, first, sizes = (inner, outer, base[::-1], shape[::-1]) if turned else (outer, inner, base, shape)
        depth = levels(sizes[0], above[0], above[1], _DEEP)
        if depth is not None:
            columns = _rows(depth, above, beside, first, sizes, setting)
            made = Tuples(columns[::-1] if turned else columns, shape)
            return {
                step.head: made
            }, f"recursion at both sides: {int(depth.max(initial=0)) + 1} products of sparse rows"
    return None


_Side = tuple[str, str, tuple[Literal, ...]]


def _sides(rule: Rule) -> tuple[_Side, _Side] | None:
    own = [literal for literal in rule.body if isinstance(literal, Atom) and literal.relation == rule.head]
    match rule.terms, [atom.terms for atom in own]:
        case (Variable(x), Variable(y)), [(Variable(p), Variable(q))] if len({x, y, p, q}) == 4:
            pass
        case _:
            return None
    rest = [literal for literal in rule.body if literal is not own[0]]
    reached = {x, p}
    left: list[Literal] = []
    growing = True
    while growing:
        found = [literal for literal in rest if reached & set(literal_variables(literal))]
        growing = len(found) > len(left)
        left = found
        reached.update(name for literal in left for name in literal_variables(literal))
    right = [literal for literal in rest if literal not in left]
    if reached & {y, q} or not guarded(left, (x, p)) or not guarded(right, (y, q)):
        return None
    return (x, p, tuple(left)), (y, q, tuple(right))


@dataclass(slots=True)
class _Lists:
    """Rows of positions that are added one set of rows after the other."""

    start: np.ndarray  # (n,) where the row begins
    number: np.ndarray  # (n,) how long it is
    held: np.ndarray  # positions; those from `filled` on are not in use yet
    filled: int = 0

    @classmethod
    def of(cls, n: int) -> _Lists:
        return cls(np.zeros(n, np.int64), np.zeros(n, np.int64), np.empty(1024, np.int32))

    def add(self, rows: np.ndarray, matrix: csr_array) -> None:
        self.start[rows] = self.filled + matrix.indptr[:-1]
        self.number[rows] = np.diff(matrix.indptr)
        if self.filled + matrix.nnz > len(self.held):
            grown = np.empty(max(self.filled + matrix.nnz, len(self.held) * 3 // 2), np.int32)
            grown[: self.filled] = self.held[: self.filled]
            self.held = grown
        self.held[self.filled : self.filled + matrix.nnz] = matrix.indices
        self.filled += matrix.nnz

    def of_rows(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How long each of `rows` is, and what they hold."""
        number = self.number[rows]
        found: np.ndarray = self.held[gathered(self.start[rows], number)]
        return number, found


def _rows(
    depth: np.ndarray, above: Columns, beside: Columns, base: Columns, sizes: tuple[int, ...], setting: Setting
) -> list[np.ndarray]:
    n, width = sizes
    parents, first = Graph.of(n, *above), Graph.of(n, *base)
    children = _matrix(np.bincount(beside[1], minlength=width), Graph.of(width, beside[1], beside[0]).targets, width)
    is_read = np.zeros(n, np.bool_)
    is_read[above[1]] = True
    found, spread = _Lists.of(n), _Lists.of(n)
    for rows in _by_depth(depth, parents, first):
        # What the rows have themselves and what those above have are united in one product.
        leads, upper = _out(parents, rows)
        needed, place = np.unique(upper, return_inverse=True)
        lengths, columns = spread.of_rows(needed)
        own_lengths, own = _out(first, rows)
        stacked = _matrix(np.concatenate((lengths, own_lengths)), np.concatenate((columns, own)), width)
        which = np.insert(place, np.cumsum(leads), len(needed) + np.arange(len(rows)))
        made = _matrix(leads + 1, which, len(needed) + len(rows)) @ stacked
        setting.room((found.filled + spread.filled + made.nnz) * 8)
        found.add(rows, made)
        again = np.flatnonzero(is_read[rows])
        if len(again):
            spread.add(rows[again], made[again] @ children)
    del spread
    rows = np.flatnonzero(found.number)
    number, columns = found.of_rows(rows)
    return [np.repeat(rows.astype(np.int32), number), columns]


def _by_depth(depth: np.ndarray, parents: Graph, first: Graph) -> Iterator[np.ndarray]:
    used = np.flatnonzero((np.diff(parents.start) > 0) | (np.diff(first.start) > 0))
    order = used[np.argsort(depth[used].astype(np.int16), kind="stable")]
    ends = np.flatnonzero(np.diff(depth[order])) + 1
    yield from (part for part in np.split(order, ends) if len(part))


def _out(graph: Graph, nodes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return graph.start[nodes + 1] - graph.start[nodes], graph.successors(nodes)


def _matrix(lengths: np.ndarray, columns: np.ndarray, width: int) -> csr_array:
    from scipy.sparse import csr_array

    kind = np.int32 if max(width, len(columns)) < 2**31 else np.int64
    start = np.zeros(len(lengths) + 1, kind)
    np.cumsum(lengths, out=start[1:])
    return csr_array((np.ones(len(columns), np.bool_), columns.astype(kind), start), shape=(len(lengths), width))
