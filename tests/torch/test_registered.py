"""Registered functions in torch: eager, compiled in one graph and exported, with their gradients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from fuse_ref import GradientError, OperatorError, Program, register_function
from fuse_torch import FuseModule
from tests.support.registered import PROGRAM, expected, expected_gradient, register_all

register_all()


def compiled(fullgraph: bool) -> Callable[[FuseModule], Callable[..., torch.Tensor]]:
    return lambda module: torch.compile(
        module, backend="fuse", fullgraph=fullgraph, options={"fuse.inner": "aot_eager"}
    )


WAYS = {"eager": lambda module: module, "compiled": compiled(False), "one graph": compiled(True)}


@pytest.mark.parametrize("way", WAYS)
def test_values_and_gradients(way: str) -> None:
    run = WAYS[way](FuseModule(Program(PROGRAM)))
    rng = np.random.default_rng(0)
    for shape in ((2, 3), (4, 3), (1, 1), (0, 2)):
        x, b = rng.normal(size=shape).astype(np.float32), rng.normal(size=shape[1]).astype(np.float32)
        given = torch.from_numpy(x).requires_grad_()
        result = run(X=given, B=torch.from_numpy(b))
        np.testing.assert_allclose(result.detach(), expected(x, b), rtol=1e-5)
        result.sum().backward()
        np.testing.assert_allclose(given.grad, expected_gradient(x, b), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("way", WAYS)
def test_without_a_gradient_only_the_gradient_fails(way: str) -> None:
    run = WAYS[way](FuseModule(Program("Y[i] = test_steps(X[i])")))
    result = run(X=torch.tensor([0.75, 1.2], requires_grad=True))
    assert result.tolist() == [1.0, 2.0]
    with pytest.raises(GradientError, match="test_steps has no gradient"):
        result.sum().backward()


def test_second_gradients() -> None:
    x = torch.tensor([2.0, 3.0], requires_grad=True)
    (first,) = torch.autograd.grad(FuseModule(Program("Y[i] = test_cube(X[i])"))(X=x).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    assert (first.tolist(), second.tolist()) == ([12.0, 27.0], [12.0, 18.0])
    slope = FuseModule(Program("Y[i] = test_cube_slope(X[i])"))(X=x).sum()
    (bend,) = torch.autograd.grad(slope, x, create_graph=True)
    with pytest.raises(GradientError, match="no second gradient"):
        torch.autograd.grad(bend.sum(), x)


def test_a_gradient_of_none_is_zero() -> None:
    a, b = torch.tensor([2.0], requires_grad=True), torch.tensor([3.0], requires_grad=True)
    FuseModule(Program("Y[i] = test_times(A[i], B[i])"))(A=a, B=b).sum().backward()
    assert (a.grad.tolist(), b.grad.tolist()) == ([3.0], [0.0])  # type: ignore[union-attr]


def test_vmap() -> None:
    module = FuseModule(Program(PROGRAM))
    x, b = torch.randn(5, 2, 3), torch.rand(3)
    result = torch.func.vmap(lambda one: module(X=one, B=b))(x)
    np.testing.assert_allclose(result, expected(x.numpy(), b.numpy()), rtol=1e-4)


def test_export() -> None:
    module = FuseModule(Program("input X[i]\nY[i] = test_cube(X[i])"))
    exported = torch.export.export(module, (torch.ones(3),))
    assert exported.module()(torch.tensor([1.0, 2.0, 3.0])).tolist() == [1.0, 8.0, 27.0]


def test_a_torch_version_is_looked_into() -> None:
    register_function("test_own", numpy=lambda x: 0 * x, torch=lambda x: torch.tanh(x))
    run = compiled(True)(FuseModule(Program("Y[i] = test_own(X[i])")))
    x = torch.tensor([0.5, -1.0], requires_grad=True)
    result = run(X=x)
    result.sum().backward()
    np.testing.assert_allclose(result.detach(), np.tanh([0.5, -1.0]), rtol=1e-6)
    np.testing.assert_allclose(x.grad, 1 - np.tanh([0.5, -1.0]) ** 2, rtol=1e-5)


def test_what_a_torch_version_gives_is_checked() -> None:
    register_function("test_total_torch", numpy=lambda x: x, torch=lambda x: x.sum())
    with pytest.raises(OperatorError, match=r"gave the shape \(\) and not the shape \(2,\)"):
        FuseModule(Program("Y[i] = test_total_torch(X[i])"))(X=torch.ones(2))
    register_function("test_wide_torch", numpy=lambda x: x, torch=lambda x: x.double())
    assert FuseModule(Program("Y[i] = test_wide_torch(X[i])"))(X=torch.ones(2)).dtype == torch.float32


def test_a_function_that_gives_its_argument_shares_no_memory() -> None:
    register_function("test_same_torch", numpy=lambda x: x, torch=lambda x: x)
    x = torch.ones(2)
    FuseModule(Program("Y[i] = test_same_torch(X[i])"))(X=x).zero_()
    assert x.tolist() == [1.0, 1.0]
