"""Arrow tables: their columns as facts, relations as tables. pyarrow is optional; callers import it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fuse_ref.relations.symbols import Coded, Column
from fuse_ref.relations.tuples import Tuples

__all__ = ["arrow_column", "arrow_table"]


def arrow_column(arrow: Any, column: Any) -> Column | None:
    """A column of whole numbers or of strings; None for one of another type, or with missing values.

    Args:
        arrow: the module pyarrow.
        column: a `ChunkedArray` or an `Array`.
    """
    types = arrow.types
    if column.null_count:
        return None
    if types.is_integer(column.type) and not types.is_uint64(column.type):
        return np.asarray(column.to_numpy(), np.int64)
    if types.is_dictionary(column.type):
        if not _is_text(types, column.type.value_type):
            return None
    elif _is_text(types, column.type):
        column = column.dictionary_encode()
    else:
        return None
    # The chunks of a column may have dictionaries of their own.
    whole = column.unify_dictionaries().combine_chunks() if isinstance(column, arrow.ChunkedArray) else column
    parts = whole.chunks if isinstance(whole, arrow.ChunkedArray) else [whole]
    if not parts:
        return Coded(np.empty(0, np.int32), ())
    names = parts[0].dictionary.to_pylist()
    codes = np.concatenate([np.asarray(part.indices.to_numpy(zero_copy_only=False)) for part in parts])
    if None in names or len(set(names)) != len(names):
        return None
    return Coded(codes, tuple(names))


def _is_text(types: Any, kind: Any) -> bool:
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def arrow_table(arrow: Any, tuples: Tuples, symbols: Sequence[tuple[str, ...] | None], letters: Sequence[str]) -> Any:
    """A `pyarrow.Table` of a relation: int64 positions, or symbols as dictionary-encoded strings.

    A position that has no name, on an axis where others have, is its number as a string.
    """
    columns = []
    for column, table, size in zip(tuples.columns, symbols, tuples.shape, strict=True):
        if not table:
            columns.append(arrow.array(column.astype(np.int64)))
            continue
        most = int(column.max(initial=-1)) + 1
        names = [*table, *map(str, range(len(table), most))]
        indices = arrow.array(column.astype(np.int32 if size < 2**31 else np.int64, copy=False))
        columns.append(arrow.DictionaryArray.from_arrays(indices, arrow.array(names, arrow.string())))
    return arrow.table(columns, names=list(letters))
