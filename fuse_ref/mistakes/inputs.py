"""Rows of the table of mistakes; see `fuse_ref.mistakes` for the code ranges."""

from __future__ import annotations

from fuse_ref.mistakes.row import Mistake

__all__ = ["INPUT_MISTAKES"]

INPUT_MISTAKES: tuple[Mistake, ...] = ()
