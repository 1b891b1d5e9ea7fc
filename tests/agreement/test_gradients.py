"""Gradients of torch and JAX against central differences of the NumPy engine, in float64."""

from __future__ import annotations

import dataclasses
import functools
import re
from typing import TypeAlias

import jax
import numpy as np
import pytest
import torch

import fuse_jax
from fuse_ref import ExecutionConfig
from tests.agreement.case import Case, values
from tests.agreement.catalogue import CASES
from tests.agreement.engines import Run, engine, program_of, set_parameters, torch_module, x64

Weights: TypeAlias = dict[str, tuple[np.ndarray, np.ndarray]]  # export -> (weights, where they count)

STEP = 1e-5
DIFFERENTIABLE = [case for case in CASES if case.differentiable and any(item.kind == "float" for item in case.given)]
every_case = pytest.mark.parametrize("case", DIFFERENTIABLE, ids=lambda case: case.name)


def weights_of(exports: dict[str, np.ndarray]) -> Weights:
    """What makes one number of all exports: (fixed weights, where they count), infinite elements left out."""
    rng = np.random.default_rng(5)
    floats = {name: array for name, array in exports.items() if array.dtype.kind == "f"}
    return {
        name: (rng.uniform(0.5, 1.5, array.shape), np.asarray(np.isfinite(array))) for name, array in floats.items()
    }


def differences(case: Case, run: Run, given: dict[str, np.ndarray], weights: Weights) -> dict[str, np.ndarray]:
    """Central differences with respect to every tensor of floats."""

    def loss(changed: dict[str, np.ndarray]) -> float:
        exports = run(changed)
        return float(sum((exports[name] * weight)[counts].sum() for name, (weight, counts) in weights.items()))

    gradients = {}
    for item in case.given:
        if item.kind in ("float", "probabilities"):
            gradient = np.zeros_like(given[item.name])
            for position in np.ndindex(gradient.shape):
                ends = []
                for step in (STEP, -STEP):
                    moved = given[item.name].copy()
                    moved[position] += step
                    ends.append(loss({**given, item.name: moved}))
                gradient[position] = (ends[0] - ends[1]) / (2 * STEP)
            gradients[item.name] = gradient
    return gradients


@functools.cache
def expected(case: Case) -> tuple[dict[str, np.ndarray], Weights, dict[str, np.ndarray]]:
    """Values to differentiate at, what makes one number of the exports, and the gradients of that number."""
    given = values(case, case.sizes[0], 6)
    # Parameters become inputs: a Runner keeps its parameters, and here they change with every call.
    text = re.sub(r"^param (\S+?\[[^\]]*\]).*$", r"input \1", case.text, flags=re.MULTILINE)
    run = engine("numpy", dataclasses.replace(case, name=f"{case.name} differences", text=text), "float64")
    weights = weights_of(run(given))
    return given, weights, differences(case, run, given, weights)


def compare(name: str, got: np.ndarray, right: np.ndarray) -> None:
    scale = max(1.0, float(np.abs(right).max(initial=0.0)))
    np.testing.assert_allclose(got, right, rtol=1e-5, atol=1e-7 * scale + 1e-8, err_msg=name)


@every_case
def test_torch(case: Case) -> None:
    given, weights, right = expected(case)
    module = torch_module(case, "float64")
    set_parameters(module, case, given)
    params = program_of(case).params
    inputs = {name: torch.from_numpy(array) for name, array in given.items() if name not in params}
    for name in right:
        if name in inputs:
            inputs[name].requires_grad_()
    result = module(inputs)
    exports = {next(iter(program_of(case).exports)): result} if isinstance(result, torch.Tensor) else result
    loss = sum(
        (exports[name] * torch.from_numpy(weight))[torch.from_numpy(counts)].sum()
        for name, (weight, counts) in weights.items()
    )
    assert isinstance(loss, torch.Tensor)
    if not loss.requires_grad:
        assert all(not gradient.any() for gradient in right.values())  # nothing depends on what is given
        return
    loss.backward()
    for name, gradient in right.items():
        leaf = module.get_parameter(module.names[name]) if name in params else inputs[name]
        got = np.zeros_like(gradient) if leaf.grad is None else leaf.grad.numpy()
        compare(name, got, gradient)


@every_case
def test_jax(case: Case) -> None:
    given, weights, right = expected(case)
    params = program_of(case).params
    with x64("float64"):
        function = fuse_jax.compile(program_of(case), config=ExecutionConfig(precision="float64"))
        fixed = {name: array for name, array in given.items() if name not in right}

        def exports_of(varied: dict[str, jax.Array]) -> dict[str, jax.Array]:
            return function(
                {name: array for name, array in varied.items() if name in params},
                {**{name: array for name, array in varied.items() if name not in params}, **fixed},
            )

        varied = {name: jax.numpy.asarray(given[name]) for name in right}

        def loss(varied: dict[str, jax.Array]) -> jax.Array:
            exports = exports_of(varied)
            return sum((exports[name] * weight)[counts].sum() for name, (weight, counts) in weights.items())

        gradients = jax.jit(jax.grad(loss))(varied)
        for name, gradient in right.items():
            compare(name, np.asarray(gradients[name]), gradient)
