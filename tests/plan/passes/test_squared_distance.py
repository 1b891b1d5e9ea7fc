"""Squared distances as a matrix product: as exact as the differences where that is what counts."""

from __future__ import annotations

import numpy as np
import pytest

from fuse_ref import ExecutionConfig, Program
from fuse_ref.plan.steps import Contract, Map
from tests.plan.passes.agreement import agree, draw, operations_of, plans, savings_of

SELF = "K[i, i'] = exp(-(X[i, j] - X[i', j])**2 / 64)\nexport K"
OTHER = "K[q, i] = exp(-(Q[q, j] - X[i, j])**2 / V)\nY[q] = A[i] K[q, i]\nexport Y"
WEIGHTED = "D[k, i] = sum(j: w[j] (X[i, j] - Y[k, j])**2)\nG[i, k] = exp(-0.5 D[k, i] / 8)\nexport G"
BATCH = "D[b, i, k] = (X[b, i, j] - Y[b, k, j]) (X[b, i, j] - Y[b, k, j])\nG[b, i, k] = exp(D[b, i, k] / -32)\nexport G"
SUM = "F = sum(i: sum(k: a[i] b[k] (X[i, j] - Y[k, j])**2))\nexport F"

CASES = {
    "with itself": (SELF, "K", {"X": (12, 16)}),
    "with others, then summed": (OTHER, "K", {"Q": (7, 16), "X": (9, 16), "V": (), "A": (9,)}),
    "weighted, over equations": (WEIGHTED, "G", {"X": (9, 16), "Y": (7, 16), "w": (16,)}),
    "in batches": (BATCH, "G", {"X": (3, 5, 16), "Y": (3, 6, 16)}),
    "summed": (SUM, "F", {"X": (9, 16), "Y": (7, 16), "a": (9,), "b": (7,)}),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_values_and_gradients_stay(case: tuple[str, str, dict[str, tuple[int, ...]]]) -> None:
    text, tensor, shapes = case
    plan, plain = plans(text, "squared_distance")
    assert savings_of(plan, "squared_distance") == [tensor]
    assert savings_of(plain, "squared_distance") == []
    assert plan.steps[-1].largest < plain.steps[-1].largest
    given = draw(shapes, 3)
    for name in ("X", "Y", "Q"):
        if name in given:
            given[name] += np.float32(100)
    if "V" in given:
        given["V"] = np.float32(20)
    agree(text, "squared_distance", given, tolerance=10)


@pytest.mark.parametrize("shapes", [(1, 4, 16), (0, 4, 16), (4, 0, 16), (4, 3, 1), (4, 3, 0)])
def test_sizes_of_one_and_none(shapes: tuple[int, int, int]) -> None:
    rows, columns, length = shapes
    text = "G[i, k] = exp(-(X[i, j] - Y[k, j])**2 / 16)\nexport G"
    agree(text, "squared_distance", draw({"X": (rows, length), "Y": (columns, length)}), tolerance=10)
    if columns == 4:
        agree(SELF, "squared_distance", draw({"X": (rows, length)}), tolerance=10)


@pytest.mark.parametrize("offset", [0.0, 1.0, 100.0, -1e4])
@pytest.mark.parametrize("backend", ["numpy", "torch", "jax"])
def test_an_offset_costs_no_digits(offset: float, backend: str) -> None:
    rng = np.random.default_rng(5)
    x = (rng.normal(size=(300, 64)) + offset).astype(np.float32)
    y = (rng.normal(size=(200, 64)) + offset).astype(np.float32)
    y[:50] = x[:50] + rng.normal(size=(50, 64)).astype(np.float32) * 0.1  # some near each other
    right = np.square(x.astype(np.float64)[:, None] - y.astype(np.float64)[None]).sum(-1)
    text = "G[i, k] = exp(-(X[i, j] - Y[k, j])**2 / 16)\nexport G"
    found = np.asarray(Program(text).compile(backend)(X=x, Y=y)["G"])  # type: ignore[arg-type]
    np.testing.assert_allclose(found, np.exp(-right / 16), rtol=0, atol=1e-5)
    distances = "D[i, k] = (X[i, j] - Y[k, j])**2\nF[i] = D[i, k]\nexport F"
    sums = np.asarray(Program(distances).compile(backend)(X=x, Y=y)["F"])  # type: ignore[arg-type]
    np.testing.assert_allclose(sums, right.sum(1), rtol=1e-5)


@pytest.mark.parametrize("backend", ["numpy", "torch", "jax"])
def test_rows_are_at_no_distance_from_themselves(backend: str) -> None:
    rng = np.random.default_rng(1)
    for length, spread in ((16, 1.0), (64, 1000.0), (1000, 0.3)):
        x = (rng.normal(size=(200, length)) * spread + 300).astype(np.float32)
        for precision in ("float32", "float64"):
            if backend == "jax" and precision == "float64":
                continue  # needs JAX's own switch
            runner = Program(SELF).compile(backend, config=ExecutionConfig(precision=precision))  # type: ignore[arg-type]
            found = np.asarray(runner(X=x)["K"])
            np.testing.assert_array_equal(np.diagonal(found), 1)
            assert found.max() == 1


def test_a_row_far_off_harms_no_other() -> None:
    rng = np.random.default_rng(2)
    text = "G[i, k] = exp(-(X[i, j] - Y[k, j])**2 / 16)\nexport G"
    for far in (1e6, -1e15, np.inf, np.nan):
        x, y = (rng.normal(size=(n, 16)).astype(np.float32) for n in (300, 20))
        x[7, 3] = far
        right = np.exp(-np.square(x.astype(np.float64)[:, None] - y.astype(np.float64)[None]).sum(-1) / 16)
        found = Program(text).compile("numpy")(X=x, Y=y)["G"]
        others = np.arange(300) != 7
        np.testing.assert_allclose(found[others], right[others], rtol=0, atol=1e-5)
        if np.isfinite(far):
            np.testing.assert_array_equal(found[7], 0)


@pytest.mark.parametrize("groups", [30, 32, 64])
def test_the_first_row_of_each_group_may_be_far_off(groups: int) -> None:
    rng = np.random.default_rng(4)
    x, y = (rng.normal(size=(n, 16)).astype(np.float32) for n in (1920, 20))
    heads = np.arange(1920) % (1920 // groups) == 0
    x[heads] += 1e4
    text = "G[i, k] = exp(-(X[i, j] - Y[k, j])**2 / 16)\nexport G"
    right = np.exp(-np.square(x.astype(np.float64)[:, None] - y.astype(np.float64)[None]).sum(-1) / 16)
    found = Program(text).compile("numpy", hints={"i": 1920})(X=x, Y=y)["G"]
    np.testing.assert_allclose(found, right, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "text",
    [
        "D[i, k] = (X[i, j] - Y[k, j])**2\nexport D",
        "D[i, k] = 2 * sum(j: (X[i, j] - Y[k, j])**2)\nexport D",
        "D[i, k] = sqrt(sum(j: (X[i, j] - Y[k, j])**2))\nexport D",
        "D[i, k] = 1 / (1 + sum(j: (X[i, j] - Y[k, j])**2))\nexport D",
        "D[i, k] = (X[i, j] - Y[k, j])**2\nE[i, k] = D[i, k] < 1\nF[i] = E[i, k]\nexport F",
        "D[i, k] = (X[i, j] - Y[k, j])**2\nN[i] min= D[i, k]\nexport N",
        "D[i, k] = (X[i, j] - Y[k, j])**2\nF = R[i, k] D[i, k]\nexport F",
        "D[i] = sqrt(sum(k, j: (X[i, j] - Y[k, j])**2))\nexport D",
        "D[i, k] = (X[i, j] - Y[k, j])**2\nS[i] = D[i, k]\nF[i] = log(S[i])\nexport F",
        "G[i, k] = exp(-(X[i, j] - Y[k])**2)\nexport G",
        "G[i] = exp(-(X[i, j] - Y[i, j])**2)\nexport G",
    ],
)
def test_differences_are_made_where_small_ones_count(text: str) -> None:
    plan, plain = plans(text, "squared_distance")
    assert savings_of(plan, "squared_distance") == []
    assert [step.operations for step in plan.steps] == [step.operations for step in plain.steps]


def test_differences_are_made_where_they_are_few() -> None:
    for hints in ({"i": 8, "i'": 8}, {"j": 4}, {"i": 1}):
        plan, _ = plans(SELF, "squared_distance", hints={k: v for k, v in hints.items() if k != "i'"})
        assert savings_of(plan, "squared_distance") == []


def test_what_it_saves() -> None:
    plan, plain = plans(SELF, "squared_distance", hints={"i": 2000, "j": 64})
    (saving,) = [item for item in plan.savings if item.name == "squared_distance"]
    assert saving.bytes == 2 * 4 * 2000 * 2000 * 64
    assert saving.flops == pytest.approx(plain.steps[-1].flops - plan.steps[-1].flops, rel=0.01)
    assert saving.what == "(X - X)² by a matrix product"
    assert len(operations_of(plan, Contract)) == 2  # of the rows with themselves, and with each other
    # One pass over the square more than by hand, for the 0 of a row to itself.
    squares = [item for item in operations_of(plan, Map) if set(item.output.labels) == {"i", "i'"}]
    assert [item.function for item in squares] == ["add", "add", "clip", "exp"]
    assert ExecutionConfig(disabled_passes=("squared_distance",)).left_out_passes == ("squared_distance",)
