"""Numeric fixpoints in modules: graphs and breaks, the operator, torch.func, second derivatives, refusals."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend

import fuse_torch
from fuse_ref import DivergenceError, ExecutionConfig, GradientError
from fuse_torch import FuseModule

LAYER = """
input X[b, k]
axis i = 3, k = 2
param W[i, j] ~ normal(0, 0.2)
param U[i, k] ~ xavier()
H[b, k] = 2 X[b, k]
Z[b, i] = tanh(W[i, j] Z[b, j] + U[i, k] H[b, k])
Y[b] = Z[b, i]
export Y
"""
pytestmark = [
    # Dynamo looks at what a graph takes that begins at a break.
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning"),
    pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning"),  # of torch's own jvp
]
GROWS = "R[i] = 2 A[i, j] R[j] + 1\nexport R"


@pytest.fixture(autouse=True)
def _forget_compiled_code() -> Iterator[None]:
    yield
    torch._dynamo.reset()


def layer(**settings: object) -> FuseModule:
    torch.manual_seed(0)
    config = ExecutionConfig(precision="float64", tol=1e-13, **settings)  # type: ignore[arg-type]
    return FuseModule(LAYER, config=config)


def inputs(batch: int = 4) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(batch).normal(size=(batch, 2)))


def slopes(module: FuseModule, run: object, x: torch.Tensor) -> list[torch.Tensor]:
    module.zero_grad()
    run(x).pow(2).sum().backward()  # type: ignore[operator]
    return [parameter.grad.clone() for parameter in module.parameters() if parameter.grad is not None]


def test_first_and_second_derivatives() -> None:
    module = layer()
    weights = {name: value.detach().clone().requires_grad_() for name, value in module.named_parameters()}

    def loss(*values: torch.Tensor) -> torch.Tensor:
        own = dict(zip(weights, values, strict=True))
        return torch.func.functional_call(module, own, (inputs(2),)).pow(2).sum()

    assert torch.autograd.gradcheck(loss, tuple(weights.values()))
    assert torch.autograd.gradgradcheck(loss, tuple(weights.values()))


def test_transformations_of_torch_func() -> None:
    module = layer()
    x, w = inputs(), module.W.detach()

    def loss(w: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(module, {"W": w}, (x,)).pow(2).sum()

    expected = slopes(module, module, x)[0]
    torch.testing.assert_close(torch.func.grad(loss)(w), expected)
    several = torch.func.vmap(torch.func.grad(loss))(torch.stack([w, w / 2]))
    torch.testing.assert_close(several, torch.stack([expected, torch.func.grad(loss)(w / 2)]))
    torch.testing.assert_close(
        torch.func.vmap(module)(torch.stack([x, 2 * x])), torch.stack([module(x), module(2 * x)])
    )
    assert torch.func.jacrev(torch.func.grad(loss))(w).shape == (3, 3, 3, 3)
    with pytest.raises(RuntimeError, match="jvp"):
        torch.func.jvp(loss, (w,), (w,))


def test_compiled_code_breaks_at_a_fixpoint_once() -> None:
    module = layer()
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(module, backend=counter)
    for n in (4, 5, 6, 7):
        x = inputs(n)
        for found, expected in zip(slopes(module, compiled, x), slopes(module, module, x), strict=True):
            torch.testing.assert_close(found, expected)
    assert counter.frame_count == 4  # two graphs, and both once more for batches of any size
    torch.compile(module, backend="fuse", options={"fuse.inner": "eager"})(inputs())
    (break_,) = fuse_torch.report().breaks
    assert break_.equation == "Z[b, i] = tanh(W[i, j] Z[b, j] + U[i, k] H[b, k])"
    assert "decides itself how many rounds" in break_.reason


def test_an_operator_for_one_graph_and_exports() -> None:
    module, opaque = layer(), layer(breaks="opaque")
    opaque.load_state_dict(module.state_dict())
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(opaque, backend=counter, fullgraph=True)
    for n in (4, 5, 6):
        x = inputs(n)
        for found, expected in zip(slopes(opaque, compiled, x), slopes(module, module, x), strict=True):
            torch.testing.assert_close(found, expected)
    assert counter.frame_count == 2
    exported = torch.export.export(opaque, (inputs(),), dynamic_shapes={"X": {0: torch.export.Dim("b", min=2)}})
    torch.testing.assert_close(exported.module()(inputs(6)), module(inputs(6)))


def test_relations_and_paths_in_compiled_code() -> None:
    module = FuseModule("input Edge(x, y)\nD[0] = 0\nD[y] min= Edge(x, y), D[x] + W[x, y]\nexport D")
    compiled = torch.compile(module, backend="aot_eager")
    w = torch.tensor([[1.0, 2, 9], [1, 1, 3], [1, 1, 1]])
    for edges in ([(0, 1), (1, 2), (0, 2)], [(0, 2)]):
        held = torch.zeros(3, 3, dtype=torch.bool)
        for x, y in edges:
            held[x, y] = True
        expected = [0.0, 2, 5] if len(edges) == 3 else [0.0, np.inf, 9]
        for run in (module, compiled):
            for given in (held, torch.tensor(edges)):
                leaf = w.clone().requires_grad_()
                found = run(Edge=given, W=leaf)
                assert found.tolist() == expected
                found[2].backward()
                assert leaf.grad is not None
                assert leaf.grad.sum() == (2 if len(edges) == 3 else 1)


def test_copies_devices_without_data_and_autocast() -> None:
    module = layer()
    x = inputs()
    torch.testing.assert_close(pickle.loads(pickle.dumps(module))(x), module(x))
    with torch.device("meta"):
        empty = FuseModule(LAYER)
    assert empty(torch.empty(5, 2, device="meta")).shape == (5,)
    narrow = FuseModule(LAYER)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        narrow(x.float()).sum().backward()
    assert narrow.W.grad is not None


@pytest.mark.parametrize("compiled", [False, True])
def test_what_goes_on_is_an_error_of_ours(compiled: bool) -> None:
    module = FuseModule(GROWS, config=ExecutionConfig(max_iters=6))
    run = torch.compile(module, backend="eager") if compiled else module
    with pytest.raises(DivergenceError, match="after max_iters=6 rounds") as caught:
        run(A=torch.eye(1))
    assert len(caught.value.residuals) == 6
    assert run(A=torch.zeros(1, 1)).tolist() == [1]
    last = FuseModule(GROWS, config=ExecutionConfig(max_iters=6, on_divergence="last"))
    found = last(A=torch.eye(1).requires_grad_())
    assert found.tolist() == [63]
    with pytest.raises(GradientError, match="the gradient of the fixpoint of R does not settle"):
        found.sum().backward()


def test_training_reduces_the_loss() -> None:
    """One equilibrium layer learns what another one computes."""
    torch.manual_seed(1)
    teacher, student = FuseModule(LAYER), FuseModule(LAYER)
    optimizer = torch.optim.Adam(student.parameters(), lr=0.05)
    x = inputs(16).float()
    target = teacher(x).detach()
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = (student(x) - target).pow(2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.05 * losses[0]
