"""`fuse repl`: ask a program and add to it, line by line."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

from fuse_ref.cli.calls import add_call, compiled, inputs_of
from fuse_ref.cli.exits import Exit, UsageProblem
from fuse_ref.cli.programs import read_source
from fuse_ref.cli.session import COMMANDS, Session, unfinished
from fuse_ref.ir.operations import CATALOGUE
from fuse_ref.version import __version__

__all__ = ["add", "handle"]

PROMPT, MORE = "fuse> ", "  ... "
HISTORY = 1000  # lines that are kept
_WORDS = (
    "not",
    "and",
    "or",
    "case",
    "default",
    "axis",
    "export",
    "input",
    "param",
    "import",
    "sum",
    "max",
    "min",
    "avg",
)


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    command = commands.add_parser("repl", help="ask a program and add to it, line by line", description=__doc__)
    command.add_argument("program", metavar="P", nargs="?", help="a .fuse file to begin with; without it an empty one")
    add_call(command)
    return command


def handle(arguments: argparse.Namespace) -> int:
    if arguments.program == "-":
        raise UsageProblem("standard input holds the lines of the session: name the program's file")
    text = "" if arguments.program is None else read_source(arguments.program).text
    session = Session(
        text,
        None if arguments.program is None else Path(arguments.program),
        lambda program, config: compiled(arguments, program, config),
        lambda program: inputs_of(arguments, program),
    )
    with _editing(lambda: session.names):
        if sys.stdin.isatty():
            print(f"Fuse {__version__}: :help lists commands, Ctrl-D leaves")
        for statement in _statements():
            if not session.line(statement):
                break
    return Exit.OK


def _statements() -> Iterator[str]:
    """What is typed, whole statements at a time; Ctrl-C gives up the one begun."""
    begun = ""
    while True:
        try:
            line = _read(MORE if begun else PROMPT)
        except EOFError:
            if sys.stdin.isatty():
                print()
            if begun:
                yield begun
            return
        except KeyboardInterrupt:
            print()
            begun = ""
            continue
        begun = f"{begun}\n{line}" if begun else line
        if line.strip() and unfinished(begun):
            continue
        yield begun
        begun = ""


def _read(prompt: str) -> str:
    if sys.stdin.isatty():
        return input(prompt)
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.rstrip("\n")


# Editing, history, completion -------------------------------------------------------------------


@contextlib.contextmanager
def _editing(names: Callable[[], list[str]]) -> Iterator[None]:
    """Line editing where the standard library has it, with the history of earlier sessions."""
    readline = _readline() if sys.stdin.isatty() else None
    if readline is None:
        yield
        return
    history = _history_file()
    with contextlib.suppress(OSError):
        readline.read_history_file(history)
    readline.set_history_length(HISTORY)
    readline.set_completer(completer(names))
    readline.set_completer_delims(" \t\n()[]{},;=<>+-*/\"'")
    libedit = "libedit" in (readline.__doc__ or "")
    readline.parse_and_bind("bind ^I rl_complete" if libedit else "tab: complete")
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            history.parent.mkdir(parents=True, exist_ok=True)
            readline.write_history_file(history)


def _readline() -> ModuleType | None:
    try:
        import readline
    except ImportError:  # Windows has none: lines are read without editing
        return None
    return readline


def _history_file() -> Path:
    folder = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(folder) / "fuse" / "history"


def completer(names: Callable[[], list[str]]) -> Callable[[str, int], str | None]:
    """What Tab offers for the word begun: commands, the program's names and symbols, functions, words."""

    def complete(word: str, number: int) -> str | None:
        if word.startswith(":"):
            known = [command for command, _, _ in COMMANDS]
        else:
            known = [*names(), *sorted(CATALOGUE), *_WORDS]
        fitting = [name for name in known if name.startswith(word)]
        return fitting[number] if number < len(fitting) else None

    return complete
