"""Lowered graphs kept between processes: `compile(cache_dir=…)`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

import torch

from fuse_ref.config import ExecutionConfig
from fuse_ref.evaluate.densely import runs_densely
from fuse_ref.evaluate.entries import Kept, Kind, state_of
from fuse_ref.evaluate.logic import relations_of
from fuse_ref.plan.steps import Plan
from fuse_torch.logic.crossing import Form
from fuse_torch.lowering.document import NotAGraph, graph_from_json, graph_to_json
from fuse_torch.lowering.lower import Lowered, lower

__all__ = ["kept_lowering"]

GRAPHS: Final = Kind("graphs", "graph", "fuse-graph 1", 256 * 2**20)


def kept_lowering(
    plan: Plan, outputs: tuple[str, ...], kept: Kept | None, config: ExecutionConfig, form: Form = "dense"
) -> Lowered:
    """`lower(plan, outputs, …)`, from disk where an earlier process kept it; one with rules or loops is not."""
    if relations_of(plan) or runs_densely(config) or any(step.loop or step.recurrence for step in plan.steps):
        return lower(plan, outputs, config=config, form=form)
    if kept is None:
        return lower(plan, outputs)
    entries = kept.entries(GRAPHS)
    key = entries.key(kept.plan, outputs, _software())
    found = entries.read(key, lambda body: graph_from_json(json.loads(body), plan, outputs))
    if found is not None:
        return found
    lowered = lower(plan, outputs)
    try:
        body = json.dumps(graph_to_json(lowered), ensure_ascii=True, separators=(",", ":"))
    except NotAGraph as error:
        entries.leave(key, str(error))
    else:
        entries.write(key, body.encode())
    return lowered


@cache
def _software() -> Sequence[str]:
    return [torch.__version__, *state_of(Path(__file__).parent)]
