"""One round of a fixpoint as a graph of its own."""

from __future__ import annotations

from collections.abc import Callable

from torch.fx import Graph, Node

from fuse_ref.plan.dataflow import reads
from fuse_ref.plan.dense_logic import following
from fuse_ref.plan.operations import Aggregate, DenseOperation
from fuse_ref.plan.steps import Plan, Step
from fuse_torch.logic.view import extents_of
from fuse_torch.lowering.emitter import Emitter, Value, identifier

__all__ = ["round_graph"]


def round_graph(
    emit: Emitter, plan: Plan, step: Step, lower_one: Callable[[Emitter, DenseOperation], Value]
) -> tuple[Graph, list[Node]]:
    """The graph of a step's round, and the nodes of `emit` that it takes after the tensors of the group.

    The last of them tells the run's precision and device.

    Args:
        lower_one: writes an operation.
    """
    heads = step.writes
    graph = Graph()
    inner = Emitter(graph)
    taken: set[str] = set()

    def taking(name: str) -> Node:
        """A parameter; two tensors may be one word as identifiers (`Grad_A~1` and `Grad_A_1`)."""
        word = identifier(name)
        while word in taken:
            word += "_"
        taken.add(word)
        return graph.placeholder(word)

    for name in heads:
        node = taking(name)
        inner.define(name, Value(node, plan.shape(name), plan.program.tensor(name).dtype))
    made = {*heads, *(operation.output.out for operation in step.loop)}
    sized = extents_of((step.loop, tuple(plan.shape(name) for name in heads)))
    arrays = dict.fromkeys(name for operation in step.loop for name in reads(operation) if name not in made)
    arrays.update(dict.fromkeys(sorted({extent.tensor for extent in sized} - set(emit.shapes))))
    outer: list[Node] = []
    for name in arrays:
        known = emit.values[name]
        outer.append(known.node)
        inner.define(name, Value(taking(name), known.lengths, known.dtype))
    for name in dict.fromkeys(item.relation for item in step.loop if isinstance(item, Aggregate)):
        outer.append(emit.tuples[name])
        inner.tuples[name] = taking(f"{name}_tuples")
    for name in sorted({extent.tensor for extent in sized} & set(emit.shapes)):
        outer.append(emit.shapes[name])
        inner.shapes[name] = taking(f"{name}_shape")
    assert emit.reference is not None
    outer.append(emit.reference)
    inner.reference = inner.anchor = taking("reference")
    for operation in step.loop:
        inner.define(operation.output.out, lower_one(inner, operation))
    graph.output(tuple(inner.values[following(name)].node for name in heads))
    graph.eliminate_dead_code()
    graph.lint()
    return graph, outer
