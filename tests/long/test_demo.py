"""The demonstration as users run it, over three seeds."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from fuse_ref.cli import main


def test_three_seeds_under_inductor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    started = time.perf_counter()
    code = main(["demo", "--seeds", "0,1,2", "--out", str(tmp_path)])
    output = capsys.readouterr().out
    assert code == 0, output
    worst = float(re.search(r"worst of 3 seeds: ([\d.]+) %", output)[1])  # type: ignore[index]
    assert worst >= 97
    assert output.count(": agree\n") == 9
    assert time.perf_counter() - started < 9 * 60
