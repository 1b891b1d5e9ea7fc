"""Index forms: how a reference picks positions along one axis."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from fuse_ref.records import dataclass

if TYPE_CHECKING:
    from fuse_ref.ir.nodes import Read

__all__ = ["Affine", "FromEnd", "Gather", "Index", "Quotient", "SliceIndex", "Symbol", "Virtual", "plain"]


@dataclass(frozen=True, slots=True)
class Affine:
    """Integer combination of variables plus a constant: `i`, `3`, `i+1`, `2*x+dx`, `N-1-i`."""

    terms: tuple[tuple[str, int], ...]  # (variable, coefficient != 0), variables distinct, text order
    offset: int = 0

    @property
    def variable(self) -> str | None:
        """The variable when this is one read alone, else None."""
        if self.offset == 0 and len(self.terms) == 1 and self.terms[0][1] == 1:
            return self.terms[0][0]
        return None

    @property
    def is_constant(self) -> bool:
        return not self.terms


@dataclass(frozen=True, slots=True)
class FromEnd:
    """`-1` written alone: `distance` positions before the axis's end (1 is the last)."""

    distance: int


@dataclass(frozen=True, slots=True)
class Symbol:
    """A named position of an axis with a symbol table: `Alice`, `"New York"`."""

    name: str


@dataclass(frozen=True, slots=True)
class Quotient:
    """Integer division of an affine form: `x/2`, `(i+1)/S`. On the left-hand side it pools."""

    numerator: Affine
    divisor: int  # >= 1


@dataclass(frozen=True, slots=True)
class SliceIndex:
    """`start:stop:step` with its nameless variable. Negative bounds count from the end."""

    variable: str  # made up, begins with ":"; slices of one equation pair by order and share it
    start: int | None
    stop: int | None
    step: int  # >= 1


@dataclass(frozen=True, slots=True)
class Gather:
    """An integer tensor as index, plus a constant: `E[X[p]+1, d]`."""

    read: Read
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Virtual:
    """`*t + offset`: a position of a stream; no axis is stored for it."""

    variable: str
    offset: int = 0


Index: TypeAlias = Affine | FromEnd | Symbol | Quotient | SliceIndex | Gather | Virtual


def plain(variable: str) -> Affine:
    """The index that reads `variable` alone."""
    return Affine(((variable, 1),))
