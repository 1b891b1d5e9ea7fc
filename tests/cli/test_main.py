"""The command line as a whole: help, version, exit codes, interruption."""

from __future__ import annotations

import argparse
import subprocess
import sys

import pytest

from fuse_ref.cli import check, main
from fuse_ref.cli.exits import Exit
from fuse_ref.cli.main import COMMANDS, EPILOG
from fuse_ref.version import __version__
from tests.boundaries.sources import ROOT


def test_version(fuse) -> None:
    result = fuse("--version")
    assert (result.code, result.out) == (0, f"fuse {__version__}\n")


def test_help_names_every_command_and_exit_code(fuse) -> None:
    result = fuse("--help")
    assert result.code == 0
    for module in COMMANDS:
        assert f"\n    {module.__name__.rpartition('.')[2]} " in result.out
    assert all(f"\n  {code:<3}  " in EPILOG for code in Exit)
    assert EPILOG.strip() in result.out


@pytest.mark.parametrize("module", COMMANDS, ids=lambda module: module.__name__.rpartition(".")[2])
def test_every_command_has_help(fuse, module) -> None:
    name = module.__name__.rpartition(".")[2]
    result = fuse(name, "--help")
    assert result.code == 0
    assert f"usage: fuse {name}" in result.out


@pytest.mark.parametrize("words", [[], ["nothing"], ["run"], ["check", "a.fuse", "--unknown"], ["errors", "1", "2"]])
def test_a_wrong_command_line_is_2(fuse, words: list[str]) -> None:
    result = fuse(*words)
    assert result.code == 2
    assert result.err.startswith("usage: fuse")


def test_ctrl_c_is_130(fuse, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(arguments: argparse.Namespace) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(check, "handle", interrupted)
    result = fuse("check", "a.fuse")
    assert (result.code, result.out, result.err) == (130, "", "stopped\n")


def test_a_defect_of_ours_is_not_hidden(fuse, monkeypatch: pytest.MonkeyPatch) -> None:
    def defect(arguments: argparse.Namespace) -> int:
        raise KeyError("ours")

    monkeypatch.setattr(check, "handle", defect)
    with pytest.raises(KeyError):
        main(["check", "a.fuse"])


def test_a_reader_that_stops_early_is_fine() -> None:
    pipe = f"{sys.executable} -m fuse_ref.cli errors | head -n 1"
    result = subprocess.run(
        ["bash", "-o", "pipefail", "-c", pipe], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.stdout.startswith("FUSE0")
    assert result.stderr == ""
