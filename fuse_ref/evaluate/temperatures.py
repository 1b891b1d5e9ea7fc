"""`ExecutionConfig(temperatures=…)`: the temperature of every `sig` in the equations of a tensor.

A number stands in the program like one that was written there. What a schedule says is a scalar that enters the
program as inputs do, so that no engine compiles anything anew when it changes.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from fuse_ref.config import ExecutionConfig
from fuse_ref.ir.nodes import Call, Equation, Number, ProgramIR, Read, Tensor
from fuse_ref.mistakes import mistake
from fuse_ref.mistakes.suggest import did_you_mean
from fuse_ref.schedules import Schedule

__all__ = [
    "Temperatures",
    "heated",
    "last_change",
    "schedules_of",
    "temperature_at",
    "temperature_name",
    "temperatures_at",
]


def temperature_name(tensor: str) -> str:
    """What the temperature of a tensor's schedule is called: a scalar that no program can name."""
    return f"{tensor}~temperature"


def schedules_of(config: ExecutionConfig) -> dict[str, Callable[[int], float]]:
    """The schedules by the tensors that they are for."""
    return {name: item for name, item in (config.temperatures or {}).items() if callable(item)}


def temperatures_at(config: ExecutionConfig, iteration: int) -> dict[str, float]:
    """What the schedules say for one iteration, by `temperature_name`.

    Raises:
        ConfigError: a schedule that gives anything but a finite number, 0 or more.
    """
    return {
        temperature_name(tensor): _checked(tensor, schedule(iteration), iteration)
        for tensor, schedule in schedules_of(config).items()
    }


def temperature_at(config: ExecutionConfig, tensor: str, iteration: int) -> float:
    """What the schedule of one tensor says.

    Raises:
        ConfigError: as `temperatures_at`.
    """
    return _checked(tensor, schedules_of(config)[tensor](iteration), iteration)


def last_change(config: ExecutionConfig, tensors: Collection[str]) -> int:
    """The iteration from which on the schedules of `tensors` stay as they are, as far as one can tell."""
    own = [item for name, item in schedules_of(config).items() if name in tensors]
    return max((item.points[-1][0] for item in own if isinstance(item, Schedule)), default=0)


def _checked(tensor: str, value: Any, iteration: int) -> float:
    number = float(value) if hasattr(type(value), "__float__") else math.nan
    if not math.isfinite(number) or number < 0:
        raise mistake("FUSE246", None, tensor=tensor, value=repr(value), iteration=iteration)
    return number


def heated(program: ProgramIR, config: ExecutionConfig) -> ProgramIR:
    """`program` with the temperatures of `config`; itself where there are none.

    Raises:
        ConfigError: a temperature for a tensor that the program does not define, or whose equations have no `sig`.
    """
    if not config.temperatures:
        return program
    defined = {tensor.name: tensor for tensor in program.tensors if tensor.role == "computed"}
    equations = list(program.equations)
    added: list[Tensor] = []
    for name, temperature in config.temperatures.items():
        if name not in defined:
            cure = did_you_mean(name, defined)
            raise mistake("FUSE204", None, cure=cure, field="temperatures", name=name)
        if callable(temperature):
            argument: Any = Read(temperature_name(name), (), boolean=False)
            added.append(_scalar(temperature_name(name), defined[name]))
        else:
            argument = Number(temperature)
        found = [_with(item, argument) if item.target.tensor == name else item for item in equations]
        if found == equations and not any(_cold(item) for item in equations if item.target.tensor == name):
            raise mistake("FUSE245", defined[name].span, name=name)
        equations = found
    return dataclasses.replace(program, tensors=(*program.tensors, *added), equations=tuple(equations))


def _scalar(name: str, like: Tensor) -> Tensor:
    return Tensor(
        name=name,
        axes=(),
        boolean=False,
        dtype="float",
        role="free",
        operator="=",
        virtual=None,
        initialiser=None,
        letters=(),
        span=like.span,
    )


def _with(equation: Equation, argument: Any) -> Equation:
    return dataclasses.replace(equation, body=_rewritten(equation.body, argument))


def _cold(equation: Equation) -> bool:
    """Whether it has a `sig`, which may have this temperature already."""
    return any(isinstance(node, Call) and node.function == "sig" for node in _nodes(equation.body))


def _nodes(node: Any) -> Iterator[Any]:
    waiting = [node]
    while waiting:
        item = waiting.pop()
        if isinstance(item, tuple):
            waiting.extend(item)
        elif dataclasses.is_dataclass(item):
            yield item
            waiting.extend(getattr(item, field.name) for field in dataclasses.fields(item) if field.name != "span")


def _rewritten(node: Any, argument: Any) -> Any:
    """`node` with `argument` as the temperature of each `sig`; what has none is the same object."""
    if isinstance(node, tuple):
        items = tuple(_rewritten(item, argument) for item in node)
        return items if any(new is not old for new, old in zip(items, node, strict=True)) else node
    if not dataclasses.is_dataclass(node) or isinstance(node, type):
        return node
    changed = {}
    for field in dataclasses.fields(node):
        if field.name != "span":
            old = getattr(node, field.name)
            new = _rewritten(old, argument)
            if new is not old:
                changed[field.name] = new
    if isinstance(node, Call) and node.function == "sig":
        x, *_ = changed.get("arguments", node.arguments)
        changed["arguments"] = (x, argument)
    return dataclasses.replace(node, **changed) if changed else node


class Temperatures:
    """The schedules of a Runner: its first call is iteration 0, each further call the next one."""

    def __init__(self, config: ExecutionConfig) -> None:
        self._config = config if schedules_of(config) else None
        self._calls = itertools.count()

    def given(self, values: Mapping[str, object]) -> Mapping[str, object]:
        """`values` with the temperatures of one more call."""
        if self._config is None:
            return values
        return {**values, **temperatures_at(self._config, next(self._calls))}
