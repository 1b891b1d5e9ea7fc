"""Gradient programs at ties, corners and zeros: the values that torch and JAX give."""

from __future__ import annotations

import numpy as np
import pytest

from fuse_ref import ExecutionConfig, Program, generate_gradient_program
from tests.agreement.test_kinks import KINKS

_DOUBLE = ExecutionConfig(precision="float64")


@pytest.mark.parametrize(("text", "at", "expected"), KINKS.values(), ids=KINKS.keys())
def test_numpy(text: str, at: list[object], expected: list[object]) -> None:
    X = np.asarray(at, float)
    axes = len(Program(text).exports["Y"].axes)
    letters = [f"z{place}" for place in range(axes)]
    seed = f"Y[{', '.join(letters)}]" if letters else "Y"
    program = generate_gradient_program(text, seeds={seed: "1"}, export_grads=["X"])
    found = program.compile("numpy", config=_DOUBLE)(X=X)["Grad_X"]
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-300)
