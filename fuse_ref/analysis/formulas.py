"""Formulas that ranges and lengths are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fuse_ref.analysis.lengths import (
    Fixed,
    Length,
    Linear,
    Maximum,
    Minimum,
    floor_divide,
    linear,
    lower_bound,
    maximum,
)
from fuse_ref.analysis.limits import ScopeTable, Slot, affine_part
from fuse_ref.ir.index import SliceIndex

__all__ = [
    "at_least_zero",
    "deciding_slice",
    "greatest",
    "open_slice",
    "reaches",
    "slice_length",
    "written_variables",
]


def deciding_slice(table: ScopeTable, variable: str) -> Slot:
    """The slice whose length the others must have: one that is read, where there is one."""
    slots = table.slices[variable]
    return next((slot for slot in slots if slot not in table.writes), slots[0])


def open_slice(index: object) -> bool:
    """Whether a slice's length does not depend on the axis it is on."""
    return isinstance(index, SliceIndex) and index.stop is not None and index.stop >= 0 and (index.start or 0) >= 0


def written_variables(slot: Slot) -> tuple[str, ...]:
    if isinstance(slot.index, SliceIndex):
        return (slot.index.variable,)
    parts = affine_part(slot.index)
    return () if parts is None else tuple(v for v, c in parts[0].terms if c > 0)


def slice_length(index: SliceIndex, length: Callable[[], Length]) -> Length:
    """How many positions a slice takes of an axis whose length `length()` tells."""

    def bound(value: int | None, default: Length | None) -> Length:
        if value is None:
            return default if default is not None else length()
        return Fixed(value) if value >= 0 else linear([(length(), 1)], value)

    start, stop = bound(index.start, Fixed(0)), bound(index.stop, None)
    span = linear([(stop, 1), (start, -1)], index.step - 1)
    return at_least_zero(floor_divide(span, index.step))


def at_least_zero(length: Length) -> Length:
    """`length`, or 0 where it would be negative.

    Convolutions of convolutions would nest: max(max(a, 0) - f + 1, 0) is written max(a - f + 1, 0).
    These agree unless both the image and the filter are empty, where no read takes place.
    """
    if isinstance(length, Linear):
        negative = sum(c for _, c in length.terms if c < 0)
        positive = [(item, c) for item, c in length.terms if c > 0]
        if len(positive) == 1 and positive[0][1] == 1 and length.offset + negative <= 0:
            match positive[0][0]:
                case Maximum((inner, Fixed(0))):
                    rest = [(item, c) for item, c in length.terms if c < 0]
                    length = linear([(inner, 1), *rest], length.offset)
    return maximum([length, Fixed(0)])


def greatest(lengths: Sequence[Length]) -> Length:
    """The greatest length; those that another is known to reach are left out."""
    kept: list[Length] = []
    for length in lengths:
        if not any(reaches(other, length) for other in kept):
            kept = [other for other in kept if not reaches(length, other)]
            kept.append(length)
    return maximum(kept)


def reaches(one: Length, other: Length) -> bool:
    """Whether `one` is known to be at least `other`, whatever a call gives."""
    if one == other:
        return True
    if (items := _least_of(one)) is not None:
        return all(reaches(item, other) for item in items)
    if (items := _least_of(other)) is not None:
        return any(reaches(one, item) for item in items)
    least = lower_bound(linear([(one, 1), (other, -1)]))
    return least is not None and least >= 0


def _least_of(length: Length) -> list[Length] | None:
    """The lengths of which it is the least; None where it is no such thing."""
    match length:
        case Minimum(items):
            return list(items)
        case Linear(((Minimum(items), 1),), offset):
            return [linear([(item, 1)], offset) for item in items]
        case _:
            return None
