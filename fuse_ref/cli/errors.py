"""`fuse errors`: what a code such as FUSE012 means, with programs that make the mistake."""

from __future__ import annotations

import argparse
import difflib
import textwrap

from fuse_ref.cli.exits import Exit, UsageProblem
from fuse_ref.mistakes import MISTAKES, Mistake

__all__ = ["add", "handle"]


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    command = commands.add_parser("errors", help="explain an error's code, or list all codes", description=__doc__)
    command.add_argument("code", metavar="CODE", nargs="?", help="such as FUSE012; without one, all are listed")
    return command


def handle(arguments: argparse.Namespace) -> int:
    if arguments.code is None:
        for row in sorted(MISTAKES.values(), key=lambda row: row.code):
            print(f"{row.code}  {row.error.__name__:<22} {row.title}")
        return Exit.OK
    print(explanation(find(arguments.code)))
    return Exit.OK


def find(text: str) -> Mistake:
    code = text.strip().upper()
    if code.isdigit():
        code = f"FUSE{int(code):03d}"
    if code not in MISTAKES:
        near = difflib.get_close_matches(code, MISTAKES, n=1)
        raise UsageProblem(f"no error has the code {text}" + (f": did you mean {near[0]}?" if near else ""))
    return MISTAKES[code]


def explanation(row: Mistake) -> str:
    parts = [f"{row.code}: {row.title} ({row.error.__name__})", "", f"  {row.sentence}"]
    if row.cure:
        parts += ["", f"  help: {row.cure}"]
    for example in row.examples:
        parts += ["", "For example", "", textwrap.indent((example.program or example.python).strip("\n"), "    ")]
        parts += ["", f"  says: {example.shows}"]
    return "\n".join(parts)
