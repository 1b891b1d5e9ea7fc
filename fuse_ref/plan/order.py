"""In which order the factors of a product are multiplied: pairs, chosen by cost."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import NamedTuple, TypeAlias

from fuse_ref.records import dataclass

__all__ = ["Order", "choose_order", "expression_of"]

# Up to so many factors every order is looked at; beyond, opt_einsum's greedy search decides.
_EXHAUSTIVE = 7
# An order that costs hardly more arithmetic is the faster one if it makes smaller products: outer and thin ones
# take longer than their arithmetic says. Each element that is made is given the price of 32 multiplications.
_COMBINED = "combo-32"
_NEAR = 1.05
# Up to so many factors all orders of equal arithmetic are compared by how they run through memory.
_COMPARED = 4


@dataclass(frozen=True, slots=True)
class Order:
    """Pairwise contractions in opt_einsum's form: each pair leaves the list, its product joins the end."""

    path: tuple[tuple[int, int], ...]
    flops: int  # multiplications and additions, as opt_einsum counts them
    largest: int  # elements of the largest product
    made: int = 0  # elements of all products together
    outer: bool = False  # some product sums nothing and is multiplied on


Search: TypeAlias = Callable[[list[frozenset[str]], frozenset[str], dict[str, int]], Sequence[Sequence[int]]]


class _Searches(NamedTuple):
    greedy: Search
    optimal: Search
    joined: Search  # without outer products
    combined: Search


@cache
def _searches() -> _Searches:
    # Programs without a product of three factors are spared the import.
    from opt_einsum import paths  # type: ignore[import-untyped]

    made = (paths.DynamicProgramming(minimize=cost) for cost in ("flops", _COMBINED))
    return _Searches(paths.greedy, paths.optimal, *made)


def choose_order(inputs: Sequence[tuple[str, ...]], output: Sequence[str], sizes: Mapping[str, int]) -> Order:
    """The cheapest order of a product of at least two factors; the author's own where none is cheaper.

    Args:
        inputs: the labels of each factor.
        output: the labels that stay.
        sizes: the size of every label.
    """
    written = _cost(_left_to_right(len(inputs)), inputs, output, sizes)
    if len(inputs) == 2:
        return written
    search = _searches()
    sets, kept, known = [frozenset(labels) for labels in inputs], frozenset(output), dict(sizes)
    if len(inputs) > _EXHAUSTIVE:
        found = _cost(_pairs(search.greedy(sets, kept, known), len(inputs)), inputs, output, sizes)
    else:
        found = _cost(_pairs(search.optimal(sets, kept, known), len(inputs)), inputs, output, sizes)
        joined = _cost(_pairs(search.joined(sets, kept, known), len(inputs)), inputs, output, sizes)
        if found.outer and joined.flops <= _NEAR * found.flops:
            found = joined
        smaller = _cost(_pairs(search.combined(sets, kept, known), len(inputs)), inputs, output, sizes)
        if smaller.flops <= _NEAR * found.flops and smaller.made < found.made:
            found = smaller
    chosen = found if (found.flops, found.largest) < (written.flops, written.largest) else written
    return _suited(chosen, inputs, output, sizes) if len(inputs) <= _COMPARED else chosen


def _suited(chosen: Order, inputs: Sequence[tuple[str, ...]], output: Sequence[str], sizes: Mapping[str, int]) -> Order:
    """Of the orders that cost what `chosen` costs, the one that moves least; `chosen` itself where none moves less.

    `T[i,j,k] M[i,r] N[j,r] O[k,r]` may begin with any of three, and summing k, the index that lies closest together
    in memory, needs no transposition of T. Elsewhere BLAS takes what it gets: only products that go on side by side,
    as along r here, are worth the comparison.
    """
    shared = any(sum(label in labels for labels in inputs) > 2 for label in output)
    best, least = chosen, _moved(chosen.path, inputs, output, sizes) if shared else 0
    for path in _all_orders(len(inputs)) if least else ():
        order = _cost(path, inputs, output, sizes)
        if (order.flops, order.largest, order.made) == (chosen.flops, chosen.largest, chosen.made):
            moved = _moved(path, inputs, output, sizes)
            if moved < least:
                best, least = order, moved
    return best


@cache
def _all_orders(count: int) -> tuple[tuple[tuple[int, int], ...], ...]:
    if count == 1:
        return ((),)
    pairs = itertools.combinations(range(count), 2)
    return tuple((pair, *rest) for pair in pairs for rest in _all_orders(count - 1))


def _moved(
    path: tuple[tuple[int, int], ...],
    inputs: Sequence[tuple[str, ...]],
    output: Sequence[str],
    sizes: Mapping[str, int],
) -> int:
    """Elements that a product must transpose: twice those of an operand whose summed labels lie amid others, once
    where they come first, none where they come last. Matrices are taken either way."""
    remaining, moved = list(inputs), 0
    for first, second in path:
        right, left = remaining.pop(second), remaining.pop(first)
        needed = set(output).union(*remaining)
        summed = {label for label in left if label in right and label not in needed}
        for labels in (left, right) if summed else ():
            own = [label for label in labels if not (label in left and label in right and label in needed)]
            if len(labels) > 2:
                begin, end = own[: len(summed)], own[len(own) - len(summed) :]
                times = 0 if summed == set(end) else 1 if summed == set(begin) else 2
                moved += times * math.prod(sizes[label] for label in labels)
        both = dict.fromkeys((*left, *right))
        remaining.append(tuple(label for label in both if label in needed))
    return moved


def _left_to_right(count: int) -> tuple[tuple[int, int], ...]:
    return ((0, 1), *((0, count - 1 - step) for step in range(1, count - 1)))


def _pairs(path: Sequence[Sequence[int]], count: int) -> tuple[tuple[int, int], ...]:
    """A path as pairs; opt_einsum may take several factors, or one, at once."""
    pairs: list[tuple[int, int]] = []
    for step in path:
        positions = sorted(step)
        while len(positions) > 1:
            first, second = positions[:2]
            pairs.append((first, second))
            count -= 1
            positions = [p - 2 for p in positions[2:]]
            if positions:
                positions.append(count - 1)
    return tuple(pairs)


def _cost(
    path: tuple[tuple[int, int], ...],
    inputs: Sequence[tuple[str, ...]],
    output: Sequence[str],
    sizes: Mapping[str, int],
) -> Order:
    remaining = [frozenset(labels) for labels in inputs]
    flops = largest = made = 0
    outer = False
    for first, second in path:
        right, left = remaining.pop(second), remaining.pop(first)
        needed = frozenset(output).union(*remaining)
        both = left | right
        product = both & needed
        elements = math.prod(sizes[label] for label in both)
        flops += elements * (2 if product != both else 1)
        count = math.prod(sizes[label] for label in product)
        outer = outer or (product == both and bool(remaining))
        largest, made = max(largest, count), made + count
        remaining.append(product)
    return Order(path, flops, largest, made, outer)


def expression_of(inputs: Sequence[tuple[str, ...]], output: Sequence[str]) -> str:
    """ "ij,jk->ik": one letter for each label, its own where that is free."""
    letters: dict[str, str] = {}
    labels = dict.fromkeys(label for part in (*inputs, tuple(output)) for label in part)
    alphabet = "ijklmnopqrstuvwxyzabcdefghIJKLMNOPQRSTUVWXYZABCDEFGH"
    for label in labels:
        if len(label) == 1 and label.isascii() and label.isalpha():
            letters[label] = label
    free = iter(letter for letter in alphabet if letter not in letters.values())
    for label in labels:
        if label not in letters:
            letters[label] = next(free, f"<{label}>")
    parts = ["".join(letters[label] for label in part) for part in inputs]
    return f"{','.join(parts)}->{''.join(letters[label] for label in output)}"
