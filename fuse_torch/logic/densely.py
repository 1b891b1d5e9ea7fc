"""`logic="dense"`: rules as dense operations of torch, wherever the tensors are."""

from __future__ import annotations

from fuse_ref.config import ExecutionConfig
from fuse_ref.evaluate.logic import relations_of
from fuse_ref.plan.build import build_plan
from fuse_ref.plan.dense_logic import sizes_of_plan
from fuse_ref.plan.steps import Plan

__all__ = ["densely", "runs_densely"]


def runs_densely(config: ExecutionConfig) -> bool:
    """Whether rules run natively: torch has them as truth values."""
    return config.logic == "dense" or (config.logic == "auto" and config.route == "native")


def densely(plan: Plan, config: ExecutionConfig) -> Plan:
    """`plan` without rules, where the settings ask for that; else itself."""
    if not runs_densely(config) or not relations_of(plan):
        return plan
    letters = {axis.name: axis for axis in plan.program.axes}
    return build_plan(
        plan.program,
        sizes=dict(plan.sizes),
        hints={name: size for name, size in plan.hints if name in letters},
        given=sizes_of_plan(plan),
        mode=config.mode,
        disabled_passes=config.left_out_passes,
        dense_logic=True,
    )
