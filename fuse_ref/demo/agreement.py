"""The same weights on the other engines, compared with what the compiled module gave."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fuse_ref.demo.data import Digits
from fuse_ref.demo.training import Trained
from fuse_ref.policies import RuntimePolicies
from fuse_ref.program import Program
from fuse_ref.records import dataclass
from fuse_ref.weights.store import InMemoryWeightStore

__all__ = ["TOLERANCE", "Compared", "compare"]

TOLERANCE = 1e-5  # relative, in float32


@dataclass(frozen=True, slots=True)
class Compared:
    one: str  # name of an engine
    other: str
    largest: float  # of |a - b| over all outputs
    relative: float  # the same, divided by the largest |a|, or by 1 where that is larger

    @property
    def agree(self) -> bool:
        return self.relative <= TOLERANCE


def compare(
    program: Program, digits: Digits, trained: Trained, *, cache_dir: Path | None = None
) -> tuple[Compared, ...]:
    """LogProb of the held-out images by three engines, pair by pair.

    Args:
        cache_dir: where plans stay for the next run.

    Raises:
        FuseError: an engine could not run the program; a missing framework is no reason to compare NumPy with itself.
    """
    policies = RuntimePolicies(weight_store=InMemoryWeightStore(trained.weights))
    results: dict[str, NDArray[np.float32]] = {"torch, compiled": trained.log_prob}
    others: tuple[tuple[str, Literal["numpy", "jax"]], ...] = (("NumPy", "numpy"), ("JAX", "jax"))
    for name, backend in others:
        runner = program.compile(backend, policies=policies, cache_dir=cache_dir)
        outputs = runner(Image=digits.test_images, Label=digits.test_labels)
        results[name] = np.asarray(outputs["LogProb"])
    names = tuple(results)
    pairs = [(one, other) for number, one in enumerate(names) for other in names[number + 1 :]]
    return tuple(_compared(one, results[one], other, results[other]) for one, other in pairs)


def _compared(one: str, a: NDArray[np.float32], other: str, b: NDArray[np.float32]) -> Compared:
    largest = float(np.abs(a - b).max())
    return Compared(one, other, largest, largest / max(1.0, float(np.abs(a).max())))
