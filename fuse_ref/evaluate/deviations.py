"""How far estimated sums may be off: standard errors, told from the terms of a sample."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from fuse_ref.analysis.lengths import Length, evaluate
from fuse_ref.analysis.sizes import axes_of_letter
from fuse_ref.config import ExecutionConfig
from fuse_ref.evaluate.logic import relations_of
from fuse_ref.evaluate.numpy_engine import NumpyExecutable
from fuse_ref.plan.build import build_plan
from fuse_ref.plan.dense_logic import sizes_of_plan
from fuse_ref.plan.passes import NAMES
from fuse_ref.plan.steps import Plan, SampledSum
from fuse_ref.records import dataclass
from fuse_ref.relations.tuples import Tuples

__all__ = ["Estimate", "estimates_of"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """One estimated sum or average in a call.

    Attributes:
        tensor: in whose equation it stands.
        operator: "sum" or "avg".
        variables: that are projected.
        terms: how many there are.
        samples: how many of them were computed.
        error: the standard error, of several elements the largest; NaN where one sample tells none.
    """

    tensor: str
    operator: str
    variables: tuple[str, ...]
    terms: int
    samples: int
    error: float

    def __str__(self) -> str:
        what = f"{self.operator} over {', '.join(self.variables)} in {self.tensor}"
        if self.samples == self.terms:
            return f"exact: {what}, {self.terms} terms"
        error = "unknown" if math.isnan(self.error) else f"{self.error:.3g}"
        return f"estimated: {what}, {self.samples} of {self.terms} terms, standard error {error}"


def estimates_of(plan: Plan, config: ExecutionConfig, values: Mapping[str, Any]) -> tuple[Estimate, ...]:
    """What a call estimated, and how well: its samples are computed once more, by NumPy in float64.

    The error of a sum of n terms, of which N are drawn, is n * sqrt((1 - N/n) * s**2 / N), with the variance s**2
    of the drawn terms; that of an average has no n (Cochran, "Sampling Techniques", 3rd edition, sections 2.5 to 2.9).
    Of an average over those combinations that a filter keeps it is that of a ratio (there, section 2.11). A sum
    inside another function is told by itself.

    Args:
        values: every given, parameter, weight and source as NumPy arrays or tuples.
    """
    if config.sampling is None or not any(step.sampled for step in plan.steps):
        return ()
    told = build_plan(
        plan.program,
        sizes=dict(plan.sizes),
        hints={name: size for name, size in plan.hints if axes_of_letter(plan.program, name)},
        given=sizes_of_plan(plan),
        mode=config.mode,
        disabled_passes=NAMES,
        relations=relations_of(plan),
        sampling=dataclasses.replace(config.sampling, spread=True),
    )
    sums = [item for step in told.steps for item in step.sampled]
    names = dict.fromkeys(name for item in sums for name in (item.total, item.squares, item.counted) if name)
    exact = dataclasses.replace(config, precision="float64", checked=False, device="cpu", memory_limit=None)
    found = NumpyExecutable(told, exact, tuple(names))({name: _float64(value) for name, value in values.items()})

    def size(length: Length) -> int:
        return max(0, evaluate(length, lambda tensor, position: values[tensor].shape[position]))

    return tuple(_estimate(item, [size(length) for length in item.ranges], found) for item in sums)


def _float64(value: Any) -> Any:
    return value if isinstance(value, Tuples) or value.dtype.kind != "f" else value.astype(np.float64)


def _estimate(item: SampledSum, sizes: list[int], found: Mapping[str, np.ndarray]) -> Estimate:
    terms = math.prod(sizes)
    samples = min(item.number, terms)
    error = math.nan if samples < 2 and samples < terms else 0.0
    if 2 <= samples < terms:
        total, squares = found[item.total], found[item.squares]
        counted = found[item.counted] if item.counted else np.float64(samples)
        with np.errstate(all="ignore"):
            spread = np.maximum(squares - total**2 / counted, 0) / (samples - 1)
            errors = np.sqrt((1 - samples / terms) * spread / samples)
            errors = errors * (terms if item.operator == "sum" else samples / counted)
        # Where nothing that is drawn counts, the estimate says nothing.
        error = float(np.max(errors)) if np.size(errors) else 0.0
    return Estimate(item.tensor, item.operator, item.variables, terms, samples, error)
