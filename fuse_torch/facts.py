"""Facts: the tuples of a relation as one handle."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from fuse_ref.mistakes import mistake
from fuse_torch.logic.counts import open_count

__all__ = ["Facts"]


class Facts:
    """Tuples of positions, given to a Boolean input.

    Args:
        positions: (count, arity) whole numbers, a tensor or nested sequences. Duplicates count once.
        axes: the size of each axis, one per argument; None takes the program's.

    Raises:
        DtypeError: positions that are no whole numbers.
        AxisError: positions that are not two-dimensional, or `axes` of another length than a tuple.
    """

    __slots__ = ("axes", "positions")

    def __init__(self, positions: torch.Tensor | Sequence[Sequence[int]], axes: Sequence[int] | None = None) -> None:
        array = positions if isinstance(positions, torch.Tensor) else torch.tensor(positions)
        if array.numel() == 0 and not isinstance(positions, torch.Tensor):
            array = array.to(torch.int64)  # [] has no numbers whose type could be wrong
        if array.dtype.is_floating_point or array.dtype.is_complex or array.dtype == torch.bool:
            got = str(array.dtype).removeprefix("torch.")
            raise mistake("FUSE254", got=got)
        if array.dim() != 2 and array.numel() > 0:
            raise mistake("FUSE255", problem=f"their shape is {tuple(array.shape)}")
        if axes is not None and array.dim() == 2 and len(axes) != array.shape[1]:
            problem = f"{len(axes)} axes were given for tuples of {array.shape[1]}"
            raise mistake("FUSE255", problem=problem)
        self.positions = open_count(array.to(torch.int64))
        self.axes = None if axes is None else tuple(int(size) for size in axes)

    def __len__(self) -> int:
        return int(self.positions.shape[0])

    def __repr__(self) -> str:
        return f"Facts({len(self)} tuples{'' if self.axes is None else f', axes={self.axes}'})"
