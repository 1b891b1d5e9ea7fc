"""`fuse run`: run a program once and print or save what it exports and answers."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fuse_ref.cli.calls import add_call, compiled, inputs_of
from fuse_ref.cli.exits import Exit
from fuse_ref.cli.inputs import check_outputs, write_outputs
from fuse_ref.cli.programs import add_program, load_program, sizes_of
from fuse_ref.cli.progress import busy
from fuse_ref.errors import FuseError
from fuse_ref.evaluate.relation import Relation
from fuse_ref.program import Program

__all__ = ["add", "handle"]

SHOWN_ROWS = 50  # of a relation; --out and --json give all


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    command = commands.add_parser("run", help="run a program", description=__doc__)
    add_program(command)
    add_call(command)
    command.add_argument(
        "--out",
        metavar="FILE",
        type=Path,
        help="save the exports: all in .npz, .safetensors or .json; one in .npy, .csv, .tsv, .parquet or .jsonl",
    )
    command.add_argument("--json", action="store_true", help="print exports and answers as JSON")
    return command


def handle(arguments: argparse.Namespace) -> int:
    program = load_program(arguments.program)
    if arguments.out is not None:
        check_outputs(arguments.out, len(program.exports))
    inputs = inputs_of(arguments, program)
    try:
        return run(program, inputs, arguments)
    except FuseError as error:
        # A program that cannot even be planned raises again, and ends with the code for wrong programs.
        program.plan(sizes_of(arguments) or None)
        print(error, file=sys.stderr)
        return Exit.RUN


def run(program: Program, inputs: Mapping[str, object], arguments: argparse.Namespace) -> int:
    runner = compiled(arguments, program)
    with busy("running"):
        outputs = runner(dict(inputs))
    if arguments.out is not None:
        write_outputs(outputs, arguments.out)
    if arguments.json:
        print(json.dumps(document(runner.backend, outputs, runner.answers), indent=2))
        return Exit.OK
    for answer in runner.answers:
        print_answer(answer)
    if arguments.out is None:
        for name, value in outputs.items():
            print_export(name, value)
    else:
        print(f"wrote {', '.join(outputs)} to {arguments.out}")
    return Exit.OK


def document(backend: str, outputs: Mapping[str, Any], answers: Iterable[Any]) -> dict[str, object]:
    """What --json prints: every export with shape and values, or of a relation the rows; every answer with its rows."""
    return {
        "backend": backend,
        "exports": {name: export(value) for name, value in outputs.items()},
        "answers": [{"query": a.text, "rows": [[plain(x) for x in row] for row in a.rows]} for a in answers],
    }


def export(value: Any) -> dict[str, object]:
    if isinstance(value, Relation):
        return {"shape": list(value.shape), "dtype": "bool", "rows": [list(row) for row in value.rows]}
    array = np.asarray(value)
    return {"shape": list(array.shape), "dtype": str(array.dtype), "values": plain(array.tolist())}


def plain(value: Any) -> Any:
    """Nested lists of what JSON has: it lacks NaN and the infinities, which become strings."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, float) and value - value != 0:
        return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
    return value


def print_export(name: str, value: Any) -> None:
    if not isinstance(value, Relation):
        print_array(name, np.asarray(value))
        return
    print(f"{name} ({' × '.join(map(str, value.shape)) or 'scalar'}, {len(value)} of them)")
    for row in value.rows[:SHOWN_ROWS]:
        print(f"  {', '.join(map(str, row)) or 'yes'}")
    if len(value) > SHOWN_ROWS:
        print(f"  … {len(value) - SHOWN_ROWS} more")


def print_array(name: str, value: np.ndarray) -> None:
    shape = " × ".join(map(str, value.shape)) or "scalar"
    values = np.array2string(value, precision=6, threshold=200, edgeitems=3) if value.ndim else str(value[()])
    separator = "\n" if "\n" in values else " "
    print(f"{name} ({shape}, {value.dtype}){separator}{values}")


def print_answer(answer: Any) -> None:
    rows = [", ".join(map(str, row)) for row in answer.rows]
    print(answer.text)
    for row in rows:
        print(f"  {row or 'yes'}")
    if not rows:
        print("  no")
