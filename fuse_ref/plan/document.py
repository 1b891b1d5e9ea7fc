"""A plan as plain data, for explanations and tools."""

from __future__ import annotations

from typing import TypeAlias

from fuse_ref.plan.steps import Contraction, Plan, SampledSum, Step

__all__ = ["Document", "plan_document"]

Document: TypeAlias = "dict[str, Document] | list[Document] | str | int | float | bool | None"


def plan_document(plan: Plan) -> dict[str, Document]:
    """Steps, shapes and assumptions of `plan` as JSON data; keys stay the same between versions."""
    return {
        "version": 1,
        "steps": [_step(step) for step in plan.steps],
        "shapes": {shape.tensor: [str(length) for length in shape.lengths] for shape in plan.shapes},
        "inputs": list(plan.givens),
        "parameters": list(plan.parameters),
        "sources": list(plan.sources),
        "weights": list(plan.weights),
        "sizes": dict(plan.sizes),
        "assumed": dict(plan.hints),
        "savings": [
            {"pass": item.name, "tensor": item.tensor, "what": item.what, "flops": item.flops, "bytes": item.bytes}
            for item in plan.savings
        ],
    }


def _step(step: Step) -> dict[str, Document]:
    return {
        "kind": step.kind,
        "route": step.route,
        "reason": step.reason,
        "reads": list(step.reads),
        "writes": list(step.writes),
        "equations": list(step.equations),
        "line": None if step.span is None else step.span.line,
        "flops": step.flops,
        "largest": step.largest,
        "contractions": [_contraction(item) for item in step.contractions],
        "sampled": [_sampled(item) for item in step.sampled],
        "unsupported": step.unsupported,
    }


def _sampled(item: SampledSum) -> dict[str, Document]:
    return {
        "tensor": item.tensor,
        "operator": item.operator,
        "variables": list(item.variables),
        "lengths": [str(length) for length in item.ranges],
        "samples": item.number,
    }


def _contraction(item: Contraction) -> dict[str, Document]:
    return {
        "tensor": item.tensor,
        "expression": item.expression,
        "path": [list(pair) for pair in item.path],
        "flops": item.flops,
        "largest": item.largest,
        "assumed": list(item.assumed),
    }
