"""Modules under torch.autocast compute as torch's own do, and the precision of a module or Runner follows what it should."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from fuse_ref import DtypeError, ExecutionConfig, Program
from fuse_torch import FuseModule

MLP = """
input X[n, d]
param V[h, d]
param b[h]
param W[o, h]
axis d = 16
axis h = 24
axis o = 4
H[n, h] = gelu(V[h, d] X[n, d] + b[h])
Y[n, o] = W[o, h] H[n, h]
"""


def own(module: FuseModule, x: torch.Tensor) -> torch.Tensor:
    return functional.linear(functional.gelu(functional.linear(x, module.V, module.b)), module.W)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_module_computes_as_torch_does(dtype: torch.dtype) -> None:
    torch.compiler.reset()  # modules of one plan share their code, and autocast compiles it anew
    module = FuseModule(MLP)
    compiled = torch.compile(module, backend="fuse", options={"fuse.inner": "aot_eager"}, fullgraph=True)
    for rows in (5, 8, 1):
        for x in (torch.randn(rows, 16), torch.randn(rows, 16).to(dtype)):
            with torch.autocast("cpu", dtype):
                wanted, found, again = own(module, x), module(x), compiled(x)
            assert found.dtype == wanted.dtype == dtype
            assert torch.equal(found, wanted)
            assert torch.equal(again, wanted)


def test_gradients_under_autocast() -> None:
    module, x = FuseModule(MLP), torch.randn(6, 16)
    found = []
    for run in (module, lambda x: own(module, x)):
        module.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            run(x).float().square().sum().backward()
        found.append([parameter.grad.clone() for parameter in module.parameters()])
    for mine, theirs in zip(*found, strict=True):
        assert mine.dtype == torch.float32
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize(
    "text",
    [
        "Y = (A[i] B[i]) C[i]\nZ = Y D[i] exp(A[i])",
        "U[i] = W[i, j] A[j]\nY = U[i] B[i]",
        "U[i] = W[i, j] A[j]\nY[i] = W[i, j] U[j] + tanh(U[i])",
        "U[i, k] = W[i, j] M[j, k]\nY[k] = U[i, k] A[i]\nZ[i] max= U[i, k] + A[i]",
        "S[i, j.] = softmax(W[i, k] M[k, j])\nY[i] = S[i, j] A[j]",
    ],
)
def test_products_of_what_autocast_made_and_what_it_left(text: str) -> None:
    module = FuseModule(text)
    names = module.program.inputs or module.program.tensors
    for size in (4, 1):
        given = {name: torch.rand(size) for name in "ABCD"} | {name: torch.rand(size, size) for name in "WM"}
        given = {name: value for name, value in given.items() if name in module.plan.givens and names}
        wanted = module(given)
        with torch.autocast("cpu", torch.bfloat16):
            found = module(given)
        for one, other in zip(_each(found), _each(wanted), strict=True):
            torch.testing.assert_close(one.float(), other, rtol=0.03, atol=0.03)


def _each(found: torch.Tensor | dict[str, torch.Tensor]) -> list[torch.Tensor]:
    return [found] if isinstance(found, torch.Tensor) else list(found.values())


def test_without_autocast_another_type_is_refused() -> None:
    module = FuseModule(MLP)
    with pytest.raises(DtypeError, match="X must be float32 here, but bfloat16 was given"):
        module(torch.zeros(2, 16, dtype=torch.bfloat16))
    with torch.autocast("cpu", torch.bfloat16), pytest.raises(DtypeError, match="but float64 was given"):
        module(torch.zeros(2, 16, dtype=torch.float64))  # torch.nn.Linear refuses it too


def test_to_changes_the_precision() -> None:
    module = FuseModule(MLP)
    for dtype in (torch.bfloat16, torch.float64, torch.float16):
        module = module.to(dtype)
        for rows in (3, 4):
            assert module(torch.randn(rows, 16).to(dtype)).dtype == dtype


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_auto_follows_the_inputs(dtype: torch.dtype) -> None:
    runner = Program("Y[i] = W[i, j] X[j]").compile("torch", config=ExecutionConfig(precision="auto"))
    for size in (3, 5):
        found = runner(W=torch.ones(size, size, dtype=dtype), X=torch.ones(size, dtype=dtype))["Y"]
        assert found.dtype == dtype
        np.testing.assert_array_equal(found.double().numpy(), np.full(size, float(size)))
    mixed = runner(W=torch.ones(2, 2, dtype=dtype), X=torch.ones(2, dtype=torch.float32))["Y"]
    assert mixed.dtype == torch.float32


RECURRENT = """
input X[i]
input U[t, i]
param W[j, i]
axis i = 8, j = 8
H[0, i] = X[i]
H[t+1, i] = tanh(H[t, j] W[j, i] + U[t, i])
export H
"""


def test_recurrences_and_fixpoints_under_autocast() -> None:
    for text, given in (
        (RECURRENT, lambda: (torch.randn(8), torch.randn(5, 8))),
        ("input B[i]\nparam W[i, j]\naxis i = 3, j = 3\nY[i] = W[i, j] Y[j] / 8 + B[i]", lambda: (torch.randn(3),)),
    ):
        module = FuseModule(text)
        for _ in range(2):
            inputs = given()
            with torch.autocast("cpu", torch.bfloat16):
                found = module(*inputs)
            torch.testing.assert_close(found.float(), module(*inputs), rtol=0.03, atol=0.03)
            found.float().sum().backward()
            assert all(parameter.grad.dtype == torch.float32 for parameter in module.parameters())
