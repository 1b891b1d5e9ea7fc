"""Answers to queries: `Y?`, `Z[1, j]?`."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fuse_ref.evaluate.relation import Row, Symbols
from fuse_ref.ir.index import Affine, FromEnd, Index, SliceIndex, Symbol
from fuse_ref.ir.nodes import Query
from fuse_ref.mistakes import mistake

__all__ = ["Answer", "answer"]


@dataclass(frozen=True, eq=False, repr=False)
class Answer:
    """What a query found.

    Attributes:
        text: the query.
        variables: its distinct variables, in order of appearance.
        values: of a numeric query the array, one dimension per variable; None for a Boolean one.
    """

    text: str
    variables: tuple[str, ...]
    values: np.ndarray | None
    _found: np.ndarray  # the values, or of a Boolean query the truth values, one dimension per variable
    _ranges: tuple[range, ...]  # the positions that the dimensions stand for
    _symbols: tuple[Symbols, ...]  # one per variable

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """One tuple per match: the variables' symbols or positions, and of a numeric query the value last.

        A ground query has one row, or none where it does not hold.
        """
        rows: list[Row] = []
        for cell in itertools.product(*(range(len(positions)) for positions in self._ranges)):
            value = self._found[cell].item()
            if self.values is None and not value:
                continue
            names = tuple(
                _named(positions[k], table)
                for k, positions, table in zip(cell, self._ranges, self._symbols, strict=True)
            )
            rows.append(names if self.values is None else (*names, value))
        return tuple(rows)

    def __len__(self) -> int:
        return int(np.count_nonzero(self._found)) if self.values is None else self._found.size

    def __bool__(self) -> bool:
        return len(self) > 0

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __repr__(self) -> str:
        return f"Answer({self.text!r}, {len(self)} row{'s' * (len(self) != 1)})"

    def __str__(self) -> str:
        rows = [", ".join(map(str, row)) or "yes" for row in self.rows] or ["no"]
        return "\n".join([self.text, *(f"  {row}" for row in rows)])


def _named(position: int, symbols: Symbols) -> str | int:
    return symbols[position] if symbols is not None and position < len(symbols) else position


def answer(
    query: Query, array: np.ndarray, boolean: bool, axes: tuple[str, ...], symbols: Mapping[str, Symbols]
) -> Answer:
    """The answer to `query` where its tensor is `array`, with axes `axes`.

    Raises:
        AxisError: a constant position beyond the array.
        RouteError: an index form that queries do not take yet.
    """
    variables: dict[str, tuple[range, Symbols]] = {}
    picks: list[tuple[str, range] | int] = []
    missing = False
    for index, size, axis in zip(query.target.indices, array.shape, axes, strict=True):
        pick = _pick(index, size, axis, query, symbols.get(axis))
        if pick is None:
            missing, pick = True, 0
        if not isinstance(pick, int):
            name, positions = pick
            known = variables.get(name)
            if known is None or len(positions) < len(known[0]):
                variables[name] = (positions, symbols.get(axis))
        picks.append(pick)
    names = tuple(variables)
    ranges = tuple(variables[name][0] for name in names)
    found = _gathered(array, picks, names, ranges)
    if missing:
        # An unknown symbol means no rows.
        ranges = tuple(range(0) for _ in names) or (range(0),)
        found = np.zeros((0,) * len(ranges), array.dtype)
        names = names or ("",)
    tables = tuple(variables[name][1] if name else None for name in names)
    return Answer(query.text, names, None if boolean else found, found, ranges, tables)


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
    array: np.ndarray, picks: list[tuple[str, range] | int], names: tuple[str, ...], ranges: tuple[range, ...]
) -> np.ndarray:
    index: list[np.ndarray] = []
    for pick in picks:
        if isinstance(pick, int):
            index.append(np.array(pick))
            continue
        k = names.index(pick[0])
        line = np.array(ranges[k], np.int64)
        index.append(line.reshape([-1 if d == k else 1 for d in range(len(names))]))
    if array.size == 0:
        return np.zeros(tuple(len(positions) for positions in ranges), array.dtype)
    return np.asarray(array[tuple(index)])
