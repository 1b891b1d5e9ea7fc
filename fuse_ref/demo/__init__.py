"""The demonstration: a convolutional network for handwritten digits, written in Fuse."""

from __future__ import annotations

from pathlib import Path

__all__ = ["PROGRAM"]

PROGRAM = Path(__file__).with_name("digits.fuse")
