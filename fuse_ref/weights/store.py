"""Where weights come from: a store gives arrays by the names of a program's tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol, runtime_checkable

import numpy as np

from fuse_ref.mistakes import mistake
from fuse_ref.weights.arrays import numpy_array

__all__ = ["InMemoryWeightStore", "WeightStore"]


@runtime_checkable
class WeightStore(Protocol):
    """What Runners and modules need of a weight store. Safe to call from several threads."""

    def __contains__(self, name: object, /) -> bool:
        """Whether the store has a weight of this name."""
        ...

    def __iter__(self) -> Iterator[str]:
        """The names, in the store's order."""
        ...

    def shape(self, name: str, /) -> tuple[int, ...]:
        """The shape of a weight, without loading it where that is possible."""
        ...

    def load(self, name: str, /) -> np.ndarray:
        """The weight itself. Callers do not write to it."""
        ...


class InMemoryWeightStore:
    """Weights held in memory.

    Args:
        weights: name -> array of NumPy, torch or JAX, or nested lists of numbers. A `state_dict` of a
            `FuseModule` is such a mapping. Arrays are copied, so later changes to them do not matter.

    Raises:
        DtypeError: a weight that is not an array of numbers.
    """

    __slots__ = ("_weights",)

    def __init__(self, weights: Mapping[str, object]) -> None:
        arrays: dict[str, np.ndarray] = {}
        for name, value in weights.items():
            try:
                array = np.array(numpy_array(value))
            except (TypeError, ValueError) as error:
                raise mistake("FUSE312", name=name, problem=str(error)) from error
            if array.dtype.kind not in "biuf":
                raise mistake("FUSE312", name=name, problem=f"its type is {array.dtype}")
            array.flags.writeable = False
            arrays[name] = array
        self._weights = arrays

    def __contains__(self, name: object, /) -> bool:
        return name in self._weights

    def __iter__(self) -> Iterator[str]:
        return iter(self._weights)

    def __len__(self) -> int:
        return len(self._weights)

    def shape(self, name: str, /) -> tuple[int, ...]:
        """The shape of weight `name`."""
        return self._weights[name].shape

    def load(self, name: str, /) -> np.ndarray:
        """Weight `name`, read-only."""
        return self._weights[name]

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}{list(array.shape)}" for name, array in self._weights.items())
        return f"InMemoryWeightStore({inside})"
