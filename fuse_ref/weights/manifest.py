"""Weight manifests: JSON that says which file holds which weight. Untrusted, so every field is checked."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn, TypeAlias

import numpy as np

from fuse_ref.errors import FuseError
from fuse_ref.mistakes import mistake
from fuse_ref.mistakes.suggest import did_you_mean
from fuse_ref.records import dataclass

__all__ = ["DTYPES", "Entry", "Part", "entry_error", "read_manifest"]

# Raises the error for one entry.
_Refuse: TypeAlias = Callable[..., NoReturn]

_SIZE_LIMIT: Final = 1 << 28  # bytes of a manifest itself
_MOST_AXES: Final = 64  # NumPy's own limit
_LATER: Final = ("quant", "lora", "prefetch")
_FIELDS: Final = ("name", "path", "key", "value", "shards", "shard_axis", "dtype", "shape", "sha256", "scale", *_LATER)
_ORIGINS: Final = ("path", "value", "shards")

DTYPES: Final = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "bfloat16", "float32", "float64"),
)


@dataclass(frozen=True, slots=True)
class Part:
    """A file that holds a weight or a shard of it."""

    path: str
    key: str | None
    sha256: str | None  # of the whole file, small hexadecimal letters


@dataclass(frozen=True, slots=True)
class Entry:
    """What a manifest says of one weight."""

    name: str
    parts: tuple[Part, ...]  # one, or the shards in order; () when `value` is given
    value: np.ndarray | None
    axis: int  # along which shards follow each other
    sharded: bool
    dtype: str | None  # the type that the file must have
    shape: tuple[int, ...] | None  # the shape that the whole weight must have
    scale: float | None  # the weight is the file's numbers times this


def entry_error(manifest: str, name: str, problem: str, cure: str = "") -> FuseError:
    """The error for one entry of a manifest."""
    return mistake("FUSE332", None, cure=cure, manifest=manifest, entry=name, problem=problem)


def read_manifest(manifest: object) -> tuple[str, Path | None, tuple[Entry, ...]]:
    """A manifest's name for messages, its folder when it is a file, and its entries.

    Args:
        manifest: the path of a JSON file; a mapping name -> path or entry; a mapping with the keys "version"
            and "weights"; or a list of entries with names.

    Raises:
        ManifestError: what is no manifest, or has an entry that is wrong.
    """
    if isinstance(manifest, str | os.PathLike):
        path = Path(manifest)
        return str(path), path.resolve().parent, _entries(str(path), _from_file(path))
    return "the manifest", None, _entries("the manifest", manifest)


def _from_file(path: Path) -> object:
    name = str(path)
    try:
        if path.stat().st_size > _SIZE_LIMIT:
            _refuse(name, f"it has more than {_SIZE_LIMIT} bytes")
        text = path.read_text(encoding="utf-8")
        return json.loads(text, object_pairs_hook=lambda pairs: _without_duplicates(name, pairs))
    except FuseError:
        raise  # a ManifestError is a ValueError too
    except FileNotFoundError:
        _refuse(name, "there is no such file")
    except OSError as error:
        _refuse(name, error.strerror or type(error).__name__)
    except RecursionError:
        _refuse(name, "it is nested too deeply")
    except ValueError as error:
        _refuse(name, f"it is no JSON: {error}")


def _refuse(manifest: str, problem: str) -> NoReturn:
    raise mistake("FUSE335", None, manifest=manifest, problem=problem)


def _without_duplicates(manifest: str, pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            raise entry_error(manifest, name, "it is there twice")
        found[name] = value
    return found


def _entries(manifest: str, data: object) -> tuple[Entry, ...]:
    if isinstance(data, Mapping) and isinstance(data.get("weights"), Mapping | list | tuple):
        if data.get("version") != 1:
            _refuse(manifest, f"its version is {data.get('version')!r}, and this software reads version 1")
        extra = [key for key in data if key not in ("version", "weights")]
        if extra:
            _refuse(manifest, f"it has the field {extra[0]!r}, where only version and weights stand")
        data = data["weights"]
    if isinstance(data, Mapping):
        pairs: Iterable[tuple[object, object]] = data.items()
    elif isinstance(data, Sequence) and not isinstance(data, str | bytes):
        pairs = [(item.get("name") if isinstance(item, Mapping) else None, item) for item in data]
    else:
        _refuse(manifest, "it is neither an object of weights nor a list of entries")
    found: dict[str, Entry] = {}
    for name, value in pairs:
        if not isinstance(name, str) or not name:
            _refuse(manifest, f"an entry has no name: {_short(value)}")
        if name in found:
            raise entry_error(manifest, name, "it is there twice")
        found[name] = _entry(manifest, name, value)
    return tuple(found.values())


def _entry(manifest: str, name: str, data: object) -> Entry:
    def refuse(problem: str, cure: str = "") -> NoReturn:
        raise entry_error(manifest, name, problem, cure)

    if isinstance(data, str | os.PathLike):
        data = {"path": os.fspath(data)}
    if not isinstance(data, Mapping):
        refuse(f"it is neither a path nor an object but {_short(data)}")
    for field in data:
        if field not in _FIELDS:
            refuse(f"it has the field {field!r}, which means nothing", did_you_mean(str(field), _FIELDS))
    if data.get("name", name) != name:
        refuse(f"its own name is {data['name']!r}")
    for field in _LATER:
        if data.get(field) is not None:
            raise mistake("FUSE334", None, manifest=manifest, entry=name, field=field)
    origins = [field for field in _ORIGINS if field in data]
    if len(origins) != 1:
        refuse(f"it has {' and '.join(origins) or 'no source'}: exactly one of path, value and shards says where it is")
    for field in ("key", "sha256") if "path" not in data else ("shard_axis",) if "shards" not in data else ():
        if field in data:
            refuse(f"{field} has no meaning beside {origins[0]}")
    dtype, shape, scale, axis = data.get("dtype"), data.get("shape"), data.get("scale"), data.get("shard_axis", 0)
    if dtype is not None and dtype not in DTYPES:
        refuse(f"its dtype is {_short(dtype)}", did_you_mean(str(dtype), DTYPES))
    if scale is not None and (type(scale) not in (int, float) or not math.isfinite(scale)):
        refuse(f"its scale is {_short(scale)} and no finite number")
    if type(axis) is not int:
        refuse(f"its shard_axis is {_short(axis)} and no whole number")
    value = None if "value" not in data else _value(data["value"], dtype, refuse)
    return Entry(
        name=name,
        parts=_parts(data, refuse),
        value=value,
        axis=axis,
        sharded="shards" in data,
        dtype=dtype,
        shape=None if shape is None else _shape(shape, refuse),
        scale=None if scale is None else float(scale),
    )


def _parts(data: Mapping[str, object], refuse: _Refuse) -> tuple[Part, ...]:
    if "value" in data:
        return ()
    if "path" in data:
        return (_part(data, refuse),)
    shards = data["shards"]
    if not isinstance(shards, Sequence) or isinstance(shards, str | bytes) or not shards:
        refuse("its shards are no list of files")
    parts = []
    for number, shard in enumerate(shards):
        if isinstance(shard, str | os.PathLike):
            shard = {"path": os.fspath(shard)}
        if not isinstance(shard, Mapping) or not set(shard) <= {"path", "key", "sha256"} or "path" not in shard:
            refuse(f"shard {number} is neither a path nor an object with path, key and sha256")
        parts.append(_part(shard, refuse))
    return tuple(parts)


def _part(data: Mapping[str, object], refuse: _Refuse) -> Part:
    path, key, digest = data["path"], data.get("key"), data.get("sha256")
    if isinstance(path, os.PathLike):
        path = os.fspath(path)
    if not isinstance(path, str) or not path or "\0" in path:
        refuse(f"its path is {_short(path)} and names no file")
    if key is not None and not isinstance(key, str):
        refuse(f"its key is {_short(key)} and no text")
    if digest is not None and not (
        isinstance(digest, str) and len(digest) == 64 and all(letter in "0123456789abcdef" for letter in digest.lower())
    ):
        refuse(f"its sha256 is {_short(digest)} and not 64 hexadecimal digits")
    return Part(path, key, None if digest is None else digest.lower())


def _shape(shape: object, refuse: _Refuse) -> tuple[int, ...]:
    if (
        not isinstance(shape, list | tuple)
        or len(shape) > _MOST_AXES
        or any(type(size) is not int or size < 0 for size in shape)
        or math.prod(shape) >= 2**62
    ):
        refuse(f"its shape is {_short(shape)} and no list of sizes")
    return tuple(shape)


def _value(value: object, dtype: object, refuse: _Refuse) -> np.ndarray:
    try:
        array = np.array(value)
    except (ValueError, TypeError, OverflowError, RecursionError):
        refuse("its value is no array: rows differ in length, or something is no number")
    if array.size == 0 and array.dtype == np.float64 and dtype is not None:
        array = array.astype(np.float32)
    if array.dtype.kind not in "biuf":
        refuse(f"its value is no array of numbers: {_short(value)}")
    if dtype in (None, "bfloat16"):
        return array
    assert isinstance(dtype, str)
    with np.errstate(all="ignore"):
        cast = array.astype(dtype)
    if np.dtype(dtype).kind in "biu" and not np.array_equal(cast, array):
        refuse(f"its value is not of dtype {dtype}: {_short(value)}")
    return cast


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
