"""Random programs by the oracle and the engines: the same values, or a mistake in sizes on both sides."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import jax
import numpy as np
import pytest
import torch

import fuse_jax
from fuse_ref import AxisError, ExecutionConfig, FuseWarning, Program
from fuse_torch import FuseModule
from tests.agreement.engines import x64
from tests.agreement.random_programs import random_program
from tests.support.oracle import OracleAxisError
from tests.support.oracle import run as run_oracle

_DOUBLE = ExecutionConfig(precision="float64")
# Programs per engine: what about three seconds allow.
SEEDS = {"numpy": range(150), "torch": range(150, 210), "jax": range(210, 216)}


def _run(name: str, program: Program, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    if name == "numpy":
        return program.compile("numpy", config=_DOUBLE)(values)
    if name == "torch":
        result = FuseModule(program, config=_DOUBLE)(
            {key: torch.from_numpy(np.asarray(v)) for key, v in values.items()}
        )
        tensors = {next(iter(program.exports)): result} if isinstance(result, torch.Tensor) else result
        return {key: tensor.numpy() for key, tensor in tensors.items()}
    with x64("float64"):
        found = jax.jit(fuse_jax.compile(program, config=_DOUBLE))({}, dict(values))
        return {key: np.asarray(found[key]) for key in program.exports}


@pytest.mark.parametrize(("name", "seed"), [(name, seed) for name, seeds in SEEDS.items() for seed in seeds])
def test_engines_agree_with_the_oracle(name: str, seed: int) -> None:
    made = random_program(seed)
    try:
        program = Program(made.text)
    except AxisError:
        return  # refused already by what the text alone says; the oracle judges the explicit form of what is not
    values = {key: value for key, value in made.values.items() if key in program.tensors}
    text = program.explicit()
    try:
        expected = run_oracle(text, values).exports
    except OracleAxisError as reason:
        with pytest.raises(AxisError):
            pytest.fail(f"{_run(name, program, values)} where the oracle says {reason}:\n{text}")
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FuseWarning)
        got = _run(name, program, values)
    assert list(got) == list(expected)
    for key, right in expected.items():
        np.testing.assert_allclose(got[key], right, rtol=1e-8, atol=1e-10, err_msg=f"{key} of\n{text}")


def test_most_random_programs_have_a_meaning() -> None:
    """Otherwise the comparison above would say little."""
    judged = 0
    for seed in SEEDS["numpy"]:
        made = random_program(seed)
        try:
            program = Program(made.text)
            run_oracle(program.explicit(), {k: v for k, v in made.values.items() if k in program.tensors})
        except (AxisError, OracleAxisError):
            continue
        judged += 1
    assert judged > 0.6 * len(SEEDS["numpy"])


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("axis j = 3, k = 4\nY[j] = A[j]\nZ[k] = A[k-1] + A[k]\nexport Y, Z", {"A": 3}),
        ("axis k = 4\nZ[k] = A[k-1] + A[k]", {"A": 7}),
        ("Y[i] = X[i+1]\nZ[i] = X[i+2]\nS = sum(i: Y[i] Z[i])", {"X": 5}),
        ("N = 7\nY[i] = X[N-1-i]", {"X": 5}),
        ("Y[i] = W[i+j]", {"W": 5}),
        ("Y[i] = 3", {}),
    ],
)
def test_sizes_without_a_meaning_are_refused_on_both_sides(text: str, values: dict[str, int]) -> None:
    arrays = {name: np.ones(size) for name, size in values.items()}
    with pytest.raises(OracleAxisError):
        run_oracle(text, arrays)
    with pytest.raises(AxisError):
        Program(text).compile("numpy")(arrays)
