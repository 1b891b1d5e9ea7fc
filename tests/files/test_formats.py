"""Every file format that a program reads, against files made by hand or by another library."""

from __future__ import annotations

import csv
import json
import struct
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

import fuse_jax
import fuse_ref
import fuse_torch
from fuse_ref.errors import FuseError
from fuse_ref.files.arrays import read_archive, read_npy
from fuse_ref.files.safetensors import read_entries, read_entry
from fuse_ref.program import Program


def exports(text: str, folder: Path, backend: str = "numpy", **inputs: object):  # type: ignore[no-untyped-def]
    return Program(text, path=folder / "p.fuse").compile(backend)(inputs)  # type: ignore[arg-type]


def refused(text: str, folder: Path) -> FuseError:
    with pytest.raises(FuseError) as caught:
        Program(text, path=folder / "p.fuse").compile("numpy")
    return caught.value


MATRIX = 'W[i, j] = "{name}"; Y[i, j] = W[i, j]'
VALUES = [[1.5, -2.0, 3.25], [0.0, 1e3, -0.125]]


# Numbers ---------------------------------------------------------------------------------------


def write(path: Path, values: object) -> None:
    """The values in the format of `path`, by hand."""
    rows = [[repr(x) for x in row] for row in values]  # type: ignore[attr-defined]
    match path.suffix:
        case ".csv" | ".tsv":
            with path.open("w", newline="") as file:
                csv.writer(file, delimiter="," if path.suffix == ".csv" else "\t").writerows(rows)
        case ".json":
            path.write_text(json.dumps(values))
        case ".jsonl":
            path.write_text("".join(f"{json.dumps(row)}\n\n" for row in values))  # type: ignore[attr-defined]
        case ".safetensors":
            safetensors.numpy.save_file({"w": np.array(values, np.float64)}, path)
        case ".parquet":
            import pyarrow
            import pyarrow.parquet

            columns = {f"c{k}": list(column) for k, column in enumerate(zip(*values, strict=True))}  # type: ignore[misc]
            pyarrow.parquet.write_table(pyarrow.table(columns), path)


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".json", ".jsonl", ".safetensors", ".parquet"])
@pytest.mark.parametrize("backend", ["numpy", "torch", "jax"])
def test_a_matrix(tmp_path: Path, ending: str, backend: str) -> None:
    for values in (VALUES, [[7.0], [0.5], [2.0]]):
        write(tmp_path / f"w{ending}", values)
        result = exports(MATRIX.format(name=f"w{ending}"), tmp_path, backend)["Y"]
        assert np.asarray(result).tolist() == values


def test_ranks_of_tables(tmp_path: Path) -> None:
    (tmp_path / "row.csv").write_text("1,2,3\n")
    (tmp_path / "column.csv").write_text("1\n2\n")
    (tmp_path / "cell.csv").write_text("4\n")
    (tmp_path / "square.csv").write_text("1,2\n3,4\n")
    text = 'R[i] = "row.csv"; C[j] = "column.csv"; S = "cell.csv"; M[k, l] = "cell.csv"; export R, C, S, M'
    result = exports(text, tmp_path)
    assert {name: value.tolist() for name, value in result.items()} == {"R": [1, 2, 3], "C": [1, 2], "S": 4, "M": [[4]]}
    error = refused('V[i] = "square.csv"; Y[i] = V[i]', tmp_path)
    assert error.code == "FUSE325"
    assert "square.csv holds an array with 2 axes, but V has 1 axis" in str(error)


def test_headings_quotes_and_empty_lines(tmp_path: Path) -> None:
    (tmp_path / "w.csv").write_text('\ufeff"width, mm",height\r\n1,"2"\r\n\r\n 3 ,-4e1\r\n', encoding="utf-8")
    assert exports(MATRIX.format(name="w.csv"), tmp_path)["Y"].tolist() == [[1, 2], [3, -40]]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("1,2\n3\n", "w.csv, line 2: it has 1 cells, and line 1 has 2"),
        ("1,2\n\n3,4_0\n", "w.csv, line 3: column 2 is no number: '4_0'"),
        ("1,0x10\n", "w.csv, line 1: column 2 is no number"),
        ('1,"2\n', "w.csv, line 1: unexpected end of data"),
        ('1,2\n"3"4,5\n', "w.csv, line 2: "),
    ],
)
def test_lines_that_are_wrong(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "w.csv").write_text(content)
    error = refused(MATRIX.format(name="w.csv"), tmp_path)
    assert words in str(error)
    assert error.code == "FUSE327"


def test_nothing_but_a_size(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("")
    assert exports('V[i] = "empty.csv"; Y[i] = 2 V[i]', tmp_path)["Y"].shape == (0,)
    (tmp_path / "empty.json").write_text("[]")
    assert exports('V[i] = "empty.json"; Y[i] = 2 V[i]', tmp_path)["Y"].shape == (0,)
    np.save(tmp_path / "empty.npy", np.zeros((3, 0)))
    assert exports('V[i, j] = "empty.npy"; Y[i] = V[i, j]', tmp_path)["Y"].tolist() == [0, 0, 0]


def test_whole_numbers_stay_whole(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f"{2**53 + 1}\n-5\n")
    (tmp_path / "t.json").write_text(f"[{2**53 + 1}, -5]")
    for name in ("t.csv", "t.json"):
        source = fuse_ref.Program(f'T[i] = "{name}"; Y[i] = T[i]', path=tmp_path / "p.fuse").compile("numpy")
        assert source._sources.arrays["T"].tolist() == [2**53 + 1, -5]


def test_fields_of_json(tmp_path: Path) -> None:
    (tmp_path / "f.json").write_text('{"a": [1, 2], "b": [[3]], "n": {"c": [4]}}')
    assert exports('V[i] = "f.json:a"; Y[i] = V[i]', tmp_path)["Y"].tolist() == [1, 2]
    assert exports('V[i, j] = "f.json:b"; Y[i, j] = V[i, j]', tmp_path)["Y"].tolist() == [[3]]
    assert "it has the fields 'a', 'b', 'n', but no 'c'" in str(refused('V[i] = "f.json:c"; Y[i] = V[i]', tmp_path))
    assert "an object with the fields 'a', 'b', 'n'" in str(refused('V[i] = "f.json"; Y[i] = V[i]', tmp_path))
    (tmp_path / "r.jsonl").write_text('{"x": 1, "label": 5}\n{"label": 6, "x": 2}\n')
    assert exports('V[i] = "r.jsonl:label"; Y[i] = V[i]', tmp_path)["Y"].tolist() == [5, 6]
    assert exports('V[i, j] = "r.jsonl"; Y[i, j] = V[i, j]', tmp_path)["Y"].tolist() == [[1, 5], [2, 6]]
    (tmp_path / "r.jsonl").write_text('{"x": 1}\n{"y": 2}\n')
    assert "r.jsonl, line 2: its fields are 'y', and not 'x'" in str(
        refused('V[i, j] = "r.jsonl"; Y[i, j] = V[i, j]', tmp_path)
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[[1, 2], [3]]", "its rows differ in length"),
        ('["a"]', "'a' is no number"),
        ("[null]", "None is no number"),
        ("[1, 2", "no JSON: Expecting"),
        (f"[{2**64}]", "is beyond 64 bits"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_json_that_is_no_array(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "w.json").write_text(content)
    error = refused('V[i] = "w.json"; Y[i] = V[i]', tmp_path)
    assert words in str(error)
    assert error.code == "FUSE323"


def test_text_that_is_no_utf8(tmp_path: Path) -> None:
    for name in ("w.csv", "w.json", "w.jsonl"):
        (tmp_path / name).write_bytes(b"1\xff2\n")
        assert "it is no UTF-8 text" in str(refused(f'V[i] = "{name}"; Y[i] = V[i]', tmp_path))


# Memory maps -----------------------------------------------------------------------------------


def test_what_is_mapped(tmp_path: Path) -> None:
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.save(tmp_path / "w.npy", array)
    np.save(tmp_path / "f.npy", np.asfortranarray(array))
    np.savez_compressed(tmp_path / "packed.npz", w=array)
    safetensors.numpy.save_file({"w": array, "odd": np.array([1], np.int8)}, tmp_path / "w.safetensors")
    entries = read_entries(tmp_path / "w.safetensors")
    assert set(entries) == {"w", "odd"}
    for found in (
        read_npy(tmp_path / "w.npy"),
        read_npy(tmp_path / "f.npy"),
        read_entry(tmp_path / "w.safetensors", entries["w"]),
    ):
        assert found.copied == ""
        assert isinstance(found.array, np.memmap)
        assert not found.array.flags.writeable
        assert found.array.tolist() == array.tolist()
    packed = read_archive(tmp_path / "packed.npz", "w")
    assert packed.copied == "it is compressed"
    assert packed.array.tolist() == array.tolist()


def test_stored_archives_are_mapped_where_they_are_aligned(tmp_path: Path) -> None:
    array = np.arange(5, dtype=np.float64)
    mapped = set()
    for length in range(1, 9):  # the entry's name moves its bytes
        np.savez(tmp_path / "w.npz", **{"k" * length: array})
        found = read_archive(tmp_path / "w.npz", "k" * length)
        assert found.array.tolist() == array.tolist()
        assert found.array.ctypes.data % 8 == 0
        mapped.add(isinstance(found.array, np.memmap))
    assert mapped == {True, False}
    # Those that sinks write always are.
    for length in range(1, 9):
        key = "k" * length
        exports(f'"s.npz:{key}" = X[i]; "s.npz:other" = 2 X[i]', tmp_path, X=np.arange(3.0))
        for name in (key, "other"):
            found = read_archive(tmp_path / "s.npz", name)
            assert isinstance(found.array, np.memmap)
            assert found.array.tolist() == [0, 1, 2] if name == key else [0, 2, 4]
        with zipfile.ZipFile(tmp_path / "s.npz") as archive:
            assert archive.testzip() is None


def test_big_endian_arrays(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.array(VALUES, ">f4"))
    for backend in ("numpy", "torch", "jax"):
        result = exports('W[i, j] = "w.npy"; Y[i, j] = 2 W[i, j]', tmp_path, backend)["Y"]
        assert np.asarray(result).tolist() == (2 * np.array(VALUES)).tolist()
    assert "byte order" in read_npy(tmp_path / "w.npy").copied


def test_lengths_are_checked_before_anything_is_read(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.ones((4, 4)))
    content = (tmp_path / "w.npy").read_bytes()
    (tmp_path / "w.npy").write_bytes(content.replace(b"(4, 4)", b"(9**9)"[:6]))
    assert refused(MATRIX.format(name="w.npy"), tmp_path).code == "FUSE323"
    (tmp_path / "w.npy").write_bytes(content[:-1])
    assert "its header speaks of 128 bytes of numbers, and 127 follow" in str(
        refused(MATRIX.format(name="w.npy"), tmp_path)
    )
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 1000000), }\n"
    file = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header
    with zipfile.ZipFile(tmp_path / "w.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w.npy", file)
    for name in ("w.npy", "w.npz"):
        (tmp_path / "w.npy").write_bytes(file)
        assert "its header speaks of 8000000000000000000 bytes" in str(refused(MATRIX.format(name=name), tmp_path))


# Safetensors -----------------------------------------------------------------------------------


def tensors(header: object, data: bytes, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def test_bfloat16_and_float16_become_float32(tmp_path: Path) -> None:
    header = {
        "__metadata__": {"format": "pt"},
        "b": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]},
        "h": {"dtype": "F16", "shape": [2], "data_offsets": [4, 8]},
    }
    # 1.5 and -2 in bfloat16: the upper halves of 0x3FC00000 and 0xC0000000.
    (tmp_path / "w.safetensors").write_bytes(
        tensors(header, b"\xc0\x3f\x00\xc0" + np.array([0.5, 65504], "<f2").tobytes())
    )
    for name, values in (("b", [1.5, -2.0]), ("h", [0.5, 65504.0])):
        result = exports(f'V[i] = "w.safetensors:{name}"; Y[i] = V[i]', tmp_path)["Y"]
        assert result.dtype == np.float32
        assert result.tolist() == values


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "int64", "float32", "float64"])
def test_types_of_safetensors(tmp_path: Path, dtype: str) -> None:
    array = np.array([[0, 1, 1], [1, 0, 1]]).astype(dtype)
    safetensors.numpy.save_file({"w": array, "scalar": np.array(3, np.int32)}, tmp_path / "w.safetensors")
    assert exports(MATRIX.format(name="w.safetensors:w"), tmp_path)["Y"].tolist() == array.tolist()
    assert exports('S = "w.safetensors:scalar"; Y = 2 S', tmp_path)["Y"] == 6
    entry = read_entry(tmp_path / "w.safetensors", read_entries(tmp_path / "w.safetensors")["w"])
    assert entry.array.dtype == array.dtype


WHOLE = {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}
DATA = bytes(8)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x00", "too short"),
        (tensors(WHOLE, DATA, length=2**63), "its header is said to have"),
        (tensors(b"[]", DATA), "no JSON object"),
        (tensors(b"{", DATA), "cannot be read"),
        (tensors(b'{"w": {}, "w": {}}', DATA), "has 'w' twice"),
        (tensors({"w": {"dtype": "F32", "shape": [2]}}, DATA), "what its header says of w"),
        (tensors({"w": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}}, DATA), "what its header says of w"),
        (tensors({"w": {"dtype": "F8_E4M3", "shape": [8], "data_offsets": [0, 8]}}, DATA), "of type F8_E4M3"),
        (tensors({"w": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}}, DATA), "needs 12 bytes and has 8"),
        (tensors({"w": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}}, DATA), "begins at byte 4"),
        (tensors(WHOLE, DATA + b"more"), "its arrays end at byte"),
        (tensors(WHOLE, DATA[:4]), "its arrays end at byte"),
        (tensors({**WHOLE, "v": WHOLE["w"]}, DATA), "v begins at byte 0 and not at 8"),
    ],
)
def test_safetensors_that_are_wrong(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "w.safetensors").write_bytes(content)
    error = refused('V[i] = "w.safetensors:w"; Y[i] = V[i]', tmp_path)
    assert words in str(error)
    assert error.code == "FUSE323"


def test_a_key_that_is_not_there(tmp_path: Path) -> None:
    safetensors.numpy.save_file({"a": np.ones(1), "b": np.ones(1)}, tmp_path / "w.safetensors")
    error = refused('V[i] = "w.safetensors"; Y[i] = V[i]', tmp_path)
    assert "holds 'a', 'b', and the program does not say which" in str(error)
    assert error.code == "FUSE324"


# Packages that may be missing ------------------------------------------------------------------


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "w.parquet").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    error = refused(MATRIX.format(name="w.parquet"), tmp_path)
    assert "w.parquet needs the package pyarrow" in str(error)
    assert "pip install 'fuse-torch[files]'" in str(error)


def test_modules_read_the_same(tmp_path: Path) -> None:
    write(tmp_path / "w.csv", VALUES)
    program = Program('W[i, j] = "w.csv"; Y[i] = W[i, j]', path=tmp_path / "p.fuse")
    expected = [sum(row) for row in VALUES]
    assert fuse_torch.FuseModule(program)().tolist() == expected
    assert np.asarray(fuse_jax.compile(program)({})["Y"]).tolist() == expected
