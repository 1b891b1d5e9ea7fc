"""The formats that arrays are written in."""

from __future__ import annotations

import csv
import importlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO, Final, TypeAlias

import numpy as np

from fuse_ref.files.arrow import arrow_table
from fuse_ref.files.delimited import DELIMITERS
from fuse_ref.files.safetensors import write_entries
from fuse_ref.records import dataclass
from fuse_ref.relations.symbols import named_column
from fuse_ref.relations.tuples import Tuples

__all__ = ["SEVERAL", "TRUTH_VALUES", "Content", "Symbols", "json_value", "write_content"]

SEVERAL: Final = (".npz", ".safetensors", ".json")  # hold several arrays, by name
TRUTH_VALUES: Final = (".npy", ".npz", ".safetensors")  # hold a relation as a dense array
Symbols: TypeAlias = tuple[tuple[str, ...] | None, ...]

_ROWS: Final = 1 << 16  # facts that are made Python objects at once

_ALIGNMENT: Final = 64  # bytes; where arrays in .npz files begin, so that they can be memory-mapped


@dataclass(frozen=True, slots=True)
class Content:
    """What one array of a file is written from."""

    value: np.ndarray | Tuples
    symbols: Symbols = ()  # per axis the names of its positions, or None; () when no axis has any
    letters: tuple[str, ...] = ()  # names of the axes, for formats whose columns have names; () numbers them

    @property
    def facts(self) -> Tuples | None:
        """The tuples of a relation that has arguments; None for numbers, and for a single truth value."""
        if isinstance(self.value, Tuples):
            return self.value.sorted() if self.value.arity else None
        return Tuples.from_dense(self.value) if self.value.dtype == np.bool_ and self.value.ndim else None

    @property
    def array(self) -> np.ndarray:
        return self.value.dense() if isinstance(self.value, Tuples) else self.value

    @property
    def tables(self) -> Symbols:
        return self.symbols or (None,) * len(self.value.shape)

    @property
    def columns(self) -> list[str]:
        count = len(self.value.shape)
        known = len(self.letters) == count == len(set(self.letters))
        return list(self.letters if known else map(str, range(count)))


def write_content(file: BinaryIO, ending: str, contents: Mapping[str, Content], *, named: bool) -> None:
    """All of `contents`, by name, in the format of `ending`.

    Truth values and tuples become rows of facts in formats of rows, with symbols where the axes have them, and
    dense truth values in the others.

    Args:
        named: in `.json`, an object with a field for each array; else the one array itself.

    Raises:
        ValueError: the format cannot hold an array.
        ImportError: the format needs a package that is not installed.
    """
    if ending == ".npz":
        _write_archive(file, {name: content.array for name, content in contents.items()})
        return
    if ending == ".safetensors":
        write_entries(file, {name: content.array for name, content in contents.items()})
        return
    if ending == ".json":
        values = {name: json_value(content) for name, content in contents.items()}
        value = values if named else next(iter(values.values()))
        file.write(_json(value).encode() + b"\n")
        return
    (content,) = contents.values()
    if ending == ".npy":
        np.save(file, content.array, allow_pickle=False)
    elif ending == ".parquet":
        _write_parquet(file, content)
    elif ending == ".jsonl":
        rows = json_value(content)
        if not isinstance(rows, list):
            raise ValueError("a .jsonl file holds a record in each line, and this is a single number")
        file.writelines(_json(row).encode() + b"\n" for row in rows)
    else:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        writer = csv.writer(text, delimiter=DELIMITERS[ending], lineterminator="\n")
        writer.writerows(_rows(content, ending))
        text.detach()  # flushed, and the file stays open


def json_value(content: Content) -> object:
    """Nested lists of numbers; of a relation the list of facts."""
    facts = content.facts
    if facts is not None:
        return list(map(list, _facts(facts, content.tables)))
    array = content.array
    # The shortest text that reads back as the same float32 is wanted, not the float64 beside it.
    return _shortest(array) if array.dtype == np.float32 else array.tolist()


def _shortest(array: np.ndarray) -> object:
    flat = np.array([float(str(item)) for item in array.reshape(-1)], np.float64)
    return flat.reshape(array.shape).tolist()


def _json(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise ValueError("JSON has no NaN and no infinity, and the array has") from error


def _facts(facts: Tuples, tables: Symbols) -> Iterator[tuple[str | int, ...]]:
    """The rows of a relation: symbols where the axes have them, else positions."""
    for begin in range(0, len(facts), _ROWS):
        parts = (column[begin : begin + _ROWS] for column in facts.columns)
        yield from zip(
            *(
                named_column(part, table).tolist() if table else part.tolist()
                for part, table in zip(parts, tables, strict=True)
            ),
            strict=True,
        )


def _rows(content: Content, ending: str) -> Iterable[tuple[object, ...]]:
    facts = content.facts
    return _facts(facts, content.tables) if facts is not None else _numbers(content.array, ending)


def _numbers(array: np.ndarray, ending: str) -> Iterator[tuple[str, ...]]:
    if array.ndim > 2:
        raise ValueError(f"a {ending} file holds tables of at most two axes, and this array has {array.ndim}")
    table = array.reshape(-1, 1) if array.ndim < 2 else array
    for row in table:
        yield tuple(str(item) for item in row)


def _write_parquet(file: BinaryIO, content: Content) -> None:
    arrow: Any = importlib.import_module("pyarrow")
    parquet: Any = importlib.import_module("pyarrow.parquet")
    facts = content.facts
    if facts is not None:
        table = arrow_table(arrow, facts, content.tables, content.columns)
    else:
        array = content.array
        if array.ndim > 2:
            raise ValueError(f"a .parquet file holds tables of at most two axes, and this array has {array.ndim}")
        columns = array.reshape(-1, 1) if array.ndim < 2 else array
        parts = [arrow.array(np.ascontiguousarray(columns[:, k])) for k in range(columns.shape[1])]
        table = arrow.table(parts, names=list(map(str, range(columns.shape[1]))))
    parquet.write_table(table, file)


def _write_archive(file: BinaryIO, arrays: Mapping[str, np.ndarray]) -> None:
    import zipfile  # most programs write no archive

    # np.savez takes keys as keywords, so that an array could not be called "file".
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for key, array in arrays.items():
            entry = zipfile.ZipInfo(f"{key}.npy", (1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            entry.extra = _padding(file.tell(), len(entry.filename.encode("utf-8")))
            with archive.open(entry, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _padding(offset: int, name: int) -> bytes:
    """An extra field that makes the entry's bytes begin at a multiple of `_ALIGNMENT`.

    It stands behind the entry's header of 30 bytes, its name, and the 20 bytes of ZIP64 sizes.
    """
    empty = 4  # an extra field's own head: a number and a length
    begin = offset + 30 + name + 20 + empty
    length = -begin % _ALIGNMENT
    return b"\x46\x55" + length.to_bytes(2, "little") + b"\0" * length
