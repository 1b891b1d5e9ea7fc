"""Registered functions in JAX: their own JAX version, or a callback to the NumPy one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np

from fuse_jax.hostcall import host_call
from fuse_ref.evaluate.registered import call_registered, check_shape, gradients_of
from fuse_ref.evaluate.registration import find_registered
from fuse_ref.mistakes import mistake

__all__ = ["apply_registered"]


def apply_registered(name: str, arguments: list[jax.Array]) -> jax.Array:
    """The registered function `name`: shape of the arguments together, all of one type.

    Raises:
        OperatorError: the function gave something of another shape.
    """
    function = find_registered(name).jax
    if function is not None:
        result = jnp.asarray(cast(jax.Array, function(*arguments)))
        check_shape(name, result.shape, jnp.broadcast_shapes(*(argument.shape for argument in arguments)))
        return result
    return _callback(name)(*jnp.broadcast_arrays(*arguments))


@functools.cache
def _callback(name: str) -> Callable[..., jax.Array]:
    """The NumPy function with its derivative; registered functions never change, so one serves all."""
    gradient = find_registered(name).gradient

    def run(*arguments: jax.Array) -> jax.Array:
        result = jax.ShapeDtypeStruct(arguments[0].shape, arguments[0].dtype)
        (value,) = host_call(host, [result], arguments, vmap_method="broadcast_all")
        return value

    def host(*arrays: np.ndarray) -> tuple[np.ndarray]:
        wide = [_wide(array) for array in arrays]
        return (call_registered(name, wide).astype(arrays[0].dtype),)

    if isinstance(gradient, str):
        derivative = gradient
        forward = jax.custom_jvp(run)

        @forward.defjvp
        def _(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
            return forward(*primals), tangents[0] * apply_registered(derivative, list(primals))

        return forward

    def host_gradient(*arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        *arguments, last = (_wide(array) for array in arrays)
        return tuple(array.astype(arrays[0].dtype) for array in gradients_of(name, arguments, last))

    def keep(*arguments: jax.Array) -> tuple[jax.Array, tuple[jax.Array, ...]]:
        return run(*arguments), arguments

    def back(arguments: tuple[jax.Array, ...], last: jax.Array) -> tuple[jax.Array, ...]:
        if gradient is None:
            raise mistake("FUSE220", name=name, what="gradient")
        results = tuple(jax.ShapeDtypeStruct(item.shape, item.dtype) for item in arguments)
        return host_call(host_gradient, results, (*arguments, last), vmap_method="broadcast_all")

    reverse = jax.custom_vjp(run)
    reverse.defvjp(keep, back)
    return reverse


def _wide(array: np.ndarray) -> np.ndarray:
    """Types that NumPy lacks become float32."""
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float32)
