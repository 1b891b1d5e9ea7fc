"""What the oracle raises: a wrong size, or a program that it cannot judge."""

from __future__ import annotations

__all__ = ["OracleAxisError", "OracleError"]


class OracleError(Exception):
    """The text is not explicit, or uses what the oracle does not know."""


class OracleAxisError(OracleError):
    """Sizes that do not fit: the engines must raise AxisError here."""
