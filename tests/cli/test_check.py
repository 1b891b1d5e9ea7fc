"""`fuse check`."""

from __future__ import annotations

import io

import pytest

GOOD = "Y[i] = relu(W[i, j] X[j])\n"


def test_a_right_program(fuse, write) -> None:
    result = fuse("check", write("good.fuse", GOOD))
    assert result.code == 0
    assert result.out.endswith("good.fuse: ok\n")
    assert result.err == ""


def test_every_error_is_shown_with_its_place(fuse, write) -> None:
    path = write("bad.fuse", "Y[i] = relu(W[i, j] X[j]\nA = 3.\nB[i] = unknown_thing(X[i])\n")
    result = fuse("check", path)
    assert result.code == 1
    assert f"{path}:2:" in result.err
    assert "2 | A = 3." in result.err
    assert "^" in result.err
    count = int(result.err.rstrip().splitlines()[-1].split()[0])
    assert count >= 2
    assert result.err.count("FUSE") >= count
    assert "more error" not in result.err  # the hint to run fuse check makes no sense here


def test_errors_of_meaning_are_all_shown(fuse, write) -> None:
    path = write("bad.fuse", "A[i] = relux(X[i])\nB[i] = tanhh(X[i])\n")
    result = fuse("check", path)
    assert result.code == 1
    assert "relux" in result.err
    assert "tanhh" in result.err
    assert result.err.index("relux") < result.err.index("tanhh")
    assert result.err.endswith("2 errors\n")


def test_sizes_that_do_not_fit_are_found(fuse, write) -> None:
    path = write("sizes.fuse", "A = [1, 2]\nB = [1, 2, 3]\nY = A[i] B[i]\n")
    result = fuse("check", path)
    assert result.code == 1
    assert "2" in result.err
    assert "3" in result.err
    assert "axis" in result.err


def test_set_gives_sizes(fuse, write) -> None:
    path = write("open.fuse", "param W[i, j]\nY[i] = W[i, j] X[j]\n")
    assert fuse("check", path, "--set", "i=2", "--set", "j=3").code == 0
    declared = write("declared.fuse", "axis i = 4\nY[i] = X[i]\n")
    result = fuse("check", declared, "--set", "i=5")
    assert result.code == 1
    assert "4" in result.err
    assert "5" in result.err


def test_several_files(fuse, write) -> None:
    good, bad = write("good.fuse", GOOD), write("bad.fuse", "Y = \n")
    result = fuse("check", good, bad)
    assert result.code == 1
    assert "good.fuse: ok" in result.out
    assert "bad.fuse:1" in result.err
    assert "bad.fuse: ok" not in result.out


def test_standard_input(fuse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("Y = (1\n"))
    result = fuse("check", "-")
    assert result.code == 1
    assert "<stdin>:1:" in result.err or "<program>:1:" in result.err


def test_files_that_cannot_be_read(fuse, write, tmp_path) -> None:
    result = fuse("check", tmp_path / "absent.fuse")
    assert result.code == 2
    assert "fuse check: FUSE227: cannot read" in result.err
    assert "absent.fuse: No such file or directory" in result.err
    latin = tmp_path / "latin.fuse"
    latin.write_bytes("Y = é".encode("latin-1"))
    result = fuse("check", latin)
    assert result.code == 2
    assert "not UTF-8" in result.err


@pytest.mark.parametrize("words", [("--set", "i"), ("--set", "i=x"), ("--set", "=3"), ("--set", "i=-1")])
def test_wrong_sizes_on_the_command_line(fuse, write, words) -> None:
    result = fuse("check", write("good.fuse", GOOD), *words)
    assert result.code == 2


def test_one_axis_two_sizes(fuse, write) -> None:
    result = fuse("check", write("good.fuse", GOOD), "--set", "i=2", "--set", "i=3")
    assert result.code == 2
    assert "axis i two sizes, 2 and 3" in result.err


def test_warnings_show_the_explicit_form_and_are_no_errors(fuse, write) -> None:
    path = write("exp.fuse", "Y[i] = exp(W[i, j])\n")
    result = fuse("check", path)
    assert result.code == 0
    assert result.out.endswith("exp.fuse: ok\n")
    assert result.err.startswith(f"warning: {path}:1:1: ")
    assert "means: Y[i] = exp(sum(j: W[i, j]))" in result.err
