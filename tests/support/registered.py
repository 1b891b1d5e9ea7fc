"""Functions that tests of every engine register: the same names, so that registering twice changes nothing."""

from __future__ import annotations

import numpy as np

from fuse_ref import register_function

__all__ = ["PROGRAM", "expected", "expected_gradient", "register_all"]

# a cube whose derivative is a registered function too, a function of two arguments, one without a gradient
PROGRAM = "Y[i, j] = test_cube(X[i, j]) B[j] + test_length(X[i, j], B[j]) + 2 test_steps(B[j])"


def _cube(x: np.ndarray) -> np.ndarray:
    return x**3


def _cube_slope(x: np.ndarray) -> np.ndarray:
    return 3 * x**2


def _cube_bend(x: np.ndarray, g: np.ndarray) -> np.ndarray:
    return 6 * x * g


def _length_gradient(a: np.ndarray, b: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return g * a / np.hypot(a, b), g * b / np.hypot(a, b)


def _steps(x: np.ndarray, width: float = 2.0) -> np.ndarray:
    return np.floor(x * width)


def _half_gradient(a: np.ndarray, b: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, None]:
    return g * b, None


def _times(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a * b


def register_all() -> None:
    register_function("test_cube", numpy=_cube, gradient="test_cube_slope")
    register_function("test_cube_slope", numpy=_cube_slope, gradient=_cube_bend)
    register_function("test_length", numpy=np.hypot, gradient=_length_gradient)
    register_function("test_steps", numpy=_steps)
    register_function("test_times", numpy=_times, gradient=_half_gradient)


def expected(x: np.ndarray, b: np.ndarray) -> np.ndarray:
    return x**3 * b + np.sqrt(x**2 + b**2) + 2 * np.floor(2 * b)


def expected_gradient(x: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of the sum of all, by x."""
    return 3 * x**2 * b + x / np.sqrt(x**2 + b**2)
