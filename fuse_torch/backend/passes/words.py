"""What was saved, in words."""

from __future__ import annotations

__all__ = ["amount_of", "count_of"]

_PREFIXES = ("", "k", "M", "G", "T", "P")


def count_of(part: int, whole: int, unit: str) -> str:
    """`2.1 of 4.3 GFLOP`."""
    scale, prefix = _scale(whole)
    return f"{part / scale:.3g} of {whole / scale:.3g} {prefix}{unit}"


def amount_of(whole: int, unit: str) -> str:
    """`16.9 MB`."""
    scale, prefix = _scale(whole)
    return f"{whole / scale:.3g} {prefix}{unit}"


def _scale(whole: int) -> tuple[int, str]:
    power = 0
    while whole >= 1000 ** (power + 1) and power < len(_PREFIXES) - 1:
        power += 1
    return 1000**power, _PREFIXES[power]
