"""Whether compiled code derives relations by itself: where they are small, that takes less time than to ask the host."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import jax

from fuse_jax.logic import Measure
from fuse_jax.relations import Held, concrete, dense
from fuse_jax.schedule import InOrder, Iteration, Rounds, Schedule, makes, needs, schedule
from fuse_ref.config import ExecutionConfig
from fuse_ref.evaluate.densely import within_limit, without_rules
from fuse_ref.evaluate.logic import LogicCall
from fuse_ref.plan.operations import DenseOperation
from fuse_ref.plan.steps import Plan
from fuse_ref.plan.substitution import operands

__all__ = ["asks_host", "native_schedule", "opened", "small_enough"]

# Combinations that one operation may look at; of one in a fixpoint, that each round may look at. Measured: a closure
# over 64 nodes took 0.1 ms and 2.0 ms on the host, over 128 0.4 ms and 2.3 ms, over 256 3.0 ms and 3.2 ms.
_ONCE: Final = 1 << 22
_EACH_ROUND: Final = 1 << 21


def native_schedule(plan: Plan, outputs: tuple[str, ...], config: ExecutionConfig) -> Schedule | None:
    """The schedule with dense operations in place of rules; None where the settings or the rules ask for the host."""
    asked = config.capacity is not None or config.time_limit is not None or config.memory_limit is not None
    if config.logic != "auto" or config.route != "auto" or config.mode == "demand" or config.checked or asked:
        return None
    found = schedule(without_rules(plan, config), outputs, natively=True)
    return None if found.routed or found.logical or found.counted else found


def asks_host(plan: Schedule, values: Mapping[str, Held]) -> bool:
    """Whether a run would call the host from compiled code: some rules read what is not known yet."""
    open_ = {name for name, value in values.items() if not concrete(value)}
    for item in plan.items:
        if open_.intersection(needs(item)):
            if isinstance(item, LogicCall):
                return True
            open_.update(makes(item))
    return False


def small_enough(plan: Schedule, instead: Schedule, shapes: Mapping[str, tuple[int, ...]], measure: Measure) -> bool:
    """Whether no operation that stands in place of rules looks at many combinations.

    Args:
        plan: with dense operations in place of rules.
        instead: with rules.
        shapes: of what is given.
    """
    common = frozenset(instead.operations)
    sizes = dict(shapes)
    for item in plan.items:
        assert not isinstance(item, LogicCall), "a native schedule has no rules"
        rounds = isinstance(item, Rounds | Iteration)
        for name in makes(item):
            if name in plan.shapes:
                sizes[name] = tuple(max(0, measure(length)) for length in plan.shapes[name])
        if isinstance(item, InOrder):
            continue  # its operations are the same with rules and without
        for operation in item.operations if isinstance(item, Rounds | Iteration) else (item,):
            looked_at = _combinations(operation, sizes, measure)
            if looked_at > (_EACH_ROUND if rounds else _ONCE) and operation not in common:
                return False
    return True


def _combinations(operation: DenseOperation, sizes: dict[str, tuple[int, ...]], measure: Measure) -> int:
    """How many combinations of positions an operation looks at; its result's sizes are noted."""
    output = operation.output
    own = sizes[output.out] = tuple(max(0, measure(length)) for length in output.lengths)
    lengths = dict(zip(output.labels, own, strict=True))
    for operand in operands(operation):
        lengths.update(zip(operand.labels, sizes[operand.value], strict=True))
    return math.prod(lengths.values())


def opened(values: Mapping[str, Held], limit: int) -> dict[str, jax.Array]:
    """The values with relations as truth values.

    Raises:
        RouteError: a relation with more elements than `limit`.
    """
    for name, value in values.items():
        if not isinstance(value, jax.Array):
            within_limit(name, tuple(value.shape), limit)
    return {name: dense(value) for name, value in values.items()}
