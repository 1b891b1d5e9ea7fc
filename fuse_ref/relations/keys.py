"""Tuples as whole numbers: packing columns into one int64 key, and telling equal keys apart quickly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from fuse_ref.records import dataclass
from fuse_ref.relations.tuples import position_type

__all__ = ["BATCH", "KeySet", "Packing", "distinct", "spread"]

# A batch of this many keys stays in the cache while it is looked up.
BATCH: Final = 1 << 16
FLAGS: Final = 1 << 16  # as many flags are quicker than a hash table, however few of them are set
_KEY_BITS: Final = 62
_CACHED: Final = 21  # bits of a table that stays in the cache
_NUMBER_BITS: Final = 31  # of the numbers that a KeySet gives: there is no memory for more
# Odd, and its bits are without pattern (the golden ratio in 64 bits): Knuth, The Art of Computer Programming 3, 6.4.
_FACTOR: Final = np.uint64(0x9E3779B97F4A7C15)
_STRIDE: Final = np.uint64(0xD1B54A32D192ED03)


def _where(truth: np.ndarray) -> np.ndarray:
    # What np.flatnonzero does, without its overhead.
    return truth.nonzero()[0]


def spread(keys: np.ndarray, bits: int, low: int = 0) -> np.ndarray:
    """A number below 2**bits for each key, alike for equal keys.

    Keys that differ in their `low` last bits alone get numbers as far apart as the keys: what is looked up together
    lies together in memory. Otherwise numbers are without pattern.
    """
    high = (keys >> low if low else keys).view(np.uint64)
    mixed = high ^ (high >> np.uint64(29))
    mixed *= _FACTOR
    mixed >>= np.uint64(64 - bits)
    numbers = mixed.view(np.int64)
    if low:
        numbers += keys & ((1 << low) - 1)
        numbers &= (1 << bits) - 1
    return numbers


def _onward(slots: np.ndarray, keys: np.ndarray, bits: int) -> np.ndarray:
    """The slots after `slots` for keys that found theirs taken: a stride of their own, odd, so that it meets all."""
    strides = keys.view(np.uint64) * _STRIDE
    strides >>= np.uint64(64 - bits)
    strides |= np.uint64(1)
    return (slots + strides.view(np.int64)) & ((1 << bits) - 1)


def distinct(keys: np.ndarray) -> np.ndarray:
    """The places of one key of each kind, ascending.

    Keys write their place into a table at a number that their value gives; who then reads another key there has
    lost the place to it and tries another table. Equal keys always meet, so that all but one of them go.
    """
    count = len(keys)
    if count < 2:
        return np.arange(count)
    if count <= 64:
        return np.sort(np.unique(keys, return_index=True)[1])
    bits = max(8, count.bit_length())
    owner = np.empty(1 << bits, np.int32 if count < 1 << 31 else np.int64)
    places: np.ndarray | None = None  # all at first
    found: list[np.ndarray] = []
    salt = 0
    left = keys
    while len(left):
        slots = spread(left if salt == 0 else left ^ np.int64(salt), bits)
        own = np.arange(len(left), dtype=owner.dtype)
        owner[slots] = own
        winner: np.ndarray = owner.take(slots)
        won = _where(winner == own)
        found.append(won if places is None else places.take(won))
        if len(won) == len(left):
            break
        others = _where(left.take(winner) != left)
        places = others if places is None else places.take(others)
        left = left.take(others)
        salt = (salt * 2 + 0x5851F42D) & 0x3FFFFFFFFFFFFFFF
    if len(found) == 1:
        return found[0]
    chosen = np.zeros(count, np.bool_)
    for won in found:
        chosen[won] = True
    return _where(chosen)


class KeySet:
    """A growing set of int64 keys, numbered in the order in which they came.

    Args:
        space: all keys are below it.

    The keys stand in `keys[:count]`. Whether a key is there is told by one flag for each key that there could be,
    where these are few or many of them are there, else by a hash table of numbers (open addressing).
    """

    __slots__ = ("_bits", "_flags", "_keys", "_low", "_numbered", "_space", "_table", "count", "entered")

    def __init__(self, space: int, *, numbered: bool = False, low: int = 0) -> None:
        self._space = space
        self._low = low  # bits: see `spread`
        self._numbered = numbered  # whether `find` is called: flags tell no numbers
        self._keys = np.empty(1024, np.int64)
        self.count = 0
        self.entered = 0  # how many of them are found again
        self._flags: np.ndarray | None = None
        self._table: np.ndarray | None = None
        self._bits = 0
        if not numbered and space <= FLAGS:
            self._flags = np.zeros(space, np.bool_)
        else:
            self._make_table(11)

    @property
    def keys(self) -> np.ndarray:
        """A view, (count,) int64; the next `add` may move them."""
        return self._keys[: self.count]

    @property
    def form(self) -> str:
        """How it is told whether a tuple is there."""
        return "one flag per possible tuple" if self._flags is not None else "a hash table"

    @property
    def nbytes(self) -> int:
        """Bytes in use."""
        table = self._flags if self._flags is not None else self._table
        return 8 * self.count + (0 if table is None else table.nbytes)

    def bytes_with(self, more: int, *, entered: bool = True) -> int:
        """Bytes in use once there are `more` keys."""
        count = self.count + more
        if not entered:
            return self.nbytes + 8 * more
        if self._flags is not None:
            return 8 * count + self._flags.nbytes
        bits = self._bits
        while count > _capacity(bits):
            bits += 1
        return 8 * count + (4 << bits)

    def add(self, candidates: np.ndarray) -> int:
        """Adds those that are not there yet; the number of them. Some may stand twice in `candidates`."""
        before = self.count
        for start in range(0, len(candidates), BATCH):
            batch = candidates[start : start + BATCH]
            if self._flags is not None:
                self._add_by_flags(batch, self._flags)
            else:
                self._add_by_table(batch)
        return self.count - before

    def enter(self) -> None:
        """Sees to it that keys are found which were appended to a set that had none."""
        self.entered = self.count
        if self._flags is not None:
            self._flags[self.keys] = True
        else:
            self._grow(self.count)

    def make_room(self, more: int) -> None:
        """Holds memory for so many more keys, so that they need not be moved."""
        self._make_room(more)

    def append(self, fresh: np.ndarray) -> int:
        """Adds keys that are known to be distinct and not there, without an entry: they are not found again."""
        self._make_room(len(fresh))
        self._keys[self.count : self.count + len(fresh)] = fresh
        self.count += len(fresh)
        return len(fresh)

    def close(self) -> None:
        """Forgets what tells whether a key is there; the keys stay."""
        self._table = self._flags = None

    def contains(self, candidates: np.ndarray) -> np.ndarray:
        """(len(candidates),) bool."""
        if self._flags is not None:
            return self._flags.take(candidates)
        return self.find(candidates) >= 0

    def find(self, candidates: np.ndarray) -> np.ndarray:
        """The number of each candidate, -1 where it is not there; (len(candidates),) int64."""
        found = np.empty(len(candidates), np.int64)
        for start in range(0, len(candidates), BATCH):
            self._find(candidates[start : start + BATCH], found[start : start + BATCH])
        return found

    def _find(self, keys: np.ndarray, found: np.ndarray) -> None:
        table = self._table
        assert table is not None
        slots = spread(keys, self._bits, self._low)
        places: np.ndarray | None = None
        while len(keys):
            number = table.take(slots)
            # A free slot holds -1, which takes the last key of the buffer: whether it is equal does not matter.
            other = _where((self._keys.take(number, mode="wrap") != keys) & (number >= 0))
            if places is None:
                found[:] = number
            else:
                found[places] = number
            if not len(other):
                return
            places = other if places is None else places.take(other)
            keys = keys.take(other)
            slots = _onward(slots.take(other), keys, self._bits)

    def _add_by_flags(self, batch: np.ndarray, flags: np.ndarray) -> None:
        new = batch.take(_where(~flags.take(batch)))
        if len(new):
            new = new.take(distinct(new))
            flags[new] = True
            self.append(new)
            self.entered += len(new)

    def _add_by_table(self, batch: np.ndarray) -> None:
        if self.count + len(batch) > _capacity(self._bits):
            batch = batch.take(_where(self.find(batch) < 0))
            batch = batch.take(distinct(batch))
            if self.count + len(batch) > _capacity(self._bits):
                self._grow(self.count + len(batch))
                if self._flags is not None:
                    self._add_by_flags(batch, self._flags)
                    return
        self._enter(batch)

    def _grow(self, count: int) -> None:
        self._table = None
        if not self._numbered and self._space <= 16 * count:
            self._flags = np.zeros(self._space, np.bool_)
            self._flags[self.keys] = True
            return
        bits = self._bits
        while count > _capacity(bits):
            bits += 1
        self._make_table(bits)
        for start in range(0, self.count, BATCH):
            self._place(self.keys[start : start + BATCH], start)

    def _place(self, keys: np.ndarray, start: int) -> None:
        """Enters distinct keys, numbered from `start`, into a table that has none of them."""
        table = self._table
        assert table is not None
        slots = spread(keys, self._bits, self._low)
        numbers = np.arange(start, start + len(keys), dtype=table.dtype)
        while True:
            free = _where(table.take(slots) < 0)
            table[slots.take(free)] = numbers.take(free)
            left = _where(table.take(slots) != numbers)
            if not len(left):
                return
            numbers, keys = numbers.take(left), keys.take(left)
            slots = _onward(slots.take(left), keys, self._bits)

    def _make_table(self, bits: int) -> None:
        self._bits = bits
        self._table = np.full(1 << bits, -1, np.int32)

    def _enter(self, keys: np.ndarray) -> None:
        table = self._table
        assert table is not None
        self._make_room(len(keys))
        slots = spread(keys, self._bits, self._low)
        while len(keys):
            number = table.take(slots)
            free = _where(number < 0)
            if len(free) < len(keys):
                other = _where((self._keys.take(number, mode="wrap") != keys) & (number >= 0))
                next_keys, next_slots = [keys.take(other)], [slots.take(other)]
                keys, slots = keys.take(free), slots.take(free)
            else:
                next_keys, next_slots = [], []
            # Whoever writes last has the slot; equal keys that lost are dropped, others go on.
            own = np.arange(len(keys), dtype=table.dtype)
            table[slots] = own
            winner = table.take(slots)
            won = _where(winner == own)
            if len(won) < len(keys):
                lost = _where(keys.take(winner) != keys)
                next_keys.append(keys.take(lost))
                next_slots.append(slots.take(lost))
                keys, slots = keys.take(won), slots.take(won)
            table[slots] = np.arange(self.count, self.count + len(keys), dtype=table.dtype)
            self._keys[self.count : self.count + len(keys)] = keys
            self.count += len(keys)
            self.entered += len(keys)
            if not next_keys:
                return
            keys = np.concatenate(next_keys) if len(next_keys) > 1 else next_keys[0]
            slots = np.concatenate(next_slots) if len(next_slots) > 1 else next_slots[0]
            slots = _onward(slots, keys, self._bits)

    def _make_room(self, more: int) -> None:
        needed = self.count + more
        if needed > len(self._keys):
            # Pages of the new buffer that nothing is written to cost no memory.
            longer = np.empty(max(needed, 4 * len(self._keys)), np.int64)
            longer[: self.count] = self.keys
            self._keys = longer


def _capacity(bits: int) -> int:
    # A quarter, or half, where the table is small enough to stay in the cache, as probes are few then. A larger one
    # is memory that counts, and each probe sees only the keys that the one before left: seven eighths of it.
    eighths = 2 if bits < _CACHED - 1 else 6 if bits < _CACHED else 4 if bits == _CACHED else 7
    return eighths << bits >> 3


class Packing:
    """Tuples of positions as one int64 each, in lexicographic order where the sizes take at most 63 bits.

    Wider tuples are packed step by step: what has been packed so far is numbered, and its number, below 2**31, is
    packed with the rest. Such numbers are given as tuples come.
    """

    __slots__ = ("_stages", "low", "shape", "space")

    def __init__(self, shape: Sequence[int]) -> None:
        self.shape = tuple(int(size) for size in shape)
        sizes = [max(size - 1, 0).bit_length() for size in self.shape]
        wide = sum(sizes) > _KEY_BITS
        self._stages: list[_Stage] = []
        total = 0
        for bits in sizes:
            own = KeySet(1 << 62, numbered=True) if wide and bits > _NUMBER_BITS else None
            bits = bits if own is None else _NUMBER_BITS
            before = KeySet(1 << 62, numbered=True) if total + bits > _KEY_BITS else None
            self._stages.append(_Stage(bits, own, before))
            total = bits + (total if before is None else _NUMBER_BITS)
        self.low = self._stages[-1].bits if len(self._stages) > 1 else 0  # bits of the last column
        # One axis needs no power of two.
        self.space = max(self.shape[0], 1) if len(self.shape) == 1 else 1 << total

    @property
    def plain(self) -> bool:
        """Whether keys need no numbers: then their order is that of the tuples."""
        return all(stage.own is None and stage.before is None for stage in self._stages)

    def pack(self, columns: Sequence[np.ndarray], count: int) -> np.ndarray:
        """(count,) int64; every position is inside of the shape."""
        if not columns:
            return np.zeros(count, np.int64)
        keys = np.zeros(0, np.int64)
        for k, (column, stage) in enumerate(zip(columns, self._stages, strict=True)):
            if stage.own is not None:
                column = _numbers(stage.own, column.astype(np.int64))
            if stage.before is not None:
                keys = _numbers(stage.before, keys)
            if k == 0:
                keys = column.astype(np.int64)  # a copy
            else:
                keys <<= stage.bits
                keys |= column
        return keys

    def columns(self, keys: np.ndarray) -> list[np.ndarray]:
        """The columns of packed tuples, each of `position_type`."""
        found = [np.empty(len(keys), position_type(size)) for size in self.shape]
        for start in range(0, len(keys), BATCH):
            part = slice(start, start + BATCH)
            rest = keys[part]
            for k in range(len(self.shape) - 1, 0, -1):
                stage = self._stages[k]
                column = rest & ((1 << stage.bits) - 1)
                found[k][part] = column if stage.own is None else stage.own.keys.take(column)
                rest = rest >> stage.bits
                if stage.before is not None:
                    rest = stage.before.keys.take(rest)
            if found:
                found[0][part] = rest if self._stages[0].own is None else self._stages[0].own.keys.take(rest)
        return found


@dataclass(frozen=True, slots=True)
class _Stage:
    """How one column enters a key."""

    bits: int  # that the column, or its number, takes
    own: KeySet | None  # numbers given to the positions of this column; None: they fit themselves
    before: KeySet | None  # numbers given to what has been packed before this column; None: it fits beside that


def _numbers(known: KeySet, keys: np.ndarray) -> np.ndarray:
    known.add(keys)
    return known.find(keys)
