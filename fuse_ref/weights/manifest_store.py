"""Weights in files that a manifest lists: memory-mapped, checked, and kept as far as a budget of bytes goes."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from fuse_ref.errors import FuseError
from fuse_ref.files.arrays import why_copied
from fuse_ref.files.content import array_header, read_array
from fuse_ref.files.paths import Folders, Place, split_key
from fuse_ref.mistakes import mistake
from fuse_ref.mistakes.suggest import did_you_mean
from fuse_ref.weights.manifest import Entry, Part, entry_error, read_manifest

__all__ = ["ManifestWeightStore"]

_FORMATS: Final = (".npy", ".npz", ".safetensors")
_CHUNK: Final = 1 << 20  # bytes hashed at once


class ManifestWeightStore:
    """Weights from the files that a manifest lists. Nothing is read before it is asked for.

        ManifestWeightStore({"W": "ckpt/w.npy", "B": "ckpt/all.safetensors:bias"})
        ManifestWeightStore("ckpt/manifest.json", cache_bytes=2**30)

    Args:
        manifest: the path of a JSON file; a mapping name -> path or entry; or what such a file holds:
            `{"version": 1, "weights": {name: entry}}`, where the weights may be a list of entries with "name".
            docs/files.md lists the fields of an entry.
        base_path: where relative paths start; by default the manifest's folder, for a mapping the current one.
            Files must lie in it, in the manifest's folder, or in the `allowed_roots` of the run's policies.
        cache_bytes: of arrays that stay loaded, the least recently used going first; None keeps all.

    Raises:
        ManifestError: what is no manifest, or has an entry that is wrong. ConfigError: cache_bytes below 0.
    """

    def __init__(
        self,
        manifest: str | os.PathLike[str] | Mapping[str, object] | Sequence[object],
        base_path: str | os.PathLike[str] | None = None,
        cache_bytes: int | None = None,
    ) -> None:
        if cache_bytes is not None and (type(cache_bytes) is not int or cache_bytes < 0):
            expected = "a number of bytes, 0 or more, or None"
            raise mistake("FUSE205", None, field="cache_bytes", expected=expected, value=repr(cache_bytes))
        self._manifest, own, entries = read_manifest(manifest)
        self._entries = {entry.name: entry for entry in entries}
        start = Path(base_path).resolve() if base_path is not None else own or Path.cwd()
        self._folders = Folders(start, (start,) if own is None else (start, own))
        self._strict = False
        self._cache = _Cache(cache_bytes)

    def under(self, roots: Sequence[Path], strict_mmap: bool) -> ManifestWeightStore:
        """The same store, with the same cache, as the policies of a run want it.

        Args:
            roots: folders that its files may lie in besides its own.
            strict_mmap: refuse what cannot be memory-mapped as it is.
        """
        store = ManifestWeightStore.__new__(ManifestWeightStore)
        store._manifest, store._entries, store._cache = self._manifest, self._entries, self._cache
        store._folders = Folders(self._folders.start, (*self._folders.roots, *roots))
        store._strict = strict_mmap
        return store

    def __contains__(self, name: object, /) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def shape(self, name: str, /) -> tuple[int, ...]:
        """The shape of weight `name`, from the headers of its files.

        Raises:
            ManifestError: as `load`.
        """
        entry = self._entry(name)
        if entry.value is not None:
            return self._checked(entry, entry.value.shape, entry.value.dtype.name)
        headers = [self._guarded(entry, part, array_header) for part in entry.parts]
        dtypes = {dtype for _, dtype in headers}
        if len(dtypes) > 1:
            raise self._error(entry, f"its shards are of the types {', '.join(sorted(dtypes))}")
        return self._checked(entry, self._joined(entry, [shape for shape, _ in headers]), dtypes.pop())

    def load(self, name: str, /) -> np.ndarray:
        """Weight `name`, a memory map of its file wherever its numbers lie there as they are; callers do not write.

        Raises:
            ManifestError: a file that is missing, lies outside the folders or holds something else than the
                manifest says; or a copy, under `strict_mmap`.
        """
        entry = self._entry(name)
        array = None if self._strict else self._cache.get(name)
        if array is not None:
            return array
        shape = self.shape(name)
        for part in entry.parts:
            if part.sha256 is not None:
                self._check_digest(entry, part)
        copied = ""
        if entry.value is not None:
            array = entry.value
        else:
            founds = [self._guarded(entry, part, read_array) for part in entry.parts]
            array, copied = founds[0].array, founds[0].copied
            if len(founds) > 1:
                copied = "its shards are put together"
        if entry.scale is not None:
            copied = "it is scaled"
        if self._strict and copied:
            raise mistake("FUSE333", None, holder=f"{self._manifest}, weight {name}", reason=copied)
        if entry.sharded and len(entry.parts) > 1:
            array = np.concatenate([found.array for found in founds], axis=entry.axis)
        if entry.scale is not None:
            array = array * (entry.scale if array.dtype == np.float64 else np.float32(entry.scale))
        assert array.shape == shape, (name, array.shape, shape)
        if self._strict and isinstance(array, np.memmap):
            # A map of its own, and copy-on-write: torch takes no memory that cannot be written.
            array.flags.writeable = True
            return array
        array.flags.writeable = False
        self._cache.put(name, array)
        return array

    @property
    def strict(self) -> bool:
        """Whether memory maps must stay what they are."""
        return self._strict

    def check_kept(self, name: str, stored: np.ndarray, dtype: str, address: int, elsewhere: str) -> None:
        """Under `strict_mmap`, that an engine holds the memory map `stored` of weight `name` itself.

        Args:
            dtype, address: of the numbers that it holds.
            elsewhere: why they may lie elsewhere, a clause.

        Raises:
            ManifestError: it is a copy.
        """
        reason = why_copied(stored, dtype, address, elsewhere)
        if self._strict and reason:
            raise mistake("FUSE333", None, holder=f"{self._manifest}, weight {name}", reason=reason)

    @property
    def cached_bytes(self) -> int:
        """Bytes of the arrays that are kept at present, memory-mapped ones included."""
        return self._cache.size

    def __repr__(self) -> str:
        return f"ManifestWeightStore({self._manifest}: {', '.join(self._entries) or 'no weights'})"

    # One entry ------------------------------------------------------------------------------------

    def _entry(self, name: str) -> Entry:
        if name not in self._entries:
            raise entry_error(self._manifest, name, "there is none", did_you_mean(name, self._entries))
        return self._entries[name]

    def _error(self, entry: Entry, problem: str) -> FuseError:
        return entry_error(self._manifest, entry.name, problem)

    def _guarded(self, entry: Entry, part: Part, read):  # type: ignore[no-untyped-def]
        """`read` of the part's file; errors name the manifest and the entry."""
        try:
            return read(self._place(entry, part), self._folders)
        except FuseError as error:
            if error.code in ("FUSE332", "FUSE333"):
                raise
            raise self._error(entry, error.message) from error

    def _place(self, entry: Entry, part: Part) -> Place:
        path, key = (part.path, part.key) if part.key is not None else split_key(part.path)
        place = self._folders.place(path, key, "read")
        if place.ending not in _FORMATS:
            raise self._error(entry, f"{path} is no file of arrays: weights lie in {', '.join(_FORMATS)}")
        return place

    def _checked(self, entry: Entry, shape: tuple[int, ...], dtype: str) -> tuple[int, ...]:
        if entry.shape is not None and entry.shape != shape:
            raise self._error(entry, f"its shape is said to be {entry.shape}, and the file has {shape}")
        if entry.dtype is not None and entry.dtype != dtype and entry.value is None:
            raise self._error(entry, f"its dtype is said to be {entry.dtype}, and the file has {dtype}")
        return shape

    def _joined(self, entry: Entry, shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
        """The shape of the whole that the shards make."""
        first = shapes[0]
        if not entry.sharded:
            return first
        axis = entry.axis + len(first) if entry.axis < 0 else entry.axis
        if not 0 <= axis < len(first):
            raise self._error(entry, f"its shard_axis is {entry.axis}, and its shards have {len(first)} axes")
        for number, shape in enumerate(shapes):
            if (*shape[:axis], *shape[axis + 1 :]) != (*first[:axis], *first[axis + 1 :]):
                raise self._error(entry, f"shard {number} is {shape} and shard 0 {first}: only axis {axis} may differ")
        return (*first[:axis], sum(shape[axis] for shape in shapes), *first[axis + 1 :])

    def _check_digest(self, entry: Entry, part: Part) -> None:
        place = self._guarded(entry, part, lambda place, _: place)
        stamp = (place.path, place.path.stat().st_mtime_ns, place.path.stat().st_size)
        found = self._cache.digests.get(stamp)
        if found is None:
            digest = hashlib.sha256()
            with place.path.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
            found = self._cache.digests[stamp] = digest.hexdigest()
        if found != part.sha256:
            raise self._error(entry, f"the sha256 of {part.path} is {found}, and not {part.sha256}")


class _Cache:
    """Arrays by name, the least recently used first; safe in threads."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._arrays: OrderedDict[str, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()
        self.size = 0
        self.digests: dict[tuple[Path, int, int], str] = {}  # of files, by path, time of change and length

    def __reduce__(self) -> tuple[type[_Cache], tuple[int | None]]:
        return _Cache, (self._limit,)  # copies and pickles begin empty

    def get(self, name: str) -> np.ndarray | None:
        with self._lock:
            array = self._arrays.get(name)
            if array is not None:
                self._arrays.move_to_end(name)
            return array

    def put(self, name: str, array: np.ndarray) -> None:
        with self._lock:
            old = self._arrays.pop(name, None)
            self.size += array.nbytes - (0 if old is None else old.nbytes)
            self._arrays[name] = array
            while self._limit is not None and self.size > self._limit:
                _, gone = self._arrays.popitem(last=False)
                self.size -= gone.nbytes
