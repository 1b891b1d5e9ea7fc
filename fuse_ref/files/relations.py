"""Facts of files as dense truth values: symbols numbered after the program's own, axes as long as they need."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fuse_ref.files.paths import Place
from fuse_ref.files.table import Table
from fuse_ref.ir.nodes import Axis, ProgramIR, Tensor
from fuse_ref.mistakes import mistake

__all__ = ["Facts", "dense_facts", "with_symbols"]


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts that one file gives one relation."""

    tensor: Tensor
    table: Table
    place: Place


def with_symbols(program: ProgramIR, facts: Sequence[Facts]) -> ProgramIR:
    """`program` whose axes have the symbols of files too, after its own, in order of appearance.

    Raises:
        AxisError: more symbols than a declared axis has positions, or symbols and positions on one axis.
    """
    axes = {axis.name: axis for axis in program.axes}
    # A dict keeps the order and finds a symbol fast.
    tables = {axis.name: dict.fromkeys(axis.symbols) for axis in program.axes if axis.symbols is not None}
    kinds: dict[str, tuple[str, str]] = {}  # axis -> what it holds, and where that is from
    for axis in program.axes:
        if axis.symbols:
            kinds[axis.name] = ("symbols", "the program")
    for item in facts:
        _check_width(item)
        for k, name in enumerate(item.tensor.axes):
            if len(item.table):
                _check_kind(item, k, kinds)
            symbols = item.table.columns[k] if k < len(item.table.columns) else ()
            if symbols and isinstance(symbols[0], str):
                tables.setdefault(name, {})
        for row in zip(*item.table.columns, strict=True):
            for symbol, name in zip(row, item.tensor.axes, strict=True):
                if isinstance(symbol, str):
                    tables[name].setdefault(symbol)
    found = []
    for axis in program.axes:
        table = tuple(tables[axis.name]) if axis.name in tables else None
        if table != axis.symbols and table is not None:
            _check_size(axes[axis.name], table, facts)
            axis = dataclasses.replace(axis, symbols=table, least=max(axis.least, len(table)))
        found.append(axis)
    return dataclasses.replace(program, axes=tuple(found))


def _check_width(item: Facts) -> None:
    got, arity = len(item.table.columns), len(item.tensor.axes)
    if got != arity:
        raise mistake(
            "FUSE329",
            item.place.span,
            path=item.place.written,
            got=f"{got} column" + "s" * (got != 1),
            name=item.tensor.name,
            expected=f"{arity} argument" + "s" * (arity != 1),
        )


def _check_kind(item: Facts, k: int, kinds: dict[str, tuple[str, str]]) -> None:
    """One axis holds symbols or positions."""
    kind = "symbols" if isinstance(item.table.columns[k][0], str) else "positions"
    where = f"column {k + 1} of {item.place.written}"
    axis = item.tensor.axes[k]
    known, first = kinds.setdefault(axis, (kind, where))
    if known != kind:
        raise mistake("FUSE331", item.place.span, where=where, kind=kind, axis=axis, known=known, first=first)


def _check_size(axis: Axis, table: Sequence[str], facts: Sequence[Facts]) -> None:
    if axis.size is None or len(table) <= axis.size:
        return
    what = f"{table[axis.size]!r} is symbol number {axis.size + 1}"
    place = axis.origins[0].reason if axis.origins else "the program"
    span = next((item.place.span for item in facts if axis.name in item.tensor.axes), None)
    raise mistake("FUSE113", span, axis=axis.name, size=axis.size, place=place, what=what)


def dense_facts(
    program: ProgramIR, facts: Sequence[Facts], sizes: Mapping[str, int], limit: int
) -> dict[str, np.ndarray]:
    """Each relation of `facts` as a dense bool array.

    An axis is as long as it is declared or as other tensors on it are, as it has symbols, and as the greatest
    position of all files needs. Along a stepped axis, where each tensor has its own length, other files do not count.

    Args:
        program: with the symbols of `with_symbols`.
        sizes: axis -> its length in tensors whose shapes are known.
        limit: elements that one array may have.

    Raises:
        AxisError: a position that the axis does not have. CapacityError: an array beyond `limit`.
    """
    axes = {axis.name: axis for axis in program.axes}
    numbers = {
        name: {symbol: k for k, symbol in enumerate(axis.symbols)}
        for name, axis in axes.items()
        if axis.symbols is not None
    }
    positions = {item.tensor.name: _positions(item, axes, numbers) for item in facts}
    lengths = {name: max(axis.size or 0, axis.least, sizes.get(name, 0)) for name, axis in axes.items()}
    shared = dict(lengths)
    for item in facts:
        for axis, column in zip(item.tensor.axes, positions[item.tensor.name], strict=True):
            shared[axis] = max(shared[axis], _needs(column))
    arrays: dict[str, np.ndarray] = {}
    for item in facts:
        columns = positions[item.tensor.name]
        shape = tuple(
            max(lengths[axis], _needs(column)) if axes[axis].stepped else shared[axis]
            for axis, column in zip(item.tensor.axes, columns, strict=True)
        )
        if math.prod(shape) > limit:
            count = math.prod(shape)
            shown = " × ".join(map(str, shape))
            raise mistake("FUSE328", item.place.span, name=item.tensor.name, shape=shown, elements=count, limit=limit)
        array = np.zeros(shape, np.bool_)
        if len(item.table):
            array[tuple(columns)] = True
        array.flags.writeable = False
        arrays[item.tensor.name] = array
    return arrays


def _needs(column: np.ndarray) -> int:
    return int(column.max(initial=-1)) + 1


def _positions(item: Facts, axes: Mapping[str, Axis], numbers: Mapping[str, Mapping[str, int]]) -> list[np.ndarray]:
    """One column of positions for each argument."""
    found = []
    for name, column in zip(item.tensor.axes, item.table.columns, strict=True):
        axis = axes[name]
        known = numbers.get(name, {})
        cells = [cell if isinstance(cell, int) else known[cell] for cell in column]
        limit = 2**63 if axis.size is None or axis.stepped else axis.size
        for row, cell in enumerate(cells):
            if not 0 <= cell < limit:
                has = "has positions from 0" if limit == 2**63 else f"has the positions 0 to {limit - 1}"
                where = f"{item.tensor.name} ({item.place.written}, line {item.table.lines[row]})"
                raise mistake("FUSE306", item.place.span, cure="", value=cell, name=where, axis=name, has=has)
        found.append(np.array(cells, np.int64))
    return found
