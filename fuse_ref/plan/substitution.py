"""Dense operations with other values, or other labels, in place of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
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

__all__ = ["operands", "with_values"]


def operands(operation: DenseOperation) -> tuple[Operand, ...]:
    """What `operation` reads by labels; the source of an Index, which has none, is left out."""
    match operation:
        case LiteralArray() | Iota() | Ratio():
            return ()
        case Index(_, _, indices):
            return _gathered(indices)
        case Map() | Along():
            return tuple(item for item in operation.operands if isinstance(item, Operand))
        case Concat(_, parts):
            return tuple(part.operand for part in parts)
        case Contract():
            return (operation.left, operation.right)
        case Whole() | Reduce() | Permute() | Expand():
            return (operation.operand,)
        case Write(_, _, operand, indices):
            return (operand, *_gathered(indices))
        case Convolve(_, image, weights):
            return (image, weights)
        case Attention(_, query, key, value, bias=bias, keep=keep):
            return tuple(item for item in (query, key, value, bias, keep) if item is not None)
        case Sample(seed=seed):
            return (seed,)
        case Aggregate(operands=found):
            return found
        case _:
            assert_never(operation)


def with_values(operation: DenseOperation, names: Mapping[str, str]) -> DenseOperation:
    """`operation` reading `names[value]` where it read `value`; dimensions and their order are the same."""

    def renamed(operand: Operand) -> Operand:
        found = names.get(operand.value)
        return operand if found is None else Operand(found, operand.labels)

    match operation:
        case LiteralArray() | Iota() | Ratio():
            return operation
        case Index(_, source, indices):
            read = tuple(
                index if index.gather is None else replace(index, gather=renamed(index.gather)) for index in indices
            )
            return replace(operation, source=names.get(source, source), indices=read)
        case Map() | Along():
            changed = tuple(renamed(item) if isinstance(item, Operand) else item for item in operation.operands)
            return replace(operation, operands=changed)
        case Concat(_, parts):
            return replace(operation, parts=tuple(replace(part, operand=renamed(part.operand)) for part in parts))
        case Contract(_, left, right):
            return replace(operation, left=renamed(left), right=renamed(right))
        case Whole(operand=operand) | Reduce(operand=operand) | Permute(operand=operand) | Expand(operand=operand):
            return replace(operation, operand=renamed(operand))
        case Write(_, _, operand, indices):
            written = tuple(
                index if index.gather is None else replace(index, gather=renamed(index.gather)) for index in indices
            )
            return replace(operation, operand=renamed(operand), indices=written)
        case Convolve(_, image, weights):
            return replace(operation, image=renamed(image), filter=renamed(weights))
        case Attention(_, query, key, value, bias=bias, keep=keep):
            return replace(
                operation,
                query=renamed(query),
                key=renamed(key),
                value=renamed(value),
                bias=None if bias is None else renamed(bias),
                keep=None if keep is None else renamed(keep),
            )
        case Sample(seed=seed):
            return replace(operation, seed=renamed(seed))
        case Aggregate(operands=found):
            return replace(operation, operands=tuple(map(renamed, found)))
        case _:
            assert_never(operation)


def _gathered(indices: tuple[ReadIndex, ...] | tuple[WriteIndex, ...]) -> tuple[Operand, ...]:
    return tuple(index.gather for index in indices if index.gather is not None)
