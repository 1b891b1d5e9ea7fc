"""Programs of the agreement catalogue with what their gradient programs are asked: seeds, weights, values."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping

import numpy as np
import torch

from fuse_ref import ExecutionConfig, Program, generate_gradient_program
from fuse_ref.ir.nodes import Expr, ProgramIR
from fuse_ref.ir.variables import children
from fuse_torch import FuseModule
from tests.agreement.case import Case, values
from tests.agreement.test_gradients import DIFFERENTIABLE

__all__ = [
    "CASES",
    "DOUBLE",
    "check_numpy",
    "compare",
    "given",
    "gradient_program",
    "plain",
    "size",
    "torch_gradients",
    "wanted",
    "weights",
]

DOUBLE = ExecutionConfig(precision="float64")
# Gradients of fixpoints are as close as the tolerance says: test_fixpoints.py has them with a small one.
CASES = [case for case in DIFFERENTIABLE if not case.files and case.name != "shortest_and_widest_paths"]


@functools.cache
def plain(case: Case) -> Program:
    """The case with its parameters as inputs."""
    return Program(re.sub(r"^param (\S+?\[[^\]]*\]).*$", r"input \1", case.text, flags=re.MULTILINE))


def wanted(case: Case) -> list[str]:
    tensors = plain(case).tensors
    return [item.name for item in case.given if item.kind in ("float", "probabilities") and item.name in tensors]


def _weight(letters: list[str]) -> str:
    """What every export is weighted by, as a program says it."""
    terms = " + ".join(f"{place + 1} {letter}" for place, letter in enumerate(letters))
    return f"1 + 0.5 sin({terms})" if letters else "1.5"


@functools.cache
def gradient_program(case: Case) -> Program:
    seeds = {}
    for name, spec in plain(case).exports.items():
        if spec.dtype == "float":
            letters = [f"z{place}" for place in range(len(spec.axes))]
            seeds[f"{name}[{', '.join(letters)}]" if letters else name] = _weight(letters)
    return generate_gradient_program(plain(case), seeds=seeds, export_grads=wanted(case))


def given(case: Case, sizes: Mapping[str, int], seed: int) -> dict[str, np.ndarray]:
    return {name: array for name, array in values(case, sizes, seed).items() if name in plain(case).tensors}


def weights(exports: Mapping[str, np.ndarray]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Of each export: its weights, and where it is finite."""
    found = {}
    for name, array in exports.items():
        if array.dtype.kind == "f":
            angle = sum((place + 1) * index for place, index in enumerate(np.indices(array.shape)))
            weight = 1 + 0.5 * np.sin(angle) if array.ndim else np.asarray(1.5)
            found[name] = (np.asarray(weight, float), np.asarray(np.isfinite(array)))
    return found


def torch_gradients(case: Case, given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """By torch's autograd, of the weighted sum of all finite elements."""
    module = FuseModule(plain(case), config=DOUBLE).eval()
    inputs = {name: torch.from_numpy(array.copy()) for name, array in given.items()}
    leaves = {name: inputs[name].requires_grad_() for name in wanted(case)}
    result = module(inputs)
    exports = {next(iter(plain(case).exports)): result} if isinstance(result, torch.Tensor) else result
    parts = weights({name: tensor.detach().numpy() for name, tensor in exports.items()})
    loss = sum(
        (exports[name] * torch.from_numpy(weight))[torch.from_numpy(finite)].sum()
        for name, (weight, finite) in parts.items()
    )
    if isinstance(loss, torch.Tensor) and loss.requires_grad:
        loss.backward()
    return {name: np.zeros(t.shape) if t.grad is None else t.grad.numpy() for name, t in leaves.items()}


def compare(got: Mapping[str, np.ndarray], right: Mapping[str, np.ndarray], relative: float = 1e-6) -> None:
    assert list(got) == [f"Grad_{name}" for name in right]
    for name, expected in right.items():
        value = np.asarray(got[f"Grad_{name}"])
        assert value.shape == expected.shape
        scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
        np.testing.assert_allclose(value, expected, rtol=relative, atol=relative * 0.01 * scale, err_msg=name)


def size(program: ProgramIR) -> int:
    """How many parts the equations of a program have: operators, functions, reads, numbers."""
    found = 0
    for equation in program.equations:
        pending: list[Expr] = [equation.target, equation.body]
        while pending:
            node = pending.pop()
            found += 1
            pending.extend(children(node))
    return found


def check_numpy(case: Case) -> None:
    """The gradient program on NumPy gives what torch's autograd gives, at two sizes."""
    runner = gradient_program(case).compile("numpy", config=DOUBLE)
    for sizes in case.sizes:
        values = given(case, sizes, 6)
        compare(runner(values), torch_gradients(case, values))
