"""Boolean inputs: truth values, positions or tuples of symbols, as one dense array each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from fuse_ref.evaluate.relation import Symbols
from fuse_ref.ir.nodes import Axis, ProgramIR, Tensor
from fuse_ref.mistakes import mistake
from fuse_ref.mistakes.suggest import did_you_mean
from fuse_ref.weights.arrays import framework_of, numpy_array

__all__ = ["SymbolTables", "dense_relations"]

Column: TypeAlias = list[int]
Tuples: TypeAlias = list[Column]  # one column of positions per argument


@dataclass
class SymbolTables:
    """The symbols of each axis in one call: the program's, then those that inputs add, in order."""

    axes: Mapping[str, Axis]
    tables: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, program: ProgramIR) -> SymbolTables:
        axes = {axis.name: axis for axis in program.axes}
        return cls(axes, {name: list(axis.symbols) for name, axis in axes.items() if axis.symbols is not None})

    def position(self, symbol: str, tensor: Tensor, axis: str) -> int:
        """The position of `symbol`, a new one at the end if the axis may grow.

        Raises:
            AxisError: the axis is full.
        """
        table = self.tables.setdefault(axis, [])
        if symbol in table:
            return table.index(symbol)
        size = self.axes[axis].size
        if size is not None and len(table) >= size:
            has = "has " + (", ".join(map(repr, table)) or f"{size} positions and no symbols")
            cure = did_you_mean(symbol, table)
            raise mistake("FUSE306", tensor.span, cure=cure, value=repr(symbol), name=tensor.name, axis=axis, has=has)
        table.append(symbol)
        return len(table) - 1

    def symbols(self) -> dict[str, Symbols]:
        """Axis -> its symbols, for what the run returns."""
        return {axis: tuple(table) for axis, table in self.tables.items()}


def dense_relations(
    given: Mapping[str, object], tensors: Sequence[Tensor], tables: SymbolTables, extents: Mapping[str, int]
) -> dict[str, np.ndarray]:
    """Each Boolean tensor of `tensors` as a dense bool array.

    An axis is as long as it is declared, as another given tensor has it, as it has symbols, and as the
    greatest position needs.

    Args:
        extents: axis -> its length in the numeric tensors of the call.

    Raises:
        DtypeError: values of another type. AxisError: another number of arguments, or a position that the
            axis does not have.
    """
    arrays: dict[str, np.ndarray] = {}
    tuples: dict[str, Tuples] = {}
    sizes = dict(extents)
    for tensor in tensors:
        value = given[tensor.name]
        array = _truth_values(value, tensor)
        if array is not None:
            arrays[tensor.name] = array
            continue
        columns = _columns(value, tensor, tables)
        tuples[tensor.name] = columns
        for axis, column in zip(tensor.axes, columns, strict=True):
            _check_positions(column, tensor, tables.axes[axis])
            sizes[axis] = max(sizes.get(axis, 0), max(column, default=-1) + 1)
    for name, item in tables.axes.items():
        sizes[name] = max(sizes.get(name, 0), item.size or 0, item.least, len(tables.tables.get(name, ())))
    for tensor in tensors:
        if tensor.name in arrays:
            for axis, size in zip(tensor.axes, arrays[tensor.name].shape, strict=False):
                sizes[axis] = max(sizes[axis], size)
    for tensor in tensors:
        if tensor.name in tuples:
            array = np.zeros([sizes[axis] for axis in tensor.axes], np.bool_)
            array[tuple(np.array(column, np.int64) for column in tuples[tensor.name])] = True
            arrays[tensor.name] = array
    return arrays


def _truth_values(value: object, tensor: Tensor) -> np.ndarray | None:
    """The dense array when `value` holds truth values (densely or sparsely), None when it lists tuples."""
    if hasattr(value, "toarray") and type(value).__module__.startswith("scipy."):
        return np.asarray(value.toarray() != 0)
    if framework_of(value) == "torch" and getattr(value, "is_sparse", False):
        return np.asarray(numpy_array(value.to_dense()) != 0)  # type: ignore[attr-defined]
    if framework_of(value) is None:
        return None
    array = numpy_array(value)
    if array.dtype == np.bool_:
        return array
    if array.dtype.kind in "iu" or (array.size == 0 and array.ndim < 2):
        return None
    if array.dtype.kind in "US":
        return None
    raise _wrong_type(tensor, str(array.dtype))


def _wrong_type(tensor: Tensor, got: str) -> Exception:
    expected = "truth values or positions"
    cure = (
        f"bool arrays hold truth values, int arrays of shape (count, arity) positions; "
        f"numbers are read with square brackets: {tensor.name}[{', '.join(tensor.letters or 'ijklmnpq'[: len(tensor.axes)])}]"
    )
    return mistake("FUSE303", tensor.span, cure=cure, name=tensor.name, expected=expected, got=got)


def _columns(value: object, tensor: Tensor, tables: SymbolTables) -> Tuples:
    arity = len(tensor.axes)
    positions = getattr(value, "positions", None)
    if positions is not None:
        value = numpy_array(positions)
    elif framework_of(value) is not None:
        value = numpy_array(value)
    if isinstance(value, np.ndarray):
        if value.ndim == 1 and arity == 1:
            value = value[:, None]
        if value.size and (value.ndim != 2 or value.shape[1] != arity):
            shape = " × ".join(map(str, value.shape))
            raise mistake("FUSE305", tensor.span, name=tensor.name, arity=arity, got=f"an array of {shape} positions")
        value = value.tolist() if value.size else []
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise _wrong_type(tensor, type(value).__name__)
    columns: Tuples = [[] for _ in tensor.axes]
    for row in value:
        items: Any = (row,) if isinstance(row, str | int | np.integer) else row
        if not isinstance(items, Sequence) or isinstance(items, bytes):
            raise _wrong_type(tensor, type(row).__name__)
        if len(items) != arity:
            raise mistake("FUSE305", tensor.span, name=tensor.name, arity=arity, got=f"a tuple of {len(items)}")
        for column, item, axis in zip(columns, items, tensor.axes, strict=True):
            column.append(_position(item, tensor, axis, tables))
    return columns


def _position(item: object, tensor: Tensor, axis: str, tables: SymbolTables) -> int:
    if isinstance(item, str):
        return tables.position(item, tensor, axis)
    if isinstance(item, bool | np.bool_) or not isinstance(item, int | np.integer):
        raise _wrong_type(tensor, type(item).__name__)
    return int(item)


def _check_positions(column: Column, tensor: Tensor, axis: Axis) -> None:
    least, greatest = min(column, default=0), max(column, default=0)
    outside = least if least < 0 else greatest
    if least < 0 or (axis.size is not None and greatest >= axis.size):
        has = "has positions from 0" if axis.size is None else f"has the positions 0 to {axis.size - 1}"
        raise mistake("FUSE306", tensor.span, cure="", value=outside, name=tensor.name, axis=axis.name, has=has)
