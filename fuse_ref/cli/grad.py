"""`fuse grad`: the program of a program's gradients."""

from __future__ import annotations

import argparse

from fuse_ref.cli.exits import Exit
from fuse_ref.cli.programs import add_program, load_program
from fuse_ref.gradients import generate_gradient_program

__all__ = ["add", "handle"]


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    command = commands.add_parser("grad", help="print the program of a program's gradients", description=__doc__)
    add_program(command)
    command.add_argument(
        "--seed",
        "--seeds",
        nargs="+",
        action="extend",
        required=True,
        metavar="NAME[=EXPR]",
        dest="seeds",
        help="what to differentiate: Loss, Loss=2.0, or 'Y[i, j]=S[i, j]'; without an expression 1.0",
    )
    command.add_argument(
        "--grad",
        "--grads",
        nargs="+",
        action="extend",
        metavar="NAME",
        dest="grads",
        help="the tensors whose gradients are exported; without it all parameters",
    )
    return command


def handle(arguments: argparse.Namespace) -> int:
    program = load_program(arguments.program)
    seeds = {}
    for item in arguments.seeds:
        name, equals, text = item.partition("=")
        seeds[name.strip()] = text if equals else "1.0"
    print(generate_gradient_program(program, seeds, arguments.grads or list(program.params)).format(), end="")
    return Exit.OK
