"""Lengths: sizes of axes and ranges of variables, exact for every call although inputs may be open.

A plan is built once and serves every batch size, so it cannot hold numbers only. A `Length` is a
number, the extent of a given tensor, or an integer formula of those. The NumPy engine and JAX
evaluate it per call; torch turns it into size nodes of the graph.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TypeAlias, assert_never

from fuse_ref.records import dataclass

__all__ = [
    "Extent",
    "Fixed",
    "FloorDivide",
    "Length",
    "Linear",
    "Maximum",
    "Minimum",
    "Times",
    "evaluate",
    "floor_divide",
    "linear",
    "lower_bound",
    "maximum",
    "minimum",
    "times",
]


@dataclass(frozen=True, slots=True)
class Fixed:
    value: int

    def __str__(self) -> str:
        return str(self.value)


@dataclass(frozen=True, slots=True)
class Extent:
    """The size of a given tensor (input, free, source) along one of its positions."""

    tensor: str
    position: int

    def __str__(self) -> str:
        return f"|{self.tensor}.{self.position}|"


@dataclass(frozen=True, slots=True)
class Linear:
    """Sum of coefficient * length, plus offset."""

    terms: tuple[tuple[Length, int], ...]  # terms are not Fixed nor Linear, coefficients != 0
    offset: int

    def __str__(self) -> str:
        parts = [f"{'' if c == 1 else f'{c}*'}{t}" for t, c in self.terms]
        return "(" + " + ".join(parts) + (f" + {self.offset}" if self.offset else "") + ")"


@dataclass(frozen=True, slots=True)
class FloorDivide:
    numerator: Length
    divisor: int  # >= 1

    def __str__(self) -> str:
        return f"{self.numerator}//{self.divisor}"


@dataclass(frozen=True, slots=True)
class Minimum:
    items: tuple[Length, ...]  # at least two

    def __str__(self) -> str:
        return f"min({', '.join(map(str, self.items))})"


@dataclass(frozen=True, slots=True)
class Maximum:
    items: tuple[Length, ...]  # at least two

    def __str__(self) -> str:
        return f"max({', '.join(map(str, self.items))})"


@dataclass(frozen=True, slots=True)
class Times:
    """A product, where indices are flattened into one."""

    items: tuple[Length, ...]  # at least two

    def __str__(self) -> str:
        return "*".join(map(str, self.items))


Length: TypeAlias = Fixed | Extent | Linear | FloorDivide | Minimum | Maximum | Times


def linear(terms: Iterable[tuple[Length, int]], offset: int = 0) -> Length:
    """Sum of coefficient * length plus offset, folded as far as numbers allow."""
    gathered: dict[Length, int] = {}
    for length, coefficient in terms:
        match length:
            case Fixed(value):
                offset += coefficient * value
            case Linear(inner, inner_offset):
                offset += coefficient * inner_offset
                for item, inner_coefficient in inner:
                    gathered[item] = gathered.get(item, 0) + coefficient * inner_coefficient
            case _:
                gathered[length] = gathered.get(length, 0) + coefficient
    kept = tuple((item, gathered[item]) for item in _ordered(item for item, c in gathered.items() if c != 0))
    if not kept:
        return Fixed(offset)
    if offset == 0 and len(kept) == 1 and kept[0][1] == 1:
        return kept[0][0]
    return Linear(kept, offset)


def floor_divide(numerator: Length, divisor: int) -> Length:
    if divisor == 1:
        return numerator
    if isinstance(numerator, Fixed):
        return Fixed(numerator.value // divisor)
    return FloorDivide(numerator, divisor)


def _folded(items: Iterable[Length], choose: Callable[[int, int], int]) -> list[Length]:
    number: int | None = None
    rest: list[Length] = []
    for item in items:
        if isinstance(item, Fixed):
            number = item.value if number is None else choose(number, item.value)
        elif item not in rest:
            rest.append(item)
    rest = _ordered(rest)
    return rest if number is None else [*rest, Fixed(number)]


def _ordered(items: Iterable[Length]) -> list[Length]:
    """In one order, so that equal formulas compare equal however they came about."""
    extents: list[Extent] = []
    others: list[Length] = []
    for item in items:
        if isinstance(item, Extent):
            extents.append(item)
        else:
            others.append(item)
    extents.sort(key=lambda extent: (extent.tensor, extent.position))
    if len(others) > 1:
        others.sort(key=str)
    return [*extents, *others]


def minimum(items: Iterable[Length]) -> Length:
    """The least of at least one length."""
    folded = _folded(items, min)
    return folded[0] if len(folded) == 1 else Minimum(tuple(folded))


def maximum(items: Iterable[Length]) -> Length:
    """The greatest of at least one length."""
    folded = _folded(items, max)
    if len(folded) > 1 and isinstance(folded[-1], Fixed):
        number = folded[-1].value
        if any((bound := lower_bound(item)) is not None and bound >= number for item in folded[:-1]):
            folded.pop()
    return folded[0] if len(folded) == 1 else Maximum(tuple(folded))


def lower_bound(length: Length) -> int | None:
    """A number that the length reaches for every shape, or None where none is known."""
    match length:
        case Fixed(value):
            return value
        case Extent():
            return 0
        case Linear(terms, offset):
            bounds = [(lower_bound(item), c) for item, c in terms]
            if any(bound is None or c < 0 for bound, c in bounds):
                return None
            return sum((bound or 0) * c for bound, c in bounds) + offset
        case FloorDivide(numerator, divisor):
            bound = lower_bound(numerator)
            return None if bound is None else bound // divisor
        case Minimum(items):
            found = [lower_bound(item) for item in items]
            known = [bound for bound in found if bound is not None]
            return min(known) if len(known) == len(found) else None
        case Maximum(items):
            known = [bound for item in items if (bound := lower_bound(item)) is not None]
            return max(known, default=None)
        case Times(items):
            found = [lower_bound(item) for item in items]
            known = [bound for bound in found if bound is not None and bound >= 0]
            return math.prod(known) if len(known) == len(found) else None
        case _:
            assert_never(length)


def times(items: Iterable[Length]) -> Length:
    """The product of lengths; 1 of none."""
    number = 1
    rest: list[Length] = []
    for item in items:
        if isinstance(item, Fixed):
            number *= item.value
        else:
            rest.append(item)
    if not rest or number == 0:
        return Fixed(number)
    return linear([(rest[0] if len(rest) == 1 else Times(tuple(rest)), number)])


def evaluate(length: Length, extent: Callable[[str, int], int]) -> int:
    """The number that `length` is when given tensors have the sizes that `extent(tensor, position)` tells."""
    match length:
        case Fixed(value):
            return value
        case Extent(tensor, position):
            return extent(tensor, position)
        case Linear(terms, offset):
            return sum(c * evaluate(item, extent) for item, c in terms) + offset
        case FloorDivide(numerator, divisor):
            return evaluate(numerator, extent) // divisor
        case Minimum(items):
            return min(evaluate(item, extent) for item in items)
        case Maximum(items):
            return max(evaluate(item, extent) for item in items)
        case Times(items):
            return math.prod(evaluate(item, extent) for item in items)
        case _:
            assert_never(length)
