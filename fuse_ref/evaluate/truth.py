"""Boolean inputs of a call: symbols numbered, sizes found, each relation as tuples or as truth values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from fuse_ref.evaluate.given import Given, Listed, given_relation
from fuse_ref.evaluate.relation import Symbols
from fuse_ref.ir.nodes import Axis, ProgramIR, Tensor
from fuse_ref.mistakes import mistake
from fuse_ref.mistakes.suggest import did_you_mean
from fuse_ref.relations.symbols import Coded, SymbolTable, in_order_of_appearance
from fuse_ref.relations.tuples import Tuples

__all__ = ["SymbolTables", "bound_relations", "dense_relations", "sparse_relations"]

_SHOWN: Final = 20  # symbols in a message
_COMPARED: Final = 5000  # symbols among which a similar one is looked for; that takes microseconds for each


@dataclass
class SymbolTables:
    """The symbols of each axis in one call: the program's, then those that inputs add, in order."""

    axes: Mapping[str, Axis]
    tables: dict[str, SymbolTable] = field(default_factory=dict)

    @classmethod
    def of(cls, program: ProgramIR) -> SymbolTables:
        axes = {axis.name: axis for axis in program.axes}
        return cls(
            axes, {name: SymbolTable.of(axis.symbols) for name, axis in axes.items() if axis.symbols is not None}
        )

    def fresh(self) -> SymbolTables:
        """Tables for one call, that begin with these; none of their symbols is looked at."""
        return type(self)(self.axes, {name: table.child() for name, table in self.tables.items()})

    def position(self, symbol: str, tensor: Tensor, axis: str) -> int:
        """The position of `symbol`, a new one at the end if the axis may grow.

        Raises:
            AxisError: the axis is full.
        """
        table = self.table(axis)
        found = table.position(symbol)
        if found is not None:
            return found
        size = self.axes[axis].size
        if size is not None and len(table) >= size:
            names = table.names
            shown = ", ".join(map(repr, names[:_SHOWN])) + ", …" * (len(names) > _SHOWN)
            has = f"has {shown or f'{size} positions and no symbols'}"
            cure = did_you_mean(symbol, names[:_COMPARED])
            raise mistake("FUSE306", tensor.span, cure=cure, value=repr(symbol), name=tensor.name, axis=axis, has=has)
        table.extend((symbol,))
        return len(table) - 1

    def add(self, symbols: Sequence[str], tensor: Tensor, axis: str) -> None:
        """Make sure that all of `symbols` have positions, in their order.

        Raises:
            AxisError: as `position`.
        """
        table, size = self.table(axis), self.axes[axis].size
        new = [symbol for symbol in symbols if symbol not in table] if len(table) else symbols
        # Tables that take no new symbols say so where one is asked for.
        if type(self).position is SymbolTables.position and (size is None or len(table) + len(new) <= size):
            table.extend(new)
            return
        for symbol in new:
            self.position(symbol, tensor, axis)

    def table(self, axis: str) -> SymbolTable:
        found = self.tables.get(axis)
        if found is None:
            found = self.tables[axis] = SymbolTable()
        return found

    def symbols(self) -> dict[str, Symbols]:
        """Axis -> its symbols, for what the run returns."""
        return {axis: table.names for axis, table in self.tables.items()}


def sparse_relations(
    given: Mapping[str, object], tensors: Sequence[Tensor], tables: SymbolTables, extents: Mapping[str, int]
) -> dict[str, Tuples]:
    """Each Boolean tensor of `tensors` as tuples of positions.

    An axis is as long as it is declared, as another given tensor has it, as it has symbols, and as the
    greatest position needs; truth values, densely or sparsely, keep the lengths that they have.

    Args:
        given: by tensor what `given_relation` takes.
        tables: grow by the symbols that are new.
        extents: axis -> its length in the numeric tensors of the call.

    Raises:
        DtypeError: values of another type. AxisError: another number of arguments, a position that the
            axis does not have, or symbols on an axis of positions.
    """
    return {
        name: value if isinstance(value, Tuples) else Tuples.from_dense(value)
        for name, value in bound_relations(given, tensors, tables, extents).items()
    }


def dense_relations(
    given: Mapping[str, object], tensors: Sequence[Tensor], tables: SymbolTables, extents: Mapping[str, int]
) -> dict[str, np.ndarray]:
    """Each Boolean tensor of `tensors` as a dense bool array, of the shape that `sparse_relations` has.

    Raises:
        DtypeError, AxisError: as `sparse_relations`.
    """
    return {
        name: value.dense() if isinstance(value, Tuples) else value
        for name, value in bound_relations(given, tensors, tables, extents).items()
    }


def bound_relations(
    given: Mapping[str, object], tensors: Sequence[Tensor], tables: SymbolTables, extents: Mapping[str, int]
) -> dict[str, np.ndarray | Tuples]:
    """Each Boolean tensor of `tensors` as it is given: truth values stay dense, what lists tuples becomes tuples.

    Raises:
        DtypeError, AxisError: as `sparse_relations`.
    """
    values: dict[str, Given] = {}
    listed: dict[str, list[np.ndarray]] = {}
    sizes = dict(extents)
    kinds = _Kinds(tables)
    for tensor in tensors:
        value = values[tensor.name] = given_relation(given[tensor.name], tensor)
        if isinstance(value, Listed):
            columns = listed[tensor.name] = _positions(value, tensor, tables, kinds)
            for axis, column in zip(tensor.axes, columns, strict=True):
                _check_positions(column, tensor, tables.axes[axis])
                sizes[axis] = max(sizes.get(axis, 0), int(column.max(initial=-1)) + 1)
    for name, item in tables.axes.items():
        sizes[name] = max(sizes.get(name, 0), item.size or 0, item.least, len(tables.tables.get(name, ())))
    for tensor in tensors:
        value = values[tensor.name]
        if not isinstance(value, Listed):
            for axis, size in zip(tensor.axes, value.shape, strict=False):
                sizes[axis] = max(sizes[axis], size)
    found: dict[str, np.ndarray | Tuples] = {}
    for tensor in tensors:
        value = values[tensor.name]
        if isinstance(value, Listed):
            shape = [sizes[axis] for axis in tensor.axes]
            found[tensor.name] = Tuples.of(listed[tensor.name], shape, count=value.count)
        else:
            found[tensor.name] = value
    return found


class _Kinds:
    """Which axes the call gives symbols, and which positions."""

    def __init__(self, tables: SymbolTables) -> None:
        # Where the program or a file has symbols, positions stand for them.
        self._open = {axis for axis in tables.axes if not tables.tables.get(axis)}
        # Axis -> what it holds, and what says so first: positions in facts of the program, else a tensor.
        self._found = {
            axis: ("positions", "the program")
            for axis in self._open
            if tables.axes[axis].least and not tables.axes[axis].size
        }

    def add(self, axis: str, kind: str, tensor: Tensor) -> None:
        """
        Raises:
            AxisError: the axis has both.
        """
        known, first = self._found.setdefault(axis, (kind, tensor.name))
        if known != kind and axis in self._open:
            raise mistake("FUSE345", tensor.span, name=tensor.name, kind=kind, axis=axis, known=known, first=first)


def _positions(value: Listed, tensor: Tensor, tables: SymbolTables, kinds: _Kinds) -> list[np.ndarray]:
    """The columns with symbols as positions."""
    named: dict[str, list[Coded]] = {}
    mixed = False
    for column, axis in zip(value.columns, tensor.axes, strict=True):
        if len(column) and not isinstance(column, np.ndarray):
            kinds.add(axis, "symbols", tensor)
        if len(column) and not isinstance(column, Coded):
            kinds.add(axis, "positions", tensor)
        mixed |= isinstance(column, list)
        if isinstance(column, Coded):
            named.setdefault(axis, []).append(column)
    if mixed:
        return _positions_one_by_one(value, tensor, tables)
    for axis, columns in named.items():
        found, new = in_order_of_appearance(columns), not len(tables.table(axis))
        tables.add(found.names, tensor, axis)
        tables.table(axis).learn(columns, found, new)
    return [
        tables.table(axis).positions(column) if isinstance(column, Coded) else np.asarray(column, np.int64)
        for column, axis in zip(value.columns, tensor.axes, strict=True)
    ]


def _positions_one_by_one(value: Listed, tensor: Tensor, tables: SymbolTables) -> list[np.ndarray]:
    """Where a column has symbols and positions, on an axis that has symbols of its own."""
    cells = [column.cells() if isinstance(column, Coded) else list(column) for column in value.columns]
    rows = [
        [
            tables.position(cell, tensor, axis) if isinstance(cell, str) else int(cell)
            for cell, axis in zip(row, tensor.axes, strict=True)
        ]
        for row in zip(*cells, strict=True)
    ]
    return list(np.array(rows, np.int64).reshape(-1, len(tensor.axes)).T)


def _check_positions(column: np.ndarray, tensor: Tensor, axis: Axis) -> None:
    least, greatest = int(column.min(initial=0)), int(column.max(initial=0))
    outside = least if least < 0 else greatest
    if least < 0 or (axis.size is not None and len(column) and greatest >= axis.size):
        has = "has positions from 0" if axis.size is None else f"has the positions 0 to {axis.size - 1}"
        raise mistake("FUSE306", tensor.span, cure="", value=outside, name=tensor.name, axis=axis.name, has=has)
