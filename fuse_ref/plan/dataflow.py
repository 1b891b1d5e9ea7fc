"""Which values dense operations need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from fuse_ref.plan.steps import (
    Aggregate,
    Along,
    Attention,
    Concat,
    Contract,
    Convolve,
    DenseOperation,
    Expand,
    Index,
    Iota,
    LiteralArray,
    Map,
    Operand,
    Permute,
    Ratio,
    ReadIndex,
    Reduce,
    Sample,
    Whole,
    Write,
    WriteIndex,
)

__all__ = ["reads"]


def reads(operation: DenseOperation) -> tuple[str, ...]:
    """Names of the values that `operation` reads."""
    match operation:
        case LiteralArray() | Iota() | Ratio():
            return ()
        case Index():
            return (operation.source, *_gathered(operation.indices))
        case Map() | Along():
            return tuple(item.value for item in operation.operands if isinstance(item, Operand))
        case Concat(_, parts):
            return tuple(part.operand.value for part in parts)
        case Contract():
            return (operation.left.value, operation.right.value)
        case Write():
            return (operation.operand.value, *_gathered(operation.indices))
        case Whole() | Reduce() | Permute() | Expand():
            return (operation.operand.value,)
        case Convolve(_, image, weights):
            return (image.value, weights.value)
        case Attention(_, query, key, value, bias=bias, keep=keep):
            return tuple(item.value for item in (query, key, value, bias, keep) if item is not None)
        case Sample(seed=seed):
            return (seed.value,)
        case Aggregate(operands=operands):
            return tuple(item.value for item in operands)  # its relation is no array
        case _:
            assert_never(operation)


def _gathered(indices: Sequence[ReadIndex] | Sequence[WriteIndex]) -> tuple[str, ...]:
    return tuple(index.gather.value for index in indices if index.gather is not None)
