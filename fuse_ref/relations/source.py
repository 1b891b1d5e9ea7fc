"""What rules read: relations that stay as they are, and those that grow round by round, with their indexes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from typing import Final, Protocol, TypeVar

import numpy as np

from fuse_ref.records import dataclass
from fuse_ref.relations.index import Index, Presence, without_repeats
from fuse_ref.relations.keys import BATCH, KeySet, Packing, distinct
from fuse_ref.relations.tuples import Tuples

__all__ = ["Access", "Growing", "Source", "Still", "Window"]

_OFTEN: Final = 8  # fixed positions of one column, from which on its tuples are grouped by it
LARGE: Final = 1 << 18  # tuples that are sorted into an index part by part
_T = TypeVar("_T")


class Window(Enum):
    """Which tuples of a growing relation."""

    ALL = "all"  # of a relation that does not grow meanwhile
    OLD = "old"  # found before the last round
    NEW = "new"  # found in the last round
    BOTH = "both"  # old and new, not those of this round


@dataclass(frozen=True, slots=True)
class Access:
    """How an atom reads a relation."""

    keys: tuple[int, ...]  # columns whose positions are given
    payload: tuple[int, ...]  # columns that are read; other columns match anything
    equal: tuple[tuple[int, int], ...] = ()  # columns with the same position
    fixed: tuple[tuple[int, int], ...] = ()  # columns and the position that they have


class Source(Protocol):
    """A relation as rules read it."""

    shape: tuple[int, ...]

    def count(self, window: Window) -> int: ...

    def kinds(self, column: int) -> int:
        """How many positions a column has, about."""

    def unique(self, column: int) -> bool:
        """Whether no two tuples have one position in a column, now and later."""

    def indexes(self, access: Access, window: Window) -> Sequence[Index]:
        """Together they hold the tuples, each once."""

    def presences(self, access: Access, window: Window) -> Sequence[Presence]: ...

    @property
    def nbytes(self) -> int: ...


class Still:
    """A relation that does not change."""

    def __init__(self, tuples: Tuples) -> None:
        self.tuples = tuples
        self.shape = tuples.shape
        self._indexes: dict[Access, Index] = {}
        self._presences: dict[Access, Presence] = {}
        self._kinds: dict[int, int] = {}
        self._unique: dict[int, bool] = {}
        self._asked: Counter[int] = Counter()  # per column, with how many fixed positions it was read
        self._rows: dict[int, Index] = {}  # of columns that are read so often

    def count(self, window: Window) -> int:
        return len(self.tuples)

    def kinds(self, column: int) -> int:
        if column not in self._kinds:
            self._kinds[column] = _kinds(self.tuples.columns[column], self.shape[column])
        return self._kinds[column]

    def unique(self, column: int) -> bool:
        if column not in self._unique:
            values = self.tuples.columns[column]
            # A part of them tells it mostly.
            self._unique[column] = all(
                len(part) <= self.shape[column] and len(distinct(part.astype(np.int64))) == len(part)
                for part in (values[: 1 << 10], values)
            )
        return self._unique[column]

    def indexes(self, access: Access, window: Window) -> Sequence[Index]:
        if access not in self._indexes:
            columns, count = self._chosen(access)
            used = (*access.keys, *access.payload)
            if len(set(used)) < len(self.shape) - len(access.equal) - len(access.fixed):
                sizes = [self.shape[k] for k in used]
                fewer = without_repeats([columns[k] for k in used], sizes, count)
                count = len(fewer[0]) if used else min(count, 1)
                columns = dict(zip(used, fewer, strict=True))
            self._indexes[access] = _index(access, columns, self.shape, count)
        return (self._indexes[access],)

    def presences(self, access: Access, window: Window) -> Sequence[Presence]:
        if access not in self._presences:
            columns, count = self._chosen(access)
            self._presences[access] = Presence(
                [columns[k] for k in access.keys], [self.shape[k] for k in access.keys], count
            )
        return (self._presences[access],)

    def _chosen(self, access: Access) -> tuple[dict[int, np.ndarray], int]:
        columns, count = self.tuples.columns, len(self.tuples)
        if access.fixed:
            column, position = access.fixed[0]
            part: slice | np.ndarray | None = None
            if column == 0 and self.tuples.ordered:
                part = slice(*(int(place) for place in np.searchsorted(columns[0], (position, position + 1))))
            elif self._asked[column] >= _OFTEN:
                if column not in self._rows:
                    rows = np.arange(count)
                    self._rows[column] = Index([columns[column]], [self.shape[column]], [rows], count)
                if not 0 <= position < self.shape[column]:
                    part = slice(0, 0)
                else:
                    start, end = self._rows[column].bounds(self._rows[column].places([np.array([position])], 1))
                    part = self._rows[column].payload[0][int(start[0]) : int(end[0])]
            self._asked[column] += 1
            if part is not None:
                columns = tuple(values[part] for values in columns)
                count = len(columns[0])
        return _equal(columns, count, access)

    @property
    def nbytes(self) -> int:
        return sum(index.nbytes for index in (*self._indexes.values(), *self._rows.values())) + sum(
            presence.nbytes for presence in self._presences.values()
        )


class Growing:
    """A relation that rules define, as long as they find more.

    Its tuples stand in the order in which they were found, as keys. A round's windows are stretches of them, and
    an access has an index for each of some stretches, each less than half as long as the one before it: what is
    sorted in a round follows the new tuples.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        self.shape = tuple(shape)
        self.packing = Packing(shape)
        self.keys = KeySet(self.packing.space, low=self.packing.low)
        self._old = 0  # tuples found before the last round
        self._seen = 0  # tuples found before this round
        self._columns: tuple[int, int, list[np.ndarray]] = (0, 0, [])
        self._indexes: dict[Access, list[tuple[int, int, Index]]] = {}
        self._kinds: dict[int, tuple[int, int]] = {}  # how many tuples there were, and how many positions
        self._news: dict[Access, tuple[tuple[int, int], Index]] = {}
        self._presences: dict[Access, list[tuple[int, int, Presence]]] = {}

    def begin(self, tuples: Tuples, settled: int) -> None:
        """Begins with tuples of which the first `settled` are not new."""
        count = len(tuples)
        self.keys.make_room(2 * count)
        for start in range(0, count, BATCH):  # packed part by part: there may be many
            part = [column[start : start + BATCH] for column in tuples.columns]
            self.keys.append(self.packing.pack(part, min(BATCH, count - start)))
        self.keys.enter()
        self._old = self._seen = settled

    def advance(self) -> int:
        """Begins a round: what has been found since the last one began is new; its number."""
        self._old, self._seen = self._seen, self.keys.count
        return self._seen - self._old

    def span(self, window: Window) -> tuple[int, int]:
        match window:
            case Window.OLD:
                return 0, self._old
            case Window.NEW:
                return self._old, self._seen
            case _:
                return 0, self._seen

    def count(self, window: Window) -> int:
        start, end = self.span(window)
        return end - start

    def kinds(self, column: int) -> int:
        if column in self._kinds and self._kinds[column][0] > self._seen // 2:
            return self._kinds[column][1]
        part = self.packing.columns(self.keys.keys[: self._seen : max(self._seen >> 12, 1)])
        kinds = _guessed(part[column], self._seen, self.shape[column])
        self._kinds[column] = self._seen, kinds
        return kinds

    def unique(self, column: int) -> bool:
        return False

    def columns(self, start: int, end: int) -> list[np.ndarray]:
        """Of a stretch of the tuples; those of the new ones are kept for a round."""
        if (start, end) != (self._old, self._seen):
            return self.packing.columns(self.keys.keys[start:end])
        if self._columns[:2] != (start, end) or not self._columns[2]:
            self._columns = (start, end, self.packing.columns(self.keys.keys[start:end]))
        return self._columns[2]

    def tuples(self) -> Tuples:
        """All that was found."""
        return Tuples(self.packing.columns(self.keys.keys), self.shape, count=self.keys.count)

    def finished(self) -> Tuples:
        """All that was found; nothing is looked up any more."""
        self._indexes.clear()
        self._presences.clear()
        self._news.clear()
        self._columns = (0, 0, [])
        self.keys.close()
        return self.tuples()

    def indexes(self, access: Access, window: Window) -> Sequence[Index]:
        if window is Window.NEW:
            return (self._index(access, *self.span(window)),)
        return self._stretches(
            self._indexes.setdefault(access, []), window, lambda a, b: self._index(access, a, b), Index.merged
        )

    def presences(self, access: Access, window: Window) -> Sequence[Presence]:
        def build(start: int, end: int) -> Presence:
            columns, count = _equal(self.columns(start, end), end - start, access)
            return Presence([columns[k] for k in access.keys], [self.shape[k] for k in access.keys], count)

        return self._stretches(self._presences.setdefault(access, []), window, build)

    @property
    def nbytes(self) -> int:
        return (
            self.keys.nbytes
            + sum(index.nbytes for stretches in self._indexes.values() for _, _, index in stretches)
            + sum(presence.nbytes for stretches in self._presences.values() for _, _, presence in stretches)
        )

    def _index(self, access: Access, start: int, end: int) -> Index:
        if (start, end) != self.span(Window.NEW):
            return self._made(access, start, end)
        # What is new is read as such and as the last stretch of all.
        if access not in self._news or self._news[access][0] != (start, end):
            self._news[access] = ((start, end), self._made(access, start, end))
        return self._news[access][1]

    def _made(self, access: Access, start: int, end: int) -> Index:
        if end - start > LARGE and len(access.payload) == 1 and not access.equal and not access.fixed:
            found = Index.of_parts(
                lambda: self._parts(access, start, end), [self.shape[k] for k in access.keys], end - start
            )
            if found is not None:
                return found
        columns, count = _equal(self.columns(start, end), end - start, access)
        return _index(access, columns, self.shape, count)

    def _parts(self, access: Access, start: int, end: int) -> Iterator[tuple[list[np.ndarray], np.ndarray]]:
        # Each part is gone through with all groups.
        size = max(LARGE >> 1, math.prod(self.shape[k] for k in access.keys) >> 2)
        for first in range(start, end, size):
            columns = self.packing.columns(self.keys.keys[first : min(first + size, end)])
            yield [columns[k] for k in access.keys], columns[access.payload[0]]

    def _stretches(
        self,
        known: list[tuple[int, int, _T]],
        window: Window,
        build: Callable[[int, int], _T],
        merged: Callable[[Sequence[_T]], _T | None] | None = None,
    ) -> list[_T]:
        """What `build` gives for stretches that together are the window.

        Args:
            merged: gives the same from what there is for neighbouring stretches, or None where it cannot.
        """
        start, end = self.span(window)
        if start == end:
            return []
        reached = known[-1][1] if known else 0
        if reached <= self._old:
            # Each stretch is to be more than twice as long as all behind it. The last was new in the round before.
            least = len(known) - (1 if known and reached == self._old else 0)
            begin = known[least][0] if least < len(known) else reached
            while least and known[least - 1][1] - known[least - 1][0] <= 2 * (self._old - begin):
                least -= 1
                begin = known[least][0]
            parts = [item for _, _, item in known[least:]]
            if len(parts) > 1 or reached < self._old:
                whole: _T | None = None
                if parts and merged is not None:
                    whole = merged(parts if reached == self._old else [*parts, build(reached, self._old)])
                del known[least:], parts
                known.append((begin, self._old, build(begin, self._old) if whole is None else whole))
        if end > self._old and (not known or known[-1][1] < end):
            known.append((self._old, end, build(self._old, end)))
        return [item for first, last, item in known if start <= first and last <= end]


def _equal(columns: Sequence[np.ndarray], count: int, access: Access) -> tuple[dict[int, np.ndarray], int]:
    """The columns that an access uses, of the tuples in which columns are as it says."""
    used = {*access.keys, *access.payload}
    if not access.equal and not access.fixed:
        return {k: columns[k] for k in used}, count
    same = np.ones(count, np.bool_)
    for column, position in access.fixed:
        same &= columns[column] == position
    for one, other in access.equal:
        same &= columns[one] == columns[other]
    places = np.flatnonzero(same)
    return {k: columns[k].take(places) for k in used}, len(places)


def _index(access: Access, columns: dict[int, np.ndarray], shape: tuple[int, ...], count: int) -> Index:
    return Index(
        [columns[k] for k in access.keys],
        [shape[k] for k in access.keys],
        [columns[k] for k in access.payload],
        count,
    )


def _kinds(column: np.ndarray, size: int) -> int:
    """Different positions of a column, about: counted in a part of it where it is long."""
    count = len(column)
    if size <= max(count, 1 << 16) and count <= 1 << 22:
        return int(np.count_nonzero(np.bincount(column)))
    return _guessed(column[:: max(count >> 12, 1)], count, size)


def _guessed(part: np.ndarray, count: int, size: int) -> int:
    """Different positions of `count` of which `part` are some."""
    line = np.sort(part)
    kinds = 1 + int(np.count_nonzero(line[1:] != line[:-1]))
    # Where most of the part occur once, so do most of all.
    return min(size, kinds if kinds < len(part) // 2 else count * kinds // max(len(part), 1))
