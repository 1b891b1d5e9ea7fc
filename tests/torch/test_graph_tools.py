"""What one can look at and take along: explanations, graphs of torch, reports, exported programs compiled again."""

from __future__ import annotations

import pytest
import torch
from torch.export import Dim, export
from torch.testing import assert_close

import fuse_torch
from fuse_torch import ExecutionConfig, FuseModule, report

# A step of a network that is one kernel of torch.
ATTENTION = """axis d = 4, k = 3
input X[b, p, d]
param Q[k, d]; param K[k, d]; param V[v, d]
axis v = 2
Query[b, p, k] = Q[k, d] X[b, p, d]
Key[b, p, k] = K[k, d] X[b, p, d]
A[b, p, p'.] = softmax(Query[b, p, k] Key[b, p', k] / sqrt(3))
Y[b, p, v] = A[b, p, p'] V[v, d] X[b, p', d]
export Y
"""
SIZES = ((2, 5), (3, 7), (1, 1), (2, 0))


def by_hand(x: torch.Tensor, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    scores = (x @ q.T) @ (x @ k.T).transpose(1, 2) / 3**0.5
    return torch.softmax(scores, -1) @ (x @ v.T)


@pytest.fixture(autouse=True)
def _fresh_dynamo() -> None:
    torch.compiler.reset()


def compiled(function: object) -> object:
    return torch.compile(function, backend="fuse", options={"fuse.inner": "aot_eager"}, fullgraph=True)  # type: ignore[call-overload]


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_explanations_of_runners(precision: str) -> None:
    runner = fuse_torch.compile(ATTENTION, config=ExecutionConfig(precision=precision))  # type: ignore[arg-type]
    before = runner.explain()
    assert (before.backend, before.precision, dict(before.shapes), before.seconds) == ("torch", precision, {}, None)
    for b, p in SIZES:
        runner(X=torch.randn(b, p, 4))
        explained = runner.explain()
        assert dict(explained.shapes) == {"X": (b, p, 4)}
        assert explained.seconds is not None
        assert f"last call: X {b} × {p} × 4" in str(explained)
    data = explained.to_dict()
    assert (data["backend"], data["last_shapes"]) == ("torch", {"X": [2, 0, 4]})
    assert explained.to_dot().startswith("digraph plan {")
    assert "<svg" in explained.to_svg()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_graphs_of_runners_compile(dtype: torch.dtype) -> None:
    (graph,) = fuse_torch.compile(ATTENTION).fx_graphs
    run = compiled(graph)
    weights = [torch.randn(rows, 4, dtype=dtype, requires_grad=True) for rows in (3, 3, 2)]
    for b, p in SIZES:
        x = torch.randn(b, p, 4, dtype=dtype)
        result, expected = run(x, *weights), by_hand(x, *weights)  # type: ignore[operator]
        assert_close(result, expected)
        mine, theirs = (torch.autograd.grad(value.sum(), weights) for value in (result, expected))
        assert_close(mine, theirs)
    assert "scaled_dot_product_attention" in [name for graph in report().graphs for name, _ in graph.calls]


def test_the_report_of_a_compiled_module() -> None:
    module = FuseModule(ATTENTION)
    run = compiled(module)
    for b, p in SIZES[:2]:
        x = torch.randn(b, p, 4)
        assert_close(run(x), by_hand(x, module.Q, module.K, module.V))  # type: ignore[operator]
    found = report()
    assert len(found.graphs) == 1
    assert found.breaks == ()
    assert ("scaled_dot_product_attention", 1) in found.graphs[0].calls
    assert [item.name for item in found.passes] == ["attention", "replan"]
    assert str(found).startswith("1 graph\n")
    assert "breaks: none" in str(found)


@pytest.mark.parametrize("strict", [False, True])
def test_exported_modules_compile(strict: bool) -> None:
    module = FuseModule(ATTENTION)
    exported = export(
        module,
        (torch.randn(3, 5, 4),),
        dynamic_shapes={"X": {0: Dim("b", min=0, max=9), 1: Dim("p", min=0, max=9)}},
        strict=strict,
    )
    run = compiled(exported.module())
    for b, p in SIZES:
        x = torch.randn(b, p, 4)
        assert_close(run(x), by_hand(x, module.Q, module.K, module.V))  # type: ignore[operator]
    assert any(name.startswith("scaled_dot_product_attention") for name, _ in report().graphs[0].calls)
