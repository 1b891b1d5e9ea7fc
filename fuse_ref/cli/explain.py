"""`fuse explain`: the plan of a program: its steps, their routes and why, contraction orders, costs."""

from __future__ import annotations

import argparse
import json

from fuse_ref.cli.exits import Exit
from fuse_ref.cli.programs import add_program, add_sizes, load_program, sizes_of
from fuse_ref.plan.document import plan_document

__all__ = ["add", "handle"]


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    command = commands.add_parser("explain", help="show a program's plan", description=__doc__)
    add_program(command)
    add_sizes(command)
    form = command.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="the plan as JSON")
    form.add_argument("--explicit", action="store_true", help="the program with every projection written out")
    return command


def handle(arguments: argparse.Namespace) -> int:
    program = load_program(arguments.program)
    if arguments.explicit:
        print(program.explicit(), end="")
        return Exit.OK
    plan = program.plan(sizes_of(arguments) or None)
    print(json.dumps(plan_document(plan), indent=2) if arguments.json else str(plan))
    return Exit.OK
