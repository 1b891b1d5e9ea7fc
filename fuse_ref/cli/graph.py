"""`fuse graph`: the plan of a program as a picture: tensors, steps in the colour of their route, what reads what."""

from __future__ import annotations

import argparse
from pathlib import Path

from fuse_ref.cli.exits import Exit, UsageProblem
from fuse_ref.cli.programs import add_program, add_sizes, load_program, sizes_of
from fuse_ref.evaluate.drawing import to_svg
from fuse_ref.evaluate.graph import graph_of, to_dot
from fuse_ref.files.sinks import write_whole

__all__ = ["add", "handle"]

ENDINGS = (".svg", ".dot")


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    command = commands.add_parser("graph", help="draw a program's plan", description=__doc__)
    add_program(command)
    command.add_argument(
        "-o",
        "--out",
        metavar="FILE",
        type=Path,
        help="where to: .svg, a picture for any browser, or .dot, for Graphviz; without it .dot is printed",
    )
    add_sizes(command)
    return command


def handle(arguments: argparse.Namespace) -> int:
    out: Path | None = arguments.out
    if out is not None and out.suffix.lower() not in ENDINGS:
        raise UsageProblem(f"-o {out}: cannot write {out.suffix or 'a file without ending'}: use .svg or .dot")
    program = load_program(arguments.program)
    graph = graph_of(program.plan(sizes_of(arguments) or None))
    if out is None:
        print(to_dot(graph))
        return Exit.OK
    title = f"plan of {arguments.program}"
    text = to_svg(graph, title=title) if out.suffix.lower() == ".svg" else to_dot(graph)
    try:
        write_whole(out, lambda file: file.write(text.encode() + b"\n"))
    except OSError as error:
        raise UsageProblem(f"cannot write {out}: {error.strerror or type(error).__name__}") from error
    print(f"wrote {out}")
    return Exit.OK
