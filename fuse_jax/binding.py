"""From what a call gives to one JAX array per tensor that the program takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

import jax

from fuse_jax.dtypes import Numbers
from fuse_jax.engine import ENGINE
from fuse_ref.config import ExecutionConfig
from fuse_ref.evaluate.binding import Binder
from fuse_ref.evaluate.relation import Symbols
from fuse_ref.mistakes import mistake
from fuse_ref.mistakes.suggest import did_you_mean
from fuse_ref.plan.steps import Plan

__all__ = ["InputBinder", "check_parameters"]


class InputBinder:
    """Matches the inputs of calls to what a plan takes. Built once."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._tensors = {tensor.name: tensor for tensor in plan.program.tensors}
        self._binder = Binder(plan)

    def bind(self, given: Mapping[str, object], config: ExecutionConfig, numbers: Numbers) -> dict[str, jax.Array]:
        """One array per given of the plan, of its type; a name that the program lacks is ignored with a warning.

        Args:
            given: arrays by name. Relations come as truth values, or, when they are not traced, as
                positions or tuples of symbols that the program knows.
            config: its precision is resolved.

        Raises:
            InputError, UnboundTensorError: a tensor that is missing, or one that cannot be given.
            DtypeError, AxisError: a value that its tensor does not take.
        """
        values = dict(given)
        traced: dict[str, jax.Array] = {}
        for name in self._plan.givens:
            if name not in values:
                continue
            value, tensor = values[name], self._tensors[name]
            if tensor.boolean and isinstance(value, jax.core.Tracer):
                if value.dtype != bool:
                    raise mistake("FUSE287", tensor.span, name=name, got=str(value.dtype), arity=len(tensor.axes))
                traced[name] = value
                del values[name]
            elif tensor.dtype == "int64" and not tensor.boolean:
                values[name] = numbers.array(value, "int64", name)
        binder = self._binder
        if traced:
            kept = tuple(name for name in self._plan.givens if name not in traced)
            binder = Binder(dataclasses.replace(self._plan, givens=kept))
        bound = binder.bind(values, ENGINE, config)
        self._refuse_new_symbols(bound.symbols)
        return {**bound.values, **traced}

    def _refuse_new_symbols(self, symbols: Mapping[str, Symbols]) -> None:
        # A function may be compiled and shared: what its symbols mean does not change from call to call.
        for axis in self._plan.program.axes:
            known = axis.symbols or ()
            for symbol in (symbols.get(axis.name) or ())[len(known) :]:
                has = "has " + (", ".join(map(repr, known)) or "no symbols")
                cure = did_you_mean(symbol, known)
                raise mistake("FUSE288", None, cure=cure, value=repr(symbol), axis=axis.name, has=has)


def check_parameters(params: object, names: Iterable[str], allowed: Iterable[str]) -> Mapping[str, object]:
    """`params`, once it is known to hold all of `names` and nothing but them and `allowed`.

    Raises:
        InputError: no mapping, or a name that is no parameter.
        UnboundTensorError: a parameter that is missing.
    """
    if not isinstance(params, Mapping):
        raise mistake("FUSE280", got=type(params).__name__)
    known = list(names)
    for name in known:
        if name not in params:
            raise mistake("FUSE277", name=name, given=", ".join(map(str, params)) or "nothing")
    for name in params:
        if name not in known and name not in allowed:
            cure = did_you_mean(str(name), known)
            raise mistake("FUSE278", None, cure=cure, name=name, known=", ".join(known) or "none")
    return params
