"""Relations times tensors: values as NumPy's, gradients as differences, ties shared, no array of the whole domain."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.testing import assert_close

import fuse_torch
from fuse_ref import ExecutionConfig, Program
from fuse_torch import Facts, FuseModule

HEAD = """\
axis n = 4, d = 3
input Edge(n, m)
input Z[n, d]
axis m = 4
R(n, m) <- Edge(n, m), n != m
export Y
"""
CASES = {
    "rows": "Y[n, d] = R(n, m) Z[m, d]",
    "columns": "Y[m, d] = R(n, m) Z[n, d]",
    "transposed": "Y[d, n] = R(n, m) Z[m, d]",
    "scalars": "Y[n] = R(n, m) Z[m, 1]",
    "summed": "Y[n] = R(n, m) Z[m, d]",
    "count": "Y[n] = R(n, m)",
    "total": "Y = R(n, m) Z[n, d] Z[m, d]",
    "both stay": "Y[n, m] = R(n, m) Z[n, d] Z[m, d]",
    "embedded": "Y[d, e] = R(n, m) Z[n, d] Z[m, e]",
    "mean": "Y[n, d] avg= R(n, m) Z[m, d]",
    "max": "Y[n, d] max= R(n, m), Z[m, d]",
    "min": "Y[d] min= R(n, m), Z[m, d] Z[n, d]",
    "max of all": "Y max= R(n, m), Z[m, d]",
    "prod": "Y[n] prod= R(n, m), Z[m, d]",
    "function": "Y[n, d] = R(n, m) tanh(Z[m, d] - Z[n, d])",
    "weights": "A[n, m] = exp(Z[n, d] Z[m, d])\nY[n, d] = R(n, m) A[n, m] Z[m, d]",
}
PAIRS = [[(0, 1), (0, 2), (2, 1), (3, 3), (1, 0), (3, 1)], [], [(1, 2)]]
DOUBLE = ExecutionConfig(precision="float64")


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(name: str) -> None:
    program = Program(HEAD + CASES[name])
    assert "Aggregate" in {type(item).__name__ for step in program.plan().steps for item in step.operations}
    numpy, runner = program.compile(backend="numpy", config=DOUBLE), fuse_torch.compile(program, config=DOUBLE)
    module = FuseModule(program, config=DOUBLE)
    rng = np.random.default_rng(0)
    for pairs in PAIRS:
        z = rng.standard_normal((4, 3))
        expected = numpy(Edge=pairs, Z=z)["Y"]
        np.testing.assert_allclose(runner(Edge=pairs, Z=z)["Y"], expected, rtol=1e-12)
        given, x = Facts(pairs), torch.tensor(z, requires_grad=True)
        found = module(Edge=given, Z=x)
        np.testing.assert_allclose(found.detach(), expected, rtol=1e-12)
        finite = torch.isfinite(found)
        if found.requires_grad:
            torch.autograd.gradcheck(lambda x: torch.where(finite, module(Edge=given, Z=x), 0.0), (x,))  # noqa: B023


@pytest.mark.parametrize("operator", ["max", "min"])
def test_ties_share_the_gradient_evenly(operator: str) -> None:
    module = FuseModule(HEAD + f"Y[n, d] {operator}= R(n, m), Z[m, d]", config=DOUBLE)
    z = torch.ones(4, 3, dtype=torch.float64, requires_grad=True)
    (found,) = torch.autograd.grad(module(Edge=Facts([(0, 1), (0, 2), (0, 3), (1, 2)]), Z=z)[:2].sum(), z)
    assert_close(found[:, 0], torch.tensor([0, 1 / 3, 4 / 3, 1 / 3], dtype=torch.float64))


def test_axes_without_positions() -> None:
    text = "input Edge(n, m)\ninput Z[m, d]\nR(n, m) <- Edge(n, m)\nR(n, m) <- Edge(m, n)\n"
    for equation in ("Y[n, d] = R(n, m) Z[m, d]", "Y[n] max= R(n, m), Z[m, d]", "Y[n, d] min= R(n, m), Z[m, d]"):
        module = FuseModule(text + equation + "\nexport Y")
        for nodes, width, pairs in ((3, 0, PAIRS[2]), (0, 2, []), (1, 1, [(0, 0)])):
            found = module(Facts(pairs), torch.ones(nodes, width))
            assert found.shape[0] == nodes
            assert_close(found.nan_to_num(0, 0, 0).sum(), torch.tensor(1.0 if pairs == [(0, 0)] else 0.0))


def test_the_cost_follows_the_tuples() -> None:
    nodes = 200_000  # an array with a row and a column of each would take 160 GB
    module = FuseModule(
        "input Edge(n, m)\ninput Z[m, d]\nTwo(x, z) <- Edge(x, y), Edge(y, z)\nY[n, d] = Two(n, m) Z[m, d]\nexport Y"
    )
    z = torch.arange(nodes, dtype=torch.float32)[:, None].requires_grad_()
    found = module(Facts([(0, 5), (5, 199_999), (7, 7)]), z)
    assert (found[0].item(), found[7].item(), found.sum().item()) == (199_999, 7, 200_006)
    found.sum().backward()
    assert z.grad is not None
    assert z.grad.nonzero()[:, 0].tolist() == [7, 199_999]
