"""Memory-mapped sources on every engine: the file's own bytes, right results, files that change, no second copy."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import torch

import fuse_jax
from fuse_ref import ExecutionConfig, ManifestError, Program, RuntimePolicies
from fuse_ref.files.paths import Place
from fuse_ref.files.sinks import Result, write_results
from fuse_torch import FuseModule
from tests.support.mapping import lies_in

TEXT = 'W[i, j] = "{file}"\nG[i] = "g.npy"\ninput X[b, j]\nY[b, i] = W[i, j] X[b, j] + G[i]\nV[i, j] = W[i, j]\nexport Y, V'
DTYPES = ["float32", "float64"]


def program(folder: Path, file: str = "w.npy") -> Program:
    return Program(TEXT.format(file=file), path=folder / "p.fuse")


def put(folder: Path, w: np.ndarray, g: list[int]) -> None:
    """Both files as they should be replaced: a new file under the old name."""
    for name, array in (("w.npy", w), ("g.npy", np.array(g))):
        np.save(folder / "new.npy", array)
        os.replace(folder / "new.npy", folder / name)


def by_loops(w: np.ndarray, x: np.ndarray, g: list[int]) -> np.ndarray:
    found = np.zeros((x.shape[0], w.shape[0]))
    for b in range(x.shape[0]):
        for i in range(w.shape[0]):
            found[b, i] = g[i] + sum(float(w[i, j]) * float(x[b, j]) for j in range(w.shape[1]))
    return found


def array(rows: int, columns: int, dtype: str) -> np.ndarray:
    return (np.arange(rows * columns, dtype=dtype).reshape(rows, columns) % 7) - 3


def calls_twice(run: Callable[[np.ndarray], Any], w: np.ndarray, g: list[int]) -> None:
    """New values, new sizes, one row and none."""
    for batch in (2, 3, 1, 0):
        x = array(batch, w.shape[1], w.dtype.name) + batch
        result = run(x)
        np.testing.assert_allclose(np.asarray(result["Y"]), by_loops(w, x, g), rtol=1e-5)
        assert np.asarray(result["V"]).tolist() == w.tolist()


# The Runner --------------------------------------------------------------------------------------


def held(folder: Path, backend: str, dtype: str, file: str = "w.npy") -> tuple[Callable[[np.ndarray], Any], int]:
    """A call of the program, and where the engine has the numbers of W."""
    if backend == "fuse":
        module = FuseModule(program(folder, file), config=ExecutionConfig(precision=dtype))  # type: ignore[arg-type]
        compiled = torch.compile(module, backend="fuse", options={"fuse.inner": "aot_eager"}, fullgraph=True)
        buffer = next(tensor for tensor in module.buffers() if tensor.dim() == 2)
        return lambda x: {
            name: value.numpy() for name, value in compiled(torch.from_numpy(x)).items()
        }, buffer.data_ptr()
    runner = program(folder, file).compile(backend, config=ExecutionConfig(precision=dtype))  # type: ignore[arg-type]
    runner(X=array(1, 5, dtype))
    used = runner._settled.fixed["W"]  # type: ignore[union-attr]
    return lambda x: runner(X=x), np.asarray(used).ctypes.data


def right_and_mapped(folder: Path, backend: str, dtype: str) -> None:
    w, g = array(4, 5, dtype), [1, 2, 3, 4]
    put(folder, w, g)
    run, address = held(folder, backend, dtype)
    assert lies_in(address, folder / "w.npy")
    calls_twice(run, w, g)
    # What a run gives is the caller's: writing to it reaches neither the file nor the next run.
    first = run(w[:1])
    if backend != "jax":  # whose arrays are not written to
        first["V"][...] = 7
    # A file put in the place of the old one is another file: this run keeps its own, a new one sees the new.
    put(folder, 2 * w[:3], [5, 6, 7])
    calls_twice(run, w, g)
    calls_twice(held(folder, backend, dtype)[0], 2 * w[:3], [5, 6, 7])
    assert np.load(folder / "w.npy").tolist() == (2 * w[:3]).tolist()


@pytest.mark.parametrize("dtype", DTYPES)
def test_numpy(tmp_path: Path, dtype: str) -> None:
    right_and_mapped(tmp_path, "numpy", dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_torch(tmp_path: Path, dtype: str) -> None:
    right_and_mapped(tmp_path, "torch", dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_torch_fuse(tmp_path: Path, dtype: str) -> None:
    torch.compiler.reset()
    right_and_mapped(tmp_path, "fuse", dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_jax(tmp_path: Path, dtype: str) -> None:
    with jax.enable_x64(dtype == "float64"):
        right_and_mapped(tmp_path, "jax", dtype)


# Formats -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["numpy", "torch", "fuse", "jax"])
@pytest.mark.parametrize("ending", [".npz", ".safetensors"])
def test_archives(tmp_path: Path, backend: str, ending: str) -> None:
    torch.compiler.reset()
    w, g = array(4, 5, "float32"), [1, 2, 3, 4]
    put(tmp_path, w, g)
    path = tmp_path / f"all{ending}"
    write_results([Result(Place(path, "W", f"all{ending}:W"), "W", w, (None, None))])
    run, address = held(tmp_path, backend, "float32", f"all{ending}:W")
    # JAX keeps memory that begins at a multiple of 64 bytes, which the format of .safetensors does not promise.
    assert lies_in(address, path) or (backend == "jax" and ending == ".safetensors")
    calls_twice(run, w, g)


@pytest.mark.parametrize("backend", ["numpy", "torch", "jax"])
def test_empty_and_single_axes(tmp_path: Path, backend: str) -> None:
    for rows, columns in ((0, 5), (4, 0), (1, 1)):
        w = array(rows, columns, "float32")
        put(tmp_path, w, list(range(rows)))
        run = program(tmp_path).compile(backend)  # type: ignore[arg-type]
        calls_twice(lambda x, run=run: run(X=x), w, list(range(rows)))  # type: ignore[misc]


# strict_mmap -------------------------------------------------------------------------------------

STRICT = RuntimePolicies(strict_mmap=True)


def users(folder: Path, file: str, **settings: Any) -> list[Callable[[], object]]:
    made = Program(f'W[i] = "{file}"\nY[i] = 2 W[i]', path=folder / "p.fuse")
    config = ExecutionConfig(**settings)
    return [
        *(lambda b=b: made.compile(b, policies=STRICT, config=config)()["Y"] for b in ("numpy", "torch", "jax")),
        lambda: FuseModule(made, policies=STRICT, config=config)(),
        lambda: fuse_jax.compile(made, policies=STRICT, config=config)({})["Y"],
    ]


def test_strict_mmap_takes_what_is_mapped(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.array([1, 2], np.float32))
    for use in users(tmp_path, "w.npy"):
        assert np.asarray(use()).tolist() == [2, 4]
    (tmp_path / "w.csv").write_text("1\n2\n")  # text is read, whatever the policy
    for use in users(tmp_path, "w.csv"):
        assert np.asarray(use()).tolist() == [2, 4]


@pytest.mark.parametrize("file", ["w.npy", "packed.npz"])
def test_strict_mmap_refuses_copies(tmp_path: Path, file: str) -> None:
    np.save(tmp_path / "w.npy", np.array([1.0, 2.0]))
    np.savez_compressed(tmp_path / "packed.npz", W=np.array([1, 2], np.float32))
    words = {"w.npy": "the run takes it as float32, its file has float64", "packed.npz": "it is compressed"}
    for use in users(tmp_path, file):
        with pytest.raises(ManifestError, match=f"strict_mmap=True forbids a copy, and {words[file]}") as caught:
            use()
        assert caught.value.code == "FUSE333"
        assert caught.value.span is not None


def test_strict_mmap_on_jax_needs_aligned_files(tmp_path: Path) -> None:
    # Its numbers begin at a multiple of 4 bytes, as NumPy and torch ask, but not of 64.
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }"
    header += b" " * (84 - 10 - len(header) - 1) + b"\n"
    head = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    (tmp_path / "w.npy").write_bytes(head + np.array([1, 2], np.float32).tobytes())
    *others, function = users(tmp_path, "w.npy")
    runner = others.pop(2)
    for use in others:
        assert np.asarray(use()).tolist() == [2, 4]
    for use in (runner, function):
        with pytest.raises(ManifestError, match=r"JAX keeps this array in|the jax engine copies arrays"):
            use()


# Functions of JAX --------------------------------------------------------------------------------


def test_constants_of_a_function_are_the_file(tmp_path: Path) -> None:
    put(tmp_path, array(4, 5, "float32"), [1, 2, 3, 4])
    function = fuse_jax.compile(program(tmp_path))
    held_by_jax = function.constants["W"]
    assert lies_in(held_by_jax.unsafe_buffer_pointer(), tmp_path / "w.npy")
    calls_twice(lambda x: jax.jit(function)({}, X=x), array(4, 5, "float32"), [1, 2, 3, 4])
    # Given away, the memory is not written to: neither the function's next call nor the file sees anything.
    doubled = jax.jit(lambda w: 2 * w, donate_argnums=0)(held_by_jax)
    assert float(doubled[0, 0]) == -6
    assert (
        fuse_jax.compile(program(tmp_path))({}, X=array(1, 5, "float32"))["V"].tolist()
        == array(4, 5, "float32").tolist()
    )
    assert np.load(tmp_path / "w.npy").tolist() == array(4, 5, "float32").tolist()


# Graphs and modules of torch ---------------------------------------------------------------------


def test_writing_into_a_module_stays_in_the_module(tmp_path: Path) -> None:
    w = array(4, 5, "float32")
    put(tmp_path, w, [0, 0, 0, 0])
    first, second = FuseModule(program(tmp_path)), FuseModule(program(tmp_path))
    with torch.no_grad():
        for buffer in first.buffers():
            buffer.zero_()
    assert not first(torch.ones(1, 5))["V"].any()
    assert second(torch.ones(1, 5))["V"].tolist() == w.tolist()
    assert np.load(tmp_path / "w.npy").tolist() == w.tolist()
    result = second(torch.ones(1, 5))["V"]
    result.zero_()
    assert second(torch.ones(1, 5))["V"].tolist() == w.tolist()


def test_memory_that_cannot_be_written_is_copied_and_nobody_is_warned(tmp_path: Path) -> None:
    # torch.from_numpy warns of such arrays, and warnings are errors here.
    np.save(tmp_path / "x.npy", np.ones((2, 5), np.float32))
    put(tmp_path, array(4, 5, "float32"), [0, 0, 0, 0])
    runner = program(tmp_path).compile("torch")
    given = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert np.asarray(runner(X=given)["Y"]).tolist() == by_loops(array(4, 5, "float32"), given, [0] * 4).tolist()
