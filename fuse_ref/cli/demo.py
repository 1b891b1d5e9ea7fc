"""`fuse demo`: a convolutional network in Fuse learns handwritten digits, and three engines are compared."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from pathlib import Path

from fuse_ref.cli.doctor import compiler
from fuse_ref.cli.exits import Exit
from fuse_ref.errors import FuseError

__all__ = ["add", "handle"]

NEEDED = {"torch": "torch", "jax": "jax", "sklearn": "scikit-learn", "matplotlib": "matplotlib", "tqdm": "tqdm"}


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    command = commands.add_parser("demo", help="train a network on handwritten digits", description=__doc__)
    command.add_argument("--seeds", type=seeds, default=(0,), metavar="0,1,2", help="one training each (default: 0)")
    command.add_argument(
        "--epochs", type=count, default=20, metavar="N", help="passes over the training digits (default: 20)"
    )
    command.add_argument(
        "--inner",
        choices=("inductor", "aot_eager", "eager"),
        default="inductor",
        help='the compiler behind the "fuse" back end (default: inductor)',
    )
    command.add_argument(
        "--out", type=Path, default=Path("runs/demo"), metavar="FOLDER", help="for the pictures (default: runs/demo)"
    )
    command.add_argument(
        "--cache-dir",
        type=Path,
        default=cache_folder(),
        metavar="FOLDER",
        help="where compiled code and plans stay for the next run (default: %(default)s)",
    )
    return command


def cache_folder() -> Path:
    """The folder `fuse` in the user's own for caches."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base else Path.home() / ".cache") / "fuse"


def seeds(text: str) -> tuple[int, ...]:
    words = [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdigit() for word in words):
        raise argparse.ArgumentTypeError(f"expected whole numbers with commas between, got {text!r}")
    return tuple(int(word) for word in words)


def count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"expected a number of passes, at least 1, got {text!r}")
    return int(text)


def importable(module: str) -> bool:
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise  # it is there and broken: its own words say more than ours
        return False
    return True


def handle(arguments: argparse.Namespace) -> int:
    missing = [distribution for module, distribution in NEEDED.items() if not importable(module)]
    if missing:
        print(f"fuse demo needs {', '.join(missing)}: pip install 'fuse-torch[demo]'", file=sys.stderr)
        return Exit.RUN
    if arguments.inner == "inductor" and (problem := compiler()).verdict == "missing":
        print(f"{problem.what}: {problem.advice}, or try fuse demo --inner aot_eager", file=sys.stderr)
        return Exit.RUN
    # Only here: every other command works without these packages.
    from fuse_ref.demo.show import Options, show

    options = Options(arguments.seeds, arguments.epochs, arguments.inner, arguments.out, arguments.cache_dir)
    try:
        return Exit.OK if show(options) else Exit.PROGRAM
    except FuseError as error:
        print(error, file=sys.stderr)
        return Exit.RUN
