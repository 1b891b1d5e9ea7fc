"""Arrays for `fuse run --input NAME=FILE`, and files for its results."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from fuse_ref.cli.exits import UsageProblem

__all__ = ["read_input", "write_outputs"]

ENDINGS = ".npy, .npz (one array, or FILE.npz:key) or .json"


def read_input(name: str, place: str) -> np.ndarray:
    """The array in a file.

    Args:
        name: of the input, for messages.
        place: path of a .npy, .npz (`FILE.npz:key` when it holds several arrays) or .json file.
    """
    path_text, key = place, None
    if ".npz:" in place:
        path_text, _, key = place.rpartition(":")
    path = Path(path_text)
    try:
        match path.suffix.lower():
            case ".npy":
                return np.asarray(np.load(path, allow_pickle=False))
            case ".npz":
                return _from_npz(name, path, key)
            case ".json":
                return np.asarray(json.loads(path.read_text(encoding="utf-8")))
            case other:
                raise UsageProblem(f"input {name}: cannot read {other or 'a file without ending'}; use {ENDINGS}")
    except OSError as error:
        raise UsageProblem(f"input {name}: cannot read {path}: {error.strerror or error}") from error
    except (ValueError, BadZipFile) as error:
        # Also arrays of Python objects, which are never unpickled, and nested lists of uneven lengths.
        raise UsageProblem(f"input {name}: {path} holds no array of numbers: {error}") from error


def _from_npz(name: str, path: Path, key: str | None) -> np.ndarray:
    with np.load(path, allow_pickle=False) as archive:
        keys = archive.files
        if key is None and len(keys) == 1:
            key = keys[0]
        if key is None or key not in keys:
            wanted = f"no array {key!r}" if key else f"{len(keys)} arrays"
            raise UsageProblem(f"input {name}: {path} has {wanted}; write {path}:KEY with one of {', '.join(keys)}")
        return np.asarray(archive[key])


def write_outputs(outputs: Mapping[str, np.ndarray], path: Path) -> None:
    """All results to one .npz file, a single one to .npy, or all as nested lists to .json."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        match path.suffix.lower():
            case ".npz":
                np.savez(path, **{name: np.asarray(value) for name, value in outputs.items()})
            case ".npy":
                if len(outputs) != 1:
                    raise UsageProblem(
                        f"--out {path}: .npy holds one array, the program exports {len(outputs)}: use .npz"
                    )
                np.save(path, next(iter(outputs.values())))
            case ".json":
                path.write_text(json.dumps({name: value.tolist() for name, value in outputs.items()}), encoding="utf-8")
            case other:
                raise UsageProblem(
                    f"--out {path}: cannot write {other or 'a file without ending'}; use .npz, .npy or .json"
                )
    except OSError as error:
        raise UsageProblem(f"--out: cannot write {path}: {error.strerror}") from error
