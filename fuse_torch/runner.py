"""`fuse_torch.compile`: a Runner on torch that also shows its graph and its module."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from os import PathLike
from typing import Any

import torch
from torch.fx import GraphModule

from fuse_ref.config import ExecutionConfig
from fuse_ref.evaluate.compiling import compile_program
from fuse_ref.evaluate.runner import Runner
from fuse_ref.evaluate.weighing import parameter_values
from fuse_ref.plan.steps import Plan
from fuse_ref.policies import RuntimePolicies
from fuse_ref.program import Program, as_program
from fuse_torch.devices import torch_device, torch_precision
from fuse_torch.engine import ENGINE, buffers_of
from fuse_torch.kept import kept_lowering
from fuse_torch.logic.parts import dense_parts
from fuse_torch.lowering.lower import graph_module
from fuse_torch.module import FuseModule

__all__ = ["TorchRunner", "compile"]


class TorchRunner(Runner):
    """A Runner on the torch engine; see `fuse_ref.Runner`."""

    _module: FuseModule | None = None
    _graphs: tuple[Plan, tuple[GraphModule, ...]] | None = None

    @property
    def module(self) -> FuseModule:
        """The program as a module with this Runner's parameters: training it changes what the Runner computes.

        Raises:
            AxisError: a parameter whose size only a call can tell.
        """
        with self._lock:
            if self._module is None:
                config = self._settings()
                module = FuseModule(
                    as_program(self._program),  # type: ignore[arg-type]
                    sizes=self._sizes,
                    hints=self._hints,
                    config=config,
                    policies=self._policies,
                )
                values = self._parameters(config)
                for name in self._plan.parameters:
                    getattr(module, module.names[name]).data = values[name]
                self._module = module
            return self._module

    @property
    def fx_graphs(self) -> tuple[GraphModule, ...]:
        """The program's exports as graphs of torch operations; without routed steps there is one, else one for each part.

        A graph takes the given tensors, then parameters and weights, by position or under their names
        (dots and primes as underscores), and returns the export, or a dict of several. It needs nothing of
        Fuse: it can be called, differentiated, transformed and saved on its own. It checks no shapes.
        """
        with self._lock:
            if self._graphs is None or self._graphs[0] is not self._plan:
                config = self._settings()
                exports, kept = self._plan.program.exports, self._cache.kept(self._plan)
                lowered = kept_lowering(self._plan, exports, kept, config)
                tensors = {tensor.name: tensor for tensor in self._plan.program.tensors}
                sources = {
                    name: ENGINE.asarray(array, tensors[name].dtype, config)
                    for name, array in self._sources.arrays.items()
                }
                device = torch_device(config.device) or torch.device("cpu")
                buffers = buffers_of(lowered, sources, config, torch_precision(config.precision), device)
                self._graphs = (self._plan, dense_parts(graph_module(lowered, buffers)))
            return self._graphs[1]

    def _settings(self) -> ExecutionConfig:
        """The settings with a precision that is known: that of the calls so far, or float32."""
        if self._config.precision != "auto":
            return self._config
        known = next(iter(self._prepared), "float32")
        return dataclasses.replace(self._config, precision=known)  # type: ignore[arg-type]

    def _parameters(self, config: ExecutionConfig) -> Mapping[str, torch.Tensor]:
        """The parameters that calls use, or will use."""
        prepared = self._prepared.get(config.precision)
        if prepared is not None:
            return prepared.fixed
        return parameter_values(self._plan, self._given, self._policies.store, ENGINE, config)

    def _ready(self, *arguments: Any, **named: Any) -> Any:
        prepared = super()._ready(*arguments, **named)
        if self._module is not None:
            for name in prepared.plan.parameters:
                parameter = getattr(self._module, self._module.names[name]).detach()
                if parameter.dtype == prepared.fixed[name].dtype:
                    prepared.fixed[name] = parameter
        return prepared


def compile(
    program: Program | str,
    *,
    config: ExecutionConfig | None = None,
    policies: RuntimePolicies | None = None,
    sizes: Mapping[str, int] | None = None,
    hints: Mapping[str, int] | None = None,
    device: str | None = None,
    cache_dir: str | PathLike[str] | None = None,
) -> TorchRunner:
    """A Runner on torch: `Program.compile(backend="torch")` with `.module` and `.fx_graphs`.

    Args:
        program: a `Program`, or its text.
        config, policies, sizes, hints, device, cache_dir: as of `Program.compile`.
    """
    runner = compile_program(
        as_program(program),
        backend="torch",
        config=config,
        policies=policies,
        sizes=sizes,
        hints=hints,
        device=device,
        cache_dir=cache_dir,
        kind=TorchRunner,
    )
    assert isinstance(runner, TorchRunner)
    return runner
