"""docs/files.md and docs/command_line.md speak of what there is."""

from __future__ import annotations

import argparse
import json
import re

import numpy as np
import pytest

from fuse_ref.cli.exits import Exit
from fuse_ref.cli.main import COMMANDS, build_parser
from fuse_ref.files.paths import READ_ENDINGS, WRITE_ENDINGS
from fuse_ref.program import Program
from fuse_ref.weights.manifest import read_manifest
from tests.boundaries.sources import ROOT

FILES = (ROOT / "docs" / "files.md").read_text(encoding="utf-8")
COMMAND_LINE = (ROOT / "docs" / "command_line.md").read_text(encoding="utf-8")


def section(page: str, title: str) -> str:
    return page.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def test_every_format_has_its_row() -> None:
    for title, endings in (("Sources", READ_ENDINGS), ("Sinks", WRITE_ENDINGS)):
        rows = [line.split("|")[1] for line in section(FILES, title).splitlines() if line.startswith("| `")]
        assert [ending for row in rows for ending in re.findall(r"`(\.\w+)`", row)] == sorted(
            endings, key=" ".join(rows).index
        )


def test_the_first_programs_are_programs() -> None:
    block = FILES.split("\n\n")[2]
    assert all(line.startswith("    ") for line in block.splitlines())
    program = Program("\n".join(line.strip() for line in block.splitlines()) + "\nY[i] = W[i, j] B[i]")
    assert {name for name, tensor in program.tensors.items() if tensor.role == "source"} == {"W", "B", "Edge", "X"}


def test_the_manifest_is_one(tmp_path) -> None:
    text = FILES.split('    {"version": 1,', 1)[1].split("\n\n", 1)[0]
    data = json.loads(('{"version": 1,' + text).replace("9f86…", "0" * 64))
    _, _, entries = read_manifest(data)
    assert [entry.name for entry in entries] == ["W", "B", "E", "S", "Q"]
    assert np.array_equal(entries[3].value, [1.0, 2.0])


def test_every_command_and_option_of_run() -> None:
    rows = set(re.findall(r"^\| `fuse (\w+)", COMMAND_LINE, re.MULTILINE))
    assert rows == {module.__name__.rpartition(".")[2] for module in COMMANDS}
    parser = build_parser()
    (commands,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    options = {name for action in commands.choices["run"]._actions for name in action.option_strings}
    written = set(re.findall(r"^\| `(--[\w-]+)", section(COMMAND_LINE, "fuse run"), re.MULTILINE))
    assert written == options - {"-h", "--help"}


def test_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", section(COMMAND_LINE, "Exit codes"), re.MULTILINE)}
    assert codes == {int(code) for code in Exit}
    parser = build_parser()
    (commands,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    for command in commands.choices.values():
        assert all(f"  {int(code):<3}  " in command.format_help() for code in Exit)
