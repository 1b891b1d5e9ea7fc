"""What a program of the agreement catalogue is: a text, what it is given, and at which sizes."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

__all__ = ["Case", "Given", "given", "values"]


@dataclass(frozen=True, slots=True)
class Given:
    """One input, parameter or free tensor and how its values are drawn."""

    name: str
    axes: tuple[str, ...]  # letters of `Case.sizes`; tensors that share a letter share an axis
    low: float = -2.0
    high: float = 2.0
    kind: Literal["float", "classes", "positions", "probabilities", "relation"] = "float"
    classes: str = ""  # letter: classes are drawn from 0 to its size - 1, positions from -2 to its size + 1


def given(name: str, axes: str = "", low: float = -2.0, high: float = 2.0, **more: str) -> Given:
    """`given("W", "i j")`; axes are letters with spaces between."""
    return Given(name, tuple(axes.split()), low, high, **more)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, eq=False)  # equal only to itself: sizes are mappings, which have no hash
class Case:
    """A program that every engine must run alike.

    The wrong-size test makes the last tensor of a shared letter longer, or 1; where no letter is
    shared, it gives the first tensor one axis too many.
    """

    name: str
    text: str
    given: tuple[Given, ...]
    sizes: tuple[Mapping[str, int], ...]  # two assignments of sizes to letters
    one: str = ""  # the letter that the size-1 run sets to 1; "" takes the first; "-" for none
    differentiable: bool = True
    relaxed: float = 1.0  # factor on the tolerance of float32, with its reason beside the case
    breaks: bool = False  # compiled code has more than one graph: there is a fixpoint of numbers
    long: bool = False  # also under inductor, in tests/long
    files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # source file -> letters of its axes

    def size_one(self) -> Mapping[str, int] | None:
        """The first assignment with one letter set to 1, or None where the program fixes every size."""
        letter = self.one or next(iter(self.sizes[0]), "-")
        return None if letter == "-" else {**self.sizes[0], letter: 1}

    def shared(self, parameters: Collection[str]) -> tuple[str, int] | None:
        """A tensor that a call gives and the place of an axis that another tensor has too; the last one found."""
        found: tuple[str, int] | None = None
        for item in self.given:
            others = {letter for other in self.given if other is not item for letter in other.axes}
            for place, letter in enumerate(item.axes):
                if item.name not in parameters and letter in others:
                    found = (item.name, place)
        return found


def values(case: Case, sizes: Mapping[str, int], seed: int) -> dict[str, np.ndarray]:
    """New values for every given tensor: float64, int64 or bool; the same for the same seed."""
    rng = np.random.default_rng([zlib.crc32(case.name.encode()), seed])
    drawn: dict[str, np.ndarray] = {}
    for item in case.given:
        shape = tuple(sizes[letter] for letter in item.axes)
        match item.kind:
            case "float":
                # float32 values, so that both precisions compute the same thing.
                drawn[item.name] = rng.uniform(item.low, item.high, shape).astype(np.float32).astype(np.float64)
            case "classes":
                drawn[item.name] = rng.integers(0, sizes[item.classes], shape)
            case "positions":
                drawn[item.name] = rng.integers(-2, sizes[item.classes] + 2, shape)
            case "probabilities":
                weights = rng.uniform(0.1, 1.0, shape)
                drawn[item.name] = (weights / weights.sum(-1, keepdims=True)).astype(np.float32).astype(np.float64)
            case "relation":
                drawn[item.name] = rng.uniform(size=shape) < 0.5
    return drawn
