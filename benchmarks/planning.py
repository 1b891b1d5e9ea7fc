"""Reading and planning a program of 200 equations."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Iterator

from benchmarks.measure import seconds
from benchmarks.table import Row, duration
from fuse_ref import Program

__all__ = ["TITLE", "rows", "text_of"]

TITLE = "Parse, check and plan"

EQUATIONS = 200
MOST = 0.5  # seconds

_LAYER = """
input X0[b, d]
"""

# Four equations a layer: a product with a bias, attention over the batch, a mixture, a normalisation.
_EQUATIONS = """
H{n}[b, f] = gelu(U{n}[f, d] X{m}[b, d] + C{n}[f])
A{n}[b, b'.] = softmax(H{n}[b, f] H{n}[b', f] / sqrt(16))
M{n}[b, d] = A{n}[b, b'] V{n}[d, f] H{n}[b', f] + X{m}[b, d]
X{n}[b, d.] = lnorm(M{n}[b, d])
"""


def text_of(equations: int) -> str:
    """A program of `equations` equations, layers of a network."""
    layers = equations // 4
    lines = [_LAYER, *(_EQUATIONS.format(n=n, m=n - 1) for n in range(1, layers + 1)), f"export X{layers}"]
    return "".join(lines)


def _first() -> float:
    """Seconds of the first program in a fresh process, imports aside."""
    code = (
        "import time, sys; from fuse_ref import Program; text = sys.stdin.read(); "
        "start = time.thread_time(); Program(text).plan(); print(time.thread_time() - start)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=text_of(EQUATIONS), text=True, check=True, capture_output=True
    )
    return float(done.stdout)


def rows() -> Iterator[Row]:
    text = text_of(EQUATIONS)
    again = statistics.median(seconds(lambda: Program(text).plan(), 1) for _ in range(5))
    first = statistics.median(_first() for _ in range(3))
    for what, value in (("in a process that has read programs", again), ("first program of a process", first)):
        yield Row(
            f"{EQUATIONS} equations, {what}", "", duration(value), duration(value), "", f"< {MOST:g} s", value < MOST
        )
