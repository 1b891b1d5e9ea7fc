"""What a call may give a relation: truth values, tuples of symbols or positions, sparse arrays, tables of data."""

from __future__ import annotations

import importlib
import operator
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Final, TypeAlias

import numpy as np

from fuse_ref.errors import FuseError, MissingFrameworkError
from fuse_ref.evaluate.relation import Relation
from fuse_ref.files.arrow import arrow_column
from fuse_ref.files.table import Table
from fuse_ref.ir.nodes import Tensor
from fuse_ref.mistakes import mistake
from fuse_ref.relations.symbols import Coded, Column, coded
from fuse_ref.relations.tuples import Tuples
from fuse_ref.weights.arrays import framework_of, numpy_array

__all__ = ["Given", "Listed", "given_relation"]

Mixed: TypeAlias = list[str | int]  # a column of symbols and positions
_WHOLE: Final = (int, np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32)


class Listed:
    """Tuples as the call lists them.

    Args:
        columns: one per argument.
        count: how many tuples there are.
    """

    __slots__ = ("columns", "count")

    def __init__(self, columns: Sequence[Column | Mixed], count: int) -> None:
        self.columns = tuple(columns)
        self.count = count


Given: TypeAlias = np.ndarray | Tuples | Listed  # truth values; tuples with the sizes of their axes; tuples without


def given_relation(value: object, tensor: Tensor) -> Given:
    """What `value` gives the Boolean `tensor`.

    Args:
        value: truth values: a bool array, a sparse array of torch or SciPy (true where not 0), `Tuples`; or a list
            of tuples: a sequence of tuples (of single cells where the relation has one argument), an integer array
            (count, arity), a `Relation`, anything with `.positions`, a `Table`, a DataFrame of pandas or polars, an
            Arrow table, each with its columns in the order of the arguments.

    Raises:
        DtypeError: of another type. AxisError: another number of arguments.
    """
    if isinstance(value, Tuples):
        return value
    sparse = _sparse(value)
    if sparse is not None:
        return sparse
    if framework_of(value) is not None:
        array = numpy_array(value)
        return array if array.dtype == np.bool_ else _listed_array(array, tensor)
    table = _table_columns(value, tensor)
    if table is not None:
        columns, count = table
        if len(columns) != len(tensor.axes):
            raise _wrong_arity(tensor, f"a table of {len(columns)} column" + "s" * (len(columns) != 1))
        return Listed(columns, count)
    positions = getattr(value, "positions", None)
    if positions is not None:
        return _listed_array(numpy_array(positions), tensor)
    return _listed_rows(value, tensor)


def _sparse(value: object) -> np.ndarray | Tuples | None:
    """A sparse array's places that are not 0."""
    if type(value).__module__.startswith("scipy.") and hasattr(value, "tocoo"):
        entries: Any = value.tocoo(copy=True)
        entries.sum_duplicates()
        kept = entries.data != 0
        return Tuples([place[kept] for place in entries.coords], entries.shape)
    if framework_of(value) != "torch":
        return None
    tensor: Any = value
    if str(tensor.layout) == "torch.strided":
        return None
    if str(tensor.layout) != "torch.sparse_coo":
        tensor = tensor.to_sparse()
    if tensor.dense_dim():
        return np.asarray(numpy_array(tensor.to_dense()) != 0)
    entries = tensor.detach().cpu().coalesce()
    places = entries.indices()[:, entries.values() != 0].numpy()
    return Tuples(list(places), tuple(entries.shape))


def _listed_array(array: np.ndarray, tensor: Tensor) -> Listed:
    """(count, arity) positions, or symbols."""
    arity = len(tensor.axes)
    kind = array.dtype.kind
    if kind not in "iuUS" and not (array.size == 0 and array.ndim < 2):
        raise wrong_type(tensor, str(array.dtype))
    if array.ndim == 1 and arity == 1:
        array = array[:, None]
    if array.size and (array.ndim != 2 or array.shape[1] != arity):
        shape = " × ".join(map(str, array.shape))
        what = "symbols" if kind in "US" else "positions"
        raise _wrong_arity(tensor, f"an array of {shape} {what}")
    if not array.size:
        # Without arguments an array of one row and no columns holds.
        return Listed([np.empty(0, np.int64)] * arity, len(array) if not arity and array.ndim == 2 else 0)
    if kind == "S":
        raise wrong_type(tensor, "bytes")
    if kind == "U":
        return Listed([coded(array[:, k].tolist()) for k in range(arity)], len(array))
    if array.dtype == np.uint64:
        return Listed([_whole(array[:, k].tolist(), tensor, k) for k in range(arity)], len(array))
    return Listed([array[:, k].astype(np.int64) for k in range(arity)], len(array))


def _listed_rows(value: object, tensor: Tensor) -> Listed:
    """A sequence of tuples, or of single cells."""
    arity = len(tensor.axes)
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise wrong_type(tensor, type(value).__name__)
    rows = value if isinstance(value, list | tuple) else list(value)
    kinds = set(map(type, rows))
    if arity == 1 and kinds and kinds <= {str, *_WHOLE}:
        return Listed([_cells(rows, tensor, 0)], len(rows))
    plain = kinds <= {tuple, list} and set(map(len, rows)) <= {arity}
    if not plain or not set(map(type, chain.from_iterable(rows))) <= {str, *_WHOLE}:
        rows = _checked_rows(rows, tensor)
    columns = [list(map(operator.itemgetter(k), rows)) for k in range(arity)]
    return Listed([_cells(column, tensor, k) for k, column in enumerate(columns)], len(rows))


def _checked_rows(rows: Iterable[object], tensor: Tensor) -> list[Sequence[Any]]:
    """Rows one by one, for what is wrong or unusual in them."""
    found: list[Sequence[Any]] = []
    for row in rows:
        cells: Any = (row,) if isinstance(row, str | int | np.integer) else row
        if not isinstance(cells, Sequence) or isinstance(cells, bytes):
            raise wrong_type(tensor, type(row).__name__)
        if len(cells) != len(tensor.axes):
            raise _wrong_arity(tensor, f"a tuple of {len(cells)}")
        for k, cell in enumerate(cells):
            if _is_strange(cell):
                raise wrong_type(tensor, type(cell).__name__)
            if not isinstance(cell, str):
                _whole([cell], tensor, k)
        found.append([str(cell) if isinstance(cell, str) else int(cell) for cell in cells])
    return found


def _is_strange(cell: object) -> bool:
    return isinstance(cell, bool | np.bool_) or not isinstance(cell, str | int | np.integer)


def _cells(cells: Sequence[Any], tensor: Tensor, argument: int) -> Column | Mixed:
    """A column of strings, of whole numbers, or of both."""
    kinds = set(map(type, cells))
    if kinds == {str}:
        return coded(cells)
    if str in kinds:
        return [cell if isinstance(cell, str) else int(cell) for cell in cells]
    return _whole(cells, tensor, argument)


def _whole(cells: Sequence[Any], tensor: Tensor, argument: int) -> np.ndarray:
    try:
        return np.array(cells, np.int64)
    except OverflowError:
        value = next(cell for cell in cells if not -(2**63) <= cell < 2**63)
        axis = tensor.axes[argument]
        has = "has positions from 0 to 2**63 - 1"
        raise mistake("FUSE306", tensor.span, cure="", value=value, name=tensor.name, axis=axis, has=has) from None


# Tables ----------------------------------------------------------------------------------------


def _table_columns(value: object, tensor: Tensor) -> tuple[list[Column | Mixed], int] | None:
    """The columns of something that has columns, and the number of its rows; None for what is no table."""
    if isinstance(value, Relation):
        return [_relation_column(value, k) for k in range(len(value.shape))], len(value)
    if isinstance(value, Table):
        return list(value.columns), len(value)
    root = type(value).__module__.partition(".")[0]
    if root == "pandas" and hasattr(value, "dtypes"):
        frame: Any = value
        several = [frame.iloc[:, k] for k in range(frame.shape[1])] if frame.ndim == 2 else [frame]
        return [_series(item, tensor) for item in several], len(frame)
    if root == "pyarrow" or hasattr(value, "__arrow_c_stream__"):
        return _arrow(value, tensor)
    return None


def _relation_column(relation: Relation, k: int) -> Column | Mixed:
    """By symbol where the relation has symbols: another program may number them otherwise."""
    column, table = relation.tuples.columns[k], relation.symbols[k]
    if not table:
        return column.astype(np.int64)
    if int(column.max(initial=-1)) < len(table):
        return Coded(column, table)
    return list(relation.columns[k].tolist())


def _series(series: Any, tensor: Tensor) -> Column:
    """A column of a pandas DataFrame."""
    pandas = sys.modules["pandas"]
    if not len(series):
        return np.empty(0, np.int64)  # of no type that could be wrong
    if bool(series.isna().any()):
        raise wrong_type(tensor, f"a column {series.name!r} with missing values")
    kind = getattr(series.dtype, "kind", "O")
    if kind in "iu":
        return _whole(series.tolist(), tensor, 0) if series.dtype == "uint64" else series.to_numpy(np.int64)
    if kind != "O":
        raise wrong_type(tensor, f"a column {series.name!r} of {series.dtype}")
    codes, names = pandas.factorize(series)
    names = list(names)
    if all(isinstance(name, str) for name in names):
        return Coded(np.asarray(codes), tuple(map(str, names)))
    if all(isinstance(name, int | np.integer) and not isinstance(name, bool) for name in names):
        return np.asarray(_whole([int(name) for name in names], tensor, 0)[codes])
    strange = next(name for name in names if not isinstance(name, str))
    raise wrong_type(tensor, f"a column {series.name!r} with {type(strange).__name__}")


def _arrow(value: object, tensor: Tensor) -> tuple[list[Column | Mixed], int]:
    try:
        arrow: Any = importlib.import_module("pyarrow")
    except ImportError as error:
        missing = mistake(
            "FUSE346",
            tensor.span,
            call=f"a table of {type(value).__module__.partition('.')[0]} for {tensor.name}",
            name="pyarrow",
            install="pip install 'fuse-torch[files]'",
        )
        assert isinstance(missing, MissingFrameworkError)
        missing.name = "pyarrow"
        raise missing from error
    if isinstance(value, arrow.Array | arrow.ChunkedArray):
        names, columns = ["0"], [value]
    else:
        table = value if isinstance(value, arrow.Table) else arrow.table(value)
        names, columns = table.column_names, table.columns
    found: list[Column | Mixed] = []
    for name, column in zip(names, columns, strict=True):
        cells = arrow_column(arrow, column) if len(column) else np.empty(0, np.int64)
        if cells is None:
            what = "with missing values" if column.null_count else f"of {column.type}"
            raise wrong_type(tensor, f"a column {name!r} {what}")
        found.append(cells)
    return found, len(columns[0]) if columns else 0


# Errors ----------------------------------------------------------------------------------------


def wrong_type(tensor: Tensor, got: str) -> FuseError:
    expected = "truth values or positions"
    cure = (
        f"bool arrays hold truth values, int arrays of shape (count, arity) positions; "
        f"numbers are read with square brackets: {tensor.name}[{', '.join(tensor.letters or 'ijklmnpq'[: len(tensor.axes)])}]"
    )
    return mistake("FUSE303", tensor.span, cure=cure, name=tensor.name, expected=expected, got=got)


def _wrong_arity(tensor: Tensor, got: str) -> FuseError:
    return mistake("FUSE305", tensor.span, name=tensor.name, arity=len(tensor.axes), got=got)
