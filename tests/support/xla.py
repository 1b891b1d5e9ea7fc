"""All optimisations of JAX on the CPU, as users have them: tests go without LLVM's costly ones elsewhere."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import jax

__all__ = ["fully_optimised"]

_SWITCH = "jax_disable_most_optimizations"


@contextlib.contextmanager
def fully_optimised() -> Iterator[None]:
    """For what is compiled inside."""
    before = jax.config.values[_SWITCH]
    jax.config.update(_SWITCH, False)
    try:
        yield
    finally:
        jax.config.update(_SWITCH, before)
