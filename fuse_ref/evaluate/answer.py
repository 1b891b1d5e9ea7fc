"""Answers to queries: `Y?`, `Z[1, j]?`."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np

from fuse_ref.evaluate.relation import Row, Symbols, named
from fuse_ref.ir.index import Affine, FromEnd, Index, SliceIndex, Symbol
from fuse_ref.ir.nodes import Query
from fuse_ref.mistakes import mistake
from fuse_ref.records import dataclass
from fuse_ref.relations.tuples import Tuples

__all__ = ["Answer", "answer"]


@dataclass(frozen=True, eq=False, repr=False)
class Answer:
    """What a query found.

    Attributes:
        text: the query.
        variables: its distinct variables, in order of appearance.
        values: of a numeric query the array, one dimension per variable; None for a Boolean one.
        positions: of a Boolean query (count, variables) int64, in order; None for a numeric one.
    """

    text: str
    variables: tuple[str, ...]
    values: np.ndarray | None
    positions: np.ndarray | None
    _ranges: tuple[Sequence[int], ...]  # the positions that the dimensions of `values` stand for
    _symbols: tuple[Symbols, ...]  # one per variable

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """One tuple per match: the variables' symbols or positions, and of a numeric query the value last.

        A ground query has one row, or none where it does not hold.
        """
        if self.positions is not None:
            return tuple(named(position, self._symbols) for position in self.positions.tolist())
        assert self.values is not None
        rows: list[Row] = []
        for cell in itertools.product(*(range(len(positions)) for positions in self._ranges)):
            places = [positions[k] for k, positions in zip(cell, self._ranges, strict=True)]
            rows.append((*named(places, self._symbols), self.values[cell].item()))
        return tuple(rows)

    def __len__(self) -> int:
        if self.positions is not None:
            return len(self.positions)
        assert self.values is not None
        return self.values.size

    def __bool__(self) -> bool:
        return len(self) > 0

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __repr__(self) -> str:
        return f"Answer({self.text!r}, {len(self)} row{'s' * (len(self) != 1)})"

    def __str__(self) -> str:
        rows = [", ".join(map(str, row)) or "yes" for row in self.rows] or ["no"]
        return "\n".join([self.text, *(f"  {row}" for row in rows)])


def answer(
    query: Query,
    value: np.ndarray | Tuples,
    boolean: bool,
    axes: tuple[str, ...],
    symbols: Mapping[str, Symbols],
) -> Answer:
    """The answer to `query` where its tensor is `value`, with axes `axes`.

    Of a relation only tuples are looked at, never the whole domain.

    Raises:
        AxisError: a constant position beyond the array.
        RouteError: an index form that queries do not take yet.
    """
    variables: dict[str, tuple[Sequence[int], Symbols]] = {}
    picks: list[_Pick | int] = []
    missing = False
    for index, size, axis in zip(query.target.indices, value.shape, axes, strict=True):
        pick = _pick(index, size, axis, query, symbols.get(axis))
        if pick is None:
            missing, pick = True, 0
        if isinstance(pick, int):
            picks.append(pick)
            continue
        name, positions = pick
        table, known = symbols.get(axis), variables.get(name)
        same = None
        if known is not None and table != known[1]:
            # Axes that no equation joins number their symbols each by itself.
            same = _translation(known[1], table, max(known[0], default=-1) + 1)
            variables[name] = ([k for k in known[0] if same[k] >= 0], known[1])
        elif known is None or len(positions) < len(known[0]):
            variables[name] = (positions, table)
        picks.append(_Pick(name, positions, same))
    names = tuple(variables)
    ranges = tuple(variables[name][0] for name in names)
    tables = tuple(variables[name][1] for name in names)
    if boolean:
        tuples = value if isinstance(value, Tuples) else Tuples.from_dense(value)
        found = np.empty((0, len(names)), np.int64) if missing else _selected(tuples, picks, names)
        return Answer(query.text, names, None, found, ranges, tables)
    assert isinstance(value, np.ndarray)
    if missing:
        # An unknown symbol means no rows.
        ranges = tuple(range(0) for _ in names) or (range(0),)
        names, tables = names or ("",), tables or (None,)
        return Answer(query.text, names, np.zeros((0,) * len(ranges), value.dtype), None, ranges, tables)
    return Answer(query.text, names, _gathered(value, picks, names, ranges), None, ranges, tables)


@dataclass(frozen=True, slots=True)
class _Pick:
    """A variable of a query at one argument.

    Attributes:
        same: positions of the variable's first argument -> those of this one with the same symbol, or -1;
            None where they are the same.
    """

    name: str
    positions: range
    same: np.ndarray | None


def _translation(first: Symbols, second: Symbols, size: int) -> np.ndarray:
    """For `size` positions on an axis with the symbols `first`, where the axis with those of `second` has each, or -1."""
    numbers = {} if second is None else {name: k for k, name in enumerate(second)}
    found = np.full(size, -1, np.int64)
    for k, name in enumerate((first or ())[:size]):
        found[k] = numbers.get(name, -1)
    return found


def _selected(tuples: Tuples, picks: list[_Pick | int], names: tuple[str, ...]) -> np.ndarray:
    """The positions of the variables in the tuples that fit."""
    fits = np.ones(len(tuples), np.bool_)
    found: dict[str, np.ndarray] = {}
    for column, pick in zip(tuples.columns, picks, strict=True):
        if isinstance(pick, int):
            fits &= column == pick
            continue
        name, positions = pick.name, pick.positions
        if name in found:
            fits &= column == (found[name] if pick.same is None else pick.same[found[name]])
        found.setdefault(name, column)
        if positions.start or positions.step != 1 or len(positions) < tuples.shape[0]:
            fits &= (column >= positions.start) & (column < positions.stop)
            fits &= (column - positions.start) % positions.step == 0
    if not names:
        return np.empty((int(fits.any()), 0), np.int64)
    # A tuple is told apart by the variables alone: what else it has is constant.
    columns = [found[name][fits] for name in names]
    return Tuples.of(columns, [int(column.max(initial=-1)) + 1 for column in columns]).positions


def _pick(index: Index, size: int, axis: str, query: Query, table: Symbols) -> tuple[str, range] | int | None:
    """The positions of one index: a variable with its range, one position, or None for an unknown symbol."""
    match index:
        case Affine(terms=()):
            position = index.offset
        case FromEnd(distance=distance):
            position = size - distance
        case Symbol(name=name):
            return table.index(name) if table is not None and name in table else None
        case SliceIndex(variable=variable, start=start, stop=stop, step=step):
            return variable, range(size)[slice(start, stop, step)]
        case Affine() if index.variable is not None:
            return index.variable, range(size)
        case _:
            reason = "its indices must be variables, constants or slices"
            raise mistake("FUSE212", query.span, query=query.text, reason=reason)
    if not 0 <= position < size:
        has = f"has the positions 0 to {size - 1}" if size else "is empty"
        raise mistake("FUSE306", query.span, cure="", value=position, name=query.text, axis=axis, has=has)
    return position


def _gathered(
    array: np.ndarray, picks: list[_Pick | int], names: tuple[str, ...], ranges: tuple[Sequence[int], ...]
) -> np.ndarray:
    index: list[np.ndarray] = []
    for pick in picks:
        if isinstance(pick, int):
            index.append(np.array(pick))
            continue
        k = names.index(pick.name)
        line = np.array(ranges[k], np.int64)
        if pick.same is not None:
            line = pick.same[line]
        index.append(line.reshape([-1 if d == k else 1 for d in range(len(names))]))
    if array.size == 0:
        return np.zeros(tuple(len(positions) for positions in ranges), array.dtype)
    return np.asarray(array[tuple(index)])
