"""The public face of a program: what it tells about itself, and how it is written and read back."""

from __future__ import annotations

import copy
import errno
import json
import pickle
from pathlib import Path

import pytest

import fuse_ref
from fuse_ref import ConfigError, FuseError, Program, ProgramFileError

MLP = """
axis d = 3
input X[b, d]
param W[h, d] ~ xavier()   # 5 units
param B[h] ~ zeros()
axis h = 5
Hid[b, h] = relu(W[h, d] X[b, d] + B[h])
Mean[h] avg= Hid[b, h]
export Hid, Mean
"""


def test_what_a_program_tells() -> None:
    program = Program(MLP)
    assert program.source == MLP
    assert list(program.inputs) == ["X"]
    assert list(program.params) == ["W", "B"]
    assert list(program.exports) == ["Hid", "Mean"]
    spec = program.tensors["Hid"]
    assert (spec.name, spec.axes, spec.shape, spec.dtype) == ("Hid", ("b", "h"), (None, 5), "float")
    assert (spec.boolean, spec.role) == (False, "computed")
    with pytest.raises(TypeError):
        program.tensors["Z"] = spec  # type: ignore[index]


def test_queries_are_known_by_their_text() -> None:
    program = Program("P(Ann, Bob)\nQ(x) <- P(x, y)\nP( Ann , x )?\nQ(Bob)?")
    assert list(program.queries) == ["P(Ann, x)?", "Q(Bob)?"]
    assert program.queries["Q(Bob)?"].name == "Q"


def test_explicit_and_format_parse_back() -> None:
    program = Program(MLP)
    assert "sum(d: W[h, d] X[b, d]) + B[h]" in program.explicit()
    assert Program(program.explicit()).digest == program.digest
    assert Program(program.format()).digest == program.digest
    assert "# 5 units" in program.format()


def test_json_round_trip_keeps_places_for_errors() -> None:
    program = Program(MLP, path="nets/mlp.fuse")
    again = Program.from_json(json.loads(json.dumps(program.to_json())))
    assert again.digest == program.digest
    assert again.source == MLP
    assert again.path == Path("nets/mlp.fuse")
    with pytest.raises(FuseError, match=r"nets/mlp.fuse:\d+:\d+"):
        again.plan({"d": 4})


def test_from_json_refuses_what_is_no_program() -> None:
    good = Program(MLP).to_json()
    for broken in ({}, [], "text", {**good, "version": 2}, {**good, "program": {"node": "Axis"}}, {**good, "text": 3}):
        with pytest.raises(ConfigError):
            Program.from_json(broken)


def test_programs_pickle_and_copy() -> None:
    program = Program(MLP)
    assert pickle.loads(pickle.dumps(program)).digest == program.digest
    assert copy.deepcopy(program).explicit() == program.explicit()


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "layers.fuse").write_text("Y[i] = 2 X[i]", encoding="utf-8")
    (tmp_path / "latin.fuse").write_bytes(b"# \xe9 x")
    cases = {
        "layer.fuse": ("No such file or directory", "did you mean 'layers.fuse'?"),
        "nets/mlp.fuse": ("No such file or directory", f"relative paths start at the current folder, {tmp_path}"),
        "latin.fuse": ("it is not UTF-8 text: invalid continuation byte at byte 2", ""),
        str(tmp_path): ("Is a directory", ""),
        "a\0b": ("embedded null byte", ""),
    }
    for name, (problem, cure) in cases.items():
        with pytest.raises(OSError, match="cannot read") as caught:
            Program.from_file(name)
        error = caught.value
        assert isinstance(error, ProgramFileError)
        assert isinstance(error, FileNotFoundError)
        assert (error.code, error.message) == ("FUSE227", f"cannot read {name}: {problem}")
        assert cure in error.cure
        assert error.filename == name
        assert str(pickle.loads(pickle.dumps(error))) == str(error)
    with pytest.raises(FileNotFoundError) as missing:
        Program.from_file(tmp_path / "absent")
    assert missing.value.errno == errno.ENOENT


def test_from_file_names_the_file_in_errors(tmp_path: Path) -> None:
    path = tmp_path / "broken.fuse"
    path.write_text("Y[i] = W[i, j] X[j\n", encoding="utf-8")
    with pytest.raises(SyntaxError) as caught:
        Program.from_file(path)
    assert f"{path}:1:" in str(caught.value)
    assert "^" in str(caught.value)


def test_all_errors_are_kept() -> None:
    with pytest.raises(FuseError) as caught:
        Program("Y[i] = clip(X[i])\nZ[i] = relu(X[i], 1, 2)\nV[i = 2\nU[i] = tanh(X[i])\nQ(x) <- P(x), not R(y)")
    found = [caught.value, *caught.value.others]
    assert [error.span.line for error in found if error.span] == [1, 2, 3, 5]
    assert [error.code for error in found] == ["FUSE108", "FUSE108", "FUSE011", "FUSE161"]


def test_errors_pickle() -> None:
    with pytest.raises(FuseError) as caught:
        Program("Y[i] = clip(X[i])")
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert again.code == caught.value.code


def test_public_names_are_all_there() -> None:
    assert sorted(fuse_ref.__all__) == fuse_ref.__all__
    for name in fuse_ref.__all__:
        assert getattr(fuse_ref, name) is not None


def test_size_errors_speak_of_letters_and_of_ones_only_where_there_is_one() -> None:
    runner = Program("Y[i] = A[i] B[i]\nZ[i] = C[i] D[i]").compile()
    given = {"A": [1.0] * 5, "B": [1.0] * 5, "C": [1.0] * 3}
    with pytest.raises(FuseError, match=r"axis i is 2 in D \(line 2\) but 3 in C \(line 2\)") as caught:
        runner(given, D=[1.0, 2.0])
    assert caught.value.cure == ""
    with pytest.raises(FuseError, match="axis i is 1 in D") as caught:
        runner(given, D=[1.0])
    assert "a size of 1 is not repeated" in caught.value.cure
