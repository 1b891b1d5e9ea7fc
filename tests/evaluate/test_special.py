"""erf against math.erf."""

from __future__ import annotations

import math

import numpy as np

from fuse_ref.evaluate.special import erf

POINTS = np.concatenate([np.linspace(-7, 7, 20_001), np.geomspace(1e-300, 1, 500), [0.46875, 4.0, 6.0, 3.9, -0.0]])


def test_double() -> None:
    expected = np.array([math.erf(x) for x in POINTS])
    result = erf(POINTS)
    assert result.dtype == np.float64
    np.testing.assert_allclose(result, expected, rtol=1e-15, atol=0)
    assert math.copysign(1, erf(np.array([-0.0]))[0]) == -1


def test_single() -> None:
    points = POINTS.astype(np.float32)
    expected = np.array([math.erf(float(x)) for x in points])
    result = erf(points)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, rtol=5e-7, atol=1e-45)
    assert np.abs(result).max() == 1


def test_shapes_nan_and_infinity() -> None:
    for dtype in (np.float32, np.float64):
        x = np.array([[np.nan, np.inf], [-np.inf, 0.0]], dtype)
        np.testing.assert_array_equal(erf(x), np.array([[np.nan, 1], [-1, 0]], dtype))
        assert erf(np.zeros((2, 0, 3), dtype)).shape == (2, 0, 3)
        assert erf(np.array(0.5, dtype)).shape == ()
        # Larger than one piece, and not contiguous.
        large = np.linspace(-3, 3, 100_000).astype(dtype)[::2]
        np.testing.assert_allclose(erf(large)[::5000], [math.erf(float(v)) for v in large[::5000]], rtol=1e-6)
