"""Arguments of commands that run a program: engine, inputs, sizes, cache."""

from __future__ import annotations

import argparse
from pathlib import Path

from fuse_ref.cli.exits import UsageProblem
from fuse_ref.cli.inputs import read_input
from fuse_ref.cli.programs import add_sizes, pair, sizes_of
from fuse_ref.cli.progress import busy
from fuse_ref.config import ExecutionConfig
from fuse_ref.evaluate.runner import Runner
from fuse_ref.program import Program

__all__ = ["add_call", "compiled", "inputs_of"]


def add_call(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--backend",
        choices=("auto", "numpy", "torch", "jax"),
        default="auto",
        help="the engine; auto is NumPy here, since inputs come from files",
    )
    command.add_argument(
        "--input",
        metavar="NAME=FILE",
        dest="inputs",
        action="append",
        default=[],
        type=pair,
        help="an input's file: .npy, .npz, .safetensors, .csv, .tsv, .parquet, .json, .jsonl, .txt; FILE:key picks one "
        "array of a file that holds several; may be repeated",
    )
    add_sizes(command)
    command.add_argument(
        "--cache-dir",
        metavar="FOLDER",
        type=Path,
        help="keep the plan there, so that the next run of the same program finds it",
    )


def inputs_of(arguments: argparse.Namespace, program: Program) -> dict[str, object]:
    """The values of all --input options."""
    inputs: dict[str, object] = {}
    for name, place in arguments.inputs:
        if name in inputs:
            raise UsageProblem(f"--input gives {name} twice")
        with busy(f"reading {place}"):
            inputs[name] = read_input(name, place, program)
    return inputs


def compiled(arguments: argparse.Namespace, program: Program, config: ExecutionConfig | None = None) -> Runner:
    """The program made ready as the options say."""
    with busy("planning"):
        return program.compile(
            arguments.backend, config=config, sizes=sizes_of(arguments) or None, cache_dir=arguments.cache_dir
        )
