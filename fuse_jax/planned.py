"""One plan of a function, ready to run: a function has another for each set of relations whose tuples calls list."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping

import numpy as np

from fuse_jax.binding import InputBinder
from fuse_jax.checked import Watch
from fuse_jax.dense import run
from fuse_jax.native import asks_host, native_schedule, opened, small_enough
from fuse_jax.noise import Noise
from fuse_jax.relations import Held, arrays_of
from fuse_jax.schedule import Schedule, schedule
from fuse_jax.splitting import run_in_blocks
from fuse_ref.analysis.lengths import Length, evaluate
from fuse_ref.config import ExecutionConfig
from fuse_ref.evaluate.blocks import blocks_for, splits_of
from fuse_ref.evaluate.densely import runs_densely
from fuse_ref.evaluate.logic import as_dense, as_tuples
from fuse_ref.evaluate.streaming import result_names
from fuse_ref.evaluate.support import check_supported
from fuse_ref.ir.nodes import ProgramIR
from fuse_ref.mistakes import mistake
from fuse_ref.plan.checks import check_shapes
from fuse_ref.plan.sampling import is_seed
from fuse_ref.plan.steps import Plan
from fuse_ref.policies import RuntimePolicies
from fuse_ref.relations.tuples import Tuples

__all__ = ["Planned"]


class Planned:
    """A plan with all that is made of it once.

    Args:
        plan: what runs.
        program: with the symbols of files.
        parameters: their names; in the plan, one of open size counts as given.
        stored: parameters, weights and sources that are known.

    Attributes:
        plan: what runs.
        calls: the plan as calls see it: parameters are no givens.
        binder: matches calls to it.
        outputs: the values that its exports are, and those that the next run needs of its streams.
        schedule: its items in order.
        facts: of `stored`, relations whose tuples are read.
        constants: the others that are no parameters.
        seeds: values that samples are drawn with.

    Raises:
        RouteError: a step or a setting that this engine does not have yet.
    """

    def __init__(
        self,
        plan: Plan,
        program: ProgramIR,
        parameters: tuple[str, ...],
        stored: Mapping[str, np.ndarray | Tuples],
        config: ExecutionConfig,
        policies: RuntimePolicies,
    ) -> None:
        self.plan = plan
        self._config = config
        givens = tuple(name for name in plan.givens if name not in parameters)
        self.calls = dataclasses.replace(plan, program=program, givens=givens, parameters=parameters)
        self.binder = InputBinder(self.calls)
        self.outputs = (*map(plan.result, program.exports), *result_names(plan))
        self.schedule = schedule(plan, self.outputs, natively=runs_densely(config))
        self.facts = {name: as_tuples(array) for name, array in stored.items() if name in self.schedule.relations}
        self.constants = {
            name: as_dense(array, name, config)
            for name, array in stored.items()
            if name not in parameters and name not in self.facts
        }
        operations = (operation for step in plan.steps for operation in step.operations)
        self.seeds = tuple(operation.output.out for operation in operations if is_seed(operation))
        self._supported = self._without_unneeded()
        check_supported(self._supported, config, "jax", policies)
        self._splits = () if config.memory_limit is None else splits_of(self._supported, self.outputs)
        self._watch = Watch.of(plan) if config.checked else None

    @functools.cached_property
    def choices(self) -> frozenset[str]:
        """The given relations that this plan takes as truth values and another one may take as tuples.

        Under a `memory_limit` there are none: what a call holds is told by sizes before it runs.
        """
        if runs_densely(self._config) or self._config.memory_limit is not None:
            return frozenset()
        tensors = {tensor.name: tensor for tensor in self.calls.program.tensors}
        found = {name for name in self.calls.givens if tensors[name].boolean and tensors[name].axes}
        return frozenset(found) - self.schedule.relations

    def run(self, values: Mapping[str, Held], config: ExecutionConfig, noise: Noise | None) -> Mapping[str, Held]:
        """The exports, from values that `check` has passed; in blocks where `memory_limit` asks for them.

        Args:
            config: its precision is resolved.
        """
        shapes = {name: tuple(value.shape) for name, value in values.items()}
        blocks = None
        if config.memory_limit is not None and not self.schedule.logical and not self.schedule.relations:
            blocks = blocks_for(self._supported, self._splits, shapes, self.outputs, config)
        if blocks is None:
            plan, values = self._chosen(values)
            return run(plan, values, config, self._watch, noise)
        return run_in_blocks(
            blocks,
            lambda part, noise: arrays_of(run(self.schedule, part, config, self._watch, noise)),
            arrays_of(values),
            noise,
            self.outputs,
            watched=self._watch is not None,
        )

    def check(self, values: Mapping[str, Held]) -> None:
        """Refuses shapes that do not fit.

        Raises:
            AxisError: with both tensors and their sizes.
        """
        shapes = {name: tuple(value.shape) for name, value in values.items()}
        for name, array in self.constants.items():
            if shapes[name] != array.shape:
                span = self.plan.program.tensor(name).span
                raise mistake("FUSE279", span, name=name, got=shapes[name], expected=array.shape)
        check_shapes(self.plan, shapes)

    @functools.cached_property
    def _native(self) -> tuple[Schedule] | None:
        """The schedule that derives relations in compiled code; None where the settings leave no choice."""
        found = native_schedule(self.plan, self.outputs, self._config)
        return None if found is None else (found,)

    def _chosen(self, values: Mapping[str, Held]) -> tuple[Schedule, Mapping[str, Held]]:
        """What runs, and on which form of the values."""
        plan, limit = self.schedule, self._config.dense_limit
        if not asks_host(plan, values) or self._native is None:
            return plan, values
        (native,) = self._native
        shapes = {name: tuple(value.shape) for name, value in values.items()}
        if any(math.prod(shapes[name]) > limit for name in plan.relations if name in shapes):
            return plan, values

        def measure(length: Length) -> int:
            return evaluate(length, lambda tensor, position: shapes[tensor][position])

        return (native, opened(values, limit)) if small_enough(native, plan, shapes, measure) else (plan, values)

    def _without_unneeded(self) -> Plan:
        # Steps that no export needs, such as queries, do not run here; the others keep their numbers.
        needed = [
            step if step in self.schedule.routed else dataclasses.replace(step, unsupported="", route="dense")
            for step in self.plan.steps
        ]
        return dataclasses.replace(self.plan, steps=tuple(needed))
