"""What `make test` does with its 500 programs: every one by NumPy and torch, a share by what compiles."""

from __future__ import annotations

import logging

from tests.fuzz.campaign import shrink_finding
from tests.fuzz.draw import draw
from tests.fuzz.gradients import gradient_problems, jax_gradient
from tests.fuzz.judge import Way, judge
from tests.support.xla import fully_optimised

__all__ = ["BLOCK", "check_block"]

# Compiling logs thousands of lines, which pytest would show beside a failure.
logging.getLogger("torch.__trace").propagate = False

BLOCK = 25  # programs of one test

_EVERY: tuple[Way, ...] = (("numpy", "float64"), ("numpy", "float32"), ("torch", "float64"), ("torch", "float32"))


def check_block(first: int) -> None:
    """Programs of the seeds from `first` on; the first that disagrees is shown as small as it gets."""
    for seed in range(first, first + BLOCK):
        sketch = draw(seed)
        ways = _EVERY
        if seed % 5 == 0:
            ways += (("jax", "float64"),)
        if seed % 25 == 1:
            ways += (("jax", "float32"),)
        if seed % 12 == 2:
            ways += (("torch compiled", "float64"),)
        if seed % 50 == 3:
            ways += (("torch aot", "float32"),)
        with fully_optimised():
            verdict = judge(sketch, ways)
        problems = list(verdict.problems)
        if verdict.accepted and not verdict.not_yet and not problems and seed % 2 == 0:
            problems += gradient_problems(sketch, jax_way=jax_gradient if seed % 20 == 4 else None)
        if problems:
            shown = "\n".join(f"{each.engine}, {each.kind}: {each.words}" for each in problems)
            raise AssertionError(f"seed {seed}\n{shown}\nsmallest:\n{shrink_finding(sketch, problems[0])}")
