"""A short training through the eager inner compiler: the whole way, without inductor."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuse_ref.cli import main
from fuse_ref.demo import show as shown


def test_the_demonstration_reaches_its_goals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["demo", "--inner", "eager", "--out", str(tmp_path / "demo"), "--cache-dir", str(tmp_path / "cache")]) == 0
    )
    output = capsys.readouterr()
    assert "export LogProb, Loss" in output.out  # the program
    assert "Dense" in output.out  # the plan
    assert output.out.count(": agree\n") == 3  # three pairs of engines
    assert "reached: 97 %" in output.out
    assert "step/s" not in output.err  # the progress bar is for terminals
    assert sorted(path.name for path in (tmp_path / "demo").iterdir()) == ["confusion_matrix.png", "learning_curve.png"]


def test_missing_the_goal_is_exit_1(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.setattr(shown, "GOAL", 1.01)
    words = [
        "demo",
        "--inner",
        "eager",
        "--epochs",
        "1",
        "--seeds",
        "0,1",
        "--out",
        str(tmp_path),
        "--cache-dir",
        str(tmp_path),
    ]
    assert main(words) == 1
    output = capsys.readouterr().out
    assert "worst of 2 seeds" in output
    assert "MISSED" in output
    assert {path.name for path in tmp_path.iterdir()} >= {"confusion_matrix_seed0.png", "confusion_matrix_seed1.png"}
