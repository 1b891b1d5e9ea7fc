"""Gradients of torch and JAX against central differences of the NumPy engine, in float64."""

from __future__ import annotations

import jax
import numpy as np
import pytest
import torch

import fuse_jax
from fuse_ref import ExecutionConfig
from tests.agreement.case import Case, values
from tests.agreement.catalogue import CASES
from tests.agreement.engines import engine, program_of, set_parameters, torch_module, x64

STEP = 1e-5
DIFFERENTIABLE = [case for case in CASES if case.differentiable and any(item.kind == "float" for item in case.given)]
every_case = pytest.mark.parametrize("case", DIFFERENTIABLE, ids=lambda case: case.name)


def weights_of(exports: dict[str, np.ndarray]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """What makes one number of all exports: (fixed weights, where they count), infinite elements left out."""
    rng = np.random.default_rng(5)
    floats = {name: array for name, array in exports.items() if array.dtype.kind == "f"}
    return {name: (rng.uniform(0.5, 1.5, array.shape), np.isfinite(array)) for name, array in floats.items()}


def differences(case: Case, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    run = engine("numpy", case, "float64")
    weights = weights_of(run(given))

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


_differences: dict[str, dict[str, np.ndarray]] = {}


def expected(case: Case) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    given = values(case, case.sizes[0], 6)
    if case.name not in _differences:
        _differences[case.name] = differences(case, given)
    return given, _differences[case.name]


def compare(name: str, got: np.ndarray, right: np.ndarray) -> None:
    scale = max(1.0, float(np.abs(right).max(initial=0.0)))
    np.testing.assert_allclose(got, right, rtol=1e-5, atol=1e-7 * scale + 1e-8, err_msg=name)


@every_case
def test_torch(case: Case) -> None:
    given, right = expected(case)
    module = torch_module(case, "float64")
    set_parameters(module, case, given)
    params = program_of(case).params
    inputs = {name: torch.from_numpy(array) for name, array in given.items() if name not in params}
    for name in right:
        if name in inputs:
            inputs[name].requires_grad_()
    result = module(inputs)
    exports = {next(iter(program_of(case).exports)): result} if isinstance(result, torch.Tensor) else result
    weights = weights_of({name: tensor.detach().numpy() for name, tensor in exports.items()})
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
    given, right = expected(case)
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
        weights = weights_of({name: np.asarray(array) for name, array in exports_of(varied).items()})

        def loss(varied: dict[str, jax.Array]) -> jax.Array:
            exports = exports_of(varied)
            return sum((exports[name] * weight)[counts].sum() for name, (weight, counts) in weights.items())

        gradients = jax.grad(loss)(varied)
        for name, gradient in right.items():
            compare(name, np.asarray(gradients[name]), gradient)
