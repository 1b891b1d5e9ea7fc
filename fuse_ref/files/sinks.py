"""Arrays written to files: `"runs/out.npz:y" = Y[i]`. A crash leaves the old file whole."""

from __future__ import annotations

import contextlib
import os
import uuid
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from fuse_ref.files.paths import Place
from fuse_ref.mistakes import mistake

__all__ = ["write_arrays"]


def write_arrays(arrays: Iterable[tuple[Place, str, np.ndarray]]) -> None:
    """Write each (place, default key, array). Arrays for one `.npz` go into it together.

    An archive is written anew: it holds what the program writes and nothing of before. Without a key
    an array is called by the default key. Each file is written beside its place and renamed, folders
    are made.

    Raises:
        ManifestError: the file system refuses, or two arrays would be one in the file.
    """
    files: dict[Path, dict[str, np.ndarray]] = {}
    places: dict[Path, Place] = {}
    for place, default, array in arrays:
        content = files.setdefault(place.path, {})
        places[place.path] = place
        key = place.key or default
        if key in content or (content and place.path.suffix == ".npy"):
            raise mistake("FUSE326", place.span, path=place.written, problem="two sinks write the same array of it")
        content[key] = array
    for path, content in files.items():
        try:
            _write(path, content)
        except OSError as error:
            place = places[path]
            problem = error.strerror or type(error).__name__
            raise mistake("FUSE326", place.span, path=place.written, problem=problem) from error


def _write(path: Path, content: dict[str, np.ndarray]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}-{uuid.uuid4().hex}{path.suffix}")
    try:
        with temporary.open("xb") as file:
            if path.suffix == ".npz":
                _write_archive(file, content)
            else:
                (array,) = content.values()
                np.save(file, array, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        # Ctrl-C included: what is half written goes, the old file stays.
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def _write_archive(file: BinaryIO, content: dict[str, np.ndarray]) -> None:
    # np.savez takes keys as keywords, so that an array could not be called "file".
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for key, array in content.items():
            with archive.open(f"{key}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)
