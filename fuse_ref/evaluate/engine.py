"""What a Runner needs of an engine. NumPy's is beside this file; torch and JAX bring their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

from fuse_ref.config import ExecutionConfig
from fuse_ref.evaluate.entries import Kept
from fuse_ref.ir.nodes import Dtype
from fuse_ref.plan.steps import Plan

__all__ = ["Array", "Engine", "Executable"]

# Arrays of three frameworks: their common surface (shape, dtype) is all that a Runner uses.
Array = Any


class Executable(Protocol):
    """A plan made ready to run. Safe to call from several threads."""

    def __call__(self, values: Mapping[str, Array]) -> dict[str, Array]:
        """Run every step.

        Args:
            values: every given, parameter, weight and source of the plan by name, as arrays of the
                engine, already checked against the plan's size checks and of the run's precision.

        Returns:
            Each requested output by name, an array of the engine.
        """
        ...


class Engine(Protocol):
    @property
    def name(self) -> Literal["numpy", "torch", "jax"]: ...

    def prepare(
        self, plan: Plan, config: ExecutionConfig, outputs: tuple[str, ...], kept: Kept | None = None
    ) -> Executable:
        """Make `plan` ready; raises RouteError naming the step if one cannot run on this engine.

        Args:
            kept: where what is made of the plan stays for other processes.
        """
        ...

    def asarray(self, value: object, dtype: Dtype, config: ExecutionConfig) -> Array:
        """`value` as an array of this engine: bool, int64, or the run's precision on the run's device."""
        ...

    def to_numpy(self, array: Array) -> Any:
        """A NumPy array of the same values; of a relation its tuples, as `fuse_ref.relations` has them."""
        ...

    def concatenate(self, arrays: Sequence[Array], axis: int) -> Array:
        """Arrays one after another along `axis`."""
        ...
