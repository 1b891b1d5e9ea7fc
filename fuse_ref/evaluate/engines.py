"""Finds the engine of a name. The frameworks' engines live in packages of their own and are imported when asked for."""

from __future__ import annotations

import importlib
from typing import Final, Literal, TypeAlias

from fuse_ref.errors import FallbackWarning, FuseError
from fuse_ref.evaluate.engine import Engine
from fuse_ref.evaluate.numpy_engine import ENGINE as NUMPY_ENGINE
from fuse_ref.evaluate.warn import warn

__all__ = ["Backend", "find_engine"]

Backend: TypeAlias = Literal["numpy", "torch", "jax"]

PACKAGES: Final[dict[str, str]] = {"torch": "fuse_torch", "jax": "fuse_jax"}


def find_engine(backend: Backend) -> Engine:
    """The engine called `backend`; NumPy's, with one FallbackWarning, when its framework is not installed.

    An engine is the attribute `ENGINE` of the package `fuse_torch` or `fuse_jax`. That the framework
    itself is missing shows as an ImportError that names it; any other import error is a fault and rises.
    """
    if backend == "numpy":
        return NUMPY_ENGINE
    try:
        engine: Engine = importlib.import_module(PACKAGES[backend]).ENGINE
    except ImportError as error:
        if not _names(error, backend):
            raise
        # A framework that is too old says so itself.
        reason = error.message if isinstance(error, FuseError) else f"{backend} is not installed"
        warn(f'backend="{backend}" runs on NumPy: {reason} (pip install "fuse-torch[{backend}]")', FallbackWarning)
        return NUMPY_ENGINE
    return engine


def _names(error: ImportError, framework: str) -> bool:
    """Whether what is missing is the framework: torch, or jax or jaxlib."""
    missing = (error.name or "").partition(".")[0]
    return missing in ((framework,) if framework == "torch" else ("jax", "jaxlib"))
