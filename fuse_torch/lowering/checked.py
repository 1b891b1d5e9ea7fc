"""`checked=True`: the graph of a plan with a look at every tensor it computes."""

from __future__ import annotations

from collections.abc import Callable

import torch

from fuse_ref.evaluate.checked import check_classes, check_finite, check_positions, spread
from fuse_ref.source import Span
from fuse_ref.weights.arrays import numpy_array
from fuse_torch.lowering.lower import Lowered

__all__ = ["with_checks"]


def with_checks(lowered: Lowered) -> None:
    """Put checks into the graph of `lowered`. Compiled code breaks at each of them: checking costs speed."""
    graph = lowered.graph
    spans = {tensor.name: tensor.span for tensor in lowered.plan.program.tensors}
    for equation in lowered.plan.program.equations:
        spans[equation.target.tensor] = equation.span
    body = next(node for node in graph.nodes if node.op != "placeholder")
    for node in list(graph.nodes):
        classes = node.meta.get("fuse_classes")
        if classes is not None:
            value, name, (scores, dim), axis = classes
            with graph.inserting_before(node):
                graph.call_function(_classes_check(name, axis, dim, spans.get(name)), (value, scores))
        gathered = node.meta.get("fuse_positions")
        if gathered is not None:
            value, offset, size, words, labels = gathered
            span = spans.get(node.meta["fuse_tensor"])
            with graph.inserting_before(node):
                graph.call_function(_positions_check(words, labels, span), (value, offset, size))
        for tensor, words, allowed, holds, labels, onto in node.meta.get("fuse_finite", ()):
            check = _finite_check(words, spans.get(tensor), allowed, labels, onto)
            with graph.inserting_before(body) if node.op == "placeholder" else graph.inserting_after(node):
                graph.call_function(check, (node,) if holds is None else (node, holds))
    graph.lint()


def _finite_check(
    words: str, span: Span | None, allowed: float, labels: tuple[str, ...], onto: tuple[str, ...]
) -> Callable[..., None]:
    @torch.compiler.disable(reason=_reason(span, f"checked=True looks at {words}"))
    def check_finite_values(value: torch.Tensor, holds: torch.Tensor | None = None) -> None:
        if value.dtype.is_floating_point and not bool(torch.isfinite(value).all()):
            where = None if holds is None else spread(holds.detach().cpu().numpy(), labels, onto)
            check_finite(words, numpy_array(value), span, allowed, where)

    return check_finite_values


def _classes_check(name: str, axis: str, dim: int, span: Span | None) -> Callable[[torch.Tensor, torch.Tensor], None]:
    @torch.compiler.disable(reason=_reason(span, f"checked=True looks at the classes {name}"))
    def check_class_numbers(value: torch.Tensor, scores: torch.Tensor) -> None:
        check_classes(name, value.detach().cpu().numpy(), scores.shape[dim], axis, span)

    return check_class_numbers


def _positions_check(
    words: tuple[str, str], labels: tuple[str, ...], span: Span | None
) -> Callable[[torch.Tensor, int, int], None]:
    @torch.compiler.disable(reason=_reason(span, f"checked=True looks at the index {words[1]}"))
    def check_index(value: torch.Tensor, offset: int, size: int) -> None:
        check_positions(words, labels, value.detach().cpu().numpy(), offset, size, span)

    return check_index


def _reason(span: Span | None, reason: str) -> str:
    """Why a graph breaks, in the form that `report()` takes apart."""
    equation = "" if span is None else " ".join(span.text.split())
    return f"fuse: «{equation}» {reason}"
