"""Fuse programs as `flax.nnx` modules."""

from __future__ import annotations

from collections.abc import Mapping

import jax

from fuse_jax.versions import require_flax

require_flax()  # says what to install, before the next line would fail

from flax import nnx  # noqa: E402

from fuse_jax.function import FuseFunction  # noqa: E402
from fuse_jax.modules import Names, inputs_by_name, module_names, result_of  # noqa: E402
from fuse_ref.config import ExecutionConfig  # noqa: E402
from fuse_ref.plan.steps import Plan  # noqa: E402
from fuse_ref.policies import RuntimePolicies  # noqa: E402
from fuse_ref.program import Program, as_program  # noqa: E402

__all__ = ["FuseModule"]


class FuseModule(nnx.Module):
    """A program whose parameters are `nnx.Param`s under their names.

        m = FuseModule("input X[b, d]; axis d = 4, o = 3; param W[o, d]; Y[b, o] = W[o, d] X[b, d]", rngs=nnx.Rngs(0))
        m(jnp.ones((8, 4)))     # (8, 3): the tensor, since there is one export; else a dict
        m.W                     # nnx.Param (3, 4)

    Called with arrays in the order of the `input` lines, with keywords, or with one mapping.

    A program with dropout is as `nnx.Dropout`: it drops until `.eval()`, or where a call says `deterministic=False`,
    and draws from its own fork of the stream `dropout`.

    Args:
        program: a program or its text.
        rngs: its `params` stream gives the first values, its `dropout` stream what dropout draws.
        sizes, hints, config, policies: as of `fuse_jax.compile`.

    Raises:
        AxisError: a parameter whose size is not known: declare it, or give `sizes`.
        ConfigError: two parameters that would have one name.
    """

    def __init__(
        self,
        program: Program | str,
        *,
        rngs: nnx.Rngs,
        sizes: Mapping[str, int] | None = None,
        hints: Mapping[str, int] | None = None,
        config: ExecutionConfig | None = None,
        policies: RuntimePolicies | None = None,
    ) -> None:
        # Static: equal functions are equal, so that modules of one program share compiled code.
        self.function = FuseFunction(as_program(program), sizes=sizes, hints=hints, config=config, policies=policies)
        names = self.names
        params = self.function.init(rngs.params()) if names else {}
        for name, attribute in names.items():
            setattr(self, attribute, nnx.Param(params[name]))
        if self.function.random:
            self.deterministic = False
            streams = vars(rngs)
            self.rngs = rngs["dropout"].fork() if {"dropout", "default"} & streams.keys() else nnx.data(None)

    def __call__(
        self,
        /,
        *args: object,
        deterministic: bool | None = None,
        rngs: nnx.Rngs | nnx.RngStream | jax.Array | None = None,
        iteration: int | jax.Array = 0,
        **inputs: object,
    ) -> jax.Array | dict[str, jax.Array]:
        """The export, or all exports by name.

        Args:
            deterministic: whether dropout is off; by default as `.train()` and `.eval()` have set it.
            rngs: what dropout draws from in this call, in place of the module's own stream.
            iteration: what schedules of temperatures are asked for.

        Raises:
            InputError: dropout is on and there is no stream `dropout`.
        """
        params = {name: getattr(self, attribute)[...] for name, attribute in self.names.items()}
        given = inputs_by_name(self.function, args, inputs)
        key, training = None, False
        if self.function.random:
            training = not (self.deterministic if deterministic is None else deterministic)
            key = _key(self.rngs if rngs is None else rngs) if training else None
        made = self.function(params, given, key=key, training=training, iteration=iteration)
        return result_of(self.function, made)

    def set_view(self, deterministic: bool | None = None) -> None:
        """What `nnx.view(module, deterministic=...)` sets."""
        if deterministic is not None and self.function.random:
            self.deterministic = deterministic

    @property
    def program(self) -> Program:
        """The program."""
        return self.function.program

    @property
    def plan(self) -> Plan:
        """The steps that run; `str()` of it is a table."""
        return self.function.plan

    @property
    def names(self) -> Names:
        """Parameter -> attribute, and back; they differ for names that nnx uses itself and for names with dots."""
        return module_names(self.function, _RESERVED)


_RESERVED = frozenset({*dir(FuseModule), "function", "deterministic", "rngs"})


def _key(rngs: nnx.Rngs | nnx.RngStream | jax.Array | None) -> jax.Array | None:
    """The next key of a stream; a key as it is."""
    if isinstance(rngs, nnx.Rngs):
        return rngs["dropout"]()
    return rngs() if isinstance(rngs, nnx.RngStream) else rngs
