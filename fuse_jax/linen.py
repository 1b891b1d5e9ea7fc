"""Fuse programs as `flax.linen` modules."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import jax

from fuse_jax.versions import require_flax

require_flax()  # says what to install, before the next line would fail

from flax import linen  # noqa: E402

from fuse_jax.function import FuseFunction  # noqa: E402
from fuse_jax.modules import Names, inputs_by_name, module_names, result_of  # noqa: E402
from fuse_ref.config import ExecutionConfig  # noqa: E402
from fuse_ref.plan.steps import Plan  # noqa: E402
from fuse_ref.policies import RuntimePolicies  # noqa: E402
from fuse_ref.program import Program, as_program  # noqa: E402

__all__ = ["FuseModule"]


class FuseModule(linen.Module):
    """A program whose parameters are in the collection `params` under their names.

        m = FuseModule("input X[b, d]; axis o = 3; param W[o, d]; Y[b, o] = W[o, d] X[b, d]")
        variables = m.init(jax.random.key(0), jnp.ones((8, 4)))     # {"params": {"W": (3, 4)}}
        m.apply(variables, jnp.ones((8, 4)))                        # (8, 3); a dict when there are more exports

    Called with arrays in the order of the `input` lines, with keywords, or with one mapping. Sizes of
    parameters may come from the inputs of `init`.

    A program with dropout is as `linen.Dropout`: `deterministic` says whether it is off, here or in the call, and
    `apply(..., rngs={"dropout": key})` gives what it draws from. `init` never drops.

    Attributes:
        program: a program or its text.
        sizes, hints, config, policies: as of `fuse_jax.compile`.
        deterministic: whether dropout is off, where the call does not say.
    """

    program: Program | str
    sizes: Mapping[str, int] | None = None
    hints: Mapping[str, int] | None = None
    config: ExecutionConfig | None = None
    policies: RuntimePolicies | None = None
    deterministic: bool | None = None

    @linen.compact
    def __call__(
        self, /, *args: object, deterministic: bool | None = None, iteration: int | jax.Array = 0, **inputs: object
    ) -> jax.Array | dict[str, jax.Array]:
        """The export, or all exports by name.

        Args:
            deterministic: whether dropout is off; a program without dropout does not ask.
            iteration: what schedules of temperatures are asked for.
        """
        function = self.function
        given = inputs_by_name(function, args, inputs)
        params = {}
        for name, attribute in self.names.items():
            if self.has_variable("params", attribute):
                params[name] = self.get_variable("params", attribute)
            else:
                params[name] = self.param(attribute, functools.partial(_first, function, name, given))
        key = None
        if function.random and not self.is_initializing():
            off = linen.merge_param("deterministic", self.deterministic, deterministic)
            key = None if off else self.make_rng("dropout")
        made = function(params, given, key=key, training=key is not None, iteration=iteration)
        return result_of(function, made)

    @property
    def function(self) -> FuseFunction:
        """The pure function that the module calls."""
        return _compiled(self.program, self.sizes, self.hints, self.config, self.policies)

    @property
    def plan(self) -> Plan:
        """The steps that run; `str()` of it is a table."""
        return self.function.plan

    @property
    def names(self) -> Names:
        """Parameter -> name in `params`, and back; they differ for names that linen uses itself and for names with dots."""
        return module_names(self.function, _RESERVED)


_RESERVED = frozenset(dir(FuseModule)) | {"parent", "name", "scope"}


def _first(function: FuseFunction, name: str, given: Mapping[str, object], key: jax.Array) -> jax.Array:
    return function.init_parameter(name, key, given)


@functools.lru_cache(maxsize=256)
def _compiled(
    program: Program | str,
    sizes: Mapping[str, int] | None,
    hints: Mapping[str, int] | None,
    config: ExecutionConfig | None,
    policies: RuntimePolicies | None,
) -> FuseFunction:
    # linen makes a module anew for every call of `apply`; parsing and planning happen once.
    return FuseFunction(as_program(program), sizes=sizes, hints=hints, config=config, policies=policies)
