"""Ranges that functions make: the concatenated axis, the classes of one_hot, the sides of a mask."""

from __future__ import annotations

from fuse_ref.ir.nodes import Call, Expr, Number
from fuse_ref.ir.operations import CATALOGUE
from fuse_ref.ir.variables import children, free_variables
from fuse_ref.records import dataclass

__all__ = ["Part", "Produced", "find_produced", "made_size"]


@dataclass(frozen=True, slots=True)
class Part:
    """One summand of a produced length: the product of all that is named here."""

    variables: tuple[str, ...]  # ranges of the same equation
    count: int  # a number


@dataclass(frozen=True, slots=True)
class Produced:
    """A variable of the left-hand side whose positions a function makes."""

    variable: str
    parts: tuple[Part, ...]  # their sum is the range
    function: str


def find_produced(body: Expr) -> dict[str, Produced]:
    """The variables that functions in `body` make."""
    found: dict[str, Produced] = {}
    stack: list[Expr] = [body]
    while stack:
        node = stack.pop()
        if isinstance(node, Call):
            for item in _of_call(node):
                found.setdefault(item.variable, item)
        stack.extend(reversed(children(node)))
    return found


def _of_call(call: Call) -> tuple[Produced, ...]:
    options = dict(call.options)
    match call.function:
        case "concat" if call.axis is not None:
            flattened = options.get("flattened", "").split()
            return (Produced(call.axis, tuple(_concat_part(a, flattened) for a in call.arguments), call.function),)
        case "one_hot" | "causal_mask":
            size = made_size(call)
            names = (*options.get("rows", "").split(), *((call.axis,) if call.axis else ()))
            return () if size is None else tuple(Produced(name, (Part((), size),), call.function) for name in names)
        case _:
            return ()


def made_size(call: Call) -> int | None:
    """The size that one_hot or causal_mask names; None where it leaves that to its axis."""
    size = call.arguments[-1] if call.arguments else None
    named = isinstance(size, Number) and len(call.arguments) == len(CATALOGUE[call.function].arguments)
    return int(size.value) if isinstance(size, Number) and named else None


def _concat_part(argument: Expr, flattened: list[str]) -> Part:
    inside = free_variables(argument)
    return Part(tuple(v for v in flattened if v in inside), 1)
