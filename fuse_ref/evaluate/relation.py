"""A Boolean result: the tuples that hold, by position and by symbol."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator
from functools import cached_property
from typing import Any, Final, TypeAlias

import numpy as np

from fuse_ref.errors import MissingFrameworkError
from fuse_ref.files.arrow import arrow_table
from fuse_ref.mistakes import mistake
from fuse_ref.relations.symbols import SymbolTable, named_column
from fuse_ref.relations.tuples import Tuples

__all__ = ["DENSE_LIMIT", "Relation", "Row", "Symbols", "named"]

DENSE_LIMIT: Final = 2**24  # elements, as `ExecutionConfig.dense_limit` has it
_SHOWN: Final = 5  # rows in a repr

Symbols: TypeAlias = tuple[str, ...] | None  # of one axis, in position order; None: positions
Row: TypeAlias = tuple[str | int | float, ...]


class Relation:
    """The tuples for which a Boolean tensor is true, in the order of their positions.

    Rows, columns and the dense form are made when they are first asked for.

    Args:
        values: the tuples, or the truth values, one dimension per argument.
        symbols: per argument the names of its positions, or None for plain positions.
        letters: the names of the arguments, which columns of tables are called by; () calls them by number.
        limit: elements that the dense form may have.
    """

    def __init__(
        self,
        values: Tuples | np.ndarray,
        symbols: tuple[Symbols, ...],
        *,
        letters: tuple[str, ...] = (),
        limit: int = DENSE_LIMIT,
    ) -> None:
        self._values = values if isinstance(values, Tuples) else np.asarray(values)
        self._symbols = symbols
        self._letters = letters
        self._limit = limit

    @cached_property
    def tuples(self) -> Tuples:
        """The tuples as columns of positions, in lexicographic order."""
        return self._values.sorted() if isinstance(self._values, Tuples) else Tuples.from_dense(self._values)

    @cached_property
    def positions(self) -> np.ndarray:
        """The tuples as positions: (count, arity) int64."""
        return self.tuples.positions

    @cached_property
    def columns(self) -> tuple[np.ndarray, ...]:
        """Per argument its symbols (objects) where the axis has them, else its positions (int64), row by row."""
        return tuple(
            named_column(column, table) if table else column.astype(np.int64)
            for column, table in zip(self.tuples.columns, self._symbols, strict=True)
        )

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """The tuples as symbols where the axis has them, else as positions."""
        if not self.shape:
            return ((),) * len(self)
        return tuple(zip(*(column.tolist() for column in self.columns), strict=True))

    @property
    def symbols(self) -> tuple[Symbols, ...]:
        """Per argument the names of its positions, or None where they have none."""
        return self._symbols

    @property
    def letters(self) -> tuple[str, ...]:
        """The names of the arguments, as tables call their columns: "0", "1", … where the program has none."""
        known = len(self._letters) == len(self.shape) == len(set(self._letters))
        return self._letters if known else tuple(map(str, range(len(self.shape))))

    @property
    def limit(self) -> int:
        """Elements that the dense form may have."""
        return self._limit

    def dense(self) -> np.ndarray:
        """The truth values, one dimension per argument.

        Raises:
            CapacityError: more elements than `ExecutionConfig.dense_limit`.
        """
        if isinstance(self._values, np.ndarray):
            return self._values.copy()
        elements = math.prod(self.shape)
        if elements > self._limit:
            shape = " × ".join(map(str, self.shape))
            count = f"{len(self)} tuple" + "s" * (len(self) != 1)
            raise mistake("FUSE344", None, count=count, shape=shape, elements=elements, limit=self._limit)
        return self._values.dense()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if isinstance(self._values, np.ndarray):
            return np.array(self._values, dtype=dtype, copy=True if copy is None else copy)
        if copy is False:
            raise ValueError("the dense form of a relation is made anew, so that copy=False is impossible")
        return self.dense().astype(np.bool_ if dtype is None else dtype, copy=False)

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame` with a column per argument, called by the argument's letter: symbols or positions.

        Raises:
            MissingFrameworkError: pandas is not installed.
        """
        pandas = _package("pandas", "to_pandas()", "pip install pandas")
        # The index tells the number of rows where there is no column.
        index = pandas.RangeIndex(len(self))
        return pandas.DataFrame(dict(zip(self.letters, self.columns, strict=True)), index=index)

    def to_arrow(self) -> Any:
        """A `pyarrow.Table` with a column per argument: int64 positions, or symbols as dictionary-encoded strings.

        Raises:
            MissingFrameworkError: pyarrow is not installed.
        """
        arrow = _package("pyarrow", "to_arrow()", "pip install 'fuse-torch[files]'")
        return arrow_table(arrow, self.tuples, self._symbols, self.letters)

    @property
    def shape(self) -> tuple[int, ...]:
        return self._values.shape

    def __len__(self) -> int:
        if isinstance(self._values, Tuples):
            return len(self._values)
        return int(np.count_nonzero(self._values))

    def __contains__(self, row: object) -> bool:
        """Whether `row` is one of the rows; of one argument also its symbol or position alone."""
        cells = row if isinstance(row, tuple | list) else (row,)
        if len(cells) != len(self.shape):
            return False
        low, high = 0, len(self)
        for cell, known, size, column in zip(cells, self._tables, self.shape, self.tuples.columns, strict=True):
            position = known.position(cell) if isinstance(cell, str) else _position(cell, len(known))
            if position is None or position >= size:
                return False
            # The tuples are in order: those that begin as `row` does lie side by side. A number of another type
            # would have the column copied.
            part, wanted = column[low:high], column.dtype.type(position)
            low, high = low + int(np.searchsorted(part, wanted)), low + int(np.searchsorted(part, wanted, "right"))
        return high > low

    @cached_property
    def _tables(self) -> tuple[SymbolTable, ...]:
        return tuple(SymbolTable.of(table or ()) for table in self._symbols)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __repr__(self) -> str:
        columns = (
            [named([k], (table,))[0] for k in column[:_SHOWN].tolist()]
            for column, table in zip(self.tuples.columns, self._symbols, strict=True)
        )
        rows: list[Row] = list(zip(*columns, strict=True)) if self.shape else [()] * len(self)
        shown = ", ".join(map(str, rows))
        size = " × ".join(map(str, self.shape)) or "1"
        return f"Relation({len(self)} of {size}: {shown}{', …' * (len(self) > _SHOWN)})"


def named(position: list[int], symbols: tuple[Symbols, ...]) -> Row:
    """A position tuple with names where the axes have them."""
    return tuple(
        table[k] if table is not None and k < len(table) else k for k, table in zip(position, symbols, strict=True)
    )


def _position(cell: object, least: int) -> int | None:
    """`cell` as a position that has no name."""
    if isinstance(cell, bool | np.bool_) or not isinstance(cell, int | np.integer):
        return None
    return int(cell) if cell >= least else None


def _package(name: str, call: str, cure: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        missing = mistake("FUSE346", None, call=call, name=name, install=cure)
        assert isinstance(missing, MissingFrameworkError)
        missing.name = name
        raise missing from error
