"""Arithmetic on numbers alone, done while planning with the meaning that engines give it."""

from __future__ import annotations

import math
from collections.abc import Callable

__all__ = ["fold"]

# Only functions whose value a float64 holds exactly as engines see it; others stay operations.
_FUNCTIONS: dict[str, Callable[[float], float]] = {
    "abs": abs,
    "cos": math.cos,
    "exp": math.exp,
    "log": math.log,
    "sin": math.sin,
    "sqrt": math.sqrt,
    "tanh": math.tanh,
}

_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "less": lambda a, b: a < b,
    "less_equal": lambda a, b: a <= b,
    "greater": lambda a, b: a > b,
    "greater_equal": lambda a, b: a >= b,
    "equal": lambda a, b: a == b,
    "not_equal": lambda a, b: a != b,
}


def fold(function: str, arguments: tuple[int | float | bool, ...]) -> int | float | bool | None:
    """The value of `function` at numbers; None where only the engines may say (inf, NaN, rare functions)."""
    if any(isinstance(a, float) and not math.isfinite(a) for a in arguments):
        return None
    try:
        value = _value(function, arguments)
    except (ValueError, OverflowError, ZeroDivisionError):
        return None
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _value(function: str, arguments: tuple[int | float | bool, ...]) -> int | float | bool | None:
    match function, arguments:
        case "add", (a, b):
            return a + b
        case "subtract", (a, b):
            return a - b
        case "multiply", (a, b):
            return a * b
        case "divide", (a, b):
            return a / b
        case "negate", (a,):
            return -a
        case "power", (a, b):
            return math.pow(a, b)
        case _, (a, b) if function in _COMPARISONS:
            return _COMPARISONS[function](a, b)
        case "max", (a, b):
            return max(a, b)
        case "min", (a, b):
            return min(a, b)
        case _, (a,) if function in _FUNCTIONS:
            return _FUNCTIONS[function](a)
        case _:
            return None
