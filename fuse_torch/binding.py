"""From the arguments of a module's call to one tensor per given name of the plan."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch

from fuse_ref.errors import FuseError, FuseWarning
from fuse_ref.ir.nodes import Role, Tensor
from fuse_ref.mistakes import mistake
from fuse_ref.mistakes.suggest import did_you_mean
from fuse_ref.plan.steps import Plan
from fuse_torch.relations import is_dense

__all__ = ["ABSENT", "Signature", "autocasts", "bind", "listed_among", "tables", "widened"]


class _Absent:
    def __repr__(self) -> str:
        return "not given"


ABSENT: Final = _Absent()

_NARROW_INTEGERS = (torch.int8, torch.int16, torch.int32, torch.uint8, torch.uint16, torch.uint32)

_WHY_NOT: dict[Role, str] = {
    "computed": "the program defines it",
    "param": "it is a parameter of the module",
    "source": "it is read from a file",
    "free": "the weight store has it, so it is a buffer of the module",
}


@dataclass(frozen=True, slots=True)
class Signature:
    """What a module's call takes."""

    plan: Plan
    names: tuple[str, ...]  # given tensors in the plan's order
    variables: tuple[str, ...]  # what they are called in Python: `p'` is p_
    positional: int  # the first so many may be given by position
    dense: Callable[[Plan, Mapping[str, Any]], dict[str, torch.Tensor]]  # `dense_tables`, hidden from Dynamo
    handles: tuple[str, ...] = ()  # relations that go on as they are given

    def tensor(self, name: str) -> Tensor:
        return self.plan.program.tensor(name)

    def __repr__(self) -> str:
        return f"({', '.join(self.names)})"


def bind(
    signature: Signature, given: tuple[Any, ...], rest: tuple[Any, ...], named: dict[str, Any]
) -> tuple[torch.Tensor, ...]:
    """The tensors in the order of `signature.names`.

    Args:
        given: what Python bound to the parameters; `ABSENT` where it bound nothing.
        rest: further positional arguments.
        named: keywords that are no Python parameter.

    Raises:
        InputError, UnboundTensorError: something is missing, surplus or given twice.
        DtypeError: a value that is no tensor.
    """
    values = list(given)
    surplus = named
    mapping = _only_mapping(signature, given, rest, named)
    if mapping is not None:
        for name in mapping:
            if not isinstance(name, str):
                raise mistake("FUSE302", None, value=f"one from {type(name).__name__}")
        values = [mapping.get(name, ABSENT) for name in signature.names]
        surplus = {name: value for name, value in mapping.items() if name not in signature.names}
    elif rest:
        taken = signature.names[: signature.positional]
        raise mistake(
            "FUSE251",
            takes=f"{signature.positional} ({', '.join(taken)})" if taken else "none",
            got=signature.positional + len(rest),
        )
    strange: list[str] = []
    for name, value in surplus.items():
        if name in signature.names:
            position = signature.names.index(name)
            if values[position] is not ABSENT:
                raise mistake("FUSE307", name=name)
            values[position] = value
        else:
            strange.append(name)
    for name, value in zip(signature.names, values, strict=True):
        if value is ABSENT:
            raise _missing(signature.tensor(name), strange)
        if not isinstance(value, torch.Tensor) and signature.tensor(name).dtype != "bool":
            raise mistake("FUSE253", signature.tensor(name).span, name=name, got=type(value).__name__)
    if strange:
        _refuse_or_warn(signature, strange)
    return tables(signature, tuple(values))


def _only_mapping(
    signature: Signature, given: tuple[Any, ...], rest: tuple[Any, ...], named: dict[str, Any]
) -> Mapping[str, Any] | None:
    """The mapping, when it is the only argument."""
    found = [value for value in given if value is not ABSENT] + list(rest)
    if len(found) == 1 and not named and isinstance(found[0], Mapping):
        return found[0]
    return None


def _missing(tensor: Tensor, strange: list[str]) -> FuseError:
    code = "FUSE300" if tensor.role == "input" else "FUSE301"
    close = [name for name in strange if did_you_mean(name, [tensor.name])]
    cure = f"the call gives {close[0]!r}: did you mean {tensor.name!r}?" if close else None
    return mistake(code, tensor.span, cure=cure, name=tensor.name)


def _refuse_or_warn(signature: Signature, strange: list[str]) -> None:
    tensors = {tensor.name: tensor for tensor in signature.plan.program.tensors}
    plan = signature.plan
    for name in list(strange):
        if name not in tensors:
            continue
        if tensors[name].role == "free" and name not in plan.weights:
            strange.remove(name)  # only what a module does not run needs it
        else:
            raise mistake("FUSE308", tensors[name].span, name=name, reason=_WHY_NOT[tensors[name].role])
    if torch.compiler.is_compiling():
        return  # a warning would break the graph; the same call warns in eager mode
    for name in strange:
        # 1 here, 2 bind, 3 forward, 4 and 5 Module.__call__, 6 the caller.
        warnings.warn(f"input {name} is not used by the program and is ignored", FuseWarning, stacklevel=6)


def widened(value: torch.Tensor) -> torch.Tensor:
    """Narrower integers as int64; anything else as it is, for the checks to refuse."""
    return value.to(torch.int64) if value.dtype in _NARROW_INTEGERS else value


def autocasts(value: torch.Tensor) -> bool:
    """Whether `torch.autocast` lets torch's own modules take `value`, whatever the type of their parameters."""
    if not value.is_floating_point() or value.dtype is torch.float64:
        return False
    return torch.is_autocast_enabled(value.device.type)


def tables(signature: Signature, values: tuple[Any, ...]) -> tuple[torch.Tensor, ...]:
    """`values` with every Boolean input as a dense truth table."""
    relations = [
        value
        for name, value in zip(signature.names, values, strict=True)
        if signature.tensor(name).dtype == "bool" and name not in signature.handles
    ]
    if all(is_dense(value) for value in relations):
        return values
    return _dense(signature, values)


def listed_among(signature: Signature, values: tuple[Any, ...], choices: tuple[str, ...]) -> tuple[Any, ...]:
    """`values`, then the names among `choices` of relations that are given by their tuples.

    Truth values of NumPy become tensors.
    """
    device = next((value.device for value in values if isinstance(value, torch.Tensor)), None)
    found: list[Any] = []
    listed: list[str] = []
    for name, value in zip(signature.names, values, strict=True):
        if name in choices and not is_dense(value):
            if isinstance(value, np.ndarray) and value.dtype == np.bool_:
                value = torch.from_numpy(np.array(value)).to(device)
            else:
                listed.append(name)
        found.append(value)
    return (*found, tuple(listed))


def _dense(signature: Signature, values: tuple[Any, ...]) -> tuple[torch.Tensor, ...]:
    given = dict(zip(signature.names, values, strict=True))
    found = signature.dense(signature.plan, given)
    given.update((name, table) for name, table in found.items() if name not in signature.handles)
    return tuple(given.values())
