"""From what a call gives to one value per tensor that the program takes."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from fuse_jax.dtypes import Numbers
from fuse_jax.engine import ENGINE
from fuse_jax.failures import remember
from fuse_jax.hostcall import host_look
from fuse_jax.relations import Held, dense, traced_positions
from fuse_ref.config import ExecutionConfig
from fuse_ref.errors import FuseError
from fuse_ref.evaluate.binding import Binder
from fuse_ref.evaluate.logic import relations_of
from fuse_ref.evaluate.relation import Symbols
from fuse_ref.ir.nodes import Tensor
from fuse_ref.mistakes import mistake
from fuse_ref.mistakes.suggest import did_you_mean
from fuse_ref.plan.steps import Plan
from fuse_ref.relations.tuples import Tuples

__all__ = ["InputBinder", "check_parameters"]


class InputBinder:
    """Matches the inputs of calls to what a plan takes. Built once."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._tensors = {tensor.name: tensor for tensor in plan.program.tensors}
        self._binder = Binder(plan)
        self._relations = relations_of(plan)

    def bind(self, given: Mapping[str, object], config: ExecutionConfig, numbers: Numbers) -> dict[str, Held]:
        """One value per given of the plan, of its type; a name that the program lacks is ignored with a warning.

        Args:
            given: arrays by name. Relations come as truth values, as positions, or, when they are not traced,
                in any form that a Runner takes, with symbols that the program knows. In traced positions a row
                with one outside its axis holds no tuple (`checked=True` refuses those beyond the end); in an
                array of known ones a row with -1 holds none.
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
                traced[name] = _rows(value, tensor)
                # In its place stands what tells the others, and it, the sizes of their axes.
                values[name] = _stand_in(traced[name], tensor)
            elif tensor.boolean and isinstance(value, jax.Array | np.ndarray) and value.dtype.kind == "i":
                values[name] = _held_rows(np.asarray(value))
            elif tensor.dtype == "int64" and not tensor.boolean:
                values[name] = numbers.array(value, "int64", name)
        bound = self._binder.bind(values, ENGINE, config)
        self._refuse_new_symbols(bound.symbols)
        return {name: self._held(name, value, traced, config) for name, value in bound.values.items()}

    def constant(self, name: str, value: object, shape: tuple[int, ...]) -> Held:
        """A relation that the program reads from a file, given with the parameters.

        Raises:
            AxisError: truth values of another shape. DtypeError: neither truth values nor positions.
        """
        if isinstance(value, jax.core.Tracer):
            rows = _rows(value, self._tensors[name])
            return rows if rows.dtype == bool else traced_positions(rows, shape)
        array = np.asarray(value)
        if array.dtype == bool:
            return Tuples.from_dense(array)
        return Tuples.of(list(_held_rows(array.reshape(len(array), len(shape))).T), shape, count=len(array))

    def _held(self, name: str, bound: Held, traced: Mapping[str, jax.Array], config: ExecutionConfig) -> Held:
        if name not in traced:
            return bound
        value, tensor = traced[name], self._tensors[name]
        if value.dtype == bool:
            return value
        shape = tuple(bound.shape)
        for axis, size in zip(tensor.axes, shape, strict=True):
            if not size and value.shape[0]:
                raise mistake("FUSE290", tensor.span, name=name, axis=axis)
        if config.checked:
            host_look(functools.partial(_check_positions, tensor=tensor, shape=shape), value)
        found = traced_positions(value, shape)
        return found if name in self._relations else dense(found)

    def _refuse_new_symbols(self, symbols: Mapping[str, Symbols]) -> None:
        # A function may be compiled and shared: what its symbols mean does not change from call to call.
        for axis in self._plan.program.axes:
            known = axis.symbols or ()
            for symbol in (symbols.get(axis.name) or ())[len(known) :]:
                has = "has " + (", ".join(map(repr, known)) or "no symbols")
                cure = did_you_mean(symbol, known)
                raise mistake("FUSE288", None, cure=cure, value=repr(symbol), axis=axis.name, has=has)


def _rows(value: jax.Array, tensor: Tensor) -> jax.Array:
    """Truth values as they are, positions as (rows, arguments).

    Raises:
        DtypeError: neither of them.
    """
    arity = len(tensor.axes)
    if value.dtype == bool:
        return value
    found = value[:, None] if value.ndim == arity == 1 else value
    if not arity or not jnp.issubdtype(value.dtype, jnp.integer) or found.ndim != 2 or found.shape[1] != arity:
        got = f"{value.dtype} of shape {value.shape}"
        raise mistake("FUSE287", tensor.span, name=tensor.name, got=got, arity=arity)
    return found


def _stand_in(value: jax.Array, tensor: Tensor) -> np.ndarray:
    """A relation without tuples, of the form of a traced one."""
    return np.zeros(value.shape, bool) if value.dtype == bool else np.zeros((0, len(tensor.axes)), np.int64)


def _held_rows(positions: np.ndarray) -> np.ndarray:
    """The rows that hold a tuple."""
    return positions[(positions != -1).all(axis=tuple(range(1, positions.ndim)))]


def _check_positions(rows: np.ndarray, *, tensor: Tensor, shape: tuple[int, ...]) -> None:
    """Positions that no axis has; inside compiled code."""
    for column, axis, size in zip(rows.T, tensor.axes, shape, strict=True):
        outside = column[column >= size]
        if outside.size:
            has = f"has the positions 0 to {size - 1}"
            error = mistake(
                "FUSE306", tensor.span, cure="", value=int(outside[0]), name=tensor.name, axis=axis, has=has
            )
            assert isinstance(error, FuseError)
            remember(error)
            raise error


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
