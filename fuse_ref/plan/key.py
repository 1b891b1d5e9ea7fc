"""A plan's identity, the same in every process."""

from __future__ import annotations

import hashlib

from fuse_ref.ir.json import digest
from fuse_ref.plan.steps import Plan

__all__ = ["plan_key"]


def plan_key(plan: Plan) -> str:
    """SHA-256 of all that decides what running the plan computes.

    Equal plans have equal keys whatever their text's layout: places in the text and reasons, which
    name lines, take no part; contraction orders do, since they decide rounding.
    """
    parts = (
        # Its repr would hold the lines that sizes come from.
        digest(plan.program),
        tuple(
            (step.kind, step.equations, step.route, step.operations, step.loop, step.recurrence, step.unsupported)
            for step in plan.steps
        ),
        plan.shapes,
        tuple((c.tensor, c.position, c.relation, c.expected) for c in plan.size_checks),
        tuple(c.length for c in plan.range_checks),
        plan.givens,
        plan.parameters,
        plan.sources,
        plan.weights,
        plan.streams,
    )
    # repr of frozen dataclasses is stable: field order is fixed and spans are left out of it.
    return hashlib.sha256(repr(parts).encode()).hexdigest()
