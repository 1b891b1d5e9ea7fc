"""Functions of NumPy that compiled code calls."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import numpy as np
from jax import lax
from jax.experimental.buffer_callback import buffer_callback

__all__ = ["host_call", "host_look"]


def host_call(
    function: Callable[..., Sequence[np.ndarray]],
    results: Sequence[jax.ShapeDtypeStruct],
    arguments: Sequence[jax.Array],
    *,
    vmap_method: Literal["expand_dims", "broadcast_all", "sequential"],
) -> tuple[jax.Array, ...]:
    """What `function`, of NumPy arrays, gives for `arguments`. It has no derivative.

    Args:
        function: pure; its results have the shapes and types of `results`, in order.
        vmap_method: what `function` gets under `vmap`: arguments with a dimension more, in front, of length 1
            where they are the same for all, or all of full length; or it is called once for each.
    """
    forms = tuple(results)

    def on_host(*values: jax.Array) -> tuple[jax.Array, ...]:
        # JAX copies arguments for the callback, and with a single processor the copy waits for the callback.
        made: tuple[jax.Array, ...] = jax.pure_callback(
            functools.partial(_of_arrays, function), forms, *values, vmap_method=vmap_method
        )
        return made

    def in_place(*values: jax.Array) -> tuple[jax.Array, ...]:
        call = buffer_callback(functools.partial(_of_buffers, function), forms, vmap_method=vmap_method)
        made: tuple[jax.Array, ...] = call(*values)
        return made

    found: tuple[jax.Array, ...] = lax.platform_dependent(*arguments, cpu=in_place, default=on_host)
    return found


def host_look(look: Callable[..., None], *values: jax.Array) -> None:
    """Shows `values` to `look` whenever compiled code has computed them; what it raises stops the run."""

    def seen(*arrays: np.ndarray) -> tuple[np.ndarray]:
        look(*arrays)
        return (np.array(True),)

    arguments = [lax.stop_gradient(value) for value in values]
    (done,) = host_call(seen, [jax.ShapeDtypeStruct((), bool)], arguments, vmap_method="sequential")
    # Something must depend on it, or it would not be computed; a truth value is copied at once.
    jax.debug.callback(_ignore, done)


def _ignore(done: jax.Array) -> None:
    pass


def _of_arrays(function: Callable[..., Sequence[np.ndarray]], *values: jax.Array) -> tuple[np.ndarray, ...]:
    return tuple(function(*map(np.asarray, values)))


def _of_buffers(
    function: Callable[..., Sequence[np.ndarray]], context: object, results: Sequence[Any], *values: Any
) -> None:
    # Copies: what the function keeps must outlive the memory of the compiled code.
    for result, made in zip(results, function(*[np.asarray(value).copy() for value in values]), strict=True):
        np.copyto(np.asarray(result), made)
