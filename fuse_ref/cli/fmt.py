"""`fuse fmt`: programs in their canonical layout, comments kept."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from fuse_ref.cli.exits import Exit, UsageProblem
from fuse_ref.cli.programs import add_program, read_source
from fuse_ref.errors import FuseError
from fuse_ref.language.formatter import format_text

__all__ = ["add", "handle"]


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    command = commands.add_parser("fmt", help="lay out programs, in place", description=__doc__)
    add_program(command, several=True)
    command.add_argument("--check", action="store_true", help="change nothing; exit 1 when a file would change")
    return command


def handle(arguments: argparse.Namespace) -> int:
    code = Exit.OK
    for name in arguments.programs:
        source = read_source(name)
        try:
            text = format_text(source)
        except FuseError as error:
            print(error, file=sys.stderr)
            code = Exit.PROGRAM
            continue
        if name == "-" and not arguments.check:
            sys.stdout.write(text)
        elif text != source.text:
            if arguments.check:
                print(f"{name}: would change")
                code = Exit.PROGRAM
            else:
                replace(Path(name), text)
                print(f"{name}: changed")
    return code


def replace(path: Path, text: str) -> None:
    """Write the file as a whole or not at all, with the permissions it had."""
    path = path.resolve()  # a link stays a link
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".new")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
                file.write(text)
            os.chmod(temporary, path.stat().st_mode)
            os.replace(temporary, path)
        except OSError:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise UsageProblem(f"cannot write {path.name}: {error.strerror}") from error
