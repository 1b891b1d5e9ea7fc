"""The passes over Dynamo's graphs, in the order in which they run. A graph that none changes goes on as it came."""

from __future__ import annotations

from torch.fx import GraphModule

from fuse_torch.backend.options import Options
from fuse_torch.backend.passes import attention, replan
from fuse_torch.backend.passes.result import Pass, PassResult

__all__ = ["PASSES", "Pass", "PassResult", "run_passes"]


# Attention first: an order of its products across the scores would hide it.
PASSES: tuple[Pass, ...] = (
    Pass("attention", lambda options: options.attention, attention.run),
    Pass("replan", lambda options: options.replan, replan.run),
)


def run_passes(gm: GraphModule, options: Options, passes: tuple[Pass, ...] | None = None) -> tuple[PassResult, ...]:
    """Run the enabled passes over `gm`; a graph that none changes is handed on as it is."""
    results: list[PassResult] = []
    for item in PASSES if passes is None else passes:
        if item.enabled(options):
            results.append(item.run(gm))
    if any(result.fired for result in results):
        gm.graph.lint()
        gm.recompile()
    return tuple(results)
