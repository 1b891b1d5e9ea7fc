"""The demonstration as users run it, over three seeds."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from fuse_ref.cli import main


def test_three_seeds_under_inductor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    started = time.perf_counter()
    code = main(["demo", "--seeds", "0,1,2", "--out", str(tmp_path), "--cache-dir", str(tmp_path / "cache")])
    output = capsys.readouterr().out
    assert code == 0, output
    worst = float(re.search(r"worst of 3 seeds: ([\d.]+) %", output)[1])  # type: ignore[index]
    assert worst >= 97
    assert output.count(": agree\n") == 9
    assert time.perf_counter() - started < 9 * 60


def test_the_second_run_finds_what_the_first_has_compiled(tmp_path: Path) -> None:
    """In processes of their own, as users run it."""
    words = [sys.executable, "-m", "fuse_ref.cli", "demo", "--epochs", "1", "--out", str(tmp_path)]
    words += ["--cache-dir", str(tmp_path / "cache")]
    environment = {name: value for name, value in os.environ.items() if name != "TORCHINDUCTOR_CACHE_DIR"}
    first, second = (
        subprocess.run(words, env=environment, capture_output=True, text=True, check=False).stdout for _ in range(2)
    )
    assert f"are kept in {tmp_path / 'cache'}: a second run starts faster" in first
    saved = float(re.search(r"has saved (-?\d+) s", second)[1])  # type: ignore[index]
    taken = float(re.search(r"the first run took (\d+) s", second)[1])  # type: ignore[index]
    assert saved > 0.3 * taken, second


def test_a_terminal_gets_a_progress_bar(tmp_path: Path) -> None:
    """The command in a terminal of its own, 100 columns wide."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    command = [
        sys.executable,
        "-m",
        "fuse_ref.cli",
        "demo",
        "--inner",
        "eager",
        "--epochs",
        "1",
        "--out",
        str(tmp_path),
        "--cache-dir",
        str(tmp_path / "cache"),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=follower, close_fds=True)
    os.close(follower)
    shown = b""
    while True:
        try:
            part = os.read(leader, 4096)
        except OSError:  # Linux tells so that the other side was closed
            break
        if not part:
            break
        shown += part
    process.wait(timeout=60)
    os.close(leader)
    assert re.search(rb"seed 0: +\d+%.*\| \d+/22 \[", shown), shown[-500:]
    assert b"held_out=" in shown
