"""What schedules of temperatures say, also for an iteration that is traced."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from fuse_ref.config import ExecutionConfig
from fuse_ref.evaluate.temperatures import schedules_of, temperature_at, temperature_name, temperatures_at
from fuse_ref.schedules import Schedule

__all__ = ["of_rounds", "temperatures"]


def temperatures(config: ExecutionConfig, iteration: int | jax.Array) -> dict[str, float | jax.Array]:
    """The temperatures of one iteration, by `temperature_name`.

    Raises:
        ConfigError: a schedule that gives no temperature for an iteration that is known.
    """
    if not isinstance(iteration, jax.core.Tracer):
        return {**temperatures_at(config, int(iteration))}
    return {temperature_name(name): _traced(item, iteration) for name, item in schedules_of(config).items()}


def _traced(schedule: Callable[[int], float], iteration: jax.Array) -> jax.Array:
    if not isinstance(schedule, Schedule):
        return jnp.asarray(schedule(iteration), float)
    at = np.array([point for point, _ in schedule.points])
    values = np.array([value for _, value in schedule.points], np.float32)
    if schedule.ramps:
        return jnp.interp(iteration, at, values)
    return jnp.asarray(values)[jnp.maximum(jnp.searchsorted(jnp.asarray(at), iteration, side="right") - 1, 0)]


def of_rounds(
    config: ExecutionConfig, tensors: Collection[str], given: Mapping[str, jax.Array]
) -> Callable[[int | jax.Array], dict[str, jax.Array]]:
    """The temperatures of each round of a fixpoint of `tensors`, in the type that `given` has them in."""
    own = {name: item for name, item in schedules_of(config).items() if name in tensors}
    own = {name: item for name, item in own.items() if temperature_name(name) in given}
    tables: dict[str, jax.Array] = {}

    def at(k: int | jax.Array) -> dict[str, jax.Array]:
        found: dict[str, float | jax.Array] = {}
        for name, schedule in own.items():
            key = temperature_name(name)
            if not isinstance(k, jax.core.Tracer):
                found[key] = temperature_at(config, name, int(k))
            elif isinstance(schedule, Schedule):
                found[key] = _traced(schedule, k)
            else:
                # One's own function may look at its number: it is asked for all of them before.
                if key not in tables:
                    every = [temperature_at(config, name, number) for number in range(config.max_iters)]
                    with jax.ensure_compile_time_eval():
                        tables[key] = jnp.asarray(every)
                found[key] = tables[key][k]
        return {key: jnp.asarray(value, given[key].dtype) for key, value in found.items()}

    return at
