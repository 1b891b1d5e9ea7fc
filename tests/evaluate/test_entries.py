"""Files of a cache folder: only whole ones of our own are read, writers do not disturb each other, growth is bounded."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fuse_ref.evaluate.entries import Entries, Kind, state_of

KIND = Kind("things", "thing", "thing 1", 1000)


def text(body: bytes) -> str:
    return body.decode("ascii")


def test_there_and_back(tmp_path: Path) -> None:
    entries = Entries(tmp_path, KIND)
    key = entries.key("a", {"b": 1})
    assert entries.read(key, text) is None
    entries.write(key, b"two\nlines")
    assert entries.read(key, text) == "two\nlines"
    entries.write(key, b"")
    assert entries.read(key, text) == ""
    assert entries.key("a", {"b": 2}) != key
    assert Entries(tmp_path, Kind("things", "thing", "thing 2", 1000)).key("a", {"b": 1}) != key
    (path,) = (tmp_path / "things").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("harm", ["empty", "cut", "flipped", "longer", "foreign", "other key", "refused", "writable"])
def test_what_cannot_be_used_counts_as_absent(tmp_path: Path, harm: str, caplog: pytest.LogCaptureFixture) -> None:
    entries = Entries(tmp_path, KIND)
    key = entries.key("a")
    entries.write(key, "ö".encode() if harm == "refused" else b"some text")
    (path,) = (tmp_path / "things").iterdir()
    content = path.read_bytes()
    harmed = {
        "empty": b"",
        "cut": content[:-3],
        "flipped": content[:-1] + b"T",
        "longer": content + b"!",
        "foreign": b"\x80\x04\x95 a pickle",
        "other key": content.replace(key.encode(), b"0" * 64),
    }
    path.write_bytes(harmed.get(harm, content))
    if harm == "writable":
        path.chmod(0o666)
    with caplog.at_level(logging.WARNING, "fuse.cache"):
        assert entries.read(key, text) is None
    assert "is made anew" in caplog.text
    entries.write(key, b"again")
    assert entries.read(key, text) == "again"


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    entries = Entries(tmp_path, KIND)
    keys = [entries.key(number) for number in range(4)]
    for age, key in enumerate(keys[:3]):
        entries.write(key, b"x" * 150)
        os.utime(entries._path(key), (1000 + age, 1000 + age))
    assert entries.read(keys[0], text) is not None  # used just now, so that the second is the oldest
    entries.write(keys[3], b"x" * 150)
    assert [entries._path(key).exists() for key in keys] == [True, False, True, True]
    entries.write(keys[3], b"x" * 5000)  # more than all may take: it alone stays, for this process's next
    assert [entries._path(key).exists() for key in keys] == [False, False, False, True]


def test_what_a_writer_left_behind_goes(tmp_path: Path) -> None:
    entries = Entries(tmp_path, KIND)
    entries.write(entries.key(1), b"x")
    left, fresh = tmp_path / "things" / ".old-1", tmp_path / "things" / ".new-1"
    for path in (left, fresh):
        path.write_bytes(b"half")
    os.utime(left, (1000, 1000))
    entries.write(entries.key(2), b"x")
    assert not left.exists()
    assert fresh.exists()  # somebody may be writing it


def test_a_folder_that_cannot_be_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "things").write_text("in the way")
    with caplog.at_level(logging.WARNING, "fuse.cache"):
        Entries(tmp_path, KIND).write("0" * 64, b"x")
    assert "is not kept" in caplog.text


def test_a_folder_that_is_only_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = Entries(tmp_path, KIND)
    entries.write("0" * 64, b"x")

    def refused(*arguments: object, **more: object) -> None:
        raise PermissionError(30, "Read-only file system")

    monkeypatch.setattr(os, "utime", refused)
    monkeypatch.setattr(os, "open", refused)
    assert entries.read("0" * 64, text) == "x"
    entries.write("1" * 64, b"y")
    assert entries.read("1" * 64, text) is None


def test_two_processes_write_at_once(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from fuse_ref.evaluate.entries import Entries, Kind\n"
        "entries = Entries(Path(sys.argv[1]), Kind('things', 'thing', 'thing 1', 3000))\n"
        "for turn in range(150):\n"
        "    key = entries.key(turn % 7)\n"
        "    found = entries.read(key, bytes)\n"
        "    assert found in (None, b'1' * 900, b'2' * 900), found\n"
        "    entries.write(key, sys.argv[2].encode() * 900)\n"
        "print('done')"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path), name], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for name in ("1", "2")
    ]
    for process in running:
        output, errors = process.communicate(timeout=60)
        assert (output.strip(), errors) == (b"done", b"")
    assert not [path for path in (tmp_path / "things").iterdir() if path.name.startswith(".")]
    assert sum(path.stat().st_size for path in (tmp_path / "things").iterdir()) <= 4100


def test_the_state_of_a_package(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    file = tmp_path / "inner" / "a.py"
    file.write_text("x = 1")
    found = state_of(tmp_path)
    assert [item.split()[:2] for item in found] == [["a.py", "5"]]
    assert state_of(tmp_path) == found
    file.write_text("x = 10")
    assert state_of(tmp_path) != found
