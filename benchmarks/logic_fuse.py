"""Fuse on a logic problem: the program beside its facts, in a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.rivals.logic_report import report
from fuse_ref import ExecutionConfig, Program

if __name__ == "__main__":
    if len(sys.argv) == 1:  # what is imported, and nothing else
        report(0)
        sys.exit()
    _family, _folder = sys.argv[1:]
    _program = Program.from_file(Path(_folder) / "program.fuse")
    # On demand: of what stands behind the export, only what it needs is derived.
    (_found,) = _program.compile("numpy", config=ExecutionConfig(mode="demand"))().values()
    report(len(_found) if _found.shape else int(_found))
