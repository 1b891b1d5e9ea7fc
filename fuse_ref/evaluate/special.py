"""The error function, which NumPy lacks.

W. J. Cody, "Rational Chebyshev approximations for the error function", Mathematics of Computation
23 (1969), 631-637: three ranges with one rational approximation each, relative error below 1e-16 before
rounding. In float32 one approximation does for all: its coefficients were fitted for this file (weighted
least squares, repeated until the relative error was level). tests/evaluate/test_special.py holds both
against math.erf.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

__all__ = ["erf"]

# Table II, n = 4: erf(x) = x P(x^2) / Q(x^2) for |x| <= 0.46875. Highest power first, as everywhere below.
_SMALL_P: Final = (
    1.85777706184603153e-1,
    3.16112374387056560e0,
    1.13864154151050156e2,
    3.77485237685302021e2,
    3.20937758913846947e3,
)
_SMALL_Q: Final = (
    1.0,
    2.36012909523441209e1,
    2.44024637934444173e2,
    1.28261652607737228e3,
    2.84423683343917062e3,
)
# Table III, n = 8: erfc(x) = exp(-x^2) P(x) / Q(x) for 0.46875 <= x <= 4.
_MIDDLE_P: Final = (
    2.15311535474403846e-8,
    5.64188496988670089e-1,
    8.88314979438837594e0,
    6.61191906371416295e1,
    2.98635138197400131e2,
    8.81952221241769090e2,
    1.71204761263407058e3,
    2.05107837782607147e3,
    1.23033935479799725e3,
)
_MIDDLE_Q: Final = (
    1.0,
    1.57449261107098347e1,
    1.17693950891312499e2,
    5.37181101862009858e2,
    1.62138957456669019e3,
    3.29079923573345963e3,
    4.36261909014324716e3,
    3.43936767414372164e3,
    1.23033935480374942e3,
)
# Table IV, n = 5: erfc(x) = exp(-x^2) / x * (1/sqrt(pi) - y P(y) / Q(y)) with y = 1 / x^2, for x >= 4.
_LARGE_P: Final = (
    1.63153871373020978e-2,
    3.05326634961232344e-1,
    3.60344899949804439e-1,
    1.25781726111229246e-1,
    1.60837851487422766e-2,
    6.58749161529837803e-4,
)
_LARGE_Q: Final = (
    1.0,
    2.56852019228982242e0,
    1.87295284992346725e0,
    5.27905102951428412e-1,
    6.05183413124413191e-2,
    2.33520497626869185e-3,
)

# Derived: erf(x) = x P(x^2) / Q(x^2) for |x| <= 3.9, relative error 2e-8; beyond, erf is 1 in float32.
_SINGLE_END: Final = 3.9
_SINGLE_P: Final = (
    2.066475190076744e-06,
    0.0002850612800102681,
    0.0037383143790066242,
    0.05266797915101051,
    0.18966612219810486,
    1.1283791065216064,
)
_SINGLE_Q: Final = (
    3.826999454759061e-05,
    0.001157368184067309,
    0.014914212748408318,
    0.11381866037845612,
    0.5014200210571289,
    1.0,
)
_CHUNK: Final = 1 << 14  # elements that the passes over one piece keep in the fastest cache


def erf(x: np.ndarray) -> np.ndarray:
    """The error function of `x`, elementwise, in the type of `x` (float32 or float64). NaN stays NaN."""
    x = np.asarray(x)
    if x.dtype == np.float32:
        return _erf_single(x)
    flat = x.reshape(-1)
    magnitude = np.abs(flat)
    # 1 - erfc is 1 exactly from 5.93 on; NaN compares false everywhere and falls through to the copy of x.
    result = np.where(magnitude >= 6.0, np.sign(flat), flat)
    small = np.flatnonzero(magnitude <= 0.46875)
    part = flat[small]
    squared = part * part
    result[small] = part * _polynomial(_SMALL_P, squared) / _polynomial(_SMALL_Q, squared)
    middle = np.flatnonzero((magnitude > 0.46875) & (magnitude <= 4.0))
    part = magnitude[middle]
    tail = np.exp(-part * part) * _polynomial(_MIDDLE_P, part) / _polynomial(_MIDDLE_Q, part)
    result[middle] = np.copysign(1.0 - tail, flat[middle])
    large = np.flatnonzero((magnitude > 4.0) & (magnitude < 6.0))
    part = magnitude[large]
    inverse = 1.0 / (part * part)
    tail = 1.0 / math.sqrt(math.pi) - inverse * _polynomial(_LARGE_P, inverse) / _polynomial(_LARGE_Q, inverse)
    result[large] = np.copysign(1.0 - np.exp(-part * part) * tail / part, flat[large])
    return result.reshape(x.shape)


def _erf_single(x: np.ndarray) -> np.ndarray:
    result = np.empty(x.shape, np.float32)
    flat, out = x.reshape(-1), result.reshape(-1)
    for start in range(0, flat.size, _CHUNK):
        piece = np.clip(flat[start : start + _CHUNK], -_SINGLE_END, _SINGLE_END)
        squared = piece * piece
        piece *= _polynomial(_SINGLE_P, squared)
        piece /= _polynomial(_SINGLE_Q, squared)
        np.clip(piece, -1.0, 1.0, out=out[start : start + _CHUNK])
    return result


def _polynomial(coefficients: tuple[float, ...], x: np.ndarray) -> np.ndarray:
    """Horner's rule, highest power first."""
    value = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        value *= x
        value += coefficient
    return value
