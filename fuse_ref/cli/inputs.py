"""Values for `fuse run --input NAME=FILE`, and files for its results."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fuse_ref.cli.exits import UsageProblem
from fuse_ref.errors import FuseError
from fuse_ref.evaluate.relation import Relation
from fuse_ref.files.content import read_content
from fuse_ref.files.paths import READ_ENDINGS, WRITE_ENDINGS, Folders, Place, split_key
from fuse_ref.files.sinks import Result, write_results
from fuse_ref.files.writers import SEVERAL
from fuse_ref.program import Program

__all__ = ["check_outputs", "place_of", "read_input", "write_outputs"]


def place_of(written: str) -> Place:
    """The file, and the array in it, that `FILE` or `FILE:key` names."""
    path, key = split_key(written)
    return Place(Path(path).resolve(), key, written)


def read_input(name: str, written: str, program: Program) -> object:
    """The value in a file, as the program's tensor `name` takes it.

    Args:
        written: path of a file in one of the formats that programs read; `FILE:key` picks one array.

    Returns:
        An array; for relations from files of facts a table.
    """
    place = place_of(written)
    if place.ending not in READ_ENDINGS:
        what = place.path.suffix or "a file without ending"
        raise UsageProblem(f"input {name}: cannot read {what}: use {listed(READ_ENDINGS)}")
    tensor = next((tensor for tensor in program.ir.tensors if tensor.name == name), None)
    letters = () if tensor is None else tensor.letters or tuple(axis.partition("#")[0] for axis in tensor.axes)
    try:
        return read_content(place, Folders(Path.cwd(), ()), letters, boolean=tensor is not None and tensor.boolean)
    except FuseError as error:
        raise UsageProblem(f"input {name}: {error.message}") from error


def listed(endings: tuple[str, ...]) -> str:
    return f"{', '.join(endings[:-1])} or {endings[-1]}"


def check_outputs(path: Path, count: int) -> None:
    """Refuses a file that cannot hold `count` exports, before anything runs."""
    ending = path.suffix.lower()
    if ending not in WRITE_ENDINGS:
        raise UsageProblem(
            f"--out {path}: cannot write {path.suffix or 'a file without ending'}: use {listed(WRITE_ENDINGS)}"
        )
    if count != 1 and ending not in SEVERAL:
        raise UsageProblem(f"--out {path}: {ending} holds one array, the program exports {count}: use .npz")


def write_outputs(outputs: Mapping[str, Any], path: Path) -> None:
    """All results to one file; relations as facts where the format is text."""
    several = path.suffix.lower() in SEVERAL
    try:
        write_results(
            _result(Place(path.resolve(), name if several else None, str(path)), name, value)
            for name, value in outputs.items()
        )
    except FuseError as error:
        raise UsageProblem(f"--out: {error.message}") from error


def _result(place: Place, name: str, value: Any) -> Result:
    if isinstance(value, Relation):
        return Result(place, name, value.tuples, value.symbols, value.letters, value.limit)
    return Result(place, name, np.asarray(value))
