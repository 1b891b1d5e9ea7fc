"""Counting the tuples of a join instead of keeping them: block by block, or as bits that two rows have in common."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from fuse_ref.records import dataclass
from fuse_ref.relations import bits
from fuse_ref.relations.join import Join
from fuse_ref.relations.rules import Atom, Rule, Value, Variable
from fuse_ref.relations.source import Source, Still, Window
from fuse_ref.relations.steps import Distinct, Expand, Plan, Step, Test, reads
from fuse_ref.relations.values import Numbers

__all__ = ["copied", "count_tuples"]

_WORDS: Final = 4  # of bits that are compared in the time of one binding that is made and looked up, at least
_BITS: Final = 1 << 26  # bytes that rows of bits may take
_ROWS: Final = 1 << 17  # words of bits that are compared at once, about: they stay in the cache


@dataclass(frozen=True, slots=True)
class _Common:
    """The end of a plan that binds a variable by one relation and looks it up in another, for rows of bits."""

    first: np.ndarray  # (positions of `expand`'s key, words)
    second: np.ndarray  # (positions of the other key, words)
    keys: tuple[str, str]  # the variables of the two
    name: str  # of both relations, for the statistics


def count_tuples(
    plan: Plan,
    rule: Rule,
    columns: Sequence[int],
    shape: Sequence[int],
    sources: Mapping[str, Source],
    numbers: Numbers,
    check: Callable[[], None],
) -> tuple[np.ndarray, str] | None:
    """How many tuples a rule derives, by what they have in `columns` of its head; and how they were counted.

    None where the plan finds tuples more than once.

    Args:
        plan: of all the rule's variables.
        shape: of the head.
        check: is called now and then; raises where a limit is reached.

    Returns:
        (*sizes of `columns`) int64.
    """
    kept = [rule.terms[k] for k in columns]
    if not plan.once or not all(plan.inside) or not all(isinstance(term, Variable) for term in rule.terms):
        return None
    sizes = [shape[k] for k in columns]
    found = np.zeros(math.prod(sizes), np.int64)

    def add(values: Sequence[np.ndarray], count: int | np.ndarray) -> None:
        check()
        if not values:
            found[0] += count if isinstance(count, int) else count.sum()
            return
        place = values[0].astype(np.int64)
        for value, size in zip(values[1:], sizes[1:], strict=True):
            place *= size
            place += value
        # Sums of whole numbers below 2**53 are exact in float64.
        weights = None if isinstance(count, int) else count
        counted = np.bincount(place, weights, len(found))
        np.add(found, counted.astype(np.int64, copy=False), out=found)

    names = {term.name for term in kept if isinstance(term, Variable)}
    common = _common(plan.steps, names, sources)
    if common is None:
        steps = _with_less(plan.steps, names)
        Join(replace(plan, steps=steps, inside=(True,) * len(kept)), kept, sizes, sources, numbers, every=True).run(add)
        return found.reshape(sizes), "counted block by block"
    shared = common

    def compare(values: list[np.ndarray], count: int) -> None:
        *others, first, second = values
        height = max(1, _ROWS // max(1, shared.first.shape[1]))
        for start in range(0, count, height):
            part = slice(start, start + height)
            words = shared.first.take(first[part], axis=0)
            words &= shared.second.take(second[part], axis=0)
            if others:
                add([other[part] for other in others], bits.counts(words))
            else:
                add([], int(np.bitwise_count(words).sum(dtype=np.int64)))

    terms: list[Value] = [*kept, *map(Variable, shared.keys)]
    steps = _with_less(plan.steps[:-2], {*names, *shared.keys})
    inside = (True,) * len(terms)
    Join(Plan(steps, inside, once=False), terms, [0] * len(terms), sources, numbers, every=True).run(compare)
    return found.reshape(sizes), f"counted by bits that rows of {shared.name} have in common"


def _with_less(steps: Sequence[Step], names: set[str]) -> tuple[Step, ...]:
    """The steps without variables that are needed for nothing but the head's other terms."""
    found: list[Step] = []
    needed = set(names)
    for step in reversed(steps):
        keep = tuple(name for name in step.keep if name in needed)
        found.append(replace(step, keep=keep))
        needed |= reads(step)
    return tuple(reversed(found))


def _common(steps: Sequence[Step], names: set[str], sources: Mapping[str, Source]) -> _Common | None:
    """The end of a plan as rows of bits, where comparing these is cheaper than making bindings."""
    match steps:
        case [_, *_, Expand() as expand, Test(absent=False) as test]:
            pass
        case _:
            return None
    if any(isinstance(step, Distinct) for step in steps) or expand.guards or test.guards:
        return None
    if len(expand.keys) != 1 or len(expand.binds) != 1 or len(test.keys) != 2 or expand.binds[0] in names:
        return None
    (bound,), (key,) = expand.binds, expand.keys
    other = [term.name for term in test.keys if term.name != bound]
    first, second = sources[expand.relation], sources[test.relation]
    if len(other) != 1 or not isinstance(first, Still) or not isinstance(second, Still):
        return None
    if expand.access.equal or expand.access.fixed or test.access.equal or test.access.fixed:
        return None
    place = [term.name for term in test.keys].index(bound)
    ends = (expand.access.keys[0], expand.access.payload[0]), (test.access.keys[1 - place], test.access.keys[place])
    width = max(first.shape[ends[0][1]], second.shape[ends[1][1]])
    heights = first.shape[ends[0][0]], second.shape[ends[1][0]]
    words = bits.words(width)
    if 8 * words * sum(heights) > _BITS or words * heights[0] > _WORDS * len(first.tuples):
        return None
    rows = []
    for source, (row, column), height in zip((first, second), ends, heights, strict=True):
        columns = source.tuples.columns
        rows.append(bits.from_pairs(columns[row], columns[column], (height, width)))
    both = dict.fromkeys((expand.relation, test.relation))
    return _Common(rows[0], rows[1], (key.name, other[0]), " and ".join(both))


def copied(rule: Rule, shape: Sequence[int], sources: Mapping[str, Source]) -> int:
    """How many tuples a rule copies that does nothing else, such as Path(x, y) <- Edge(x, y); 0 for any other.

    Args:
        shape: of the head.
    """
    match rule.body:
        case [Atom(relation, terms)] if relation in sources and set(terms) == set(rule.terms):
            source = sources[relation]
            sizes: dict[Value, int] = dict(zip(terms, source.shape, strict=True))
            if len(sizes) == len(terms) == len(rule.terms) and all(isinstance(term, Variable) for term in terms):
                fits = all(sizes[term] <= size for term, size in zip(rule.terms, shape, strict=True))
                return source.count(Window.ALL) if fits else 0
    return 0
