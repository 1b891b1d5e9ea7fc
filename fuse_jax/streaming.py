"""The state of streams, as values that a call takes and gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from fuse_jax.dtypes import Numbers
from fuse_jax.relations import Held
from fuse_ref.evaluate.streaming import state_shape
from fuse_ref.mistakes import mistake
from fuse_ref.plan.steps import Plan, Stream

__all__ = ["begun", "check_names", "first", "left"]

_CURE = "fn.initial_state() is the first state; a batch of another size has a state of its own"


def check_names(plan: Plan, state: Mapping[str, object]) -> None:
    """Refuses a state that names something else than the streams of the plan.

    Raises:
        InputError: naming it.
    """
    known = {name for stream in plan.streams if stream.state for name in (stream.tensor, stream.fresh)}
    for name in state:
        if name not in known:
            raise mistake("FUSE283", name=name)


def first(plan: Plan, shape_of: Callable[[str], tuple[int, ...]], numbers: Numbers) -> dict[str, jax.Array]:
    """The state where nothing was before.

    Args:
        shape_of: tells the shape of a given tensor that a stream's size comes from.
    """
    found: dict[str, jax.Array] = {}
    for stream in plan.streams:
        if stream.state:
            found[stream.tensor] = _initial(stream, state_shape(stream, shape_of), numbers)
        if stream.fresh:
            found[stream.fresh] = jnp.asarray(True)
    return found


def _initial(stream: Stream, shape: tuple[int, ...], numbers: Numbers) -> jax.Array:
    return jnp.full(shape, stream.neutral, numbers.dtype(stream.dtype))


def begun(
    plan: Plan,
    state: Mapping[str, object],
    started: Mapping[str, object],
    shapes: Mapping[str, tuple[int, ...]],
    numbers: Numbers,
) -> dict[str, jax.Array]:
    """What a run is given for the streams of its plan.

    Args:
        state: as `left` or `first` gave it; streams that it does not name begin anew.
        started: states by which others begin, without the virtual index.
        shapes: of everything else that the run is given.

    Raises:
        InputError: a state of another shape than this call needs.
    """
    found: dict[str, jax.Array] = {}
    for stream in plan.streams:
        name, dtype = stream.tensor, stream.dtype
        goes_on = name in state and name not in started
        if stream.state:
            shape = state_shape(stream, shapes.__getitem__)
            value = _initial(stream, shape, numbers)
            if goes_on:
                value = numbers.array(state[name], dtype, name)
                _check(name, value, shape)
            elif name in started:
                own = numbers.array(started[name], dtype, name)
                _check(name, own, shape[1:])
                value = value.at[-1].set(own)
            found[stream.state] = value
        if stream.fresh:
            fresh = state.get(stream.fresh, False) if goes_on else True
            found[stream.fresh] = jnp.asarray(fresh, bool)
    return found


def _check(name: str, value: jax.Array, shape: tuple[int, ...]) -> None:
    if value.shape != shape:
        raise mistake("FUSE215", None, cure=_CURE, name=name, got=value.shape, expected=shape)


def left(plan: Plan, made: Mapping[str, Held]) -> dict[str, jax.Array]:
    """The state for the next run."""
    found: dict[str, jax.Array] = {}
    for stream in plan.streams:
        if stream.kept:
            value = made[stream.kept]
            assert isinstance(value, jax.Array)
            found[stream.tensor] = value
        if stream.fresh:
            found[stream.fresh] = jnp.asarray(False)
    return found
