"""What a derivation is told and what it gives: limits, relations, and what each rule did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

import numpy as np

from fuse_ref.records import dataclass
from fuse_ref.relations.rules import Rule
from fuse_ref.relations.tuples import Tuples

__all__ = ["Derived", "Limits", "RuleRun"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a fixpoint stops.

    Attributes:
        memory: bytes that all relations of the step may take; None: no limit.
        seconds: of the clock; None: no limit.
    """

    memory: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class RuleRun:
    """What one rule did."""

    rule: Rule
    tuples: int  # new ones that it derived
    rounds: int
    algorithm: str  # "facts", "join", "semi-naive", "transitive closure on bit-packed rows", …


@dataclass(frozen=True, slots=True)
class Derived:
    """What a step derived."""

    relations: Mapping[str, Tuples]  # of every head
    runs: tuple[RuleRun, ...]  # as the rules were given
    counts: Mapping[str, np.ndarray] = field(default_factory=dict)  # of heads that were counted, and not kept
