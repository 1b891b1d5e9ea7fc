"""Reads the command line, runs one command, and turns what went wrong into text and an exit code."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from types import ModuleType
from typing import TextIO

from fuse_ref.cli import check, demo, doctor, errors, explain, fmt, grad, graph, query, repl, run
from fuse_ref.cli.exits import Exit, UsageProblem
from fuse_ref.errors import FuseError, FuseWarning
from fuse_ref.version import __version__

__all__ = ["COMMANDS", "main"]

COMMANDS: tuple[ModuleType, ...] = (run, query, repl, check, fmt, explain, graph, grad, errors, doctor, demo)

EPILOG = """\
exit codes:
  0    all went well
  1    the program has errors (fmt --check: needs formatting; demo: a goal was missed)
  2    the command line is wrong, or a file it names cannot be read or written
  3    the program is right, but its run failed
  130  stopped with Ctrl-C
"""


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fuse",
        description="Fuse, a tensor-equation language: check, run and explain programs.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"fuse {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for module in COMMANDS:
        command = module.add(commands)
        command.epilog, command.formatter_class = EPILOG, argparse.RawDescriptionHelpFormatter
        command.set_defaults(handler=module.handle)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the words after `fuse`; None takes them from the process.

    Returns:
        The exit code, one of `Exit`.
    """
    parser = build_parser()
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as stop:  # argparse ends the process itself: --help and --version with 0, mistakes with 2
        return stop.code if isinstance(stop.code, int) else Exit.USAGE
    with warnings.catch_warnings():
        # Ours are part of a command's output; other packages' are the business of their authors.
        warnings.simplefilter("always", FuseWarning)
        warnings.showwarning = show_warning
        try:
            code: int = arguments.handler(arguments)
            sys.stdout.flush()
        except UsageProblem as problem:
            print(f"fuse {arguments.command}: {problem}", file=sys.stderr)
            return Exit.USAGE
        except FuseError as error:
            # A run's own errors are caught by its command: what arrives here is wrong in the program.
            print(error, file=sys.stderr)
            return Exit.PROGRAM
        except KeyboardInterrupt:
            print("stopped", file=sys.stderr)
            return Exit.INTERRUPTED
        except BrokenPipeError:
            # The reader, `head` for one, has what it wants. Python would complain again when it flushes at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return Exit.OK
    return code


def show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """A warning as the command line shows it: its text, without the place in our own code."""
    print(f"warning: {message}", file=sys.stderr if file is None else file)
