"""Arguments that several commands share: the program's file and the sizes of axes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fuse_ref.cli.exits import UsageProblem
from fuse_ref.errors import ProgramFileError
from fuse_ref.files.texts import program_text
from fuse_ref.program import Program
from fuse_ref.source import Source

__all__ = ["add_program", "add_sizes", "load_program", "pair", "read_source", "sizes_of"]


def add_program(command: argparse.ArgumentParser, *, several: bool = False) -> None:
    if several:
        command.add_argument("programs", metavar="P", nargs="+", help="a .fuse file; - is standard input")
    else:
        command.add_argument("program", metavar="P", help="a .fuse file; - is standard input")


def add_sizes(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--set",
        metavar="AXIS=SIZE",
        dest="sizes",
        action="append",
        default=[],
        type=size,
        help="the size of an axis, as a line `axis d = 64` would say; may be repeated",
    )


def pair(text: str) -> tuple[str, str]:
    """`NAME=VALUE`, split at the first sign of equality."""
    name, sign, value = text.partition("=")
    if not sign or not name.strip() or not value.strip():
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, got {text!r}")
    return name.strip(), value.strip()


def size(text: str) -> tuple[str, int]:
    name, value = pair(text)
    if not value.isascii() or not value.isdigit():
        raise argparse.ArgumentTypeError(f"the size of axis {name} must be a whole number, got {value!r}")
    return name, int(value)


def sizes_of(arguments: argparse.Namespace) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for name, value in arguments.sizes:
        if sizes.setdefault(name, value) != value:
            raise UsageProblem(f"--set gives axis {name} two sizes, {sizes[name]} and {value}")
    return sizes


def read_source(name: str) -> Source:
    """The text of a program's file, or of standard input for "-"."""
    if name == "-":
        return Source(sys.stdin.read(), "<stdin>")
    try:
        return Source(program_text(name), name)
    except ProgramFileError as error:
        raise UsageProblem(str(error)) from error


def load_program(name: str) -> Program:
    """The program in a file; every mistake in its text raises a FuseError."""
    source = read_source(name)
    return Program(source.text, path=None if name == "-" else Path(name))
