"""Sources, sinks and where they may lie."""

from __future__ import annotations

import os
import pickle
import threading
from pathlib import Path

import numpy as np
import pytest

from fuse_ref.errors import AxisError, DtypeError, FuseError, ManifestError
from fuse_ref.files import sinks
from fuse_ref.files.paths import Folders
from fuse_ref.policies import RuntimePolicies
from fuse_ref.program import Program


def program(text: str, folder: Path, **settings: object):  # type: ignore[no-untyped-def]
    return Program(text, path=folder / "p.fuse").compile("numpy", **settings)  # type: ignore[arg-type]


def refused(text: str, folder: Path, **inputs: object) -> FuseError:
    with pytest.raises(FuseError) as caught:
        program(text, folder)(inputs)
    return caught.value


# Sources ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "bool"])
def test_npy(tmp_path: Path, dtype: str) -> None:
    values = np.array([[1, 0, 3], [4, 5, 0]]).astype(dtype)
    (tmp_path / "ckpt").mkdir()
    np.save(tmp_path / "ckpt" / "w.npy", values)
    runner = program('W[i, j] = "ckpt/w.npy"; Y[i] = W[i, j] X[j]', tmp_path)
    for x in (np.ones(3), np.arange(3.0)):
        np.testing.assert_allclose(runner(X=x)["Y"], values.astype(float) @ x)


def test_npy_is_memory_mapped_and_stays_as_it_is(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.ones(4, np.float32))
    runner = program('W[i] = "w.npy"; Y[i] = 2 W[i]; export W, Y', tmp_path)
    result = runner()
    result["W"][...] = 7
    assert runner()["Y"].tolist() == [2, 2, 2, 2]
    assert np.load(tmp_path / "w.npy").tolist() == [1, 1, 1, 1]


def test_npz(tmp_path: Path) -> None:
    np.savez(tmp_path / "one.npz", a=np.array([1.0, 2.0]))
    np.savez(tmp_path / "two.npz", a=np.array([1.0, 2.0]), b=np.array([3.0, 4.0]))
    assert program('W[i] = "one.npz"; Y[i] = 2 W[i]', tmp_path)()["Y"].tolist() == [2, 4]
    assert program('W[i] = "two.npz:b"; Y[i] = 2 W[i]', tmp_path)()["Y"].tolist() == [6, 8]
    error = refused('W[i] = "two.npz"; Y[i] = 2 W[i]', tmp_path)
    assert "two.npz holds 'a', 'b', and the program does not say which" in str(error)
    assert 'name one of them: "two.npz:a"' in str(error)
    assert (error.code, type(error)) == ("FUSE324", ManifestError)


def test_sizes_come_from_the_file(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.ones((2, 3)))
    runner = program('W[i, j] = "w.npy"; Y[i] = W[i, j] X[j]', tmp_path)
    with pytest.raises(AxisError, match="axis j is 4 in X"):
        runner(X=np.ones(4))
    with pytest.raises(AxisError, match="axis j is 1 in X"):
        runner(X=np.ones(1))


@pytest.mark.parametrize(
    ("name", "content", "words", "code"),
    [
        ("w.npy", None, "there is no file w.npy", "FUSE320"),
        ("w.npy", b"not an array", "it does not begin as a .npy file does", "FUSE323"),
        ("w.npy", b"", "it does not begin as a .npy file does", "FUSE323"),
        ("w.npy", b"\x93NUMPY\x01\x00", "w.npy cannot be read", "FUSE323"),
        ("w.npz", b"not an archive", "w.npz cannot be read", "FUSE323"),
        ("w.xml", b"1,2", "its ending is '.xml'", "FUSE321"),
        ("w", b"", "its ending is missing", "FUSE321"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, name: str, content: bytes | None, words: str, code: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    error = refused(f'W[i] = "{name}"; Y[i] = 2 W[i]', tmp_path)
    assert words in str(error)
    assert error.code == code
    assert isinstance(error, ManifestError)
    assert error.span is not None
    assert error.span.line == 1


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(tmp_path / "sprung"),)

    np.save(tmp_path / "w.npy", np.array([Trap()], object), allow_pickle=True)
    (tmp_path / "w2.npy").write_bytes(pickle.dumps(Trap()))
    for name in ("w.npy", "w2.npy"):
        assert refused(f'W[i] = "{name}"; Y[i] = 2 W[i]', tmp_path).code == "FUSE323"
    assert not (tmp_path / "sprung").exists()


def test_rank_and_type_of_a_source(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.ones((2, 2)))
    error = refused('W[i] = "w.npy"; Y[i] = 2 W[i]', tmp_path)
    assert "w.npy holds an array with 2 axes, but W has 1 axis" in str(error)
    assert isinstance(error, AxisError)
    np.save(tmp_path / "w.npy", np.array(["a"]))
    assert "it is not an array of numbers but of <U1" in str(refused('W[i] = "w.npy"; Y[i] = 2 W[i]', tmp_path))


# Where files may lie ---------------------------------------------------------------------------


def test_outside_the_folder(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    np.save(outside / "w.npy", np.ones(2))
    for path in ("../outside/w.npy", str(outside / "w.npy"), "a/../../outside/w.npy"):
        error = refused(f'W[i] = "{path}"; Y[i] = 2 W[i]', inside)
        assert error.code == "FUSE322"
        assert "RuntimePolicies(allowed_roots=[…]) allows more" in str(error)
        runner = program(f'W[i] = "{path}"; Y[i] = 2 W[i]', inside, policies=RuntimePolicies(allowed_roots=[outside]))
        assert runner()["Y"].tolist() == [2, 2]
    (inside / "link.npy").symlink_to(outside / "w.npy")
    assert refused('W[i] = "link.npy"; Y[i] = 2 W[i]', inside).code == "FUSE322"
    assert refused('"../outside/y.npy" = X[i]', inside, X=[1.0]).code == "FUSE322"
    assert not (outside / "y.npy").exists()


def test_text_without_a_file_starts_at_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "w.npy", np.ones(2))
    monkeypatch.chdir(tmp_path)
    assert Program('W[i] = "w.npy"; Y[i] = 2 W[i]').compile()()["Y"].tolist() == [2, 2]


def test_a_folder_whose_name_begins_alike_is_outside(tmp_path: Path) -> None:
    folders = Folders.of(tmp_path / "run" / "p.fuse")
    with pytest.raises(ManifestError, match="lies outside"):
        folders.place(str(tmp_path / "run2" / "w.npy"), None, "read")


# Sinks -----------------------------------------------------------------------------------------


def test_sinks(tmp_path: Path) -> None:
    text = """
    Y[i] = 2 X[i]
    "runs/y.npy" = Y[i]
    "runs/more.npz:square" = X[i]**2
    "runs/more.npz" = Y[i]
    "sum.npy" = X[i] X[j]
    """
    runner = program(text, tmp_path)
    for x in (np.array([1.0, 2.0]), np.array([3.0, 4.0, 5.0])):
        runner(X=x)
        assert np.load(tmp_path / "runs" / "y.npy").tolist() == (2 * x).tolist()
        assert np.load(tmp_path / "runs" / "y.npy").dtype == np.float32
        with np.load(tmp_path / "runs" / "more.npz") as archive:
            assert set(archive.files) == {"square", "Y"}
            assert archive["square"].tolist() == (x * x).tolist()
            assert archive["Y"].tolist() == (2 * x).tolist()
        assert np.load(tmp_path / "sum.npy").tolist() == np.outer(x, x).tolist()
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["more.npz", "y.npy"]


def test_keys_that_savez_could_not_take(tmp_path: Path) -> None:
    program('"o.npz:file" = X[i]; "o.npz:allow_pickle" = 2 X[i]', tmp_path)(X=[1.0])
    with np.load(tmp_path / "o.npz") as archive:
        assert {name: archive[name].tolist() for name in archive.files} == {"file": [1], "allow_pickle": [2]}


def test_a_sink_is_an_ordinary_file(tmp_path: Path) -> None:
    program('"y.npy" = X[i]', tmp_path)(X=[1.0])
    (tmp_path / "plain").write_text("")
    assert (tmp_path / "y.npy").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = program('"y.npy" = X[i]; "z.npz" = X[i]', tmp_path)
    runner(X=[1.0])
    old = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def interrupted(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sinks.os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        runner(X=[2.0])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == old
    monkeypatch.undo()
    runner(X=[2.0])
    assert np.load(tmp_path / "y.npy").tolist() == [2]


def test_sinks_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "y.npy").mkdir()
    error = refused('"y.npy" = X[i]', tmp_path, X=[1.0])
    assert error.code == "FUSE326"
    assert "y.npy cannot be written" in str(error)
    assert [path.name for path in tmp_path.iterdir()] == ["y.npy"]
    error = refused('"z.npy" = X[i]; "z.npy" = 2 X[i]', tmp_path, X=[1.0])
    assert "two sinks write the same array of it" in str(error)
    assert refused('"z.txt" = X[i]', tmp_path, X=[1.0]).code == "FUSE321"


def test_threads_write_whole_files(tmp_path: Path) -> None:
    runner = program('"y.npy" = X[i]', tmp_path)
    sizes = range(1000, 1008)
    threads = [threading.Thread(target=runner, args=({"X": np.full(n, n)},)) for n in sizes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    written = np.load(tmp_path / "y.npy")
    assert len(written) in sizes
    assert (written == len(written)).all()


def test_a_source_of_whole_numbers(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([0.5]))
    runner = Program("input T[i]: int64; Y[i] = T[i]").compile()
    with pytest.raises(DtypeError):
        runner(T=np.load(tmp_path / "x.npy"))
