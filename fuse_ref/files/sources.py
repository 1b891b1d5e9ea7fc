"""Arrays read from files: `W[i, j] = "ckpt/w.npy"`. Never pickle."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import numpy as np

from fuse_ref.errors import FuseError
from fuse_ref.files.paths import Folders, Place
from fuse_ref.ir.nodes import FileContent, ProgramIR, Tensor
from fuse_ref.mistakes import mistake

if TYPE_CHECKING:
    from fuse_ref.source import Span

__all__ = ["read_array", "read_sources"]


def read_sources(program: ProgramIR, folders: Folders) -> dict[str, np.ndarray]:
    """Every source of `program` by tensor, as the files hold them: `.npy` memory-mapped, read-only.

    Raises:
        ManifestError: a file that is missing, lies outside `folders`, or holds no array of numbers.
        AxisError: an array with another number of axes than its tensor.
    """
    tensors = {tensor.name: tensor for tensor in program.tensors}
    arrays: dict[str, np.ndarray] = {}
    for equation in program.equations:
        if isinstance(equation.body, FileContent):
            place = folders.place(equation.body.path, equation.body.key, "read", equation.span)
            array = read_array(place, folders)
            tensor = tensors[equation.target.tensor]
            _check_rank(array, tensor, place, equation.span)
            arrays[tensor.name] = array
    return arrays


def read_array(place: Place, folders: Folders) -> np.ndarray:
    """The array at `place`: memory-mapped and read-only from `.npy`, loaded from `.npz`.

    Raises:
        ManifestError: no such file, no such key, or not an array of numbers.
    """
    if not place.path.is_file():
        raise mistake("FUSE320", place.span, path=place.written, start=folders.start)
    try:
        array = _from_archive(place) if place.path.suffix == ".npz" else _from_npy(place)
    except FuseError:
        raise
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise mistake("FUSE323", place.span, path=place.written, problem=_short(error)) from error
    if array.dtype.kind not in "biuf":
        problem = f"it is not an array of numbers but of {array.dtype}"
        raise mistake("FUSE323", place.span, path=place.written, problem=problem)
    return array


def _from_npy(place: Place) -> np.ndarray:
    with place.path.open("rb") as file:
        if file.read(6) != b"\x93NUMPY":
            raise ValueError("it does not begin as a .npy file does")
    array: np.ndarray = np.load(place.path, mmap_mode="r", allow_pickle=False)
    return array


def _from_archive(place: Place) -> np.ndarray:
    with np.load(place.path, allow_pickle=False) as archive:
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError("it is not a .npz archive")
        names = list(archive.files)
        key = place.key
        if key is None and len(names) == 1:
            key = names[0]
        if key is None or key not in names:
            holds = ", ".join(map(repr, names)) or "nothing"
            problem = "and the program does not say which" if key is None else f"but no {key!r}"
            cure_path = f'"{place.path.name}:{names[0]}"' if names else f'"{place.path.name}:name"'
            raise mistake("FUSE324", place.span, path=place.written, holds=holds, problem=problem, cure_path=cure_path)
        array: np.ndarray = archive[key]
    array.flags.writeable = False
    return array


def _check_rank(array: np.ndarray, tensor: Tensor, place: Place, span: Span) -> None:
    if array.ndim != len(tensor.axes):
        raise mistake(
            "FUSE325",
            span,
            path=place.written,
            got=_axes(array.ndim),
            name=tensor.name,
            expected=_axes(len(tensor.axes)),
        )


def _axes(count: int) -> str:
    return f"{count} axis" if count == 1 else f"{count} axes"


def _short(error: Exception) -> str:
    return str(error).split("\n", 1)[0] or type(error).__name__
