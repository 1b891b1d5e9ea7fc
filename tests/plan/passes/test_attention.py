"""Softmaxes of products times values: attention over one or several tensors, with every mask exact."""

from __future__ import annotations

import numpy as np
import pytest

from fuse_ref.plan.steps import Attention
from tests.plan.passes.agreement import agree, draw, operations_of, plans, savings_of
from tests.plan.running import run

PLAIN = "Y[p, v] = softmax(Q[p, k] K[q, k] / sqrt(3), axis=q) V[q, v]\nexport Y"
TENSORS = (
    "D = 4\nS[b, h, p, q] = Q[b, h, p, k] K[b, h, q, k] / sqrt(D)\nA[b, h, p, p'.] = softmax(S[b, h, p, p'])\n"
    "Y[b, p, h, k] = A[b, h, p, q] V[b, h, q, k]\nexport Y"
)
CAUSAL = (
    "A[b, p, q.] = softmax(case { q <= p -> Q[b, p, k] K[b, q, k]; default -> -1e9 })\n"
    "Y[b, p, v] = A[b, p, q] V[b, q, v]\nexport Y"
)
CHOSEN = (
    "A[p, q.] = softmax(case { M[p, q] > 0 -> Q[p, k] K[q, k] / 2; default -> -1e9 })\n"
    "Y[p, v] = A[p, q] V[q, v]\nexport Y"
)
MASKED = "A[b, p, q.] = masked_softmax(Q[b, p, k] K[b, q, k], M[p, q])\nY[b, p, v] = A[b, p, q] V[b, q, v]\nexport Y"
ADDED = "A[p, q.] = softmax(Q[p, k] K[q, k] / 2 + M[p, q])\nY[p, v] = A[p, q] V[q, v]\nexport Y"

CASES = {
    "one equation": (PLAIN, {"Q": (5, 3), "K": (6, 3), "V": (6, 4)}, {"Q": (2, 4), "K": (3, 4), "V": (3, 1)}),
    "three tensors, heads and other letters": (
        TENSORS,
        {"Q": (2, 3, 5, 4), "K": (2, 3, 5, 4), "V": (2, 3, 5, 4)},
        {"Q": (1, 2, 3, 2), "K": (1, 2, 3, 2), "V": (1, 2, 3, 3)},
    ),
    "causal": (
        CAUSAL,
        {"Q": (2, 5, 3), "K": (2, 5, 3), "V": (2, 5, 4)},
        {"Q": (1, 6, 2), "K": (1, 6, 2), "V": (1, 6, 2)},
    ),
    "causal, added": (
        "Y[p, v] = softmax(Q[p, k] K[q, k] + case { q <= p -> 0; default -> -1e9 }, axis=q) V[q, v]\nexport Y",
        {"Q": (5, 3), "K": (5, 3), "V": (5, 4)},
        {"Q": (6, 3), "K": (6, 3), "V": (6, 2)},
    ),
    "masked": (
        MASKED,
        {"Q": (2, 5, 3), "K": (2, 6, 3), "V": (2, 6, 4), "M": (5, 6)},
        {"Q": (3, 4, 2), "K": (3, 3, 2), "V": (3, 3, 1), "M": (4, 3)},
    ),
    "masked by truth values": (
        "input M(p, q)\n" + MASKED.replace("M[p, q]", "M(p, q)"),
        {"Q": (2, 5, 3), "K": (2, 6, 3), "V": (2, 6, 4), "M": (5, 6)},
        {"Q": (3, 4, 2), "K": (3, 3, 2), "V": (3, 3, 1), "M": (4, 3)},
    ),
    "chosen": (
        CHOSEN,
        {"Q": (5, 3), "K": (6, 3), "V": (6, 4), "M": (5, 6)},
        {"Q": (4, 2), "K": (3, 2), "V": (3, 1), "M": (4, 3)},
    ),
    "added": (
        ADDED,
        {"Q": (5, 3), "K": (6, 3), "V": (6, 4), "M": (5, 6)},
        {"Q": (4, 2), "K": (3, 2), "V": (3, 1), "M": (4, 3)},
    ),
    "two masks, scaled and subtracted": (
        "S[b, p, q] = -2 (M[p, q] - Q[b, p, k] K[b, q, k] / 3) + N[b, q]\n"
        "Y[b, p, v] = softmax(S[b, p, q], axis=q) V[b, q, v]\nexport Y",
        {"Q": (2, 4, 3), "K": (2, 5, 3), "V": (2, 5, 2), "M": (4, 5), "N": (2, 5)},
        {"Q": (1, 3, 3), "K": (1, 2, 3), "V": (1, 2, 2), "M": (3, 2), "N": (1, 2)},
    ),
    "several rows, features and columns": (
        "Y[x, b, y, v, w] = softmax(Q[b, x, y, k, l] K[k, b, q, l] + M[y, q], axis=q) V[b, q, w, v]\nexport Y",
        {"Q": (2, 3, 4, 2, 3), "K": (2, 2, 5, 3), "V": (2, 5, 2, 3), "M": (4, 5)},
        {"Q": (1, 2, 3, 2, 1), "K": (2, 1, 4, 1), "V": (1, 4, 1, 2), "M": (3, 4)},
    ),
    "keys that heads share": (
        "Y[b, h, p, v] = softmax(Q[b, h, p, k] K[b, q, k], axis=q) V[b, q, v]\nexport Y",
        {"Q": (2, 3, 4, 3), "K": (2, 5, 3), "V": (2, 5, 2)},
        {"Q": (1, 2, 3, 2), "K": (1, 4, 2), "V": (1, 4, 3)},
    ),
    "values for each head, keys for all": (
        "Y[a, b, h, p] = softmax(Q[b, p, k] K[q, k], axis=q) V[a, h, q]\nexport Y",
        {"Q": (2, 4, 3), "K": (5, 3), "V": (2, 3, 5)},
        {"Q": (3, 2, 2), "K": (3, 2), "V": (1, 2, 3)},
    ),
    "one row": (
        "Y[b, v] = softmax(Q[k] K[b, q, k], axis=q) V[b, q, v]\nexport Y",
        {"Q": (3,), "K": (2, 5, 3), "V": (2, 5, 2)},
        {"Q": (2,), "K": (3, 4, 2), "V": (3, 4, 1)},
    ),
}


def _drawn(shapes: dict[str, tuple[int, ...]], text: str, seed: int) -> dict[str, np.ndarray]:
    """Masks of programs that compare them have rows that keep nothing."""
    given = draw(shapes, seed)
    if "M" in given and ("masked" in text or "case" in text):
        mask = given["M"] > 0
        mask[0] = False
        given["M"] = mask if "input M" in text else mask.astype(np.float32)
    return given


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_stay(name: str) -> None:
    text, first, second = CASES[name]
    plan, plain = plans(text, "attention")
    assert savings_of(plan, "attention") == ["Y"]
    assert not operations_of(plain, Attention)
    (attention,) = operations_of(plan, Attention)
    assert bool(attention.causal) == name.startswith("causal")
    assert plan.steps[-1].largest <= plain.steps[-1].largest
    for seed, shapes in enumerate((first, second)):
        agree(text, "attention", _drawn(shapes, text, seed), tolerance=10)


@pytest.mark.parametrize("name", [name for name in CASES if "masked" not in name])
def test_the_plan_says_what_it_means(name: str) -> None:
    """By plain loops over the operations of the plan."""
    text, _, shapes = CASES[name]
    given = {key: array.astype(np.float64) for key, array in _drawn(shapes, text, 3).items()}
    plan, plain = plans(text, "attention")
    np.testing.assert_allclose(run(plan, given)["Y"], run(plain, given)["Y"], rtol=1e-12, atol=1e-12)
