"""The error tree: what can go wrong, as types. The words are rows of `fuse_ref.mistakes`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from fuse_ref.source import Span, excerpt

__all__ = [
    "AxisError",
    "CapacityError",
    "ConfigError",
    "DeviceError",
    "DivergenceError",
    "DtypeError",
    "ExportError",
    "FallbackWarning",
    "FuseError",
    "FuseWarning",
    "GradientError",
    "InputError",
    "LimitError",
    "ManifestError",
    "MissingFrameworkError",
    "NonFiniteError",
    "OperatorError",
    "ProgramFileError",
    "RouteError",
    "SafetyError",
    "StratificationError",
    "SyntaxFuseError",
    "UnboundTensorError",
    "UnknownFunctionError",
]


class FuseError(Exception):
    """A mistake in a Fuse program or in its use.

    Attributes:
        code: stable identifier such as `"FUSE012"`, listed in docs/errors.md.
        message: what is wrong, one sentence in the user's terms.
        cure: the likely fix, or "" where there is none.
        span: the place in the program's text, or None when the cause is not in the text.
        others: further errors of the same program found in the same pass.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "FUSE000",
        cure: str = "",
        span: Span | None = None,
        others: Iterable[FuseError] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.cure = cure
        self.span = span
        self.others: tuple[FuseError, ...] = tuple(others)

    def __str__(self) -> str:
        place = "" if self.span is None else f"{self.span}: "
        lines = [f"{place}{self.code}: {self.message}"]
        if self.span is not None:
            lines.append(excerpt(self.span))
        if self.cure:
            lines.append(f"help: {self.cure}")
        if self.others:
            more = len(self.others)
            lines.append(f"({more} more error{'s' if more > 1 else ''}: fuse check shows all)")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        # The default pickles args only and would lose code, cure and span.
        state = {
            "code": self.code,
            "cure": self.cure,
            "span": self.span,
            "others": self.others,
            "message": self.message,
        }
        return (type(self), (self.message,), state)


class SyntaxFuseError(FuseError, SyntaxError):
    """The text does not follow the grammar."""


class AxisError(FuseError, ValueError):
    """Sizes, ranks, symbols or positions that do not fit."""


class DtypeError(FuseError, TypeError):
    """A value of a type that its use does not take."""


class InputError(FuseError, TypeError):
    """An input that is missing or cannot be given."""


class UnboundTensorError(FuseError):
    """A tensor that is used but neither defined, given nor in the weight store."""


class UnknownFunctionError(FuseError):
    """A function that neither the library nor the program has."""


class OperatorError(FuseError):
    """Projections or functions used in a way that has no meaning."""


class StratificationError(FuseError):
    """Negation inside a cycle of rules."""


class SafetyError(FuseError):
    """A variable of a rule that no positive atom binds."""


class DivergenceError(FuseError):
    """A fixpoint that did not settle.

    Attributes:
        residuals: of each round the largest change of an element, as a share of values beyond 1.
    """

    residuals: tuple[float, ...] = ()


class NonFiniteError(FuseError):
    """NaN or infinity under `checked=True`."""


class ConfigError(FuseError, ValueError):
    """A setting with a wrong value."""


class CapacityError(FuseError, MemoryError):
    """More tuples than a static capacity or a dense limit holds."""


class LimitError(FuseError):
    """A time or memory limit was reached.

    Attributes:
        partial: what rules had derived until then, by relation; empty elsewhere.
    """

    partial: Mapping[str, object] = MappingProxyType({})


class ManifestError(FuseError, ValueError):
    """A weight manifest or file that cannot be used."""


class ProgramFileError(FuseError, FileNotFoundError):
    """A program's file that is not there or cannot be read. `.filename` is its path, as in any OSError."""


class RouteError(FuseError):
    """A step that the chosen engine or route cannot run, with the reason."""


class MissingFrameworkError(RouteError, ImportError):
    """A framework that is not installed, or too old. `.name` is its module, as in any ImportError."""


class DeviceError(FuseError):
    """A device that is not there or does not fit."""


class ExportError(FuseError):
    """A program that an export format cannot hold."""


class GradientError(FuseError):
    """A gradient that does not exist or would be wrong."""


class FuseWarning(UserWarning):
    """Right by the rules, but often not what was meant."""


class FallbackWarning(FuseWarning):
    """Another engine runs than the one that was asked for."""
