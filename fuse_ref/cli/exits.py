"""Exit codes, the same for every command."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["Exit", "UsageProblem"]


class Exit(IntEnum):
    OK = 0
    PROGRAM = 1  # the program has errors (fmt --check: is not formatted; demo: a goal was missed)
    USAGE = 2  # the command line is wrong, or names a file that cannot be read or written
    RUN = 3  # the program is right, its run failed
    INTERRUPTED = 130  # Ctrl-C, as shells count it


class UsageProblem(Exception):
    """Something about the command line that only shows once files are opened; ends with `Exit.USAGE`."""
