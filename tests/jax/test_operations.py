"""Every function of the JAX tables against `math`, value by value, and its gradient against differences."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fuse_jax.operations import ALONG, ELEMENTWISE
from fuse_ref.ir.operations import ALONG as ALONG_ROWS
from fuse_ref.ir.operations import CATALOGUE, OPERATORS


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


EXPECTED = {
    "step": lambda x: float(x > 0),
    "relu": lambda x: max(x, 0.0),
    "leaky_relu": lambda x, slope: x if x > 0 else slope * x,
    "sig": lambda x, t: float(x > 0) if t == 0 else sigmoid(x / t),
    "tanh": math.tanh,
    "silu": lambda x: x * sigmoid(x),
    "exp": math.exp,
    "log": math.log,
    "sqrt": math.sqrt,
    "abs": abs,
    "sign": lambda x: float((x > 0) - (x < 0)),
    "sin": math.sin,
    "cos": math.cos,
    "floor": math.floor,
    "clip": lambda x, lo, hi: min(max(x, lo), hi),
    "max": max,
    "min": min,
    "even": lambda x: float(x % 2 == 0),
    "odd": lambda x: float(x % 2 == 1),
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / b,
    "power": lambda a, b: a**b,
    "negate": lambda a: -a,
    "less": lambda a, b: a < b,
    "less_equal": lambda a, b: a <= b,
    "greater": lambda a, b: a > b,
    "greater_equal": lambda a, b: a >= b,
    "equal": lambda a, b: a == b,
    "not_equal": lambda a, b: a != b,
    "and": lambda a, b: a and b,
    "or": lambda a, b: a or b,
    "not": lambda a: not a,
    "where": lambda c, a, b: a if c else b,
    "to_number": float,
    "to_boolean": lambda x: x > 0,
}
OPTIONED = {
    ("gelu", "none"): lambda x: 0.5 * x * math.erfc(-x / math.sqrt(2)),
    ("gelu", "tanh"): lambda x: 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    ("cast", "float16"): lambda x: float(np.float16(x)),
    ("cast", "float32"): lambda x: float(np.float32(x)),
    ("cast", "float64"): float,
    ("cast", "int64"): lambda x: float(math.trunc(x)),
    ("cast", "bool"): lambda x: float(x != 0),
    ("cast", "bfloat16"): lambda x: float(jnp.bfloat16(x)),
}
POINTS = [-3.0, -1.7, -1.0, -0.25, 0.0, 0.5, 1.0, 1.3, 2.0, 5.0]
POSITIVE = [0.1, 0.25, 1.0, 1.5, 2.0, 7.0]
PAIRS = [(-1.5, 2.0), (2.0, -1.5), (0.5, 0.5), (3.0, 2.0), (0.25, -2.0)]


def arguments(name: str) -> list[tuple[float | bool, ...]]:
    """Points for each argument of a function."""
    if name in ("and", "or"):
        return [(a, b) for a in (True, False) for b in (True, False)]
    if name == "not":
        return [(True,), (False,)]
    if name == "where":
        return [(True, 1.0, 2.0), (False, 1.0, 2.0)]
    if name in ("log", "sqrt"):
        return [(x,) for x in POSITIVE]
    if name in ("even", "odd"):
        return [(float(n),) for n in range(-3, 5)]
    if name == "clip":
        return [(x, -1.0, 1.5) for x in POINTS]
    if name == "leaky_relu":
        return [(x, 0.1) for x in POINTS]
    if name == "sig":
        return [(x, t) for x in [*POINTS, 100.0, -100.0] for t in (1.0, 0.5, 0.0)]
    two = ("max", "min", "add", "subtract", "multiply", "divide", "power")
    comparisons = ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal")
    return PAIRS if name in (*two, *comparisons) else [(x,) for x in POINTS]


def value_of(name: str, *values: object, **options: str) -> np.ndarray:
    return np.asarray(jax.jit(lambda *v: ELEMENTWISE[name](*v, **options))(*values))


@pytest.mark.parametrize("x64", [False, True], ids=["float32", "float64"])
@pytest.mark.parametrize("name", [name for name in ELEMENTWISE if name in EXPECTED])
def test_elementwise(name: str, x64: bool) -> None:
    cases = [case for case in arguments(name) if not (name == "power" and case[0] < 0 and case[1] % 1)]
    with jax.enable_x64(x64):
        columns = [np.array(column, np.float64 if x64 else np.float32) for column in zip(*cases, strict=True)]
        if name in ("and", "or", "not", "where"):
            columns = [np.array(column) for column in zip(*cases, strict=True)]
        result = value_of(name, *columns)
    expected = [EXPECTED[name](*case) for case in cases]
    np.testing.assert_allclose(result, expected, rtol=1e-12 if x64 else 1e-6, atol=1e-14 if x64 else 1e-6)


@pytest.mark.parametrize(("name", "option"), OPTIONED, ids=lambda part: part)
def test_functions_with_a_word(name: str, option: str) -> None:
    points = np.array([*POINTS, 1 / 3, -8.1, 3.14159, 1e-6], np.float64)
    word = CATALOGUE[name].options[0].name
    with jax.enable_x64(True):
        result = value_of(name, points, **{word: option})
    expected = [OPTIONED[name, option](x) for x in points]
    assert result.dtype == np.float64
    np.testing.assert_allclose(result, expected, rtol=1e-12, atol=1e-300 if name == "gelu" else 0)


def test_numbers_may_stand_for_arrays() -> None:
    x = jnp.array([-1.0, 0.0, 2.0])
    np.testing.assert_array_equal(ELEMENTWISE["sig"](x, 0), [0.0, 0.0, 1.0])
    np.testing.assert_array_equal(ELEMENTWISE["power"](x, 2), [1.0, 0.0, 4.0])
    np.testing.assert_array_equal(ELEMENTWISE["power"](x, 3.0), [-1.0, 0.0, 8.0])
    np.testing.assert_allclose(ELEMENTWISE["power"](2, x), [0.5, 1.0, 4.0])
    np.testing.assert_array_equal(ELEMENTWISE["clip"](x, -0.5, 1), [-0.5, 0.0, 1.0])
    np.testing.assert_array_equal(ELEMENTWISE["max"](x, 0.5), [0.5, 0.5, 2.0])


SMOOTH = ["tanh", "silu", "exp", "log", "sqrt", "sin", "cos", "abs", "relu", "leaky_relu", "sig", "clip", "power"]


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients_against_differences(name: str) -> None:
    row = CATALOGUE.get(name)
    low, high = (0.2, 2.0) if row is None else row.domain
    rng = np.random.default_rng(3)
    count = 2 if name == "power" else len(row.arguments)  # type: ignore[union-attr]
    values = [rng.uniform(low, high, 5) for _ in range(count)]
    if name == "clip":
        values[1:] = [np.full(5, -1.0), np.full(5, 1.0)]
    if name == "sig":
        values[1] = rng.uniform(0.5, 2.0, 5)
    with jax.enable_x64(True):
        gradients = jax.grad(lambda *v: ELEMENTWISE[name](*v).sum(), argnums=tuple(range(count)))(*values)
    for which, gradient in enumerate(gradients):
        for place in range(5):
            point = [float(value[place]) for value in values]
            above = [x + 1e-6 * (i == which) for i, x in enumerate(point)]
            below = [x - 1e-6 * (i == which) for i, x in enumerate(point)]
            difference = (EXPECTED[name](*above) - EXPECTED[name](*below)) / 2e-6
            assert gradient[place] == pytest.approx(difference, rel=1e-6, abs=1e-8)


def test_gradients_where_functions_bend() -> None:
    """As in torch: relu 0 at 0, clip the whole gradient at its bounds, max half each, step none."""
    grad = lambda name, *v: jax.grad(ELEMENTWISE[name])(*map(jnp.float32, v))  # noqa: E731
    assert grad("relu", 0.0) == 0
    assert grad("clip", 1.0, -1.0, 1.0) == 1
    assert grad("clip", 1.5, -1.0, 1.0) == 0
    assert grad("max", 2.0, 2.0) == 0.5
    assert grad("step", 1.0) == 0
    assert grad("abs", 0.0) == 0
    cold = jax.grad(lambda x, t: ELEMENTWISE["sig"](x, t), argnums=(0, 1))(jnp.float32(1.0), jnp.float32(0.0))
    assert cold == (0, 0)


def test_cast_rounds_under_jit() -> None:
    x = np.float32(1.0) + np.float32(2.0**-9)
    assert value_of("cast", x, dtype="bfloat16") == 1.0
    assert value_of("cast", np.float32(6e-8), dtype="float16") == np.float32(np.float16(6e-8))  # below its normal range


ROWS = np.array([[1.0, -2.0, 0.5], [100.0, 101.0, -300.0], [0.0, 0.0, 0.0]])


def softmax(row: list[float]) -> list[float]:
    top = max(row)
    weights = [math.exp(x - top) for x in row]
    return [w / math.fsum(weights) for w in weights]


@pytest.mark.parametrize("axis", [0, 1])
def test_functions_along_an_axis(axis: int) -> None:
    values = ROWS if axis == 1 else ROWS.T
    rows = ROWS.tolist()
    turn = (lambda a: np.asarray(a)) if axis == 1 else (lambda a: np.asarray(a).T)
    with jax.enable_x64(True):
        soft = turn(ALONG["softmax"](jnp.asarray(values), axis=axis))
        logs = turn(ALONG["log_softmax"](jnp.asarray(values), axis=axis))
        norm = turn(ALONG["lnorm"](jnp.asarray(values), 1e-5, axis=axis))
    np.testing.assert_allclose(soft, [softmax(row) for row in rows], rtol=1e-12)
    top = [max(row) + math.log(math.fsum(math.exp(x - max(row)) for x in row)) for row in rows]
    np.testing.assert_allclose(logs, [[x - t for x in row] for row, t in zip(rows, top, strict=True)], rtol=1e-12)
    for row, made in zip(rows, norm, strict=True):
        mean = math.fsum(row) / 3
        variance = math.fsum((x - mean) ** 2 for x in row) / 3
        np.testing.assert_allclose(made, [(x - mean) / math.sqrt(variance + 1e-5) for x in row], rtol=1e-12)


def test_cross_entropy_takes_classes_or_weights() -> None:
    with jax.enable_x64(True):
        logits = jnp.asarray(ROWS)
        classes = jnp.array([[2], [0], [1]])
        by_class = ALONG["cross_entropy"](logits, classes, axis=1)
        weights = jnp.asarray([[0.0, 0.25, 0.75], [1.0, 0.0, 0.0], [0.5, 0.5, 0.0]])
        by_weight = ALONG["cross_entropy"](logits, weights, axis=1)
        logs = [[math.log(p) if p else None for p in softmax(row)] for row in ROWS.tolist()]
    # exp(-400) is 0 in softmax, but the loss is exact.
    np.testing.assert_allclose(by_class, [-logs[0][2], 1 + math.log1p(math.exp(-1)), math.log(3)], rtol=1e-12)
    np.testing.assert_allclose(by_weight[0], -0.25 * logs[0][1] - 0.75 * logs[0][2], rtol=1e-12)
    np.testing.assert_allclose(by_weight[2], math.log(3), rtol=1e-12)


def test_a_class_that_does_not_exist_is_nan_not_another_class() -> None:
    result = jax.jit(lambda t: ALONG["cross_entropy"](jnp.zeros((4, 3)), t, axis=1))(jnp.array([[0], [3], [-1], [2]]))
    np.testing.assert_array_equal(np.isnan(result), [False, True, True, False])


def test_softmax_of_nothing_kept_is_nan_and_of_nothing_is_nothing() -> None:
    assert np.isnan(ALONG["softmax"](jnp.full((2, 3), -jnp.inf), axis=1)).all()
    for name in ("softmax", "log_softmax"):
        assert ALONG[name](jnp.zeros((2, 0)), axis=1).shape == (2, 0)
    assert ALONG["lnorm"](jnp.zeros((0, 3)), 1e-5, axis=1).shape == (0, 3)


def test_the_tables_hold_every_row_of_the_catalogue_and_no_other() -> None:
    elementwise = {name for name, row in CATALOGUE.items() if row.kind == "elementwise"}
    assert set(ELEMENTWISE) == elementwise | set(OPERATORS)
    assert set(ALONG) == set(ALONG_ROWS)
    assert set(EXPECTED) | {name for name, _ in OPTIONED} <= set(ELEMENTWISE)
