"""Numeric fixpoints in a graph: one call each, which compiled code breaks at or has an operator for."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any, Protocol, cast

import torch
from torch.fx import Graph, Node

from fuse_ref.config import Breaks, ExecutionConfig
from fuse_ref.evaluate.temperatures import schedules_of, temperature_name
from fuse_ref.plan.iterating import start_of
from fuse_ref.plan.key import plan_key
from fuse_ref.plan.operations import DenseOperation
from fuse_ref.plan.steps import Plan, Step
from fuse_torch.fixpoint import Iteration, iterate, register
from fuse_torch.fixpoint_operator import iterate_opaquely
from fuse_torch.lowering.emitter import Emitter, Value, identifier
from fuse_torch.lowering.rounds import round_graph

__all__ = ["hide_fixpoints", "lower_fixpoint", "settings_of"]


class _Call(Protocol):
    iteration: Iteration

    def __call__(
        self, states: tuple[torch.Tensor, ...], given: tuple[torch.Tensor, ...]
    ) -> tuple[torch.Tensor, ...]: ...


def settings_of(plan: Plan, config: ExecutionConfig) -> tuple[object, ...]:
    """What of a configuration the code of a plan with fixpoints depends on."""
    if not any(step.loop and step.route == "numeric" for step in plan.steps):
        return ()
    return (config.max_iters, config.tol, config.on_divergence, config.time_limit, config.breaks, config.temperatures)


def lower_fixpoint(
    emit: Emitter,
    plan: Plan,
    step: Step,
    lower_one: Callable[[Emitter, DenseOperation], Value],
    config: ExecutionConfig,
) -> None:
    """Writes the call; each tensor of the group becomes a value of `emit`."""
    heads = step.writes
    graph, outer = round_graph(emit, plan, step, lower_one)
    starts = []
    for name in heads:
        sizes = tuple(emit.maximum(emit.size(length), 0) for length in plan.shape(name))
        starts.append(emit.full(sizes, start_of(plan.program, name), plan.program.tensor(name).dtype))
    equations = [plan.program.equations[number] for number in step.equations]
    settings = settings_of(plan, config)
    iteration = Iteration(
        key=f"{plan_key(plan)} {', '.join(heads)} {settings}",
        heads=heads,
        body=_function(heads, graph),
        config=config,
        span=step.span,
        equations="; ".join(" ".join(item.span.text.split()) for item in equations if item.span is not None),
        heats=_heats(emit, step, outer, config),
    )
    if iteration.heats:
        starts.append(emit.full((), 0, "int64"))
    register(iteration)
    found = emit.call(_call(iteration), tuple(starts), tuple(outer))
    for number, name in enumerate(heads):
        node = emit.call(operator.getitem, found, number)
        node._rename(identifier(name))
        start = float(start_of(plan.program, name))
        allowed = start if start in (float("inf"), float("-inf")) else 0.0
        node.meta["fuse_finite"] = ((name, name, allowed, None, (), ()),)
        emit.define(name, Value(node, plan.shape(name), plan.program.tensor(name).dtype))


def _heats(emit: Emitter, step: Step, outer: list[Node], config: ExecutionConfig) -> tuple[tuple[str, int], ...]:
    """Tensors of the group that have a schedule, with the places of their temperatures in `outer`."""
    found = []
    for name in schedules_of(config):
        known = emit.values.get(temperature_name(name)) if name in step.writes else None
        if known is not None and known.node in outer:
            found.append((name, outer.index(known.node)))
    return tuple(found)


def _function(heads: tuple[str, ...], graph: Graph) -> Callable[..., tuple[torch.Tensor, ...]]:
    code = graph.python_code("self")
    scope: dict[str, Any] = dict(code.globals)
    # Our own text: a program's names are in it as identifiers only.
    exec(compile(code.src, f"<fuse round of {', '.join(heads)}>", "exec"), scope)
    return cast(Callable[..., tuple[torch.Tensor, ...]], scope["forward"])


def _call(iteration: Iteration) -> Callable[..., tuple[torch.Tensor, ...]]:
    def run(states: tuple[torch.Tensor, ...], given: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return iterate(iteration, states, given)

    return _named(run, iteration)


def _named(run: Callable[..., Any], iteration: Iteration) -> Callable[..., Any]:
    # Generated code finds functions by their names, which must differ within a graph.
    name = "fixpoint_of_" + re.sub(r"\W", "_", "_".join(iteration.heads), flags=re.ASCII)
    run.__name__ = run.__qualname__ = name
    cast(_Call, run).iteration = iteration
    return run


def hide_fixpoints(graph: Graph, breaks: Breaks) -> bool:
    """Make the fixpoints of `graph` fit for compiled code; whether there are any."""
    found = False
    for node in graph.nodes:
        iteration = getattr(node.target, "iteration", None) if node.op == "call_function" else None
        if isinstance(iteration, Iteration):
            found = True
            node.target = _opaque(iteration) if breaks == "opaque" else _hidden(iteration)
    return found


def _hidden(iteration: Iteration) -> Callable[..., Any]:
    disable = torch.compiler.disable(reason=iteration.reason)
    run: Callable[..., Any] = disable(_call(iteration))
    return run


def _opaque(iteration: Iteration) -> Callable[..., Any]:
    in_python, key = _hidden(iteration), iteration.key

    def run(states: tuple[torch.Tensor, ...], given: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        if torch.compiler.is_compiling():
            return iterate_opaquely(key, states, given)
        # Hidden in eager mode too: a caller that Dynamo gave up may still have it look at what is called.
        made: tuple[torch.Tensor, ...] = in_python(states, given)
        return made

    return _named(run, iteration)
