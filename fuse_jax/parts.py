"""A schedule in parts: compiled code, and between it the logic engine on the host."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

import jax
import jax.numpy as jnp

from fuse_jax.dense import run
from fuse_jax.logic import derive_now
from fuse_jax.relations import Held, padded_rows, room
from fuse_jax.schedule import Schedule, makes, needs
from fuse_ref.analysis.lengths import Length, evaluate
from fuse_ref.config import ExecutionConfig
from fuse_ref.evaluate.logic import LogicCall
from fuse_ref.relations.derive import RuleRun
from fuse_ref.relations.tuples import Tuples

__all__ = ["Part", "parts", "run_parts"]

_log = logging.getLogger("fuse.jax")

Shapes: TypeAlias = tuple[tuple[str, tuple[int, ...]], ...]


@dataclass(frozen=True, slots=True)
class _Code:
    """Dense operations that are compiled together."""

    reads: tuple[str, ...]  # of values from outside
    run: Callable[[dict[str, Held], Shapes], dict[str, Held]]  # shapes of the given tensors are static


@dataclass(frozen=True, slots=True)
class _Rules:
    """A call of the logic engine."""

    call: LogicCall
    plan: Schedule
    config: ExecutionConfig


Part: TypeAlias = _Code | _Rules


def parts(plan: Schedule, config: ExecutionConfig) -> tuple[Part, ...]:
    """The parts of a schedule, in order."""
    found: list[Part] = []
    waiting: list[int] = []
    for position, item in enumerate(plan.items):
        if not isinstance(item, LogicCall):
            waiting.append(position)
            continue
        if waiting:
            found.append(_code(plan, waiting, config))
        waiting = []
        found.append(_Rules(item, plan, config))
    if waiting:
        found.append(_code(plan, waiting, config))
    return tuple(found)


def _code(plan: Schedule, positions: Sequence[int], config: ExecutionConfig) -> _Code:
    items = [plan.items[position] for position in positions]
    made = {name for item in items for name in makes(item)}
    reads = tuple(dict.fromkeys(name for item in items for name in needs(item) if name not in made))
    later = {name for item in plan.items[positions[-1] + 1 :] for name in needs(item)} | set(plan.outputs)
    later.update(name for item in plan.iterations for name in item.told)
    gives = tuple(name for name in made if name in later)
    # Inside compiled code XLA knows how long a value is needed.
    own = replace(plan, items=tuple(items), releases=((),) * len(items), outputs=gives)

    def body(values: dict[str, Held], shapes: Shapes) -> dict[str, Held]:
        _log.info("compiling for %s", ", ".join(f"{name}{list(value.shape)}" for name, value in values.items()))
        made = run(own, values, config, shapes=dict(shapes), tells=True)
        return {name: made[name] for name in gives}

    return _Code(reads, jax.jit(body, static_argnums=1))


def run_parts(found: Sequence[Part], values: Mapping[str, Held]) -> tuple[dict[str, Held], tuple[RuleRun, ...]]:
    """Every value that is made, and what each rule did.

    Args:
        values: of every given tensor, all of them known.
    """
    made = dict(values)
    shapes = {name: tuple(value.shape) for name, value in values.items()}
    runs: list[RuleRun] = []

    def measure(length: Length) -> int:
        return evaluate(length, lambda tensor, position: shapes[tensor][position])

    for part in found:
        if isinstance(part, _Rules):
            relations, did = derive_now(part.call, made, part.plan, measure, part.config)
            made.update(relations)
            runs.extend(did)
        else:
            arguments = {name: _argument(made[name]) for name in part.reads}
            made.update(part.run(arguments, tuple(shapes.items())))
    return made, tuple(runs)


def _argument(value: Held) -> Held:
    """What compiled code takes: rows, for tuples that have arguments."""
    if not isinstance(value, Tuples):
        return value
    if not value.shape:
        return jnp.asarray(value.dense())
    return value.kept("rows of JAX", partial(padded_rows, value, room(len(value))))
