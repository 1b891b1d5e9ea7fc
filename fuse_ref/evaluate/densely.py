"""`logic="dense"`: rules as dense operations of an engine, wherever its arrays are."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fuse_ref.analysis.sizes import axes_of_letter
from fuse_ref.config import ExecutionConfig
from fuse_ref.evaluate.logic import relations_of
from fuse_ref.mistakes import mistake
from fuse_ref.plan.build import build_plan
from fuse_ref.plan.dense_logic import sizes_of_plan
from fuse_ref.plan.steps import Plan

__all__ = ["densely", "runs_densely", "within_limit", "without_rules"]


def runs_densely(config: ExecutionConfig) -> bool:
    """Whether the settings ask for rules that run natively, as truth values."""
    return config.logic == "dense" or (config.logic == "auto" and config.route == "native")


def densely(plan: Plan, config: ExecutionConfig) -> Plan:
    """`plan` without rules, where the settings ask for that; else itself."""
    return without_rules(plan, config) if runs_densely(config) else plan


def without_rules(plan: Plan, config: ExecutionConfig) -> Plan:
    """`plan` with dense operations in place of rules; itself where it has none."""
    if not relations_of(plan):
        return plan
    return build_plan(
        plan.program,
        sizes=dict(plan.sizes),
        # Hints are given by letters that are read alone; other axes are assumed to be as long as ever.
        hints={name: size for name, size in plan.hints if axes_of_letter(plan.program, name)},
        given=sizes_of_plan(plan),
        mode=config.mode,
        disabled_passes=config.left_out_passes,
        dense_logic=True,
        sampling=config.sampling,
    )


def within_limit(name: str, sizes: Sequence[int], limit: int) -> None:
    """Refuses truth values of a relation that would be too many.

    Args:
        limit: `dense_limit`.

    Raises:
        RouteError: a relation with more elements than `limit`.
    """
    elements = math.prod(sizes)
    if elements > limit:
        shape = " × ".join(map(str, sizes))
        reason = (
            f"{name} would have {shape} = {elements} truth values, more than dense_limit={limit}; "
            'logic="sparse" keeps tuples'
        )
        raise mistake("FUSE202", None, setting='logic="dense"', reason=reason)
