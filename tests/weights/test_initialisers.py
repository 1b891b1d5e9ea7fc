"""First values of parameters: bounds and moments against torch.nn.init's definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fuse_ref.weights.initialisers import INITIALISERS, default_initialiser, fans, initialise

FLOAT = np.dtype(np.float64)


def made(kind: str, shape: tuple[int, ...], *arguments: float, name: str = "W", seed: int = 0) -> np.ndarray:
    return initialise(name, shape, (kind, arguments), seed=seed, dtype=FLOAT)


@pytest.mark.parametrize("kind", INITIALISERS)
@pytest.mark.parametrize("shape", [(), (4,), (4, 3), (3, 4), (2, 3, 2), (0, 3), (3, 0)])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_shapes_and_types(kind: str, shape: tuple[int, ...], precision: str) -> None:
    value = initialise("W", shape, (kind, ()), seed=0, dtype=np.dtype(precision))
    assert value.shape == shape
    assert value.dtype == np.dtype(precision)
    assert np.isfinite(value).all()


def test_constant_ones() -> None:
    assert made("zeros", (2, 2)).tolist() == [[0, 0], [0, 0]]
    assert made("ones", (2,)).tolist() == [1, 1]


def test_normal_and_uniform() -> None:
    normal = made("normal", (200, 200), 3.0, 0.5)
    assert normal.mean() == pytest.approx(3.0, abs=0.02)
    assert normal.std() == pytest.approx(0.5, abs=0.02)
    uniform = made("uniform", (200, 200), -2.0, 4.0)
    assert -2 <= uniform.min() < -1.99
    assert 3.99 < uniform.max() < 4
    assert uniform.mean() == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize(
    ("kind", "shape", "arguments", "bound"),
    [
        ("xavier", (300, 200), (), math.sqrt(6 / 500)),
        ("xavier", (300, 20, 10), (), math.sqrt(6 / 500)),
        ("kaiming", (300, 200), (), math.sqrt(6 / 200)),
        # What nn.Linear uses: 1 / sqrt(fan_in).
        ("kaiming", (300, 200), (math.sqrt(5),), 1 / math.sqrt(200)),
        ("kaiming", (50_000,), (), math.sqrt(6 / 50_000)),
    ],
)
def test_uniform_bounds(kind: str, shape: tuple[int, ...], arguments: tuple[float, ...], bound: float) -> None:
    value = made(kind, shape, *arguments)
    assert np.abs(value).max() <= bound
    assert np.abs(value).max() > 0.999 * bound
    assert value.std() == pytest.approx(bound / math.sqrt(3), rel=0.02)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4), (3, 2, 4), (7,)])
def test_orthogonal(shape: tuple[int, ...]) -> None:
    matrix = made("orthogonal", shape)
    rows = matrix.reshape(shape[0] if len(shape) > 1 else 1, -1)
    gram = rows @ rows.T if rows.shape[0] <= rows.shape[1] else rows.T @ rows
    np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-12)


def test_orthogonal_is_spread_over_all_orthogonal_matrices() -> None:
    """Without the signs of R the first diagonal element would never be positive."""
    corners = [made("orthogonal", (2, 2), seed=seed)[0, 0] for seed in range(40)]
    assert min(corners) < -0.2
    assert max(corners) > 0.2


def test_name_and_seed_decide() -> None:
    first = made("normal", (3,))
    assert first.tolist() == made("normal", (3,)).tolist()
    assert first.tolist() != made("normal", (3,), name="V").tolist()
    assert first.tolist() != made("normal", (3,), seed=1).tolist()
    single = initialise("W", (3,), ("normal", ()), seed=0, dtype=np.dtype(np.float32))
    assert single.tolist() == first.astype(np.float32).tolist()


def test_default() -> None:
    assert (default_initialiser((2, 3)), default_initialiser((3,)), default_initialiser(())) == (
        "xavier",
        "zeros",
        "zeros",
    )
    assert initialise("b", (3,), None, seed=0, dtype=FLOAT).tolist() == [0, 0, 0]
    np.testing.assert_array_equal(initialise("W", (2, 3), None, seed=0, dtype=FLOAT), made("xavier", (2, 3)))


def test_fans() -> None:
    assert fans((5, 3, 2)) == (6, 5)
    assert fans((5, 3)) == (3, 5)
    assert fans((5,)) == (5, 1)
    assert fans(()) == (1, 1)
