"""Sums, quotients and logarithms of exponentials: the same values, and finite where the written form is not."""

from __future__ import annotations

import numpy as np
import pytest

from fuse_ref import Program
from fuse_ref.plan.steps import Along, Map
from tests.plan.passes.agreement import agree, draw, operations_of, plans, savings_of

SUM = "L[i] = log(sum(j: exp(X[i, j])))\nexport L"
EQUATIONS = "E[j, i] = exp(X[i, j] + b[j])\nS[k] = E[a, k]\nL[m] = log(S[m]) + 1\nexport L"
BOTH = "L = log(sum(i: sum(j: exp(X[i, j]))))\nexport L"
SOFTMAX = "P[i, j] = exp(X[i, j]) / sum(k: exp(X[i, k]))\nexport P"
COLUMNS = "E[i, j] = exp(2 X[i, j])\nN[j] = E[i, j]\nP[a, b] = E[a, b] / N[b]\nexport P"
LOG_SOFTMAX = "P[i, j.] = softmax(X[i, j])\nL[j, i] = log(P[i, j])\nexport L"
LOG_QUOTIENT = "L[i, j] = log(exp(X[i, j]) / sum(k: exp(X[i, k])))\nexport L"

CASES = {
    "sum": (SUM, {"X": (4, 5)}),
    "over equations": (EQUATIONS, {"X": (4, 5), "b": (5,)}),
    "over two indices": (BOTH, {"X": (4, 5)}),
    "softmax": (SOFTMAX, {"X": (4, 5)}),
    "softmax of columns": (COLUMNS, {"X": (4, 5)}),
    "log of softmax": (LOG_SOFTMAX, {"X": (4, 5)}),
    "log of a quotient": (LOG_QUOTIENT, {"X": (4, 5)}),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_values_and_gradients_stay(case: tuple[str, dict[str, tuple[int, ...]]]) -> None:
    text, shapes = case
    plan, plain = plans(text, "logsumexp")
    assert savings_of(plan, "logsumexp")
    assert savings_of(plain, "logsumexp") == []
    for seed in (0, 1):
        agree(text, "logsumexp", draw(shapes, seed), tolerance=5)


@pytest.mark.parametrize("text", [SUM, SOFTMAX, LOG_QUOTIENT])
def test_sizes_of_one_and_none(text: str) -> None:
    for shape in ((1, 5), (4, 1), (0, 5)):
        agree(text, "logsumexp", draw({"X": shape}), tolerance=5)
    # Of nothing the sum is 0, and its logarithm -inf.
    for backend in ("numpy", "torch", "jax"):
        (found,) = Program(text).compile(backend)(X=np.zeros((3, 0))).values()  # type: ignore[arg-type]
        np.testing.assert_array_equal(np.asarray(found), np.full(3, -np.inf) if text == SUM else np.zeros((3, 0)))


@pytest.mark.parametrize("backend", ["numpy", "torch", "jax"])
def test_nothing_overflows(backend: str) -> None:
    x = np.array([[1000.0, 999.0, -1000.0], [-2000.0, -2001.0, -2003.0], [0.0, 1.0, 2.0]], np.float32)
    shifted = x.astype(np.float64) - x.max(1, keepdims=True)
    right = np.log(np.exp(shifted).sum(1)) + x.max(1)
    for text, expected in (
        (SUM, right),
        (SOFTMAX, np.exp(x - right[:, None])),
        (LOG_QUOTIENT, x - right[:, None]),
    ):
        (found,) = Program(text).compile(backend)(X=x).values()  # type: ignore[arg-type]
        np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-5, atol=1e-6)
    (found,) = Program(BOTH).compile(backend)(X=x).values()  # type: ignore[arg-type]
    np.testing.assert_allclose(np.asarray(found), right[0], rtol=1e-6)


@pytest.mark.parametrize("backend", ["numpy", "torch", "jax"])
def test_infinities_mean_what_they_did(backend: str) -> None:
    x = np.array([[-np.inf, -np.inf], [-np.inf, 1.0], [np.inf, 1.0], [np.nan, 1.0]], np.float32)
    (found,) = Program(SUM).compile(backend)(X=x).values()  # type: ignore[arg-type]
    np.testing.assert_array_equal(np.asarray(found), np.array([-np.inf, 1, np.inf, np.nan], np.float32))


@pytest.mark.parametrize(
    "text",
    [
        "E[i, j] = exp(X[i, j])\nL[i] = log(sum(j: E[i, j]))\nexport E, L",  # the exponentials are observed
        "S[i] = sum(j: exp(X[i, j]))\nL[i] = log(S[i])\nexport S, L",
        "L[i] = log(sum(j: w[j] exp(X[i, j])))\nexport L",
        "P[i, j] = exp(X[i, j]) / sum(k: exp(X[k, i]))\nexport P",  # another sum
        "P[i, j] = exp(X[i, j]) / sum(i: sum(j: exp(X[i, j])))\nexport P",
        "L[i] = log(max(j: exp(X[i, j])))\nexport L",
    ],
)
def test_what_is_another_thing_stays(text: str) -> None:
    plan, plain = plans(text, "logsumexp")
    assert savings_of(plan, "logsumexp") == []
    assert [step.operations for step in plan.steps] == [step.operations for step in plain.steps]


def test_which_operations_stand_for_it() -> None:
    (softmax,) = operations_of(plans(SOFTMAX, "logsumexp")[0], Along)
    assert isinstance(softmax, Along)
    assert (softmax.function, softmax.axis, softmax.output.out) == ("softmax", "j", "P")
    plan = plans(LOG_QUOTIENT, "logsumexp")[0]
    assert [item.function for item in operations_of(plan, Along)] == ["log_softmax"]  # type: ignore[union-attr]
    assert operations_of(plan, Map) == []
