"""Rows of the table of mistakes; see `fuse_ref.mistakes` for the code ranges."""

from __future__ import annotations

from fuse_ref.mistakes.row import Mistake

__all__ = ["MEANING_MISTAKES"]

MEANING_MISTAKES: tuple[Mistake, ...] = ()
