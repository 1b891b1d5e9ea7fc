"""Gradients as programs: from a program to one whose equations compute the gradients of its results."""

from __future__ import annotations

from fuse_ref.gradients.generate import generate_gradient_program

__all__ = ["generate_gradient_program"]
