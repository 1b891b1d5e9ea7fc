"""Relations of files as tensors that a module or a graph holds."""

from __future__ import annotations

import numpy as np
import torch

from fuse_ref.config import ExecutionConfig
from fuse_ref.evaluate.logic import as_dense, as_tuples
from fuse_ref.relations.tuples import Tuples

__all__ = ["held_relation", "held_tensor"]


def held_relation(value: np.ndarray | Tuples, name: str, config: ExecutionConfig, *, listed: bool) -> np.ndarray:
    """The positions of a relation, (count, arity) int64, where they are `listed`; else its truth values.

    Raises:
        CapacityError: truth values beyond `dense_limit`.
    """
    return as_tuples(value).positions if listed else as_dense(value, name, config)


def held_tensor(value: torch.Tensor | Tuples, name: str, config: ExecutionConfig, *, listed: bool) -> torch.Tensor:
    """`held_relation` of what a run has."""
    if isinstance(value, torch.Tensor):
        return torch.from_numpy(as_tuples(value.cpu().numpy()).positions) if listed else value
    return torch.from_numpy(held_relation(value, name, config, listed=listed))
