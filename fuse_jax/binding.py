"""From what a call gives to one JAX array per given tensor of the plan."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping

import jax

from fuse_jax.dtypes import Numbers
from fuse_ref.errors import FuseError, FuseWarning
from fuse_ref.ir.nodes import Role, Tensor
from fuse_ref.mistakes import mistake
from fuse_ref.mistakes.suggest import did_you_mean

__all__ = ["bind", "check_parameters", "merge"]

_WHY_NOT: dict[Role, str] = {
    "computed": "the program defines it",
    "param": "it is a parameter, which params hold",
    "source": "it is read from a file",
    "free": "the weight store has it",
}


def merge(inputs: object, named: Mapping[str, object]) -> dict[str, object]:
    """Inputs given as a mapping and as keywords, together.

    Raises:
        InputError: `inputs` is no mapping, or a name is given both ways.
    """
    if inputs is None:
        return dict(named)
    if not isinstance(inputs, Mapping):
        cure = "give arrays by name: fn(params, X=array) or fn(params, {'X': array})"
        raise mistake("FUSE302", None, cure=cure, value=type(inputs).__name__)
    for name in named:
        if name in inputs:
            raise mistake("FUSE307", None, name=name)
    return {**inputs, **named}


def bind(
    tensors: Mapping[str, Tensor], givens: Iterable[str], given: Mapping[str, object], numbers: Numbers
) -> dict[str, jax.Array]:
    """One array per tensor of `givens`, of its type; a name that the program lacks is ignored with a warning.

    Raises:
        InputError, UnboundTensorError: a tensor that is missing, or one that cannot be given.
        DtypeError: a value of a type that its tensor does not take.
    """
    wanted = list(givens)
    strange = [name for name in given if name not in wanted]
    values: dict[str, jax.Array] = {}
    for name in wanted:
        if name not in given:
            raise _missing(tensors[name], strange)
        values[name] = numbers.array(given[name], tensors[name].dtype, name)
    for name in strange:
        if name in tensors:
            raise mistake("FUSE308", tensors[name].span, name=name, reason=_WHY_NOT[tensors[name].role])
        warnings.warn(f"input {name} is not used by the program and is ignored", FuseWarning, stacklevel=3)
    return values


def _missing(tensor: Tensor, strange: list[str]) -> FuseError:
    code = "FUSE300" if tensor.role == "input" else "FUSE301"
    close = [name for name in strange if did_you_mean(name, [tensor.name])]
    cure = f"the call gives {close[0]!r}: did you mean {tensor.name!r}?" if close else None
    return mistake(code, tensor.span, cure=cure, name=tensor.name)


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
