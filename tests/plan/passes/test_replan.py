"""Products over several equations: the cheapest order for all of them, the author's where little is won."""

from __future__ import annotations

import re

import numpy as np
import pytest

from fuse_ref import ExecutionConfig, Program
from fuse_ref.plan.steps import Contract, Map
from tests.plan.passes.agreement import agree, draw, operations_of, plans, savings_of

LINEAR = "S[p, q] = Q[p, d] K[q, d]\nY[p, v] = S[p, q] V[q, v]"
CHAIN = "T[i, k] = A[i, j] B[j, k]\nU[i, l] = T[i, k] C[k, l]\nY[i, m] = U[i, l] D[l, m]"
SCALED = "S[p, q] = Q[p, d] K[q, d] / sqrt(3)\nT[q, p] = -S[p, q]\nY[p, v] = 2 T[a, p] V[a, v]\nexport Y"
SUMMED = "P[i, j, k] = A[i, j] B[j, k]\nQ[i, k] = P[i, j, k]\nY[i] = Q[i, k] w[k]\nexport Y"

CASES = {
    "linear attention": (
        LINEAR + "\nexport Y",
        {"Q": (40, 3), "K": (50, 3), "V": (50, 4)},
        {"p": 512, "q": 512, "d": 8, "v": 8},
    ),
    "chain": (
        CHAIN + "\nexport Y",
        {"A": (9, 8), "B": (8, 7), "C": (7, 9), "D": (9, 1)},
        {"i": 512, "j": 256, "k": 256, "l": 256, "m": 1},
    ),
    "numbers and another order of dimensions": (
        SCALED,
        {"Q": (30, 3), "K": (20, 3), "V": (20, 4)},
        {"p": 512, "q": 512, "a": 512, "d": 8, "v": 8},
    ),
    "sums of products": (SUMMED, {"A": (4, 5), "B": (5, 6), "w": (6,)}, {"i": 64, "j": 64, "k": 64}),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_values_and_gradients_stay(case: tuple[str, dict[str, tuple[int, ...]], dict[str, int]]) -> None:
    text, shapes, hints = case
    hints = {letter: size for letter, size in hints.items() if re.search(rf"\b{letter}\b", text)}
    plan, plain = plans(text, "replan", hints=hints)
    assert savings_of(plan, "replan") == ["Y"]
    assert savings_of(plain, "replan") == []
    assert plan.steps[-1].flops < plain.steps[-1].flops
    assert plan.steps[-1].largest <= plain.steps[-1].largest
    for seed in (0, 1):
        agree(text, "replan", draw(shapes, seed), hints=hints, tolerance=5)


@pytest.mark.parametrize("letter", ["p", "q", "d", "v"])
@pytest.mark.parametrize("size", [0, 1])
def test_sizes_of_one_and_none(letter: str, size: int) -> None:
    sizes = {"p": 5, "q": 6, "d": 3, "v": 4, letter: size}
    shapes = {name: tuple(sizes[axis] for axis in axes) for name, axes in (("Q", "pd"), ("K", "qd"), ("V", "qv"))}
    agree(LINEAR + "\nexport Y", "replan", draw(shapes), hints={"p": 512, "q": 512, "d": 8, "v": 8}, tolerance=5)


def test_linear_attention_never_makes_the_square() -> None:
    plan, plain = plans(LINEAR + "\nexport Y", "replan", hints={"p": 2048, "q": 2048, "d": 64, "v": 64})
    (saving,) = [item for item in plan.savings if item.name == "replan"]
    assert plan.steps[-1].largest == 2048 * 64
    assert plain.steps[-1].flops >= 10 * plan.steps[-1].flops
    assert saving.flops == plain.steps[-1].flops - plan.steps[-1].flops
    assert saving.bytes == 4 * (2048 * 2048 - 64 * 64)
    (order,) = plan.steps[-1].contractions
    assert (order.tensor, order.expression, order.path) == ("Y", "pd,qd,qv->pv", ((1, 2), (0, 1)))
    assert "pairs (1,2) (0,1)" in str(plan)


def test_what_is_observed_or_read_twice_is_made() -> None:
    hints = {"p": 2048, "q": 2048, "d": 64, "v": 64}
    for text in (
        LINEAR + "\nexport S, Y",
        LINEAR + "\nZ[p] = S[p, q]\nexport Y, Z",
        "S[p, q] = exp(Q[p, d] K[q, d])\nY[p, v] = S[p, q] V[q, v]\nexport Y",
    ):
        plan, plain = plans(text, "replan", hints=hints)
        assert savings_of(plan, "replan") == []
        assert plan.steps[-1].operations == plain.steps[-1].operations


def test_the_order_of_the_author_stays_where_little_is_won() -> None:
    plan, plain = plans(CHAIN + "\nexport Y", "replan", hints={"i": 100, "j": 100, "k": 100, "l": 100, "m": 90})
    assert savings_of(plan, "replan") == []
    assert plan.steps[-1].operations == plain.steps[-1].operations
    small, _ = plans(LINEAR + "\nexport Y", "replan", hints={"p": 16, "q": 16, "d": 2, "v": 2})
    assert savings_of(small, "replan") == []
    (order,) = small.steps[-1].contractions
    assert (order.expression, order.path) == ("pd,qd,qv->pv", ((0, 1), (0, 1)))
    assert order.assumed == ("d", "p", "q", "v")


def test_no_larger_value_is_made_for_fewer_operations() -> None:
    # Outer products first would be cheaper here, and larger than anything that the author makes.
    text = "T[i, k] = A[i, j] B[j, k]\nY[i, l] = T[i, k] C[k, l]\nexport Y"
    for sizes in ({"i": 4, "j": 1, "k": 400, "l": 400}, {"i": 400, "j": 2, "k": 3, "l": 400}):
        plan, plain = plans(text, "replan", hints=sizes)
        assert plan.steps[-1].largest <= plain.steps[-1].largest
        assert plan.steps[-1].flops <= plain.steps[-1].flops


def test_the_first_call_decides_again() -> None:
    text = LINEAR + "\nexport Y"
    for backend in ("numpy", "torch", "jax"):
        runner = Program(text).compile(backend)  # type: ignore[arg-type]
        assert savings_of(runner.plan, "replan") == []
        given = draw({"Q": (300, 2), "K": (300, 2), "V": (300, 2)})
        expected = given["Q"] @ (given["K"].T @ given["V"])
        np.testing.assert_allclose(np.asarray(runner(given)["Y"]), expected, rtol=1e-4, atol=1e-4)
        assert savings_of(runner.plan, "replan") == ["Y"]
        assert len(operations_of(runner.plan, Contract)) == 2
        assert "planned again" in str(runner.explain())


def test_powers_keep_their_own_factors() -> None:
    text = "T[i, j] = A[i, j] A[i, j]\nU[i] = T[i, j] B[j]\nS[i, j] = A[i, k] B[k] w[j]\nY[j] = S[i, j] S[i, j] U[i]\nexport Y"
    plan, _ = plans(text, "replan", hints={"i": 512, "j": 512})
    assert operations_of(plan, Map)
    agree(text, "replan", draw({"A": (6, 5), "B": (5,), "w": (5,)}), hints={"i": 512, "j": 512}, tolerance=5)


def test_disabled_by_name() -> None:
    config = ExecutionConfig(disabled_passes=("replan",))
    runner = Program(LINEAR + "\nexport Y").compile(
        "numpy", config=config, hints={"p": 2048, "q": 2048, "d": 64, "v": 64}
    )
    assert runner.plan.savings == ()
