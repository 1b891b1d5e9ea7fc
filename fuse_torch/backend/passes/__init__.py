"""The passes over Dynamo's graphs, in the order in which they run. There are none yet: graphs go on as they came."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch.fx import GraphModule

from fuse_torch.backend.options import Options

__all__ = ["PASSES", "Pass", "PassResult", "run_passes"]


@dataclass(frozen=True, slots=True)
class PassResult:
    """What one pass did to one graph."""

    name: str
    fired: int  # how many places it changed
    saved: str = ""  # in words, with numbers: "2.1 of 4.3 GFLOPs"


@dataclass(frozen=True, slots=True)
class Pass:
    """One rewriting of a graph, in place.

    `run` returns what it did; with nothing to do it leaves the graph untouched and says `fired=0`.
    """

    name: str
    enabled: Callable[[Options], bool]
    run: Callable[[GraphModule], PassResult]


PASSES: tuple[Pass, ...] = ()


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
