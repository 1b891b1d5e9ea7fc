"""The cheapest order of a product whose largest intermediate may not grow, by opt_einsum's searches."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from opt_einsum import paths  # type: ignore[import-untyped]

from fuse_torch.backend.passes.products import Labels

__all__ = ["Order", "cheapest"]

# Up to so many factors every order is looked at; beyond, the greedy search decides.
_EXHAUSTIVE = 7


@dataclass(frozen=True, slots=True)
class Order:
    """Pairs of positions: each pair leaves the list, its product joins the end."""

    pairs: tuple[tuple[int, int], ...]
    flops: int
    largest: int  # elements of the largest product, the result included
    stored: int  # elements of all products but the result


def cheapest(inputs: Sequence[Labels], output: Labels, sizes: Mapping[int, int], limit: int | None) -> Order:
    """The order of fewest FLOPs, among those that make no product of more than `limit` elements.

    Where the searches find none within the limit, the best one without it.
    """
    found = [_measured(path, inputs, output, sizes) for path in _searched(inputs, output, sizes, limit)]
    fitting = [order for order in found if limit is None or order.largest <= limit]
    return min(fitting or found, key=lambda order: (order.flops, order.largest))


def _searched(
    inputs: Sequence[Labels], output: Labels, sizes: Mapping[int, int], limit: int | None
) -> Iterator[tuple[tuple[int, int], ...]]:
    sets, kept, known = [frozenset(labels) for labels in inputs], frozenset(output), dict(sizes)
    search = paths.optimal if len(inputs) <= _EXHAUSTIVE else paths.greedy
    yield _pairs(search(sets, kept, known), len(inputs))
    if limit is not None:
        yield _pairs(search(sets, kept, known, memory_limit=limit), len(inputs))


def _pairs(path: Sequence[Sequence[int]], count: int) -> tuple[tuple[int, int], ...]:
    """A path as pairs; opt_einsum may take several factors, or one, at once."""
    pairs: list[tuple[int, int]] = []
    for step in path:
        positions = sorted(step)
        while len(positions) > 1:
            first, second = positions[:2]
            pairs.append((first, second))
            count -= 1
            positions = [position - 2 for position in positions[2:]]
            if positions:
                positions.append(count - 1)
    return tuple(pairs)


def _measured(
    path: tuple[tuple[int, int], ...], inputs: Sequence[Labels], output: Labels, sizes: Mapping[int, int]
) -> Order:
    remaining = [frozenset(labels) for labels in inputs]
    flops = largest = stored = elements = 0
    for first, second in path:
        right, left = remaining.pop(second), remaining.pop(first)
        both = left | right
        product = both & frozenset(output).union(*remaining)
        flops += math.prod(sizes[label] for label in both) * (2 if product != both else 1)
        elements = math.prod(sizes[label] for label in product)
        largest = max(largest, elements)
        stored += elements
        remaining.append(product)
    return Order(path, flops, largest, stored - elements)
