"""The demonstration: a convolutional network for handwritten digits, written in Fuse."""

from __future__ import annotations

__all__: list[str] = []
