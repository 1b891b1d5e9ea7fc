"""Facts of files as tuples or truth values: symbols numbered after the program's own, axes as long as they need."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from fuse_ref.files.paths import Place
from fuse_ref.files.table import Table
from fuse_ref.ir.nodes import Axis, ProgramIR, Tensor
from fuse_ref.mistakes import mistake
from fuse_ref.records import dataclass
from fuse_ref.relations.symbols import Coded, SymbolTable, in_order_of_appearance
from fuse_ref.relations.tuples import Tuples

__all__ = ["Facts", "dense_facts", "sparse_facts", "with_symbols"]


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
    tables = {axis.name: SymbolTable.of(axis.symbols) for axis in program.axes if axis.symbols is not None}
    kinds: dict[str, tuple[str, str]] = {}  # axis -> what it holds, and where that is from
    for axis in program.axes:
        if axis.symbols:
            kinds[axis.name] = ("symbols", "the program")
    for item in facts:
        _check_width(item)
        columns: dict[str, list[Coded]] = {}  # of symbols, by axis
        for k, (name, column) in enumerate(zip(item.tensor.axes, item.table.columns, strict=True)):
            if len(item.table):
                _check_kind(item, k, kinds)
            if isinstance(column, Coded) and len(column):
                columns.setdefault(name, []).append(column)
        for name, several in columns.items():
            appeared, table = in_order_of_appearance(several), tables.setdefault(name, SymbolTable())
            new = not len(table)
            table.extend(appeared.names)
            table.learn(several, appeared, new)
    found = []
    for axis in program.axes:
        if axis.name in tables and len(tables[axis.name]) != len(axis.symbols or ()):
            symbols = tables[axis.name].names
            _check_size(axes[axis.name], symbols, facts)
            axis = dataclasses.replace(axis, symbols=symbols, least=max(axis.least, len(symbols)))
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
    kind = "symbols" if isinstance(item.table.columns[k], Coded) else "positions"
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


def sparse_facts(program: ProgramIR, facts: Sequence[Facts], sizes: Mapping[str, int]) -> dict[str, Tuples]:
    """Each relation of `facts` as tuples of positions.

    An axis is as long as it is declared or as other tensors on it are, as it has symbols, and as the greatest
    position of all files needs. Along a stepped axis, where each tensor has its own length, other files do not count.

    Args:
        program: with the symbols of `with_symbols`.
        sizes: axis -> its length in tensors whose shapes are known.

    Raises:
        AxisError: a position that the axis does not have.
    """
    found = _columns_and_shapes(program, facts, sizes)
    return {name: Tuples.of(columns, shape) for name, (_, columns, shape) in found.items()}


def dense_facts(
    program: ProgramIR, facts: Sequence[Facts], sizes: Mapping[str, int], limit: int
) -> dict[str, np.ndarray]:
    """Each relation of `facts` as a dense bool array, of the shape that `sparse_facts` has.

    Args:
        program, sizes: of `sparse_facts`.
        limit: elements that one array may have.

    Raises:
        AxisError: a position that the axis does not have. CapacityError: an array beyond `limit`.
    """
    arrays: dict[str, np.ndarray] = {}
    for name, (item, columns, shape) in _columns_and_shapes(program, facts, sizes).items():
        if math.prod(shape) > limit:
            count = math.prod(shape)
            shown = " × ".join(map(str, shape))
            raise mistake("FUSE328", item.place.span, name=name, shape=shown, elements=count, limit=limit)
        array = np.zeros(shape, np.bool_)
        if len(item.table):
            array[tuple(columns)] = True
        array.flags.writeable = False
        arrays[name] = array
    return arrays


def _columns_and_shapes(
    program: ProgramIR, facts: Sequence[Facts], sizes: Mapping[str, int]
) -> dict[str, tuple[Facts, list[np.ndarray], tuple[int, ...]]]:
    """Tensor -> its facts, one column of positions for each argument, and its shape."""
    axes = {axis.name: axis for axis in program.axes}
    tables = {axis.name: SymbolTable.of(axis.symbols) for axis in program.axes if axis.symbols is not None}
    positions = {item.tensor.name: _positions(item, axes, tables) for item in facts}
    lengths = {name: max(axis.size or 0, axis.least, sizes.get(name, 0)) for name, axis in axes.items()}
    shared = dict(lengths)
    for item in facts:
        for axis, column in zip(item.tensor.axes, positions[item.tensor.name], strict=True):
            shared[axis] = max(shared[axis], _needs(column))
    found = {}
    for item in facts:
        columns = positions[item.tensor.name]
        shape = tuple(
            max(lengths[axis], _needs(column)) if axes[axis].stepped else shared[axis]
            for axis, column in zip(item.tensor.axes, columns, strict=True)
        )
        found[item.tensor.name] = (item, columns, shape)
    return found


def _needs(column: np.ndarray) -> int:
    return int(column.max(initial=-1)) + 1


def _positions(item: Facts, axes: Mapping[str, Axis], tables: Mapping[str, SymbolTable]) -> list[np.ndarray]:
    """One column of positions for each argument."""
    found = []
    for name, column in zip(item.tensor.axes, item.table.columns, strict=True):
        axis = axes[name]
        if isinstance(column, Coded):
            cells = tables[name].positions(column) if len(column) else np.empty(0, np.int64)
        else:
            cells = column
        limit = 2**63 if axis.size is None or axis.stepped else axis.size
        outside = np.flatnonzero((cells < 0) | (cells > limit - 1))[:1]
        for row in outside.tolist():
            has = "has positions from 0" if limit == 2**63 else f"has the positions 0 to {limit - 1}"
            where = f"{item.tensor.name} ({item.place.written}, line {item.table.lines[row]})"
            raise mistake("FUSE306", item.place.span, cure="", value=int(cells[row]), name=where, axis=name, has=has)
        found.append(cells)
    return found
