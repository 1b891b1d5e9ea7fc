"""Warnings that point at the user's line, however many of our frames lie between."""

from __future__ import annotations

import sys
import warnings

__all__ = ["warn"]


def warn(message: str, category: type[Warning]) -> None:
    """Warn at the nearest frame outside this project."""
    level = 3  # the frame that called our caller
    frame = sys._getframe(1).f_back
    while frame is not None and _ours(str(frame.f_globals.get("__name__", ""))):
        frame = frame.f_back
        level += 1
    warnings.warn(message, category, stacklevel=level)


def _ours(module: str) -> bool:
    return module.partition(".")[0] in ("fuse_ref", "fuse_torch", "fuse_jax")
