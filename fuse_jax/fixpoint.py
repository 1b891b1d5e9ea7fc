"""Numeric fixpoints: rounds until no element changes, and their gradients by the implicit function theorem.

At a fixpoint x = f(x, a) a change of a moves x by the solution of u = J u + (df/da) da, with J = df/dx; backwards of
u = J' u + g (implicit differentiation: Christianson 1994, "Reverse accumulation and attractive fixed points").
Either is a fixpoint again, of a linear map, and is found in the same way; no round is kept.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fuse_jax.failures import remember
from fuse_jax.hostcall import host_look
from fuse_jax.schedule import Iteration
from fuse_jax.temperatures import of_rounds
from fuse_ref.config import ExecutionConfig
from fuse_ref.errors import FuseError
from fuse_ref.evaluate.fixpoint import History, change, diverges, tolerance
from fuse_ref.evaluate.temperatures import last_change

__all__ = ["Rounds", "check_rounds", "iterate"]

_State: TypeAlias = tuple[jax.Array, ...]  # of each tensor of the group
_One: TypeAlias = Callable[[_State, Mapping[str, jax.Array]], _State]  # a round, of the state and what is given
Rounds: TypeAlias = tuple[jax.Array, jax.Array]  # how many there were, the largest change of each of the last ones

_KEPT: Final = 4096  # changes that compiled code remembers; of more rounds the last


def iterate(
    item: Iteration, one: _One, given: Mapping[str, jax.Array], starts: _State, config: ExecutionConfig
) -> tuple[_State, Rounds | None]:
    """The fixpoint, and of compiled code what `check_rounds` has to look at.

    Args:
        one: a round.
        given: what all rounds read; gradients go to it.
        starts: of each tensor, before the first round.

    Raises:
        DivergenceError: where values are known: elements still change after `max_iters` rounds.
        LimitError: likewise, after `time_limit`.
    """
    still = {name: lax.stop_gradient(value) for name, value in given.items()}
    heat = of_rounds(config, item.heads, given)

    def numbered(state: _State, k: int | jax.Array) -> _State:
        return one(state, {**still, **heat(k)})

    if not any(isinstance(value, jax.core.Tracer) for value in (*given.values(), *starts)):
        # Outside of compiled code a loop of JAX's would be compiled for every call.
        return _at_once(item, numbered, starts, config), None
    found, rounds = _in_code(item, numbered, starts, still, config)
    return _with_gradient(one, {**given, **heat(rounds[0] - 1)}, found, config), rounds


def _at_once(item: Iteration, one: Callable[[_State, int], _State], state: _State, config: ExecutionConfig) -> _State:
    history = History(item.heads, item.span, config)
    while True:
        new = one(state, len(history.changes))
        with np.errstate(all="ignore"):  # infinities and NaN may be what it comes to
            largest = max(change(np.asarray(a), np.asarray(b)) for a, b in zip(new, state, strict=True))
        state = new
        if not history.goes_on(largest):
            return state


# Compiled code ----------------------------------------------------------------------------------


def _in_code(
    item: Iteration,
    one: Callable[[_State, jax.Array], _State],
    starts: _State,
    given: Mapping[str, jax.Array],
    config: ExecutionConfig,
) -> tuple[_State, Rounds]:
    least = last_change(config, item.heads)
    precision = next((value.dtype for value in starts if _floats(value)), np.dtype(np.float32))
    # Under shard_map a loop must begin with what varies over the same axes as what it makes.
    varying = functools.reduce(
        jnp.logical_or, [jnp.any(value != value) for value in given.values()], jnp.asarray(False)
    )
    starts = tuple(jnp.where(varying, value, value) for value in starts)
    changes = jnp.where(varying, 0, jnp.zeros(min(config.max_iters, _KEPT), precision))
    count = jnp.where(varying, 0, jnp.asarray(0, np.int32))
    largest = jnp.where(varying, jnp.inf, jnp.asarray(jnp.inf, precision))

    tol = tolerance(config.tol, config.precision)

    def goes_on(state: tuple[jax.Array, jax.Array, jax.Array, _State]) -> jax.Array:
        count, largest, _, _ = state
        moves = largest > tol
        return (moves | (count <= least) if least else moves) & (count < config.max_iters)

    def body(
        state: tuple[jax.Array, jax.Array, jax.Array, _State],
    ) -> tuple[jax.Array, jax.Array, jax.Array, _State]:
        count, _, changes, old = state
        new = one(old, count)
        moved = [_change(a, b).astype(precision) for a, b in zip(new, old, strict=True)]
        largest = functools.reduce(jnp.maximum, moved)
        return count + 1, largest, changes.at[count % len(changes)].set(largest), new

    count, _, changes, found = lax.while_loop(goes_on, body, (count, largest, changes, starts))
    return found, (count, changes)


def _change(new: jax.Array, old: jax.Array) -> jax.Array:
    """As `change` of the NumPy engine."""
    if not _floats(new):
        return jnp.any(new != old).astype(np.float32)
    same = (new == old) | (jnp.isnan(new) & jnp.isnan(old))
    step = jnp.where(same, 0, jnp.abs(new - old) / jnp.maximum(1, jnp.abs(new)))
    return jnp.max(jnp.where(jnp.isnan(step), jnp.inf, step), initial=0)


def check_rounds(item: Iteration, rounds: Rounds, config: ExecutionConfig) -> None:
    """Refuses a fixpoint that goes on: at once where the numbers are known, else when the compiled code runs.

    Raises:
        DivergenceError: from compiled code it comes as JAX's own error.
    """
    if config.on_divergence == "last":
        return
    look = functools.partial(_look, item, config)
    if not any(isinstance(value, jax.core.Tracer) for value in rounds):
        look(*map(np.asarray, rounds))
        return
    count, changes = map(lax.stop_gradient, rounds)
    went_on = (count >= config.max_iters) & (
        changes[(count - 1) % len(changes)] > tolerance(config.tol, config.precision)
    )
    # The host is asked where something is wrong only: a call of it takes longer than many a fixpoint.
    lax.cond(went_on, lambda: host_look(functools.partial(_remembering, look), count, changes), lambda: None)


def _look(item: Iteration, config: ExecutionConfig, count: np.ndarray, changes: np.ndarray) -> None:
    rounds, kept = int(count), [float(value) for value in changes]
    last = [kept[k % len(kept)] for k in range(max(0, rounds - len(kept)), rounds)]
    if rounds >= config.max_iters and last[-1] > tolerance(config.tol, config.precision):
        raise diverges(item.heads, item.span, last, rounds)


def _remembering(look: Callable[..., None], *values: np.ndarray) -> None:
    try:
        look(*values)
    except FuseError as error:
        remember(error)
        raise


# Gradients --------------------------------------------------------------------------------------


def _with_gradient(one: _One, given: Mapping[str, jax.Array], found: _State, config: ExecutionConfig) -> _State:
    """`found` as a function of what is given, of any order of derivative, forwards and backwards.

    Elements that are infinite have no slope; truth values and integers stand still.
    """
    places = [k for k, value in enumerate(found) if _floats(value)]
    if not places:
        return found
    found = tuple(lax.stop_gradient(value) for value in found)
    finite = [jnp.isfinite(found[k]) for k in places]

    def moved(state: _State) -> _State:
        whole = list(found)
        for k, value in zip(places, state, strict=True):
            whole[k] = value
        new = one(tuple(whole), given)
        return tuple(
            jnp.where(holds, value - new[k], value) for k, value, holds in zip(places, state, finite, strict=True)
        )

    def solved(map_: Callable[[_State], _State], wanted: _State) -> _State:
        solve = functools.partial(_linear, config=config)
        found: _State = lax.custom_linear_solve(map_, wanted, solve=solve, transpose_solve=solve)
        return found

    made = lax.custom_root(moved, tuple(found[k] for k in places), lambda f, guess: guess, solved)
    whole = list(found)
    for k, value in zip(places, made, strict=True):
        whole[k] = value
    return tuple(whole)


def _linear(map_: Callable[[_State], _State], wanted: _State, config: ExecutionConfig) -> _State:
    """u with map_(u) = wanted, for u - map_(u) that contracts; NaN where it does not within `max_iters` rounds.

    The tolerance is of the largest element of u: gradients may be small all over.
    """
    precision = wanted[0].dtype
    tol = max(config.tol / 100, (2 if precision.itemsize == 2 else 16) * float(jnp.finfo(precision).eps))

    def goes_on(state: tuple[jax.Array, jax.Array, _State]) -> jax.Array:
        count, left, _ = state
        return left & (count < config.max_iters)

    def body(state: tuple[jax.Array, jax.Array, _State]) -> tuple[jax.Array, jax.Array, _State]:
        count, _, u = state
        step = tuple(a - b for a, b in zip(wanted, map_(u), strict=True))
        u = tuple(a + b for a, b in zip(u, step, strict=True))
        return count + 1, _largest(step) > tol * _largest(u), u

    varying = _largest(wanted) < 0
    first = (jnp.where(varying, 0, jnp.asarray(0, np.int32)), ~varying, wanted)
    _, left, u = lax.while_loop(goes_on, body, first)
    return tuple(jnp.where(left, jnp.nan, value) for value in u)


def _largest(values: Sequence[jax.Array]) -> jax.Array:
    return functools.reduce(jnp.maximum, [jnp.max(jnp.abs(value), initial=0) for value in values])


def _floats(value: jax.Array) -> bool:
    return bool(jnp.issubdtype(value.dtype, jnp.floating))
