"""Logical steps: on the host at once where everything is known, else by one callback of the compiled code."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import jax
import numpy as np
from jax import lax

from fuse_jax.failures import remember
from fuse_jax.hostcall import host_call
from fuse_jax.relations import Held, Padded, concrete, host, padded, position_type
from fuse_jax.schedule import Schedule
from fuse_ref.analysis.lengths import Length
from fuse_ref.config import ExecutionConfig
from fuse_ref.errors import FuseError
from fuse_ref.evaluate.logic import LogicCall
from fuse_ref.mistakes import mistake
from fuse_ref.relations.derive import RuleRun
from fuse_ref.relations.tuples import Tuples
from fuse_ref.source import Span

__all__ = ["Measure", "check_capacity", "derive", "derive_now"]

Measure: TypeAlias = Callable[[Length], int]  # the number that a length is in this call

_LEAST: Final = 1 << 16  # tuples that there is always room for
_TIMES: Final = 4  # so many times the tuples of what rules read is the room that a relation has by default
# Elements up to which truth values are taken instead, which hold any number of tuples: of a relation whose tuples
# are combined, and of one that is multiplied only, where they are a matrix.
_COMBINED: Final = 1 << 18
_MULTIPLIED: Final = 1 << 22

Given: TypeAlias = Mapping[str, Held]


def shapes_of(call: LogicCall, plan: Schedule, measure: Measure) -> dict[str, tuple[int, ...]]:
    """The shape of every head."""
    return {name: tuple(max(0, measure(length)) for length in plan.shapes[name]) for name in call.heads}


def derive(call: LogicCall, given: Given, plan: Schedule, measure: Measure, config: ExecutionConfig) -> dict[str, Held]:
    """The relations that a call of the logic engine makes.

    Args:
        given: what the call reads: relations in any form, and dense arrays.

    Raises:
        CapacityError: more tuples than there is room for; from compiled code it comes as JAX's own error.
    """
    # Truth has no slope: what compares numbers passes no gradient on, and the engine needs none.
    still = {name: lax.stop_gradient(value) if isinstance(value, jax.Array) else value for name, value in given.items()}
    if all(map(concrete, still.values())):
        known: dict[str, Held] = {**derive_now(call, still, plan, measure, config)[0]}
        return known
    return _called_back(call, still, plan, measure, config)


def derive_now(
    call: LogicCall, given: Given, plan: Schedule, measure: Measure, config: ExecutionConfig
) -> tuple[dict[str, Tuples], tuple[RuleRun, ...]]:
    """The same on the host, from values that are known; and what each rule did."""
    values: dict[str, object] = {name: host(given[name]) for name in call.relations}
    values |= {name: np.asarray(given[name]) for name in call.tensors}
    derived = call.run(values, shapes_of(call, plan, measure), measure, config)
    made = {name: derived.relations[name] for name in call.heads if name in plan.read}
    for name, tuples in made.items():
        check_capacity(name, len(tuples), _asked(name, config), plan.spans.get(name))
    return made, derived.runs


def check_capacity(name: str, count: int, capacity: int | None, span: Span | None) -> None:
    """Refuses more tuples than there is room for.

    Raises:
        CapacityError: naming the relation, the number of its tuples and the setting.
    """
    if capacity is not None and count > capacity:
        raise mistake("FUSE289", span, name=name, count=count, capacity=capacity)


def _asked(name: str, config: ExecutionConfig) -> int | None:
    """The capacity that the configuration gives a relation."""
    if isinstance(config.capacity, Mapping):
        return config.capacity.get(name)
    return config.capacity


# Inside compiled code ---------------------------------------------------------------------------


def _called_back(
    call: LogicCall, given: Given, plan: Schedule, measure: Measure, config: ExecutionConfig
) -> dict[str, Held]:
    shapes = shapes_of(call, plan, measure)
    wanted = [name for name in call.heads if name in plan.read]
    read = sum(_size(given[name]) for name in call.relations)
    rooms = {name: _room(name, shapes[name], plan, read, config) for name in wanted}
    # What is known already is no argument of the callback: it stays on the host as it is.
    known = {name: value for name, value in given.items() if isinstance(value, Tuples)}
    arguments = {name: value for name, value in given.items() if name not in known}
    leaves, tree = jax.tree.flatten(arguments)
    forms = [_forms(shapes[name], capacity) for name, capacity in rooms.items()]
    answer = _Answer(call, known, plan, shapes, rooms, measure, config, tree, tuple(leaf.ndim for leaf in leaves))
    made = iter(host_call(answer, [form for own in forms for form in own], leaves, vmap_method="expand_dims"))
    found: dict[str, Held] = {}
    for name, own in zip(rooms, forms, strict=True):
        columns = tuple(next(made) for _ in own)
        found[name] = columns[0] if rooms[name] is None else Padded(columns, shapes[name], distinct=True)
    return found


def _size(value: Held) -> int:
    """The tuples that a relation has at most, before anybody counts."""
    match value:
        case Tuples():
            return len(value)
        case Padded():
            return value.capacity
        case _:
            return math.prod(value.shape)


def _room(name: str, shape: tuple[int, ...], plan: Schedule, read: int, config: ExecutionConfig) -> int | None:
    """The rows that a relation comes back in; None where it comes back as truth values."""
    elements = math.prod(shape)
    asked = _asked(name, config)
    if not shape:
        return None
    if asked is not None:
        return min(asked, elements)
    few = _MULTIPLIED if name in plan.summed else _COMBINED if name in plan.counted else config.dense_limit
    if elements <= min(few, config.dense_limit):
        return None
    return min(elements, max(_LEAST, _TIMES * read))


def _forms(shape: tuple[int, ...], capacity: int | None) -> list[jax.ShapeDtypeStruct]:
    """The arrays in which a relation comes back."""
    if capacity is None:
        return [jax.ShapeDtypeStruct(shape, bool)]
    return [jax.ShapeDtypeStruct((capacity,), position_type(shape)) for _ in shape]


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the callback gives."""

    call: LogicCall
    known: Mapping[str, Tuples]
    plan: Schedule
    shapes: Mapping[str, tuple[int, ...]]
    rooms: Mapping[str, int | None]
    measure: Measure
    config: ExecutionConfig

    tree: jax.tree_util.PyTreeDef  # of the arguments
    plain: tuple[int, ...]  # their numbers of dimensions, without those that `vmap` puts in front

    def __call__(self, *arrays: np.ndarray) -> list[np.ndarray]:
        """The results, with the dimensions that `vmap` put in front of the arguments."""
        fronts = [array.shape[: array.ndim - count] for array, count in zip(arrays, self.plain, strict=True)]
        batch = np.broadcast_shapes(*fronts)
        try:
            if not batch:
                return self.one(arrays)
            found = []
            for place in np.ndindex(*batch):
                own = [
                    array[tuple(0 if size == 1 else at for at, size in zip(place, front, strict=True))]
                    for array, front in zip(arrays, fronts, strict=True)
                ]
                found.append(self.one(own))
        except FuseError as error:
            remember(error)
            raise
        if not found:
            forms = [form for name, room in self.rooms.items() for form in _forms(self.shapes[name], room)]
            return [np.empty((*batch, *form.shape), form.dtype) for form in forms]
        return [np.stack(parts).reshape(*batch, *parts[0].shape) for parts in zip(*found, strict=True)]

    def one(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The results for one set of arguments."""
        given: dict[str, Held] = {**self.known, **jax.tree.unflatten(self.tree, arrays)}
        known: dict[str, object] = {name: host(given[name]) for name in self.call.relations}
        known |= {name: given[name] for name in self.call.tensors}
        derived = self.call.run(known, self.shapes, self.measure, self.config)
        made: list[np.ndarray] = []
        for name, capacity in self.rooms.items():
            tuples = derived.relations[name]
            if capacity is None:
                made.append(tuples.dense())
                continue
            check_capacity(name, len(tuples), capacity, self.plan.spans.get(name))
            made.extend(padded(tuples, capacity))
        return made
