"""Functions where an axis has no position: the same empty or neutral results on every engine."""

from __future__ import annotations

import numpy as np
import pytest

from fuse_ref import AxisError
from tests.agreement.case import Case, given
from tests.agreement.checks import compare
from tests.agreement.engines import engine

# Program, shape of X, expected.
EMPTY: dict[str, tuple[str, tuple[int, ...], object]] = {
    "masked_softmax": ("Y[i, j] = masked_softmax(X[i, j], j < 1)", (2, 0), np.zeros((2, 0))),
    "masked_softmax of no rows": ("Y[i, j] = masked_softmax(X[i, j], j < 1)", (0, 2), np.zeros((0, 2))),
    "rmsnorm": ("Y[i, j] = rmsnorm(X[i, j])", (2, 0), np.zeros((2, 0))),
    "rmsnorm of no rows": ("Y[i, j] = rmsnorm(X[i, j])", (0, 2), np.zeros((0, 2))),
    "cumsum": ("Y[i, j] = cumsum(X[i, j])", (2, 0), np.zeros((2, 0))),
    "topk": ("Y[i, j] = topk(X[i, j], 2)", (2, 0), np.zeros((2, 0))),
    "topk of no rows": ("Y[i, j] = topk(X[i, j], 2)", (0, 3), np.zeros((0, 3))),
    "rope": ("Y[i, j] = rope(X[i, j], i)", (2, 0), np.zeros((2, 0))),
    "rope of no rows": ("Y[i, j] = rope(X[i, j], i)", (0, 4), np.zeros((0, 4))),
    "reduce_max": ("Y[i] = reduce_max(X[i, j])", (2, 0), np.full(2, -np.inf)),
    "logsumexp": ("Y[i] = logsumexp(X[i, j])", (2, 0), np.full(2, -np.inf)),
    "reduce_mean": ("Y[i] = reduce_mean(X[i, j])", (2, 0), np.zeros(2)),
    "argmax of no rows": ("Y[i] = argmax(X[i, j])", (0, 2), np.zeros(0, np.int64)),
    "causal_mask": ("Y[i, j] = X[i, j] causal_mask(0)", (0, 0), np.zeros((0, 0))),
    "one_hot": ("Y[i, j] = X[i, j] one_hot(i)", (2, 0), np.zeros((2, 0))),
}

CASES = {key: Case(f"empty {key}", text, (given("X", "i j"),), ({}, {})) for key, (text, _, _) in EMPTY.items()}
ARGMAX = Case("empty argmax", "Y[i] = argmax(X[i, j])", (given("X", "i j"),), ({}, {}))
ROPE = Case("odd rope", "Y[p, d] = rope(X[p, d], p)", (given("X", "p d"),), ({}, {}))

every_engine = pytest.mark.parametrize("name", ["numpy", "torch", "jax"])


@every_engine
@pytest.mark.parametrize("key", EMPTY)
def test_no_positions(key: str, name: str) -> None:
    _, shape, expected = EMPTY[key]
    got = engine(name, CASES[key], "float32")({"X": np.zeros(shape, np.float32)})
    compare(got, {"Y": np.asarray(expected)}, "float32", CASES[key])


@every_engine
def test_the_largest_of_nothing_is_refused(name: str) -> None:
    run = engine(name, ARGMAX, "float32")
    with pytest.raises(AxisError, match="argmax gives a position along 'j', which has none"):
        run({"X": np.zeros((2, 0), np.float32)})
    assert run({"X": np.eye(2, dtype=np.float32)})["Y"].tolist() == [0, 1]


@every_engine
def test_an_odd_axis_has_no_pairs(name: str) -> None:
    run = engine(name, ROPE, "float32")
    with pytest.raises(AxisError, match="rope turns positions in pairs, and axis d has 3 of them"):
        run({"X": np.zeros((2, 3), np.float32)})
    assert run({"X": np.zeros((2, 4), np.float32)})["Y"].shape == (2, 4)
