"""NumPy called by compiled code."""

from __future__ import annotations

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fuse_jax.hostcall import host_call


def doubled(x: jax.Array) -> jax.Array:
    return host_call(lambda a: (a * 2,), [jax.ShapeDtypeStruct(x.shape, x.dtype)], [x], vmap_method="expand_dims")[0]


@pytest.mark.parametrize("shape", [(5,), (2, 3), (), (0, 2)])
def test_it_is_called_wherever_code_runs(shape) -> None:
    x = jnp.arange(np.prod(shape, dtype=int), dtype=jnp.float32).reshape(shape)
    for call in (
        doubled,
        jax.jit(doubled),
        jax.vmap(doubled) if shape else doubled,
        jax.jit(jax.vmap(doubled)) if shape else doubled,
    ):
        np.testing.assert_array_equal(call(x), 2 * x)
    assert jax.lax.scan(lambda c, _: (doubled(c), None), x, length=3)[0].tolist() == (8 * x).tolist()


def test_what_the_function_keeps_stays() -> None:
    kept: list[np.ndarray] = []

    @jax.jit
    def call(x: jax.Array) -> jax.Array:
        def keep(a: np.ndarray) -> tuple[np.ndarray]:
            kept.append(a)
            return (a,)

        return host_call(keep, [jax.ShapeDtypeStruct(x.shape, x.dtype)], [x + 1], vmap_method="expand_dims")[0]

    for value in range(4):
        call(jnp.full(100_000, value)).block_until_ready()
    assert [array.min() for array in kept] == [array.max() for array in kept] == [1, 2, 3, 4]


def test_large_arguments_do_not_hang_on_one_processor() -> None:
    # JAX's own callbacks do: they copy arguments by a thread that waits for the callback.
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "import jax, jax.numpy as jnp\nfrom tests.jax.test_hostcall import doubled\n"
        "print(int(jax.jit(doubled)(jnp.ones(1 << 20))[-1]))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert found.stdout.strip() == "2"
