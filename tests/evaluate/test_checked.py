"""`checked=True` and infinity: what nothing gives passes, what arithmetic makes does not, on every engine."""

from __future__ import annotations

import math
from typing import Any

import jax
import numpy as np
import pytest
import torch

import fuse_jax
from fuse_ref import ExecutionConfig, NonFiniteError, Program
from fuse_torch import FuseModule

CHECKED = ExecutionConfig(checked=True)
EDGE = np.array([[False, True], [False, False]])
ONES = np.ones((2, 2))
WAY = "D[y] min= Edge(x, y), C[x] + W[x, y]"
PLACES = "axis n = 4\ninput X[p]: int64\nV[X[p]] max= log(Z[p])\nV[3] max= 1\nexport V"
FILTERED = "A[i] min= 1 / B[i], C[i] > 0\nA[0] = 3"

# Text, inputs, and the words of the error; "" where there is none.
CASES: list[tuple[str, dict[str, Any], str]] = [
    # What nothing gives.
    (WAY, {"Edge": EDGE, "C": [1, 2], "W": ONES}, ""),
    (WAY.replace("min", "max"), {"Edge": EDGE, "C": [1, 2], "W": ONES}, ""),
    (f"{WAY}\nF[z] min= Edge(y, z), D[y] + W[y, z]", {"Edge": EDGE, "C": [1, 2], "W": ONES}, ""),
    ("M[i] max= X[i, j]", {"X": np.ones((2, 0))}, ""),
    ("M[i] min= 2 X[i, j]", {"X": np.ones((0, 3))}, ""),
    ("M[i] max= X[i+1]", {"X": [1, 2]}, ""),
    (PLACES, {"X": [0, 2], "Z": [1, 1]}, ""),
    (FILTERED, {"B": [1, 2, 4], "C": [0, 0, 1]}, ""),
    # What a filter leaves out may be anything.
    (WAY.replace("+", "/"), {"Edge": EDGE, "C": [1, 2], "W": [[0, 1], [0, 4]]}, ""),
    (FILTERED, {"B": [0, 2, 4], "C": [0, 0, 1]}, ""),
    # What arithmetic makes, beside elements that nothing gives.
    (
        WAY.replace("+", "/"),
        {"Edge": EDGE, "C": [1, 2], "W": [[1, 0], [1, 1]]},
        "D, before its projection, holds inf at [0, 1]",
    ),
    (
        WAY.replace("C[x]", "log(C[x])"),
        {"Edge": EDGE, "C": [0, 2], "W": ONES},
        "before its projection, holds -inf at [0, 1]",
    ),
    (
        WAY.replace("C[x]", "log(C[x])"),
        {"Edge": EDGE, "C": [-1, 2], "W": ONES},
        "before its projection, holds NaN at [0, 1]",
    ),
    ("D[x, y] min= 1 / W[y, x, z], Q(z, y)", {"W": np.zeros((2, 3, 2)), "Q": EDGE}, "holds inf at [1, 0, 0]"),
    (PLACES, {"X": [0, 2], "Z": [1, 0]}, "V, before its projection, holds -inf at [1]"),
    (FILTERED, {"B": [1, 2, 0], "C": [0, 0, 1]}, "A, before its projection, holds inf at [2]"),
    ("M[i] max= log(X[i, j])", {"X": [[1, 0]]}, "M, before its projection, holds -inf at [0, 1]"),
    ("D[y] min= 1 / X[y]", {"X": [1, 0]}, "D holds inf at [1]"),
    ("D[y] min= -exp(X[y])", {"X": [1, 1e5]}, "D holds -inf at [1]"),
    # Given to a maximum, it is nobody's missing element.
    ("M[i] max= X[i, j]", {"X": [[1, -math.inf]]}, "X holds -inf at [0, 1]"),
    # Anything but such a tensor must be finite.
    (f"{WAY}\nZ[y] = D[y] + 1\nexport D, Z", {"Edge": EDGE, "C": [1, 2], "W": ONES}, "Z holds inf at [0]"),
    ("M[i] prod= exp(X[i])", {"X": [1e5]}, "M holds inf at [0]"),
]


def arrays(inputs: dict[str, Any]) -> dict[str, np.ndarray]:
    made = {name: np.asarray(value) for name, value in inputs.items()}
    return {
        name: a if a.dtype == bool or (name == "X" and a.ndim == 1 and a.dtype == int) else a.astype(np.float32)
        for name, a in made.items()
    }


def judge(run: Any, plain: dict[str, Any], words: str) -> None:
    for _ in range(2):  # an error leaves nothing behind
        if words:
            with pytest.raises(NonFiniteError) as caught:
                run()
            assert words in caught.value.message
            assert caught.value.span is not None
        else:
            for name, value in run().items():
                assert np.array_equal(np.asarray(value), np.asarray(plain[name]))


@pytest.mark.parametrize("backend", ["numpy", "torch", "jax"])
@pytest.mark.parametrize(("text", "inputs", "words"), CASES)
def test_runners(backend: str, text: str, inputs: dict[str, Any], words: str) -> None:
    program = Program(text)
    runner = program.compile(backend, config=CHECKED)  # type: ignore[arg-type]
    plain = program.compile(backend)(inputs)  # type: ignore[arg-type]
    judge(lambda: runner(inputs), plain, words)


@pytest.mark.parametrize("number", [0, 2, 6, 10, 11, 14, 19])
def test_modules_and_compiled_functions(number: int) -> None:
    text, inputs, words = CASES[number]
    given = arrays(inputs)
    plain = Program(text).compile("numpy")(given)
    module = FuseModule(text, config=CHECKED)
    tensors = {name: torch.from_numpy(np.array(value)) for name, value in given.items()}

    def module_run() -> dict[str, Any]:
        result = module(tensors)
        return result if isinstance(result, dict) else {next(iter(plain)): result}

    judge(module_run, plain, words)
    function = fuse_jax.compile(text, config=CHECKED)
    judge(lambda: function({}, given), plain, words)
    jitted = jax.jit(function)
    if not words:
        assert np.array_equal(np.asarray(jitted({}, given)[next(iter(plain))]), plain[next(iter(plain))])
        return
    with pytest.raises(jax.errors.JaxRuntimeError, match="NonFiniteError"):
        jax.block_until_ready(jitted({}, given))
    error = fuse_jax.last_error()
    assert isinstance(error, NonFiniteError)
    assert words in error.message
