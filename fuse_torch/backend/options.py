"""The options of the back end: those named `fuse.…` are ours, the others the inner compiler's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from fuse_ref.mistakes import mistake
from fuse_ref.mistakes.suggest import did_you_mean

__all__ = ["INNER", "Inner", "Options", "read_options"]

Inner: TypeAlias = str | Callable[..., Any]

INNER = ("inductor", "aot_eager", "eager")


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked of the back end."""

    inner: Inner = "inductor"
    replan: bool = True  # contractions that stand in several calls may be ordered anew
    attention: bool = True  # attention may become one call
    others: Mapping[str, Any] = field(default_factory=dict)  # for the inner compiler
    mode: str | None = None  # of inductor


_OURS = ("fuse.attention", "fuse.inner", "fuse.replan")


def read_options(options: Mapping[str, Any] | None, mode: str | None) -> Options:
    """The options checked.

    Raises:
        ConfigError: an unknown `fuse.…` option, a wrong value, or a setting that the inner compiler lacks.
    """
    given = dict(options or {})
    for name in given:
        if name.startswith("fuse.") and name not in _OURS:
            cure = did_you_mean(name, _OURS) or None
            raise mistake("FUSE258", None, cure=cure, option=name, known=", ".join(_OURS))
    inner = given.pop("fuse.inner", "inductor")
    if not callable(inner) and inner not in INNER:
        names = ", ".join(repr(name) for name in INNER)
        raise _wrong("fuse.inner", f"{names} or a callable", inner, did_you_mean(str(inner), INNER))
    replan, attention = (_switch(given, name) for name in ("fuse.replan", "fuse.attention"))
    mode = None if mode == "default" else mode
    if inner != "inductor":
        _refuse_inductors(inner, given, mode)
    return Options(inner, replan, attention, given, mode)


def _switch(given: dict[str, Any], name: str) -> bool:
    value = given.pop(name, True)
    if not isinstance(value, bool):
        raise _wrong(name, "True or False", value)
    return value


def _wrong(option: str, expected: str, value: object, cure: str = "") -> Exception:
    return mistake("FUSE259", None, cure=cure, option=option, expected=expected, value=repr(value))


def _refuse_inductors(inner: Inner, others: Mapping[str, Any], mode: str | None) -> None:
    shown = inner if isinstance(inner, str) else getattr(inner, "__name__", "…")
    if others:
        raise mistake("FUSE260", None, inner=shown, what="options", names=", ".join(others))
    if mode is not None:
        raise mistake("FUSE260", None, inner=shown, what="mode", names=mode)
