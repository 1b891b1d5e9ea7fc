"""dropout follows the module's training flag and torch's generator, eagerly, compiled and exported."""

from __future__ import annotations

import copy

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend
from torch.nn import functional

import fuse_torch
from fuse_torch import FuseModule

DROP = "input X[i, j]\nY[i, j] = dropout(2 X[i, j], 0.25)"
TWICE = "input X[i]\nY[i] = dropout(X[i], 0.5)\nZ[i] = dropout(X[i], 0.5) + 10 dropout(X[i], 0.5)\nexport Y, Z"


def test_training_is_torch_s_own_dropout() -> None:
    module = FuseModule(DROP)
    for shape in ((3, 4), (50, 40)):
        x = torch.rand(shape) + 1
        torch.manual_seed(7)
        dropped = module(x)
        torch.manual_seed(7)
        assert torch.equal(dropped, functional.dropout(2 * x, 0.25))
        assert not torch.equal(dropped, module(x))
    assert 0.2 < float((dropped == 0).float().mean()) < 0.3
    kept = dropped != 0
    torch.testing.assert_close(dropped[kept], (2 * x / 0.75)[kept])


def test_evaluation_changes_nothing() -> None:
    module = FuseModule(DROP).eval()
    x = torch.rand(3, 4)
    assert torch.equal(module(x), 2 * x)
    assert torch.equal(copy.deepcopy(module)(x), 2 * x)
    runner = fuse_torch.compile(DROP)
    assert torch.equal(runner(X=x)["Y"], 2 * x)
    (graph,) = runner.fx_graphs
    assert torch.equal(graph(x), 2 * x)
    assert not torch.equal(graph.train()(torch.ones(50, 50)), torch.full((50, 50), 2.0))
    assert torch.equal(runner(X=x)["Y"], 2 * x)


def test_calls_draw_independently_even_equal_ones() -> None:
    module = FuseModule(TWICE)
    x = torch.ones(2000)
    result = module(x)
    tens, ones = torch.floor(result["Z"] / 20), torch.remainder(result["Z"] / 2, 10)
    for first, second in ((tens, ones), (tens, result["Y"] / 2), (ones, result["Y"] / 2)):
        assert 0.2 < float((first * second).mean()) < 0.3  # both are kept in a quarter of the places


@pytest.mark.parametrize(("p", "expected"), [("0", 1.0), ("1", 0.0)])
def test_the_ends(p: str, expected: float) -> None:
    module = FuseModule(f"input X[i]\nY[i] = dropout(X[i], {p})")
    x = torch.ones(5, requires_grad=True)
    result = module(x)
    assert result.tolist() == [expected] * 5
    result.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [expected] * 5


def test_gradients_go_where_values_are_kept() -> None:
    module = FuseModule(DROP)
    x = torch.rand(6, 7, requires_grad=True)
    result = module(x)
    result.sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, torch.where(result == 0, 0.0, 2 / 0.75))


def test_compiled_once_for_training_and_once_for_evaluation() -> None:
    count = CompileCounterWithBackend("aot_eager")
    module = FuseModule(DROP)
    compiled = torch.compile(module, backend=count, fullgraph=True)
    x = torch.ones(40, 50)
    results = [compiled(x) for _ in range(4)]
    assert count.frame_count == 1
    assert not torch.equal(results[0], results[1])
    assert 0.15 < float((results[3] == 0).float().mean()) < 0.35
    module.eval()
    for _ in range(3):
        assert torch.equal(compiled(x), 2 * x)
    assert count.frame_count == 2
    module.train()
    assert not torch.equal(compiled(x), 2 * x)
    assert count.frame_count == 2


def test_an_exported_evaluation_is_an_evaluation() -> None:
    x = torch.rand(3, 4)
    exported = torch.export.export(FuseModule(DROP).eval(), (x,))
    assert torch.equal(exported.module()(x + 1), 2 * (x + 1))


def test_evaluation_gives_memory_of_its_own() -> None:
    x = torch.ones(2, 3)
    for run in (
        FuseModule("Y[i, j] = dropout(X[i, j], 0.25)").eval(),
        FuseModule("Y[j, i] = dropout(X[i, j], 0.25)").eval(),
    ):
        run(X=x).zero_()
        assert torch.equal(x, torch.ones(2, 3))
    both = FuseModule("Y[i, j] = dropout(X[i, j], 0.5)\nZ[i, j] = dropout(X[i, j], 0.5)\nexport Y, Z").eval()(X=x)
    both["Y"].zero_()
    assert torch.equal(both["Z"], torch.ones(2, 3))
