"""A Boolean result: the tuples that hold, by position and by symbol."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

__all__ = ["Relation", "Row", "Symbols", "named"]

Symbols: TypeAlias = tuple[str, ...] | None  # of one axis, in position order; None: positions
Row: TypeAlias = tuple[str | int | float, ...]


class Relation:
    """The tuples for which a Boolean tensor is true, in the order of their positions.

    Args:
        dense: the truth values, one dimension per argument.
        symbols: per argument the names of its positions, or None for plain positions.
    """

    def __init__(self, dense: np.ndarray, symbols: tuple[Symbols, ...]) -> None:
        self._dense = dense
        self._symbols = symbols

    @cached_property
    def positions(self) -> np.ndarray:
        """The tuples as positions: (count, arity) int64."""
        return np.argwhere(self._dense).astype(np.int64, copy=False)

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """The tuples as symbols where the axis has them, else as positions."""
        return tuple(named(position, self._symbols) for position in self.positions.tolist())

    @property
    def symbols(self) -> tuple[Symbols, ...]:
        """Per argument the names of its positions, or None where they have none."""
        return self._symbols

    def dense(self) -> np.ndarray:
        """The truth values, one dimension per argument."""
        return self._dense.copy()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self._dense, dtype=dtype, copy=True if copy is None else copy)

    @property
    def shape(self) -> tuple[int, ...]:
        return self._dense.shape

    def __len__(self) -> int:
        return len(self.positions)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __repr__(self) -> str:
        shown = ", ".join(map(str, self.rows[:5]))
        return f"Relation({len(self)} of {' × '.join(map(str, self.shape)) or '1'}: {shown}{', …' * (len(self) > 5)})"


def named(position: list[int], symbols: tuple[Symbols, ...]) -> Row:
    """A position tuple with names where the axes have them."""
    return tuple(
        table[k] if table is not None and k < len(table) else k for k, table in zip(position, symbols, strict=True)
    )
