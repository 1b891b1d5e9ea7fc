"""One-hot vectors times a matrix: rows, zero rows where a class is outside, gradients to the matrix."""

from __future__ import annotations

import numpy as np
import pytest

from fuse_ref.plan.steps import Contract, Index
from tests.plan.passes.agreement import agree, draw, operations_of, plans, savings_of

PLAIN = "input C[p]: int64\naxis n = 5\nO[p, n.] = one_hot(C[p], 5)\nY[p, d] = O[p, n] E[n, d]\nexport Y"
TRANSPOSED = "input C[p]: int64\naxis n = 5\nO[p, n.] = one_hot(C[p], 5)\nY[d, p] = E[d, n] O[p, n]\nexport Y"
WRITTEN = "input C[b, p]: int64\naxis n = 5\nY[b, p, d] = (C[b, p] == n) E[n, d]\nexport Y"
SHARED = "input C[b, p]: int64\naxis n = 5\nO[b, p, n.] = one_hot(C[b, p], 5)\nY[b, p, d] = O[b, p, n] E[b, n, d]\nexport Y, O"
CASES = {
    "rows": (PLAIN, {"E": (5, 3)}, (6,)),
    "transposed": (TRANSPOSED, {"E": (3, 5)}, (6,)),
    "written as an equality": (WRITTEN, {"E": (5, 3)}, (2, 4)),
    "a matrix for each batch, vectors observed": (SHARED, {"E": (2, 5, 3)}, (2, 4)),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_values_and_gradients_stay(case: tuple[str, dict[str, tuple[int, ...]], tuple[int, ...]]) -> None:
    text, shapes, classes = case
    plan, plain = plans(text, "lookup")
    assert savings_of(plan, "lookup") == ["Y"]
    assert not operations_of(plan, Contract)
    assert len(operations_of(plan, Index)) == 1
    assert len(operations_of(plain, Contract)) == 1
    for seed in (0, 1):
        given = draw(shapes, seed)
        # A class outside has no position: its row is 0.
        given["C"] = np.random.default_rng(seed).integers(-2, 7, classes)
        agree(text, "lookup", given)


def test_sizes_of_one_and_none() -> None:
    for count, width in ((0, 3), (1, 3), (4, 1), (4, 0)):
        agree(PLAIN, "lookup", draw({"E": (5, width)}) | {"C": np.zeros(count, np.int64)})


def test_what_it_saves() -> None:
    plan, _ = plans(PLAIN, "lookup", hints={"p": 100, "d": 64})
    (saving,) = [item for item in plan.savings if item.name == "lookup"]
    assert (saving.flops, saving.bytes) == (2 * 100 * 5 * 64, 4 * 100 * 5)
    assert saving.what == "rows of E at C"


@pytest.mark.parametrize(
    "text",
    [
        "input C[p]: int64\naxis n = 5\nO[p, n.] = one_hot(C[p], 5)\nY[d] = O[p, n] E[n, d]\nexport Y",  # a sum of rows
        "input C[p]: int64\naxis n = 5\nO[p, n.] = one_hot(C[p], 5)\nY[p, n, d] = O[p, n] E[n, d]\nexport Y",
        "input C[p]: int64\naxis n = 5\nO[p, n] = C[p] <= n\nY[p, d] = O[p, n] E[n, d]\nexport Y",
        "axis n = 5\nO[p, n] = C[p] == n\nY[p, d] = O[p, n] E[n, d]\nexport Y",  # C holds no whole numbers
    ],
)
def test_what_is_no_lookup_stays(text: str) -> None:
    plan, plain = plans(text, "lookup")
    assert savings_of(plan, "lookup") == []
    assert [step.operations for step in plan.steps] == [step.operations for step in plain.steps]
