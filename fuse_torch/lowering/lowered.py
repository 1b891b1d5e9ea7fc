"""What lowering gives: a graph, and what it takes from outside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch.fx import Graph, Node

from fuse_ref.analysis.lengths import Length
from fuse_ref.ir.nodes import Dtype, Tensor
from fuse_ref.plan.steps import LiteralArray, Plan, Stream
from fuse_torch.lowering.emitter import Emitter, Value, identifier

__all__ = ["PRECISION", "Lowered", "Slot", "carried_slots"]

PRECISION = "_precision"  # an empty float tensor: says which precision is meant where no other tensor does


@dataclass(frozen=True, slots=True)
class Slot:
    """A tensor that enters the graph."""

    tensor: Tensor
    variable: str  # the Python name of the placeholder
    node: Node


@dataclass(frozen=True, slots=True)
class Lowered:
    """The graph of a plan with what it takes from outside.

    The graph's placeholders are `givens`, then `states`, then `carried`. Its attributes are `literals`, `sources` and,
    when it is needed, `PRECISION`: tensors that the graph's owner holds as buffers.
    """

    plan: Plan  # with the givens that the outputs need, and the checks that speak of them
    graph: Graph
    givens: tuple[Slot, ...]  # values of each call, in the plan's order
    states: tuple[Slot, ...]  # parameters, then weights
    literals: tuple[tuple[str, LiteralArray], ...]  # attribute name -> values; arrays written in the program
    sources: tuple[tuple[str, str], ...]  # attribute name -> tensor that a file gives
    outputs: tuple[str, ...]  # one: the graph returns it; else a dict by name
    needs_precision: bool
    checked: Plan  # what is to be checked before the graph runs
    handles: tuple[str, ...] = ()  # of the givens, relations that the graph takes as they are given
    listed: frozenset[str] = frozenset()  # attributes of `sources` that hold positions, (count, arity)
    carried: tuple[Slot, ...] = ()  # of each stream the state that it goes on from, and whether it begins anew


def carried_slots(emit: Emitter, plan: Plan, stream: Stream) -> Iterator[Slot]:
    """Placeholders for what a run is given for a stream: the state, and whether nothing was before."""
    kinds: tuple[tuple[str, Dtype, tuple[Length, ...]], ...] = (
        (stream.state, stream.dtype, stream.lengths),
        (stream.fresh, "bool", ()),
    )
    for name, dtype, lengths in kinds:
        if name:
            node = emit.graph.create_node("placeholder", identifier(name), name=identifier(name))
            node.target = node.name
            emit.define(name, Value(node, lengths, dtype))
            axes = tuple(f"{name}~{k}" for k in range(len(lengths)))  # those of no program
            yield Slot(Tensor(name, axes, dtype == "bool", dtype, "free", "=", None, None, ()), node.name, node)
