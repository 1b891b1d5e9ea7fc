"""Values for `fuse run --input NAME=FILE`, and files for its results."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fuse_ref.cli.exits import UsageProblem
from fuse_ref.errors import ManifestError
from fuse_ref.files.paths import Folders, Place
from fuse_ref.files.sinks import write_arrays
from fuse_ref.files.sources import read_array

__all__ = ["read_input", "write_outputs"]


def read_input(name: str, written: str) -> object:
    """The value in a file.

    Args:
        name: of the input, for messages.
        written: path of a .npy, .npz (`FILE.npz:key` when it holds several arrays) or .json file.

    Returns:
        An array; from .json numbers as an array, and lists that hold strings as tuples of symbols.
    """
    path_text, key = written, None
    if ".npz:" in written:
        path_text, _, key = written.rpartition(":")
    path = Path(path_text).resolve()
    try:
        match path.suffix:
            case ".npy" | ".npz":
                return read_array(Place(path, key, written), Folders(Path.cwd(), ()))
            case ".json":
                return _from_json(json.loads(path.read_text(encoding="utf-8")))
            case ending:
                raise UsageProblem(
                    f"input {name}: cannot read {ending or 'a file without ending'}: use .npy, .npz or .json"
                )
    except OSError as error:
        raise UsageProblem(f"input {name}: cannot read {written}: {error.strerror}") from error
    except ManifestError as error:
        raise UsageProblem(f"input {name}: {error.message}") from error
    except ValueError as error:  # no JSON, or lists of uneven lengths
        raise UsageProblem(f"input {name}: {written} holds no array: {error}") from error


def _from_json(value: object) -> object:
    if isinstance(value, list) and any(isinstance(row, list) and any(isinstance(x, str) for x in row) for row in value):
        return [tuple(row) if isinstance(row, list) else row for row in value]
    return np.asarray(value)


def write_outputs(outputs: Mapping[str, np.ndarray], path: Path) -> None:
    """All results to one .npz file or, as nested lists, to .json; a single one to .npy too."""
    place = Place(path.resolve(), None, str(path))
    match path.suffix:
        case ".npz":
            pass
        case ".npy":
            if len(outputs) != 1:
                raise UsageProblem(f"--out {path}: .npy holds one array, the program exports {len(outputs)}: use .npz")
        case ".json":
            text = json.dumps({name: value.tolist() for name, value in outputs.items()})
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            except OSError as error:
                raise UsageProblem(f"--out: cannot write {path}: {error.strerror}") from error
            return
        case ending:
            raise UsageProblem(
                f"--out {path}: cannot write {ending or 'a file without ending'}: use .npz, .npy or .json"
            )
    try:
        write_arrays((place, name, value) for name, value in outputs.items())
    except ManifestError as error:
        raise UsageProblem(f"--out: {error.message}") from error
