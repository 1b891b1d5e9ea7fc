"""The command line: `fuse run`, `check`, `fmt`, `explain`, `graph`, `errors`, `doctor`, `demo`."""

from __future__ import annotations

from fuse_ref.cli.main import main

__all__ = ["main"]
