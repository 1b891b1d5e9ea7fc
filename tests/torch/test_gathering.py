"""Gathers and scatters as torch code: gradients of repeated positions, compilation, no mask where none is needed."""

from __future__ import annotations

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend
from torch.autograd import gradcheck, gradgradcheck
from torch.func import functional_call, grad, vmap
from torch.testing import assert_close

from fuse_ref import Program
from fuse_torch import FuseModule
from fuse_torch.lowering.lower import lower

ROWS = "input X[b, p]: int64\naxis v = 7, d = 3\nparam E[v, d] ~ normal(0, 1)\nY[b, p, d] = E[X[b, p], d]"
EDGES = """\
axis n = 5
input From[e]: int64
input To[e]: int64
M[To[e], d] = H[From[e], d] W[e]
Y[n, d] = M[n, d] + H[n, d]
export Y
"""


@pytest.fixture(autouse=True)
def _fresh_dynamo() -> None:
    torch.compiler.reset()


def calls(text: str) -> list[object]:
    """What the generated code calls."""
    program = Program(text)
    graph = lower(program.plan(), program.ir.exports).graph
    return [node.target for node in graph.nodes if node.op == "call_function"]


def test_rows_that_are_read_often_have_gradients_that_add() -> None:
    module = FuseModule(ROWS)
    index = torch.tensor([[1, 1, -1], [6, 7, 1]])
    weights = torch.randn(2, 3, 3)
    (module(index) * weights).sum().backward()
    expected = torch.zeros(7, 3)
    expected[1] = weights[0, 0] + weights[0, 1] + weights[1, 2]
    expected[6] = weights[1, 0]
    assert_close(module.E.grad, expected)


def test_new_values_and_batch_sizes_compile_nothing_new() -> None:
    module = FuseModule(ROWS)
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(module, backend="fuse", options={"fuse.inner": counter}, fullgraph=True)
    counts = []
    for batch, places in ((2, 3), (4, 6), (5, 9), (3, 2), (9, 4)):
        index = torch.randint(-1, 8, (batch, places))
        table = torch.cat([module.E, torch.zeros(1, 3)])
        expected = table[torch.where((index >= 0) & (index < 7), index, 7)]
        result = compiled(index)
        assert_close(result, expected)
        result.sum().backward()
        counts.append(counter.frame_count)
    assert counts == [1, 2, 2, 2, 2]


def test_a_graph_over_edge_lists_compiles_once_for_all_edge_counts() -> None:
    module = FuseModule(EDGES)
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(module, backend="fuse", options={"fuse.inner": counter}, fullgraph=True, dynamic=True)
    for edges in (4, 9, 17):
        given = {"From": torch.randint(0, 5, (edges,)), "To": torch.randint(0, 5, (edges,))}
        given |= {"H": torch.randn(5, 2), "W": torch.randn(edges)}
        expected = given["H"].clone()
        for e in range(edges):
            expected[given["To"][e]] += given["H"][given["From"][e]] * given["W"][e]
        assert_close(compiled(given), expected)
    assert counter.frame_count == 1


@pytest.mark.parametrize("operator", ["=", "max=", "min=", "prod=", "avg="])
def test_gradients_of_gathers_and_scatters(operator: str) -> None:
    module = FuseModule(f"axis n = 4\nY[X[p], d] {operator} Z[p, d] E[A[p]-1, d]\nO[n, d] = Y[n, d]\nexport O").double()
    fixed = {"X": torch.tensor([0, 2, -1, 2, 9, 1]), "A": torch.tensor([1, 0, 3, 3, 2, 1])}

    def call(values: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        found = module({**fixed, "Z": values, "E": table})
        return torch.where(found.isfinite(), found, 0)

    generator = torch.Generator().manual_seed(3)
    values = torch.randn(6, 2, dtype=torch.float64, generator=generator).requires_grad_()
    table = torch.randn(3, 2, dtype=torch.float64, generator=generator).requires_grad_()
    assert gradcheck(call, (values, table))
    if operator != "prod=":  # torch has no second derivative of a scattered product
        assert gradgradcheck(call, (values, table))


def test_a_table_with_infinities_has_finite_gradients() -> None:
    module = FuseModule("Y[p] = E[X[p]]")
    table = torch.tensor([-torch.inf, 1.0], requires_grad=True)
    found = module({"E": table, "X": torch.tensor([1, -1, 2])})
    found.sum().backward()
    assert found.tolist() == [1, 0, 0]
    assert table.grad.tolist() == [0, 1]


def test_positions_that_surely_lie_inside_are_not_masked() -> None:
    code = "S[p, n] = Q[p, d] E[n, d]; I[p] = argmax(S[p, n], axis=n); Y[p, d] = E[I[p], d]"
    assert torch.masked_fill not in calls(code)
    assert torch.masked_fill not in calls("X = const([1, 0, 2]); axis n = 3; B[n] = E[n]; Y[p] = B[X[p]]")
    assert torch.masked_fill in calls("X = const([1, 0, 3]); axis n = 3; B[n] = E[n]; Y[p] = B[X[p]]")


def test_vmap_over_gathers_and_per_sample_gradients() -> None:
    module = FuseModule(ROWS)
    index = torch.tensor([[1, 4, 8], [0, 0, -1], [6, 2, 2]])
    each = vmap(lambda one: module(one[None])[0])(index)
    assert_close(each, module(index))
    parameters = {name: value.detach() for name, value in module.named_parameters()}

    def loss(parameters: dict, one: torch.Tensor) -> torch.Tensor:
        return (functional_call(module, parameters, (one[None],)) ** 2).sum()

    found = vmap(grad(loss), in_dims=(None, 0))(parameters, index)["E"]
    whole = torch.autograd.grad((module(index) ** 2).sum(), module.E)[0]
    assert_close(found.sum(0), whole)
