"""The `forward` of a module as Python code: bind the call's values, check them, run the graph.

Everything stands in one straight-line function per program, because Dynamo caches per code object:
through one shared function, the ninth program would run uncompiled. Modules with equal plans share
the function, so twelve equal layers compile once.
"""

from __future__ import annotations

import linecache
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch.fx.graph import CodeGen

from fuse_ref.config import ExecutionConfig
from fuse_ref.evaluate.densely import runs_densely
from fuse_ref.evaluate.logic import relations_of
from fuse_ref.evaluate.streaming import result_names
from fuse_ref.plan.key import plan_key
from fuse_ref.plan.steps import Plan
from fuse_torch import refusal
from fuse_torch.logic.hidden import hide_crossings
from fuse_torch.lowering.checked import with_checks
from fuse_torch.lowering.fixpoint import hide_fixpoints, settings_of
from fuse_torch.lowering.listing import NOTHING, Listing
from fuse_torch.lowering.lower import Lowered, lower
from fuse_torch.lowering.prologue import Prologue
from fuse_torch.lowering.routed import hide_streams
from fuse_torch.lowering.stateful import leave_lines
from fuse_torch.splitting import Splitting, splitting_of
from fuse_torch.splitting import register as register_splitting

__all__ = ["Forward", "forward_of"]


@dataclass(frozen=True, slots=True)
class Forward:
    """The generated function of one plan."""

    function: Callable[..., Any]  # forward(self, …)
    source: str
    lowered: Lowered
    owns_precision: bool  # the module needs a buffer `PRECISION`
    splitting: Splitting | None  # how calls obey a memory limit


@dataclass(frozen=True, slots=True)
class _Variant:
    key: str  # of the plan
    carry: bool
    checked: bool
    memory_limit: int | None
    settings: tuple[object, ...]  # of rules and fixpoints
    listing: Listing

    @property
    def splitting_key(self) -> str:
        return f"{self.key} {self.checked} {self.memory_limit}"


_FORWARDS: dict[_Variant, Forward] = {}
_LOCK = threading.Lock()


def forward_of(
    plan: Plan,
    attributes: Mapping[str, str],
    config: ExecutionConfig,
    *,
    carry: bool,
    listing: Listing = NOTHING,
) -> Forward:
    """The function for `plan`, made once in this process.

    Args:
        attributes: module name of every parameter and weight.
        config: how the module executes.
        carry: the function takes `state=` and returns (result, new state).
        listing: which relations come as tuples, and which may.
    """
    # Plans for listed tuples have calls that depend on these settings, and this plan's function leads to them.
    logical = relations_of(plan) or runs_densely(config) or listing.choices
    crossing = (config.breaks, config.dense_limit, config.time_limit, runs_densely(config)) if logical else ()
    streaming = (config.route, config.breaks) if plan.streams else ()
    settings = (*crossing, *streaming, settings_of(plan, config))
    variant = _Variant(plan_key(plan), carry, config.checked, config.memory_limit, settings, listing)
    with _LOCK:
        found = _FORWARDS.get(variant)
        if found is None:
            found = _generate(plan, attributes, config, variant)
            _FORWARDS[variant] = found
        return found


def _generate(plan: Plan, attributes: Mapping[str, str], config: ExecutionConfig, variant: _Variant) -> Forward:
    taken = frozenset(attributes.values())
    outputs = (*dict.fromkeys(map(plan.result, plan.program.exports)), *result_names(plan))
    lowered = lower(plan, outputs, taken, config, inline=bool(variant.listing.listed))
    crosses = hide_crossings(lowered.graph, config.breaks)
    hide_fixpoints(lowered.graph, config.breaks)
    hide_streams(lowered.graph, config.breaks)
    if variant.checked:
        with_checks(lowered)
    refusal.register(variant.key, lowered.checked)
    # Rules obey the limit themselves.
    limit = None if crosses else variant.memory_limit
    splitting = None if limit is None else splitting_of(lowered, limit)
    if splitting is not None:
        register_splitting(variant.splitting_key, splitting)
    listing, key = variant.listing, variant.splitting_key
    prologue = Prologue(lowered, attributes, variant.key, listing, splitting, key, carry=variant.carry)
    lowered.graph.set_codegen(_ForwardCode(prologue))
    made = lowered.graph.python_code("self")
    filename = f"<fuse {', '.join(plan.program.exports)} {variant.key[:12]}.{len(_FORWARDS)}>"
    scope: dict[str, Any] = {**made.globals, **prologue.scope}
    exec(compile(made.src, filename, "exec"), scope)  # our own text: a program's names are in it as identifiers only
    linecache.cache[filename] = (len(made.src), None, made.src.splitlines(keepends=True), filename)
    return Forward(scope["forward"], made.src, lowered, prologue.owns_precision, splitting)


class _ForwardCode(CodeGen):
    """FX code generation with our signature and prologue in front of the graph's lines."""

    def __init__(self, prologue: Prologue) -> None:
        super().__init__()
        self._prologue = prologue

    def gen_fn_def(self, free_vars: list[str], maybe_return_annotation: str, *, expanded_def: bool = False) -> str:
        return "\n    ".join([self._prologue.signature(), *self._prologue.lines()])

    def generate_output(self, output_args: Any, *, descs: Any = None, repr_fn: Callable[[object], str] = repr) -> str:
        if self._prologue.streams:
            outputs = self._prologue.lowered.outputs
            found = output_args if len(outputs) > 1 else {outputs[0]: output_args}
            texts = {name: repr_fn(node) for name, node in found.items()}
            return "\n".join(leave_lines(self._prologue, texts))
        text = repr_fn(output_args)
        return f"return {text}, {{}}" if self._prologue.carry else f"return {text}"
