"""`fuse fmt`."""

from __future__ import annotations

import io
import stat

import pytest

UGLY = "# a layer\nY[i]=relu( W[i,j]*X[j] )   # summed\n\n\n\nexport Y\n"


def test_files_are_changed_in_place_once(fuse, write) -> None:
    path = write("a.fuse", UGLY)
    result = fuse("fmt", path)
    assert result.code == 0
    assert "changed" in result.out
    text = path.read_text(encoding="utf-8")
    assert "# a layer" in text
    assert "# summed" in text
    assert "relu(W[i, j] X[j])" in text
    again = fuse("fmt", path)
    assert (again.code, again.out) == (0, "")
    assert path.read_text(encoding="utf-8") == text


def test_check_changes_nothing(fuse, write) -> None:
    path = write("a.fuse", UGLY)
    result = fuse("fmt", "--check", path)
    assert result.code == 1
    assert "would change" in result.out
    assert path.read_text(encoding="utf-8") == UGLY
    fuse("fmt", path)
    assert fuse("fmt", "--check", path).code == 0


def test_standard_input_goes_to_standard_output(fuse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("Y=A[i]*B[i]"))
    result = fuse("fmt", "-")
    assert (result.code, result.out) == (0, "Y = A[i] B[i]\n")


def test_a_program_with_errors_stays(fuse, write) -> None:
    bad, good = write("bad.fuse", "Y = (1\n"), write("good.fuse", UGLY)
    result = fuse("fmt", bad, good)
    assert result.code == 1
    assert bad.read_text(encoding="utf-8") == "Y = (1\n"
    assert good.read_text(encoding="utf-8") != UGLY
    assert "bad.fuse:1" in result.err


def test_permissions_and_links_stay(fuse, write, tmp_path) -> None:
    path = write("a.fuse", UGLY)
    path.chmod(0o640)
    link = tmp_path / "link.fuse"
    link.symlink_to(path)
    assert fuse("fmt", link).code == 0
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert path.read_text(encoding="utf-8") != UGLY
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a.fuse", "link.fuse"]
