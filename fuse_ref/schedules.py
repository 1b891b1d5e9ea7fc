"""Temperatures that change from one iteration to the next: `make_schedule`."""

from __future__ import annotations

import bisect
import inspect
import math
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from fuse_ref.errors import FuseError
from fuse_ref.mistakes import mistake
from fuse_ref.mistakes.suggest import did_you_mean
from fuse_ref.records import dataclass

__all__ = ["Schedule", "make_schedule"]


@dataclass(frozen=True, slots=True)
class Schedule:
    """A temperature for every iteration: `schedule(iteration)`.

    Attributes:
        points: (iteration, temperature), iterations ascending; before the first and after the last one their own hold.
        ramps: temperatures between two points lie on the straight line; else they are that of the point before.
    """

    points: tuple[tuple[int, float], ...]
    ramps: bool

    def __call__(self, iteration: int) -> float:
        after = bisect.bisect_right(self.points, iteration, key=operator.itemgetter(0))
        if after == 0:
            return self.points[0][1]
        first, value = self.points[after - 1]
        if after == len(self.points) or not self.ramps:
            return value
        second, other = self.points[after]
        return value + (other - value) * ((iteration - first) / (second - first))


def make_schedule(kind: str, /, *arguments: Any, **named: Any) -> Schedule:
    """A schedule for `ExecutionConfig(temperatures={"Y": …})`: a callable iteration -> temperature.

        make_schedule("constant", 0.5)                       # value
        make_schedule("linear", start=1.0, end=0.0, steps=10)  # a ramp: 1 at iteration 0, exactly 0 from 10 on
        make_schedule("piecewise", {0: 1.0, 5: 0.5, 10: 0.0})  # points: each holds until the next one

    Any other callable will do in place of a schedule.

    Args:
        kind: "constant" takes `value`, "linear" `start`, `end` and `steps`, "piecewise" `points`, a mapping from
            iterations to temperatures or pairs of them.

    Raises:
        ConfigError: a kind that is none, or arguments that it does not take. Temperatures are 0 or more.
    """
    if kind not in _KINDS:
        expected = "one of " + ", ".join(map(repr, _KINDS))
        raise mistake(
            "FUSE200", None, cure=did_you_mean(str(kind), _KINDS), field="kind", expected=expected, value=repr(kind)
        )
    function = _KINDS[kind]
    try:
        bound = inspect.signature(function).bind(*arguments, **named)
    except TypeError as error:
        wanted = ", ".join(inspect.signature(function).parameters)
        given = ", ".join([*map(repr, arguments), *(f"{name}={value!r}" for name, value in named.items())])
        raise _wrong(f"make_schedule({kind!r})", f"given {wanted}", given or "nothing") from error
    return function(*bound.args, **bound.kwargs)


def _constant(value: float) -> Schedule:
    return Schedule(((0, _temperature("value", value)),), ramps=False)


def _linear(start: float, end: float, steps: int) -> Schedule:
    last = _iteration("steps", steps)
    if last == 0:
        raise _wrong("steps", "a whole number, at least 1", repr(steps))
    return Schedule(((0, _temperature("start", start)), (last, _temperature("end", end))), ramps=True)


def _piecewise(points: object) -> Schedule:
    expected = "a mapping from iterations to temperatures, with at least one"
    if not isinstance(points, Mapping | Iterable) or isinstance(points, str):
        raise _wrong("points", expected, repr(points))
    pairs = list(points.items() if isinstance(points, Mapping) else points)
    if not pairs or not all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in pairs):
        raise _wrong("points", expected, repr(points))
    found = {_iteration("points", at): _temperature("points", value) for at, value in pairs}
    return Schedule(tuple(sorted(found.items())), ramps=False)


_KINDS: Final[dict[str, Callable[..., Schedule]]] = {
    "constant": _constant,
    "linear": _linear,
    "piecewise": _piecewise,
}


def _wrong(field: str, expected: str, value: str) -> FuseError:
    return mistake("FUSE200", None, cure="", field=field, expected=expected, value=value)


def _temperature(field: str, value: object) -> float:
    if isinstance(value, bool) or not hasattr(type(value), "__float__"):
        raise _wrong(field, "a temperature: a finite number, 0 or more", repr(value))
    number = float(value)  # type: ignore[arg-type]
    if not math.isfinite(number) or number < 0:
        raise _wrong(field, "a temperature: a finite number, 0 or more", repr(value))
    return number


def _iteration(field: str, value: object) -> int:
    if isinstance(value, bool) or not hasattr(type(value), "__index__") or operator.index(value) < 0:  # type: ignore[arg-type]
        raise _wrong(field, "counted in iterations: a whole number, 0 or more", repr(value))
    return operator.index(value)  # type: ignore[arg-type]
