"""Rounds of dense operations until nothing changes: relations that need each other, as truth values."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch.fx import Graph, Node, has_side_effect

from fuse_ref.mistakes import mistake
from fuse_ref.plan.operations import DenseOperation
from fuse_ref.plan.steps import Plan, Step
from fuse_torch.lowering.emitter import Emitter, Value, identifier
from fuse_torch.lowering.rounds import round_graph

__all__ = ["lower_limits", "lower_loop"]

_Round = Callable[..., tuple[torch.Tensor, ...]]


def lower_loop(emit: Emitter, plan: Plan, step: Step, lower_one: Callable[[Emitter, DenseOperation], Value]) -> None:
    """Writes the rounds of a step; each of its relations becomes a value of `emit`.

    Args:
        lower_one: writes an operation.
    """
    heads = step.writes
    graph, outer = round_graph(emit, plan, step, lower_one)
    starts: list[Node] = []
    for name in heads:
        sizes = tuple(emit.size(length) for length in plan.shape(name))
        starts.append(emit.full(sizes, False, "bool"))
    found = emit.call(_until_still(heads, graph), tuple(starts), tuple(outer))
    for number, name in enumerate(heads):
        node = emit.call(operator.getitem, found, number)
        node._rename(identifier(name))
        emit.define(name, Value(node, plan.shape(name), "bool"))


def lower_limits(emit: Emitter, plan: Plan, names: Iterable[str], limit: int) -> None:
    """Writes a look at how many truth values relations have; at once where every size is known.

    Raises:
        RouteError: more than `limit`, which is `dense_limit`.
    """
    for name in names:
        sizes = tuple(emit.size(length) for length in plan.shape(name))
        if all(isinstance(size, int) for size in sizes):
            within_limit(name, [size for size in sizes if isinstance(size, int)], limit)
        else:
            emit.call(within_limit, name, sizes, limit)


@has_side_effect
def within_limit(name: str, sizes: Sequence[int], limit: int) -> None:
    """
    Raises:
        RouteError: a relation with more elements than `limit`.
    """
    if math.prod(sizes) > limit:
        shape = " × ".join(map(str, sizes))
        reason = (
            f"{name} would have {shape} = {math.prod(sizes)} truth values, more than dense_limit={limit}; "
            'logic="sparse" keeps tuples'
        )
        raise mistake("FUSE202", None, setting='logic="dense"', reason=reason)


def _until_still(heads: Sequence[str], graph: Graph) -> Callable[..., tuple[torch.Tensor, ...]]:
    """The function that runs the rounds of `graph`: in eager mode a loop of Python, in compiled code one of torch's."""
    code = graph.python_code("self")
    scope: dict[str, Any] = dict(code.globals)
    # Our own text: a program's names are in it as identifiers only.
    exec(compile(code.src, f"<fuse round of {', '.join(heads)}>", "exec"), scope)
    forward = scope["forward"]

    def run(starts: tuple[torch.Tensor, ...], given: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        if torch.compiler.is_compiling():
            return _compiled_rounds(forward, starts, given)
        while True:
            found: tuple[torch.Tensor, ...] = forward(None, *starts, *given)
            if all(map(torch.equal, found, starts)):
                return found
            starts = found

    # Generated code finds functions by their names, which must differ within a graph.
    run.__name__ = run.__qualname__ = "rounds_of_" + re.sub(r"\W", "_", "_".join(heads), flags=re.ASCII)
    return run


def _compiled_rounds(
    forward: _Round, starts: tuple[torch.Tensor, ...], given: tuple[torch.Tensor, ...]
) -> tuple[torch.Tensor, ...]:
    # Loaded here: it brings Dynamo, which is there already where code is compiled.
    from torch._higher_order_ops import while_loop

    def changes(changed: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        return changed.clone()  # a result must be no argument

    def round_(changed: torch.Tensor, *values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        found = forward(None, *values, *given)
        changed = torch.zeros_like(changed)
        for new, old in zip(found, values, strict=True):
            changed = changed | (new & ~old).any()
        return (changed, *(new | old for new, old in zip(found, values, strict=True)))

    first = torch.ones((), dtype=torch.bool, device=starts[0].device)
    _, *found = while_loop(changes, round_, (first, *starts))
    return tuple(found)
