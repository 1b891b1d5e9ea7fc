"""`fuse check`: every error and warning of programs, with the places they stand in."""

from __future__ import annotations

import argparse
import sys

from fuse_ref.analysis.advice import Advice, advise
from fuse_ref.cli.exits import Exit
from fuse_ref.cli.programs import add_program, add_sizes, load_program, sizes_of
from fuse_ref.errors import FuseError

__all__ = ["add", "handle"]


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    command = commands.add_parser("check", help="report every error of programs", description=__doc__)
    add_program(command, several=True)
    add_sizes(command)
    return command


def handle(arguments: argparse.Namespace) -> int:
    sizes = sizes_of(arguments)
    count = 0
    for name in arguments.programs:
        found, advice = examine(name, sizes)
        for error in found:
            print(error, end="\n\n", file=sys.stderr)
        for item in advice:
            print(f"warning: {item}", end="\n\n", file=sys.stderr)
        count += len(found)
        if not found:
            print(f"{name}: ok")
    if count:
        print(f"{count} error{'s' if count > 1 else ''}", file=sys.stderr)
    return Exit.PROGRAM if count else Exit.OK


def examine(name: str, sizes: dict[str, int]) -> tuple[list[FuseError], tuple[Advice, ...]]:
    """All errors of one program in text order, those of imported files first, or what to think twice about when it has none."""
    try:
        program = load_program(name)
        program.plan(sizes or None)  # finds the sizes that do not fit
    except FuseError as first:
        found = [first, *first.others]
        first.others = ()  # shown one by one below, so the hint at more of them would be wrong
        return found, ()
    return [], advise(program.ir)
