"""The NumPy engine against NumPy as a careful person writes it: in place, in the best order."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.dense import Pair, rows_of
from benchmarks.measure import compare
from benchmarks.rivals import numpy_rivals
from benchmarks.table import Row, compared_row
from benchmarks.workloads import MLP, MLP_SIZES, Workload, draw, hints
from fuse_ref import Program

__all__ = ["TITLE", "rows"]

TITLE = "NumPy engine, float32"

MOST_RATIO = 1.2


def _prepare(workload: Workload, given: dict[str, np.ndarray]) -> Pair | None:
    if workload.parameters:
        return None  # gradients are the frameworks' business
    rival = getattr(numpy_rivals, workload.name)
    runner = Program(workload.text).compile("numpy", hints=hints(workload))
    expected = rival(**given)
    (found,) = runner(given).values()
    error = float(abs(found - expected).max() / abs(expected).max())
    assert error < workload.tolerance, (workload.name, error)
    return {"by hand": lambda: rival(**given)}, {"runner": lambda: runner(given)}


def rows() -> Iterator[Row]:
    yield from rows_of(_prepare, most=MOST_RATIO, most_mean=None)
    for what, sizes, calls, most in MLP_SIZES:
        workload = Workload("mlp", what, MLP, sizes)
        pair = _prepare(workload, draw(workload))
        assert pair is not None
        (hand,), (fuse,) = (ways.values() for ways in pair)
        yield compared_row(what, compare(hand, fuse, calls=calls), most)
