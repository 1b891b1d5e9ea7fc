"""Fuse programs as pure JAX functions and Flax modules.

Every public name of `fuse_ref` is here too. Importing this package does not need JAX; what runs on
JAX says what to install when it is missing.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import fuse_ref
from fuse_jax.failures import last_error
from fuse_jax.versions import require_jax
from fuse_ref import *  # noqa: F403
from fuse_ref.program import as_program

if TYPE_CHECKING:
    from fuse_jax.function import FuseFunction
    from fuse_ref.config import ExecutionConfig
    from fuse_ref.policies import RuntimePolicies
    from fuse_ref.program import Program

__all__ = ["compile", "last_error"]
__all__ += fuse_ref.__all__

# Imported when first used, since they need JAX: attribute -> module it is in, or is.
_NEED_JAX = {
    "ENGINE": "fuse_jax.engine",
    "FuseFunction": "fuse_jax.function",
    "linen": "fuse_jax.linen",
    "nnx": "fuse_jax.nnx",
}


def compile(
    program: Program | str,
    *,
    sizes: Mapping[str, int] | None = None,
    hints: Mapping[str, int] | None = None,
    config: ExecutionConfig | None = None,
    policies: RuntimePolicies | None = None,
) -> FuseFunction:
    """A program as a hashable, pure function: `fn(params, X=array)` gives its exports by name.

    It works under `jax.jit`, `grad`, `vmap`, `jacfwd` and `lax.scan`, with any sizes of open axes.

        fn = fuse_jax.compile("input X[b, d]; axis d = 4, o = 3; param W[o, d]; Y[b, o] = relu(W[o, d] X[b, d])")
        params = fn.init(jax.random.key(0))          # {"W": (3, 4)}
        jax.jit(fn)(params, X=jnp.ones((8, 4)))["Y"]   # (8, 3)

    Args:
        program: a program or its text.
        sizes: axis letter -> size, like lines `axis d = 64`.
        hints: axis letter -> size that the contraction order assumes while the axis is open.
        config: how to execute.
        policies: where weights come from and which files may be read.

    Raises:
        MissingFrameworkError: JAX is not installed, or too old.
        AxisError: sizes that do not fit each other or the text.
        RouteError: a step or a setting that this engine does not have yet.
        ConfigError: float64 while JAX has 64-bit numbers switched off.
    """
    require_jax()
    from fuse_jax.function import FuseFunction

    return FuseFunction(as_program(program), sizes=sizes, hints=hints, config=config, policies=policies)


def __getattr__(name: str) -> object:
    if name not in _NEED_JAX:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    require_jax()
    module = importlib.import_module(_NEED_JAX[name])
    return module if _NEED_JAX[name] == f"{__name__}.{name}" else getattr(module, name)
