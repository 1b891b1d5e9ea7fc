"""What the demonstration keeps between runs: compiled code and plans, and how long the first run took without them."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import torch

__all__ = ["compiled_code_in", "seconds_of_first_run"]

_INDUCTOR = "TORCHINDUCTOR_CACHE_DIR"


@contextlib.contextmanager
def compiled_code_in(folder: Path) -> Iterator[None]:
    """Inductor keeps what it compiles below `folder`, unless the user has chosen a place by its own variable."""
    if _INDUCTOR in os.environ:
        yield
        return
    os.environ[_INDUCTOR] = str(folder / "inductor")
    try:
        yield
    finally:
        del os.environ[_INDUCTOR]


def seconds_of_first_run(folder: Path, inner: str, seconds: float) -> float | None:
    """The seconds that the first run with this compiler took; None in that run itself, whose `seconds` are noted."""
    path = folder / "demo.json"
    key = f"{inner}, torch {torch.__version__}"
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = None
    if not isinstance(known, dict):
        known = {}
    first = known.get(key)
    if isinstance(first, int | float):
        return float(first)
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**known, key: seconds}), encoding="utf-8")
    return None
