"""Compile with the passes and compare with eager mode, values and gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.fx import GraphModule

__all__ = ["Recorder", "agree", "calls"]

# What rounding in another order may change, relative to the largest value.
TOLERANCE = {torch.float32: 2e-5, torch.float64: 1e-12, torch.bfloat16: 6e-2}


class Recorder:
    """`function` compiled by the back end; keeps the graphs that the inner compiler got."""

    def __init__(self, function: Callable[..., Any], *, dynamic: bool | None = None, **options: Any) -> None:
        self.graphs: list[GraphModule] = []
        torch.compiler.reset()
        given = {f"fuse.{name}": value for name, value in options.items()}
        self.compiled = torch.compile(
            function, backend="fuse", options={"fuse.inner": self._inner, **given}, dynamic=dynamic
        )

    def _inner(self, gm: GraphModule, example_inputs: list[Any]) -> Callable[..., Any]:
        self.graphs.append(gm)
        return gm.forward

    def __call__(self, *given: Any) -> Any:
        return self.compiled(*given)


def calls(gm: GraphModule) -> list[str]:
    """The names of what a graph calls."""
    found = [node.target for node in gm.graph.nodes if node.op.startswith("call_")]
    return [target if isinstance(target, str) else target.__name__ for target in found]


def agree(
    first: Callable[..., Any],
    second: Callable[..., Any],
    tensors: Sequence[torch.Tensor],
    tolerance: float | None = None,
) -> None:
    """Both functions give the same values, layouts and gradients, up to rounding.

    Gradients are those of a random weighting of the result, for the tensors that require them.
    """
    mine, theirs = ([t.detach().clone().requires_grad_(t.requires_grad) for t in tensors] for _ in range(2))
    one, two = first(*mine), second(*theirs)
    assert one.shape == two.shape
    assert one.dtype == two.dtype
    assert one.is_contiguous() == two.is_contiguous()
    near(one, two, tolerance)
    if not two.requires_grad:
        assert not one.requires_grad
        return
    weight = torch.randn(two.shape, dtype=torch.float64).to(two.dtype)
    one.backward(weight)
    two.backward(weight)
    for number, (a, b) in enumerate(zip(mine, theirs, strict=True)):
        assert (a.grad is None) == (b.grad is None), f"gradient of argument {number}"
        if a.grad is not None and b.grad is not None:
            near(a.grad, b.grad, tolerance)


def near(one: torch.Tensor, two: torch.Tensor, tolerance: float | None = None) -> None:
    allowed = TOLERANCE[two.dtype] if tolerance is None else tolerance
    assert torch.equal(one.isnan(), two.isnan())
    assert torch.equal(one.isinf(), two.isinf())
    a, b = (value.detach().double().nan_to_num(0.0, 0.0, 0.0) for value in (one, two))
    if two.numel():
        assert (a - b).abs().max() <= allowed * max(1.0, b.abs().max().item())
