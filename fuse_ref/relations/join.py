"""Working a plan off: bindings of variables as columns, block by block, each block small enough for the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias, assert_never

import numpy as np

from fuse_ref.relations.index import Index, sparse_is_loaded
from fuse_ref.relations.keys import Packing, distinct
from fuse_ref.relations.product import products
from fuse_ref.relations.rules import Value, Variable
from fuse_ref.relations.source import Source
from fuse_ref.relations.steps import Bind, Check, Compare, Distinct, Expand, Plan, Solve, Span, Step, Test, Within
from fuse_ref.relations.tuples import position_type
from fuse_ref.relations.values import Numbers

__all__ = ["Join"]

BLOCK: Final = 1 << 16  # bindings that are worked off together, at most
GATHER: Final = 1 << 19  # bindings that are gathered before a product, which finds more of them equal
FIRST_GATHER: Final = 1 << 18  # and before the first one, which seldom comes
PRODUCT: Final = 1 << 13  # bindings for which a product is worth its start
FIRST_PRODUCT: Final = 1 << 20  # and for which it is worth the import of SciPy
_Columns: TypeAlias = dict[str, np.ndarray]
_Bindings: TypeAlias = tuple[_Columns, int]  # the columns of some variables, and how many bindings there are


class Join:
    """A plan, with what it has learnt about its data.

    Args:
        terms: of the head.
        shape: of the head.
        every: whether equal bindings are given as often as they are found, for who counts them.
    """

    def __init__(
        self,
        plan: Plan,
        terms: Sequence[Value],
        shape: Sequence[int],
        sources: Mapping[str, Source],
        numbers: Numbers,
        *,
        every: bool = False,
    ) -> None:
        self.plan = plan
        self._every = every
        self._terms = tuple(terms)
        self._shape = tuple(shape)
        self._sources = sources
        self._numbers = numbers
        # Per `Distinct` step: bindings that came and that stayed.
        self._came = [0] * len(plan.steps)
        self._stayed = [0] * len(plan.steps)
        self._gathers = {} if every else _gathers(plan.steps)
        # Per step done as a product: how often, and the bindings that came and those that were different.
        self._tried: dict[Expand, tuple[int, int, int]] = {}

    def run(self, emit: Callable[[list[np.ndarray], int], None]) -> None:
        """Gives `emit` the columns of head tuples, block by block; tuples may come more than once."""
        steps = self.plan.steps
        levels = [_Level(0, iter([({}, 1)]))]
        while levels:
            level = levels[-1]
            number = level.number
            block = next(level.blocks, None)
            if block is not None:
                columns, count = block
            elif level.gathered:
                number = level.gathers
                columns, count = level.taken()
            else:
                levels.pop()
                continue
            gathered = block is None
            while count and number < len(steps):
                step = steps[number]
                if number in self._gathers and not gathered and self._worth_gathering(number):
                    if level.gather(columns, count, number) < (GATHER if sparse_is_loaded() else FIRST_GATHER):
                        break
                    columns, count = level.taken()
                gathered = gathered and number not in self._gathers
                number += 1
                if isinstance(step, Expand | Span):
                    levels.append(_Level(number, self._expanded(step, columns, count)))
                    break
                columns, count = self._kept(step, columns, count)
            else:
                if count:
                    emit(*self._head(columns, count))

    def _worth_gathering(self, number: int) -> bool:
        step = self._gathers[number]
        times, before, after = self._tried.get(step, (0, 0, 0))
        return times < 2 or before > 1.5 * after

    def _head(self, columns: _Columns, count: int) -> tuple[list[np.ndarray], int]:
        found: list[np.ndarray] = []
        inside: Any = None
        for term, size, sure in zip(self._terms, self._shape, self.plan.inside, strict=True):
            value = columns[term.name] if isinstance(term, Variable) else self._numbers.value(term, columns)
            column = _whole(value, count)
            if not sure:
                fits = (column >= 0) & (column < size)
                inside = fits if inside is None else inside & fits
            found.append(column)
        if inside is not None and not inside.all():
            places = np.flatnonzero(inside)
            return [column.take(places) for column in found], len(places)
        return found, count

    def _kept(self, step: Step, columns: _Columns, count: int) -> _Bindings:
        """After a step that adds no bindings."""
        match step:
            case Test():
                return _chosen(columns, count, self._fitting(step, columns, count), step.keep)
            case Compare(literal, keep):
                truth = self._numbers.compare(literal.operator, literal.left, literal.right, columns)
                return _chosen(columns, count, truth, keep)
            case Bind(name, value, keep):
                found = _whole(self._numbers.value(value, columns), count)
                return {name: found, **{other: columns[other] for other in keep}}, count
            case Check(name, value, keep):
                found = _whole(self._numbers.value(value, columns), count)
                return _chosen(columns, count, columns[name] == found, keep)
            case Solve(name, known, value, keep):
                zero, one = np.zeros(count, np.int64), np.ones(count, np.int64)
                start = self._numbers.value(value, {**columns, name: zero})
                slope = self._numbers.value(value, {**columns, name: one}) - start
                number, rest = np.divmod(columns[known] - start, slope)
                return _chosen({**columns, name: number}, count, (rest == 0) & (number >= 0), (*keep, name))
            case Within(name, length, keep):
                column = columns[name]
                return _chosen(columns, count, (column >= 0) & (column < self._numbers.length(length)), keep)
            case Distinct():
                return self._distinct(step, columns, count)
            case Expand() | Span():
                raise AssertionError("steps that add bindings are worked off elsewhere")
            case _:
                assert_never(step)

    def _distinct(self, step: Distinct, columns: _Columns, count: int) -> _Bindings:
        came, stayed = self._came[step.number], self._stayed[step.number]
        if came > 4 * BLOCK and stayed > 0.9 * came:
            return columns, count
        places = distinct(Packing(step.sizes).pack([columns[name] for name in step.names], count))
        self._came[step.number] += count
        self._stayed[step.number] += len(places)
        if len(places) == count:
            return columns, count
        return {name: columns[name].take(places) for name in step.keep}, len(places)

    def _fitting(self, step: Test, columns: _Columns, count: int) -> np.ndarray:
        source = self._sources[step.relation]
        keys, inside = self._keys(step.keys, step.guards, step.access.keys, source, columns, count)
        found = np.zeros(count, np.bool_)
        if inside is not None and not inside.any():
            return ~found if step.absent else found
        for presence in source.presences(step.access, step.window):
            found |= presence.find(keys, count)
        if inside is not None:
            found &= inside
        return ~found if step.absent else found

    def _keys(
        self,
        terms: Sequence[Variable],
        guards: Sequence[int],
        places: Sequence[int],
        source: Source,
        columns: _Columns,
        count: int,
    ) -> tuple[list[np.ndarray], np.ndarray | None]:
        """The key columns of a lookup, and where all of them are positions of their axes (None: everywhere)."""
        found: list[np.ndarray] = []
        inside: np.ndarray | None = None
        for k, (term, place) in enumerate(zip(terms, places, strict=True)):
            column = columns[term.name]
            if k in guards:
                fits = (column >= 0) & (column < source.shape[place])
                if not fits.all():
                    inside = fits if inside is None else inside & fits
                    column = np.where(fits, column, 0)
            found.append(column)
        return found, inside

    def _expanded(self, step: Expand | Span, columns: _Columns, count: int) -> Iterator[_Bindings]:
        if isinstance(step, Span):
            size = self._numbers.length(step.length)
            line = np.arange(size, dtype=position_type(size))
            index = Index((), (), (line,), size)
            yield from _continued(
                index, (step.name,), step.keep, columns, np.zeros(count, np.int64), np.full(count, size, np.int64)
            )
            return
        source = self._sources[step.relation]
        keys, inside = self._keys(step.keys, step.guards, step.access.keys, source, columns, count)
        if inside is not None:
            if not inside.any():
                return
            places = np.flatnonzero(inside)
            keys = [key.take(places) for key in keys]
            columns = {name: columns[name].take(places) for name in step.keep}
            count = len(places)
        product = not self._every and len(step.keep) == 1 and len(step.binds) == 1 and len(columns) > 1
        for index in source.indexes(step.access, step.window):
            places = index.places(keys, count)
            starts, ends = index.bounds(places)
            if product and self._repeats(step, int(ends.sum(dtype=np.int64) - starts.sum(dtype=np.int64))):
                yield from self._multiplied(step, columns[step.keep[0]], places, index)
            else:
                yield from _continued(index, step.binds, step.keep, columns, starts, ends)

    def _repeats(self, step: Expand, work: int) -> bool:
        """Whether a step is better done as a product: bindings come many times over, as far as is known."""
        size = self._sources[step.relation].shape[step.access.payload[0]]
        tried = self._tried.get(step, (0, 0, 0))
        if work < max(size // 2, PRODUCT if sparse_is_loaded() else FIRST_PRODUCT):
            return False
        return tried[1] > 1.5 * tried[2] or tried[0] < 2

    def _multiplied(self, step: Expand, rows: np.ndarray, places: np.ndarray, index: Index) -> Iterator[_Bindings]:
        size = self._sources[step.relation].shape[step.access.payload[0]]
        for row, position, came in products(rows, places, index, size):
            times, before, after = self._tried.get(step, (0, 0, 0))
            self._tried[step] = times + 1, before + came, after + len(row)
            yield {step.keep[0]: row, step.binds[0]: position}, len(row)


class _Level:
    """Blocks that one step gives, and what has been gathered of them for a later step."""

    __slots__ = ("blocks", "gathered", "gathers", "number", "rows")

    def __init__(self, number: int, blocks: Iterator[_Bindings]) -> None:
        self.number = number  # of the step that comes next
        self.blocks = blocks
        self.gathers = 0  # the step that it is gathered for
        self.gathered: list[_Bindings] = []
        self.rows = 0

    def gather(self, columns: _Columns, count: int, number: int) -> int:
        self.gathers = number
        self.gathered.append((columns, count))
        self.rows += count
        return self.rows

    def taken(self) -> _Bindings:
        """All that was gathered."""
        parts, count = self.gathered, self.rows
        self.gathered, self.rows = [], 0
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([columns[name] for columns, _ in parts]) for name in parts[0][0]}, count


def _gathers(steps: Sequence[Step]) -> dict[int, Expand]:
    """Steps before which blocks are gathered, since they, or what follows them, may be done as a product."""
    found: dict[int, Expand] = {}
    for number, step in enumerate(steps[1:], 1):
        if isinstance(step, Expand) and len(step.keep) == 1 and len(step.binds) == 1 and step.keys:
            found[number - isinstance(steps[number - 1], Distinct)] = step
    return found


def _continued(
    index: Index, binds: Sequence[str], keep: Sequence[str], columns: _Columns, starts: np.ndarray, ends: np.ndarray
) -> Iterator[_Bindings]:
    """Every binding with each of its tuples, starts[k] to ends[k] of the index, in blocks."""
    if len(starts) > 2 * BLOCK:
        for first in range(0, len(starts), BLOCK):
            part = slice(first, first + BLOCK)
            some = {name: columns[name][part] for name in keep}
            yield from _continued(index, binds, keep, some, starts[part], ends[part])
        return
    if len(starts) == 1:
        for start in range(int(starts[0]), int(ends[0]), BLOCK):
            count = min(BLOCK, int(ends[0]) - start)
            found = {name: values[start : start + count] for name, values in zip(binds, index.payload, strict=True)}
            for name in keep:
                found[name] = np.repeat(columns[name], count)
            yield found, count
        return
    counts = ends - starts
    if index.most <= 1:
        places = np.flatnonzero(counts)
        if len(places):
            rows = starts.take(places)
            found = {name: values.take(rows) for name, values in zip(binds, index.payload, strict=True)}
            for name in keep:
                found[name] = columns[name].take(places)
            yield found, len(places)
        return
    upto = np.cumsum(counts, dtype=np.int64)
    total = int(upto[-1])
    for low in range(0, total, BLOCK):
        high = min(low + BLOCK, total)
        # Bindings first to last - 1 have tuples between low and high.
        first = int(np.searchsorted(upto, low, "right")) if low else 0
        last = int(np.searchsorted(upto, high, "left")) + 1
        part = counts[first:last].astype(np.int64)
        offset = starts[first:last] - (upto[first:last] - part)
        part[0] = min(int(upto[first]), high) - low
        if last - first > 1:
            part[-1] -= int(upto[last - 1]) - high
        rows = np.repeat(np.arange(first, last), part)
        place = np.arange(low, high) + np.repeat(offset, part)
        found = {name: values.take(place) for name, values in zip(binds, index.payload, strict=True)}
        for name in keep:
            found[name] = columns[name].take(rows)
        yield found, high - low


def _chosen(columns: _Columns, count: int, truth: Any, keep: Sequence[str]) -> _Bindings:
    """The bindings for which something is true."""
    if np.ndim(truth) == 0:
        return ({name: columns[name] for name in keep}, count) if truth else ({}, 0)
    places = np.flatnonzero(truth)
    if len(places) == count:
        return {name: columns[name] for name in keep}, count
    return {name: columns[name].take(places) for name in keep}, len(places)


def _whole(value: Any, count: int) -> np.ndarray:
    """(count,) whole numbers."""
    column = np.asarray(value)
    if column.dtype.kind not in "iu":
        column = column.astype(np.int64)
    return column if column.ndim else np.full(count, column, np.int64)
