"""Which values dense operations need."""

from __future__ import annotations

from typing import assert_never

from fuse_ref.plan.steps import (
    Along,
    Contract,
    DenseOperation,
    Expand,
    Index,
    Iota,
    LiteralArray,
    Map,
    Operand,
    Permute,
    Reduce,
    Write,
)

__all__ = ["reads"]


def reads(operation: DenseOperation) -> tuple[str, ...]:
    """Names of the values that `operation` reads."""
    match operation:
        case LiteralArray() | Iota():
            return ()
        case Index():
            return (operation.source,)
        case Map() | Along():
            return tuple(item.value for item in operation.operands if isinstance(item, Operand))
        case Contract():
            return (operation.left.value, operation.right.value)
        case Reduce() | Permute() | Expand() | Write():
            return (operation.operand.value,)
        case _:
            assert_never(operation)
