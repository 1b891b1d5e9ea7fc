"""Indexes that are merged are those that would be made of all tuples, and full tables tell keys apart."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import numpy as np
import pytest

from fuse_ref.relations import index as module
from fuse_ref.relations import keys, source
from fuse_ref.relations.index import Index
from fuse_ref.relations.keys import KeySet, Packing
from fuse_ref.relations.source import Access, Growing, Window
from fuse_ref.relations.tuples import Tuples

Row = tuple[int, ...]


def _index(rows: Sequence[Row], sizes: Sequence[int], payload: int) -> Index:
    columns = list(np.array(rows, np.int32).reshape(len(rows), len(sizes) + payload).T)
    return Index(columns[: len(sizes)], sizes, columns[len(sizes) :], len(rows))


def _rows(choose: random.Random, count: int, sizes: Sequence[int], payload: int) -> list[Row]:
    return [(*map(choose.randrange, sizes), *(choose.randrange(1000) for _ in range(payload))) for _ in range(count)]


def _content(found: Index, asked: Sequence[Row]) -> dict[Row, list[Row]]:
    """Of each key the payload of its tuples, in their order."""
    places = found.places(list(np.array(asked, np.int32).reshape(len(asked), -1).T), len(asked))
    starts, ends = (part.tolist() for part in found.bounds(places))
    return {
        key: [tuple(int(column[k]) for column in found.payload) for k in range(start, end)]
        for key, start, end in zip(asked, starts, ends, strict=True)
    }


@pytest.mark.parametrize("batch", [1, 3, 1 << 17])
@pytest.mark.parametrize("sizes", [(1,), (7,), (6000,), (3, 5), (90, 80)])
@pytest.mark.parametrize("payload", [1, 2])
def test_merged_is_as_made_of_all(
    monkeypatch: pytest.MonkeyPatch, batch: int, sizes: tuple[int, ...], payload: int
) -> None:
    monkeypatch.setattr(module, "BATCH", batch)
    choose = random.Random(batch + sum(sizes))
    for counts in ((40, 3), (900, 0, 30, 1), (0, 2100)):  # with few tuples, groups of many possible keys are numbered
        several = [_rows(choose, count, sizes, payload) for count in counts]
        rows = [row for part in several for row in part]
        asked = list({row[: len(sizes)] for row in rows} | {tuple(size - 1 for size in sizes)})
        found = Index.merged([_index(part, sizes, payload) for part in several])
        if found is None:
            assert Packing(sizes).space > max(1 << 12, 8 * len(rows))
            continue
        assert found.count == len(rows)
        expected: dict[Row, list[Row]] = {key: [] for key in asked}
        for row in rows:
            expected[row[: len(sizes)]].append(row[len(sizes) :])
        assert _content(found, asked) == expected


def test_what_needs_the_tuples_is_not_merged() -> None:
    assert Index.merged([_index([(1, 2)], (10_000,), 1), _index([(1, 3)], (10_000,), 1)]) is None
    assert Index.merged([_index([(2,)], (), 1), _index([(3,)], (), 1)]) is None


@pytest.mark.parametrize("large", [8, 1 << 20])
@pytest.mark.parametrize("size", [1, 9, 300])
def test_windows_of_a_growing_relation(monkeypatch: pytest.MonkeyPatch, large: int, size: int) -> None:
    """What indexes give together is what was found in these rounds, however the stretches were merged."""
    monkeypatch.setattr(source, "LARGE", large)
    choose = random.Random(size)
    growing = Growing((size, 1 << 20))
    access = Access((0,), (1,))
    rounds: list[list[Row]] = [[]]
    number = 0
    for count in (0, 5, 1, 40, 2, 0, 300, 4, 1, 1, 20, 9):
        fresh: list[Row] = [(choose.randrange(size), number + k) for k in range(count)]
        number += count
        growing.keys.add(growing.packing.pack(list(np.array(fresh, np.int64).reshape(count, 2).T), count))
        growing.advance()
        rounds.append(fresh)
        if choose.random() < 0.3:  # the next round finds stretches that end before
            continue
        for window, expected in (
            (Window.NEW, rounds[-1]),
            (Window.BOTH, list(itertools.chain(*rounds))),
            (Window.OLD, list(itertools.chain(*rounds[:-1]))),
        ):
            indexes = growing.indexes(access, window)
            got = [
                (key, *rest) for part in indexes for (key,), some in _content(part, _all(size)).items() for rest in some
            ]
            assert sorted(got) == sorted(expected)
            assert window is Window.NEW or len(indexes) < 10


def _all(size: int) -> list[Row]:
    return [(key,) for key in range(size)]


@pytest.mark.parametrize("cached", [0, 20])
@pytest.mark.parametrize("numbered", [False, True])
def test_full_tables(monkeypatch: pytest.MonkeyPatch, cached: int, numbered: bool) -> None:
    monkeypatch.setattr(keys, "_CACHED", cached)
    monkeypatch.setattr(keys, "BATCH", 100)
    random_ = np.random.default_rng(cached)
    held = KeySet(1 << 40, numbered=numbered, low=3)
    known: set[int] = set()
    most = 0.0
    for _ in range(12):
        some = random_.integers(0, 1 << 40, 400)
        before, known = len(known), known | set(some.tolist())
        assert held.add(np.concatenate((some, some[:50]))) == len(known) - before
        assert held.count == len(known)
        assert set(held.keys.tolist()) == known
        assert held.contains(some).all()
        assert not held.contains(some ^ (1 << 41)).any()
        assert (held.keys[held.find(some)] == some).all()
        most = max(most, 4 * held.count / (held.nbytes - 8 * held.count))
    assert (most > 0.5) is (cached == 0)


@pytest.mark.parametrize("count", [1, 1 << 16, (1 << 16) + 1, 200_000])
@pytest.mark.parametrize("kind", [np.int32, np.int64])
def test_groups_without_scipy(monkeypatch: pytest.MonkeyPatch, count: int, kind: type[np.integer]) -> None:
    """Digit by digit, of one digit or two: places stand group by group as they came."""
    monkeypatch.setattr(module, "sparse_is_loaded", lambda: False)
    groups = np.random.default_rng(count).integers(0, count, 5000).astype(kind)
    order, bounds = module.grouped(groups, count)
    assert order.tolist() == np.argsort(groups, kind="stable").tolist()
    assert bounds.tolist() == np.searchsorted(np.sort(groups), np.arange(count + 1)).tolist()


def test_a_relation_begins_with_tuples_that_are_not_new(monkeypatch: pytest.MonkeyPatch) -> None:
    for flags in (0, 1 << 16):
        monkeypatch.setattr(keys, "FLAGS", flags)
        monkeypatch.setattr(source, "BATCH", 2)
        growing = Growing((9, 9))
        growing.begin(Tuples([np.array([1, 3, 5]), np.array([2, 4, 6])], (9, 9)), 2)
        assert growing.keys.add(growing.packing.pack([np.array([3, 5, 7]), np.array([4, 6, 8])], 3)) == 1
        assert growing.advance() == 2
        assert [growing.count(window) for window in (Window.OLD, Window.NEW, Window.BOTH)] == [2, 2, 4]
        assert [column.tolist() for column in growing.columns(2, 4)] == [[5, 7], [6, 8]]
