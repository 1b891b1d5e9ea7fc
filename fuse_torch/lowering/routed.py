"""Streams in a graph that the NumPy engine runs: one call each, which compiled code breaks at or has an operator for."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any, Protocol, cast

import torch
from torch.fx import Graph

from fuse_ref.config import Breaks, ExecutionConfig
from fuse_ref.gradients.groups import StreamProgram, stream_program
from fuse_ref.plan.build import build_plan
from fuse_ref.plan.key import plan_key
from fuse_ref.plan.steps import Plan, Step
from fuse_torch.lowering.emitter import Emitter, Value, identifier
from fuse_torch.routing import Routed, register, run_stream
from fuse_torch.routing_operator import stream_opaquely

__all__ = ["hide_streams", "lower_stream", "why_native"]

_Tensors = tuple[torch.Tensor, ...]
LowerAlone = Callable[[Plan, tuple[str, ...]], Graph]


class _Call(Protocol):
    routed: Routed

    def __call__(self, tensors: _Tensors) -> _Tensors: ...


def why_native(plan: Plan, step: Step, config: ExecutionConfig) -> StreamProgram | str:
    """A stream as a program for the NumPy engine; a clause that says why torch runs it."""
    if step.route != "streaming":
        return "recurrences along stored axes are torch's own"
    if config.route == "native":
        return 'route="native"'
    if config.checked:
        return "checked=True looks at every value"
    return stream_program(plan, step)


def lower_stream(emit: Emitter, plan: Plan, step: Step, stream: StreamProgram, lower_alone: LowerAlone) -> None:
    """Writes the call; each stream that something else reads becomes a value of `emit`.

    Args:
        lower_alone: the graph of a plan of its own, without attributes.
    """
    assert step.recurrence is not None
    equations = [plan.program.equations[number] for number in step.equations]
    text = "; ".join(" ".join(item.span.text.split()) for item in equations if item.span is not None)
    alone = build_plan(stream.program.ir)
    key = f"{plan_key(alone)} {', '.join(stream.results)}"
    graph = lower_alone(alone, stream.results)
    routed = register(Routed(key, stream, text, _native(graph, alone, stream), alone))
    found = emit.call(_call(routed), tuple(emit.values[name].node for name, _ in stream.inputs))
    carries = {carry.output.out: carry for carry in step.recurrence.carries}
    for number, name in enumerate(stream.results):
        node = emit.call(operator.getitem, found, number)
        node._rename(identifier(name))
        emit.define(name, Value(node, carries[name].output.lengths, carries[name].output.dtype))


def _native(graph: Graph, alone: Plan, stream: StreamProgram) -> Callable[..., _Tensors]:
    """The graph as a function of the inputs in the order of `stream.inputs`."""
    code = graph.python_code("self")
    scope: dict[str, Any] = dict(code.globals)
    # Our own text: a program's names are in it as identifiers only.
    exec(compile(code.src, f"<fuse stream {', '.join(stream.results)}>", "exec"), scope)
    forward, places = scope["forward"], {name: k for k, (_, name) in enumerate(stream.inputs)}
    order = [places[name] for name in alone.givens]
    results = stream.results

    def run(owner: None, *tensors: torch.Tensor) -> _Tensors:
        made = forward(owner, *(tensors[k] for k in order))
        return (made,) if len(results) == 1 else tuple(made[name] for name in results)

    return run


def _call(routed: Routed) -> Callable[..., _Tensors]:
    def run(tensors: _Tensors) -> _Tensors:
        return run_stream(routed, tensors)

    return _named(run, routed)


def _named(run: Callable[..., Any], routed: Routed) -> Callable[..., Any]:
    # Generated code finds functions by their names, which must differ within a graph.
    name = "stream_of_" + re.sub(r"\W", "_", "_".join(routed.stream.results), flags=re.ASCII)
    run.__name__ = run.__qualname__ = name
    cast(_Call, run).routed = routed
    return run


def hide_streams(graph: Graph, breaks: Breaks) -> None:
    """Make the routed streams of `graph` fit for compiled code."""
    for node in graph.nodes:
        routed = getattr(node.target, "routed", None) if node.op == "call_function" else None
        if isinstance(routed, Routed):
            node.target = _opaque(routed) if breaks == "opaque" else _hidden(routed)


def _hidden(routed: Routed) -> Callable[..., Any]:
    disable = torch.compiler.disable(reason=routed.reason)
    run: Callable[..., Any] = disable(_call(routed))
    return run


def _opaque(routed: Routed) -> Callable[..., Any]:
    in_python, key = _hidden(routed), routed.key

    def run(tensors: _Tensors) -> _Tensors:
        if torch.compiler.is_compiling():
            return stream_opaquely(key, tensors)
        # Hidden in eager mode too: a caller that Dynamo gave up may still have it look at what is called.
        made: _Tensors = in_python(tensors)
        return made

    return _named(run, routed)
