"""References as the oracle sees them: a tensor's name and one index form per axis."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["Affine", "FromEnd", "Gather", "Index", "Quotient", "Read", "SliceIndex", "Symbol", "index_variables"]


@dataclass(frozen=True)
class Affine:
    terms: tuple[tuple[str, int], ...]  # (variable, coefficient)
    offset: int

    @property
    def plain(self) -> str | None:
        return self.terms[0][0] if self.offset == 0 and len(self.terms) == 1 and self.terms[0][1] == 1 else None


@dataclass(frozen=True)
class FromEnd:
    distance: int


@dataclass(frozen=True)
class Symbol:
    name: str


@dataclass(frozen=True)
class Quotient:
    numerator: Affine
    divisor: int


@dataclass(frozen=True)
class SliceIndex:
    variable: str  # ":0" for the first slice of a reference, ":1" for the second, …
    start: int | None
    stop: int | None
    step: int


@dataclass(frozen=True)
class Gather:
    read: Read
    offset: int


Index: TypeAlias = Affine | FromEnd | Symbol | Quotient | SliceIndex | Gather


@dataclass(frozen=True)
class Read:
    tensor: str
    indices: tuple[Index, ...]
    boolean: bool  # written with parentheses
    virtual: int | None = None  # position of a `*t` index

    def variables(self) -> tuple[str, ...]:
        """Distinct variables in order of appearance, those of gathers included."""
        return tuple(dict.fromkeys(name for index in self.indices for name in index_variables(index)))

    def all_reads(self) -> Iterator[Read]:
        """This read and those inside its gathers."""
        yield self
        for index in self.indices:
            if isinstance(index, Gather):
                yield from index.read.all_reads()


def index_variables(index: Index) -> tuple[str, ...]:
    match index:
        case Affine(terms, _) | Quotient(Affine(terms, _), _):
            return tuple(name for name, _ in terms)
        case SliceIndex(variable):
            return (variable,)
        case Gather(read, _):
            return read.variables()
        case _:
            return ()
