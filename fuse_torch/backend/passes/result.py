"""What a pass is, and what it says that it did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch.fx import GraphModule

from fuse_torch.backend.options import Options

__all__ = ["Pass", "PassResult"]


@dataclass(frozen=True, slots=True)
class PassResult:
    """What one pass did to one graph."""

    name: str
    fired: int  # how many places it changed
    saved: str = ""  # in words, with numbers: "2.1 of 4.3 GFLOP"
    refused: tuple[str, ...] = ()  # places that it looked at and left, each with the reason
    flops: int = 0  # saved, at the sizes of the first call
    bytes: int = 0  # of intermediate results that are not stored any more, at the sizes of the first call


@dataclass(frozen=True, slots=True)
class Pass:
    """One rewriting of a graph, in place.

    `run` returns what it did; with nothing to do it leaves the graph untouched and says `fired=0`.
    """

    name: str
    enabled: Callable[[Options], bool]
    run: Callable[[GraphModule], PassResult]
