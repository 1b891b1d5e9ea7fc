"""torch.func over modules, and double precision gradients against finite differences."""

from __future__ import annotations

import copy
import subprocess
import sys

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, stack_module_state, vmap
from torch.testing import assert_close

from fuse_torch import AxisError, ExecutionConfig, FuseModule
from tests.torch.programs import DENSE, LOSS, by_hand


def test_functional_call_with_other_parameters() -> None:
    module, x = FuseModule(DENSE), torch.randn(5, 4)
    doubled = {name: 2 * value for name, value in module.named_parameters()}
    assert_close(functional_call(module, doubled, (x,)), torch.relu(2 * x @ module.W.T + 2 * module.B))
    assert_close(module(x), by_hand(module, x))
    with pytest.raises(AxisError):
        functional_call(module, {"W": torch.ones(1, 4), "B": torch.ones(3)}, (x,))


def test_per_sample_gradients_sum_to_the_gradient() -> None:
    module = FuseModule(LOSS)
    parameters = {name: value.detach() for name, value in module.named_parameters()}
    x, classes = torch.randn(6, 4), torch.randint(0, 3, (6,))

    def loss(parameters: dict, x: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return functional_call(module, parameters, (x[None], target[None]))

    each = vmap(grad(loss), in_dims=(None, 0, 0))(parameters, x, classes)
    whole = torch.autograd.grad(module(x, classes), list(module.parameters()))
    for got, expected in zip(each.values(), whole, strict=True):
        assert got.shape == (6, *expected.shape)
        assert_close(got.mean(0), expected)


def test_ensembles() -> None:
    modules = [FuseModule(DENSE) for _ in range(3)]
    parameters, buffers = stack_module_state(modules)
    base = copy.deepcopy(modules[0]).to("meta")
    x = torch.randn(5, 4)

    def call(parameters: dict, buffers: dict, x: torch.Tensor) -> torch.Tensor:
        return functional_call(base, (parameters, buffers), (x,))

    together = vmap(call, in_dims=(0, 0, None))(parameters, buffers, x)
    assert_close(together, torch.stack([module(x) for module in modules]))


def test_vmap_over_inputs() -> None:
    module, x = FuseModule(DENSE), torch.randn(6, 5, 4)
    assert_close(vmap(module)(x), torch.relu(x @ module.W.T + module.B))
    with pytest.raises(AxisError):
        vmap(module)(x.transpose(1, 2))


# torch's own jacfwd scripts its decompositions.
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
def test_jacobians_and_hessians() -> None:
    module = FuseModule("input X[i]\nY[i] = X[i]**3 + X[j]**2")
    x = torch.randn(3)
    expected = torch.diag(3 * x**2) + 2 * x.expand(3, 3)
    assert_close(jacrev(module)(x), expected)
    assert_close(jacfwd(module)(x), expected)
    total = FuseModule("input X[i]\nY = X[i]**3")
    assert_close(hessian(total)(x), torch.diag(6 * x))


GRADIENTS = {
    "dense": (
        "input X[b, d]\ninput W[o, d]\ninput B[o]\nY[b, o] = tanh(W[o, d] X[b, d] + B[o])",
        [(2, 3), (2, 3), (2,)],
    ),
    "attention": (
        "input Q[p, k]\ninput K[q, k]\ninput V[q, v]\nA[p, q.] = softmax(Q[p, k] K[q, k] / sqrt(2))\nY[p, v] = A[p, q] V[q, v]",
        [(2, 2), (3, 2), (3, 2)],
    ),
    "normalised": ("input X[b, d]\nY[b, d.] = lnorm(X[b, d])\nZ[b.] = log_softmax(Y[b, 0])\nexport Y, Z", [(3, 4)]),
    "other axis": ("input X[d, b]\nY[b, d] = lnorm(X[d, b], axis=d)", [(4, 3)]),
    "windows": ("input X[b, x]\ninput F[w]\nY[b, x] = X[b, 2*x+w] F[w] + X[b, 0]", [(2, 7), (3,)]),
    "diagonal": ("input A[i, j]\nY[i] = A[i, i] + A[i, j]**2\nT = A[i, i]\nexport Y, T", [(3, 3)]),
    "pooling": ("input X[b, x]\nY[b, x/2] max= X[b, x]\nZ[x/3] min= X[0, x]\nexport Y, Z", [(2, 5)]),
    "projections": (
        "input X[i, j]\nA[i] max= X[i, j]\nB[i] avg= X[i, j]\nC[i] prod= X[i, j]\nexport A, B, C",
        [(2, 3)],
    ),
    "written": ("input X[i]\nY[2*i+1] = X[i]\nZ[i, i] = X[i]\nexport Y, Z", [(3,)]),
    "functions": ("input X[i]\nY[i] = gelu(X[i]) + silu(X[i]) + sig(X[i], T=2) + exp(sin(X[i])) + 2**X[i]", [(4,)]),
    "quotients": ("input A[i, j]\nY[i, j] = exp(A[i, j]) / exp(A[i, k])", [(2, 3)]),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_first_and_second_gradients_against_differences(name: str) -> None:
    program, shapes = GRADIENTS[name]
    # torch's fast attention has a first derivative alone (section 13 of the language page); the test below has more.
    config = ExecutionConfig(precision="float64", disabled_passes=("attention",))
    module = FuseModule(program, config=config)
    for seed in (0, 1):
        random = torch.Generator().manual_seed(seed)
        inputs = [torch.randn(shape, dtype=torch.float64, generator=random, requires_grad=True) for shape in shapes]

        def call(*values: torch.Tensor) -> tuple[torch.Tensor, ...]:
            result = module(*values)
            return tuple(result.values()) if isinstance(result, dict) else (result,)

        assert gradcheck(call, inputs)
        if name not in ("pooling", "projections"):  # ties and kinks: first gradients say enough
            assert gradgradcheck(call, inputs)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
def test_attention_under_every_transformation() -> None:
    program, shapes = GRADIENTS["attention"]
    fast, plain = (
        FuseModule(program, config=ExecutionConfig(precision="float64", disabled_passes=disabled))
        for disabled in ((), ("attention",))
    )
    assert any(saving.name == "attention" for saving in fast.plan.savings)
    random = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(shape, dtype=torch.float64, generator=random) for shape in shapes)
    for transform in (jacrev, jacfwd, hessian):
        assert_close(transform(fast)(query, key, value), transform(plain)(query, key, value))
    several = torch.randn(4, *shapes[0], dtype=torch.float64, generator=random)
    assert_close(vmap(fast, (0, None, None))(several, key, value), vmap(plain, (0, None, None))(several, key, value))
    assert gradcheck(fast, (query.requires_grad_(), key, value))


def test_ties_share_the_gradient_evenly() -> None:
    for program in ("input X[i]\nY max= X[i]", "input X[i]\nY[x/3] max= X[x]", "input X[i]\nY = max(i: X[i])"):
        x = torch.tensor([2.0, 2.0, 1.0], requires_grad=True)
        FuseModule(program)(x).sum().backward()
        assert_close(x.grad, torch.tensor([0.5, 0.5, 0.0]))
    x = torch.tensor([0.0, 1.0], requires_grad=True)
    FuseModule("input X[i]\nY[i] = max(X[i], 0)")(x).sum().backward()
    assert_close(x.grad, torch.tensor([0.5, 1.0]))


def test_step_has_the_gradient_zero_rather_than_none() -> None:
    x = torch.tensor([-1.0, 0.0, 2.0], requires_grad=True)
    y = FuseModule("input X[i]\nY[i] = step(X[i]) X[i] + sig(X[i], T=0)")(x)
    assert y.tolist() == [0.0, 0.0, 3.0]
    y.sum().backward()
    assert x.grad.tolist() == [0.0, 0.0, 1.0]


def test_functorch_is_still_torchs_own() -> None:
    code = "import fuse_torch, functorch, torch; assert functorch.vmap(torch.sin)(torch.zeros(2)).tolist() == [0, 0]; print(functorch.__file__)"
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert "site-packages" in run.stdout
