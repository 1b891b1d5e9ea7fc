"""Formulas that ranges and lengths are made of."""

from __future__ import annotations

from collections.abc import Callable

from fuse_ref.analysis.lengths import Fixed, Length, Linear, Maximum, floor_divide, linear, maximum
from fuse_ref.analysis.limits import ScopeTable, Slot, affine_part
from fuse_ref.ir.index import SliceIndex

__all__ = ["at_least_zero", "deciding_slice", "open_slice", "slice_length", "written_variables"]


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
