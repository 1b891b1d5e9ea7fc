"""The JAX engine of a Runner: a plan compiled once for each set of input shapes and types."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from fuse_jax.checked import Watch
from fuse_jax.dense import run
from fuse_jax.dtypes import numbers_of
from fuse_jax.failures import on_one_device
from fuse_jax.fixpoint import check_rounds
from fuse_jax.kept import KeptCode, can_be_kept
from fuse_jax.parts import Part, parts, run_parts
from fuse_jax.relations import Held, concrete, dense, host
from fuse_jax.schedule import schedule
from fuse_ref.config import ExecutionConfig
from fuse_ref.evaluate.densely import densely, runs_densely, within_limit
from fuse_ref.evaluate.entries import Kept
from fuse_ref.evaluate.logic import relations_of
from fuse_ref.evaluate.support import check_supported
from fuse_ref.ir.json import Json
from fuse_ref.ir.nodes import Dtype
from fuse_ref.plan.steps import Plan
from fuse_ref.relations.derive import RuleRun
from fuse_ref.relations.tuples import Tuples
from fuse_ref.weights.arrays import numpy_array

__all__ = ["ENGINE", "JaxEngine", "JaxExecutable"]

_log = logging.getLogger("fuse.jax")


class JaxExecutable:
    """A plan made ready to run. Safe to call from several threads.

    What lies between two calls of the logic engine is compiled as one; relations pass it on the host, or
    as rows with room for more, so that other facts of about as many tuples run the same code.
    """

    def __init__(self, plan: Plan, config: ExecutionConfig, outputs: tuple[str, ...], kept: Kept | None = None) -> None:
        self._config = config
        self._outputs = outputs
        # The values of a run are those of the plan as it was made: relations come as tuples.
        self._opened = relations_of(plan) if runs_densely(config) else frozenset()
        plan = densely(plan, config)
        self._schedule = schedule(plan, outputs, natively=bool(self._opened))
        self._local = threading.local()
        self._numbers = {step.writes: number for number, step in enumerate(plan.steps, 1) if step.loop}
        self._watch = Watch.of(plan) if config.checked else None
        # A checked run goes operation by operation, to stop at the first that is wrong.
        self._call: Callable[[dict[str, Held]], dict[str, Held]]
        self._call = self._run if config.checked else jax.jit(self._trace)
        self._parts: tuple[Part, ...] = ()
        if not config.checked and (self._schedule.logical or self._schedule.counted):
            self._parts = parts(self._schedule, config)
        if kept is not None:
            reason = can_be_kept(self._schedule, config)
            if reason:
                _log.info("compiled code is not kept: %s", reason)
            else:
                settings: list[Json] = [config.precision, config.device]
                if self._schedule.iterations:
                    settings += [config.tol, config.max_iters]
                told = tuple(name for item in self._schedule.iterations for name in item.told)
                self._call = KeptCode(self._trace, (*outputs, *told), kept, settings)

    def __call__(self, values: Mapping[str, Held]) -> dict[str, Held]:
        """The outputs by name; every value is an argument of the compiled code, weights and sources too."""
        if self._opened:
            values = {
                name: self._open(name, value) if name in self._opened else value for name, value in values.items()
            }
        with on_one_device(values):
            if self._parts and all(map(concrete, values.values())):
                made, self._local.runs = run_parts(self._parts, values)
            else:
                made = self._call(dict(values))
        if self._schedule.iterations:
            self._local.iterations = self._rounds(made)
        return {name: made[name] for name in self._outputs}

    @property
    def iterations(self) -> dict[int, int]:
        """Step number from 1 -> rounds of its fixpoint in this thread's last call."""
        return dict(getattr(self._local, "iterations", {}))

    def _rounds(self, made: Mapping[str, Held]) -> dict[int, int]:
        """Refuses fixpoints that go on; the rounds of the others."""
        found: dict[int, int] = {}
        for item in self._schedule.iterations:
            count, changes = (made.get(name) for name in item.told)
            if isinstance(count, jax.Array) and isinstance(changes, jax.Array):
                check_rounds(item, (count, changes), self._config)
                if concrete(count):
                    found[self._numbers[item.heads]] = int(count)
        return found

    @property
    def rule_runs(self) -> tuple[RuleRun, ...]:
        """What each rule did in this thread's last call, as far as rules ran on the host."""
        return tuple(getattr(self._local, "runs", ()))

    def _open(self, name: str, value: Held) -> jax.Array:
        if isinstance(value, Tuples):
            within_limit(name, value.shape, self._config.dense_limit)
        return dense(value)

    def _trace(self, values: dict[str, Held]) -> dict[str, Held]:
        _log.info("compiling for %s", ", ".join(f"{name}{list(value.shape)}" for name, value in values.items()))
        return self._run(values)

    def _run(self, values: dict[str, Held]) -> dict[str, Held]:
        made = run(self._schedule, values, self._config, self._watch, tells=True)
        told = [name for item in self._schedule.iterations for name in item.told if name in made]
        return {name: made[name] for name in (*self._outputs, *told)}


class JaxEngine:
    """What `Program.compile(backend="jax")` runs on."""

    name: Literal["jax"] = "jax"

    def prepare(
        self, plan: Plan, config: ExecutionConfig, outputs: tuple[str, ...], kept: Kept | None = None
    ) -> JaxExecutable:
        """Makes `plan` ready; compilation waits for the first call's shapes, and `kept` has compiled code.

        Raises:
            RouteError: a step, or a setting, that this engine does not have yet.
            ConfigError: float64 while JAX has 64-bit numbers switched off.
        """
        check_supported(plan, config, self.name)
        numbers_of(config)
        return JaxExecutable(plan, config, outputs, kept)

    def asarray(self, value: object, dtype: Dtype, config: ExecutionConfig) -> Held:
        """`value` as a JAX array that shares no memory with it, on the run's device; tuples stay on the host."""
        if isinstance(value, Tuples):
            return value
        return numbers_of(config).array(value, dtype, "an input")

    def to_numpy(self, array: Held) -> np.ndarray | Tuples:
        """A read-only NumPy array of the same values, bfloat16 as float32, or the tuples of a relation."""
        return numpy_array(array) if isinstance(array, jax.Array) else host(array)

    def concatenate(self, arrays: Sequence[jax.Array], axis: int) -> jax.Array:
        """Arrays one after another along `axis`."""
        return jnp.concatenate(arrays, axis)


ENGINE = JaxEngine()
