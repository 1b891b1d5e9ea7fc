"""Rules of one stratum whose shape has a better algorithm than rounds of joins: `special` finds and runs them.

P(x, z) <- E(x, z)                     transitive closures: left-linear, right-linear, not linear, from both
P(x, z) <- P(x, y), E(y, z)            sides, symmetric; with base rules and edges of any body

Reach(x) <- Start(x)                   graph searches: relations that need each other by one atom at a time,
Reach(y) <- Reach(x), Edge(x, y)       with arguments that stay as they are or none (`search.py`)

S(x, y) <- P(x, p), P(y, p)            same generation over a forest (`generations.py`)
S(x, y) <- P(x, p), S(p, q), P(y, q)   and any recursion at both sides along paths that end (`sides.py`)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fuse_ref.records import dataclass
from fuse_ref.relations.generations import same_generation
from fuse_ref.relations.rules import Atom, Denial, Literal, Rule, Value, Variable, literal_variables
from fuse_ref.relations.search import search
from fuse_ref.relations.setting import Columns, Setting, guarded
from fuse_ref.relations.sides import both_sides
from fuse_ref.relations.tuples import Tuples
from fuse_ref.relations.unions import unions

__all__ = ["Special", "special"]


@dataclass(frozen=True, slots=True)
class Special:
    """What a special algorithm found.

    Attributes:
        relations: of every head of the stratum.
        algorithm: its name, for the plan: "transitive closure: 100 components, bit-packed rows".
    """

    relations: dict[str, Tuples]
    algorithm: str


def special(stratum: Sequence[Rule], setting: Setting) -> Special | None:
    """The relations of `stratum` by an algorithm made for its shape; None where none fits exactly.

    Args:
        stratum: all rules of relations that need each other.
    """
    heads = {rule.head for rule in stratum}
    recursive = [any(name in heads for name in _reads(rule.body)) for rule in stratum]
    if not any(recursive):
        return None
    bases = [rule for rule, again in zip(stratum, recursive, strict=True) if not again]
    steps = [rule for rule, again in zip(stratum, recursive, strict=True) if again]
    for attempt in (_closure, same_generation, both_sides, search):
        found = attempt(bases, steps, setting)
        if found is not None:
            return Special(*found)
    return None


def _reads(body: Sequence[Literal]) -> list[str]:
    atoms = [literal.atom if isinstance(literal, Denial) else literal for literal in body]
    return [atom.relation for atom in atoms if isinstance(atom, Atom)]


# Transitive closures -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Step:
    """What a recursive rule of a closure does: at most one of these."""

    left: tuple[Literal, ...] = ()  # P(x, z) <- left(x, y), P(y, z)
    right: tuple[Literal, ...] = ()  # P(x, z) <- P(x, y), right(y, z)
    ends: tuple[Value, Value] | None = None  # the variables that `left` or `right` joins
    square: bool = False  # P(x, z) <- P(x, y), P(y, z)
    symmetric: bool = False  # P(x, z) <- P(z, x)


def _closure(bases: Sequence[Rule], steps: Sequence[Rule], setting: Setting) -> tuple[dict[str, Tuples], str] | None:
    (name, *others) = {rule.head for rule in (*bases, *steps)}
    if others or len(setting.shapes[name]) != 2 or not bases:
        return None
    shape = setting.shapes[name]
    parts = [_step(rule, name) for rule in steps]
    if any(part is None for part in parts):
        return None
    known = [part for part in parts if part is not None]
    square, symmetric = any(part.square for part in known), any(part.symmetric for part in known)
    if (square or symmetric) and shape[0] != shape[1]:
        return None
    base = _joined([setting.columns(rule.terms, rule.body, shape, rule, {}) for rule in bases])
    lefts: list[Columns] = []
    rights: list[Columns] = []
    for rule, part in zip(steps, known, strict=True):
        if part.ends is not None:
            side, size, body = (lefts, shape[0], part.left) if part.left else (rights, shape[1], part.right)
            side.append(setting.columns(part.ends, body, (size, size), rule, {}))
    left, right = _joined(lefts), _joined(rights)
    if symmetric:
        base = _joined([base, base[::-1]])
        left, right = _joined([*lefts, right[::-1]]), _joined([*rights, left[::-1]])
    found = _composed(left, base, right, square, shape, setting)
    if found is None:
        return None
    tuples, storage = found
    kind = "symmetric and transitive" if symmetric and square else "symmetric" if symmetric else "transitive"
    return {name: tuples}, f"{kind} closure: {storage}"


def _step(rule: Rule, name: str) -> _Step | None:
    match rule.terms:
        case (Variable(x), Variable(z)) if x != z:
            pass
        case _:
            return None
    own = [literal for literal in rule.body if isinstance(literal, Atom) and literal.relation == name]
    rest = tuple(literal for literal in rule.body if literal not in own)
    ends = [[term.name if isinstance(term, Variable) else "" for term in atom.terms] for atom in own]
    if any(not a or not b or a == b for a, b in ends):
        return None
    match ends:
        case [[a, b]] if not rest and (a, b) in {(z, x), (x, z)}:
            return _Step(symmetric=(a, b) == (z, x))
        case [[a, b], [c, d]] if not rest and len({a, b, c, d}) == 3:
            chain = ((a, b, d) if b == c else (c, d, b)) if b == c or d == a else None
            return _Step(square=True) if chain is not None and (chain[0], chain[2]) == (x, z) else None
        case [[a, y]] if a == x and y != z and x not in _names(rest) and guarded(rest, (y, z)):
            return _Step(right=rest, ends=(Variable(y), Variable(z)))
        case [[y, b]] if b == z and y != x and z not in _names(rest) and guarded(rest, (x, y)):
            return _Step(left=rest, ends=(Variable(x), Variable(y)))
        case _:
            return None


def _names(body: Sequence[Literal]) -> set[str]:
    return {name for literal in body for name in literal_variables(literal)}


def _joined(parts: Sequence[Columns]) -> Columns:
    filled = [part for part in parts if len(part[0])]
    if len(filled) == 1:
        return filled[0]
    nothing = np.empty(0, np.int32)
    return tuple(np.concatenate([nothing, *(part[k] for part in filled)]) for k in range(2))


def _same(a: Columns, b: Columns) -> bool:
    return all(first is second or np.array_equal(first, second) for first, second in zip(a, b, strict=True))


_Found = tuple[Tuples, str] | None


def _composed(
    left: Columns, base: Columns, right: Columns, square: bool, shape: tuple[int, ...], setting: Setting
) -> _Found:
    """left* base right*, and where `square` its transitive closure."""
    if square:
        left, right = (part if len(part[0]) and not _same(part, base) else part[:0] for part in (left, right))
        if left and right:
            inner = _composed(left, base, right, False, shape, setting)
            if inner is None:
                return None
            base = inner[0].columns
            left = right = ()
        if right:
            return _from_right(base, _joined([base, right]), shape, setting)
        return _from_left(_joined([base, left]) if left else base, base, shape, setting)
    if not len(left[0]) and (_same(base, right) or not len(right[0])):
        # base base* is read either way round, and this way round the result is in order.
        return _from_left(right, base, shape, setting)
    if not len(right[0]):
        return _from_left(left, base, shape, setting)
    found = _from_right(base, right, shape, setting)
    if found is None or not len(left[0]):
        return found
    return _from_left(left, found[0].columns, shape, setting)


def _from_left(edges: Columns, base: Columns, shape: tuple[int, ...], setting: Setting) -> _Found:
    """All (x, z) with base(y, z) and a path from x to y."""
    (sources, targets, nodes), names = _numbered((*edges, base[0]), shape[0])
    (own,), columns = _numbered((base[1],), shape[1])
    size, width = shape[0] if names is None else len(names), shape[1] if columns is None else len(columns)
    pairs = unions(size, (sources, targets), (nodes, own), width, setting.room)
    if pairs is None:
        return None
    found = [pairs.nodes if names is None else names[pairs.nodes]]
    found.append(pairs.columns if columns is None else columns[pairs.columns])
    return Tuples(found, shape, ordered=pairs.ordered), pairs.storage


def _from_right(base: Columns, edges: Columns, shape: tuple[int, ...], setting: Setting) -> _Found:
    """All (x, z) with base(x, y) and a path from y to z."""
    found = _from_left(edges[::-1], base[::-1], shape[::-1], setting)
    if found is None:
        return None
    tuples, storage = found
    return Tuples(tuples.columns[::-1], shape), storage


def _numbered(parts: Columns, size: int) -> tuple[Columns, np.ndarray | None]:
    """The same positions, numbered anew in the same order where most of the axis is not used."""
    used = sum(map(len, parts))
    if size <= 4 * used:
        return parts, None
    names = np.unique(np.concatenate(parts))
    return tuple(np.searchsorted(names, part) for part in parts), names
