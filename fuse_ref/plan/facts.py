"""Facts of one tensor as one array: written at constant positions while planning."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fuse_ref.analysis.lengths import Fixed
from fuse_ref.ir.index import Affine, FromEnd, Index, Symbol
from fuse_ref.ir.nodes import ArrayLiteral, Expr, Number, Operator
from fuse_ref.ir.operations import NEUTRAL
from fuse_ref.plan.references import position_of
from fuse_ref.plan.steps import LiteralArray, Output, Write, WriteIndex
from fuse_ref.plan.values import WRITE, Lowered, Unsupported, Value

if TYPE_CHECKING:
    from fuse_ref.plan.lower import Definition, _Tensor

__all__ = ["lower_facts"]

# A denser array than this is no constant of a program; relations of that size are stored sparsely.
_MOST_ELEMENTS = 2**20


def lower_facts(tensor: _Tensor, facts: Sequence[Definition]) -> tuple[Lowered, Lowered]:
    """The facts' values, and how many facts each element has, both with the tensor's labels.

    Raises:
        Unsupported: the facts reach so far apart that a dense array of them makes no sense.
    """
    if not facts:
        return 0, 0
    elements = [(_positions(tensor, fact.equation.target.indices), _number(fact.equation.body)) for fact in facts]
    rank = len(tensor.lengths)
    block = [max(position[k] for position, _ in elements) + 1 for k in range(rank)]
    for k, length in enumerate(tensor.lengths):
        if isinstance(length, Fixed):
            block[k] = length.value
    if math.prod(block) > _MOST_ELEMENTS:
        raise Unsupported(f"the facts of {tensor.name} span {math.prod(block)} elements, too many for a dense array")
    operator = tensor.spec.operator
    values: dict[int, int | float] = {}
    counts: dict[int, int] = {}
    for position, value in elements:
        flat = 0
        for k in range(rank):
            flat = flat * block[k] + position[k]
        counts[flat] = counts.get(flat, 0) + 1
        values[flat] = value if flat not in values else _combined(operator, values[flat], value)
    if tensor.dtype == "bool":
        values = {flat: int(value > 0) for flat, value in values.items()}
    size = math.prod(block)
    neutral: int | float = 0 if tensor.dtype == "bool" else NEUTRAL[operator]
    if tensor.dtype == "int64" and math.isfinite(neutral):
        neutral = int(neutral)  # beside whole numbers
    number = _placed(tensor, block, tuple(values.get(i, neutral) for i in range(size)))
    if operator != "avg=":
        return number, 1
    return number, _placed(tensor, block, tuple(counts.get(i, 0) for i in range(size)))


def _combined(operator: Operator, left: int | float, right: int | float) -> int | float:
    match operator:
        case "=" | "avg=":
            return left + right
        case "max=":
            return max(left, right)
        case "min=":
            return min(left, right)
        case "prod=":
            return left * right


def _number(body: Expr) -> int | float:
    match body:
        case Number(value):
            return value
        case ArrayLiteral((value,), ()):
            return value
        case _:
            raise AssertionError(body)


def _positions(tensor: _Tensor, indices: tuple[Index, ...]) -> tuple[int, ...]:
    found = []
    for k, index in enumerate(indices):
        length = tensor.lengths[k]
        match index:
            case Affine((), offset):
                found.append(offset)
            case Symbol(name):
                found.append(position_of(name, tensor.tensors.axes[tensor.spec.axes[k]]))
            case FromEnd(distance) if isinstance(length, Fixed):
                found.append(length.value - distance)
            case _:
                raise Unsupported(f"a fact of {tensor.name} counts from the end of an open axis")
    return tuple(found)


def _placed(tensor: _Tensor, block: Sequence[int], values: tuple[int | float, ...]) -> Value:
    """An array of `block`'s shape at the start of the tensor."""
    lengths = tuple(Fixed(size) for size in block)
    whole = lengths == tensor.lengths
    dtype = "float" if tensor.dtype == "bool" and not whole else tensor.dtype
    made = tensor.builder.add(LiteralArray(Output("", tensor.labels, lengths, dtype), values))
    if whole:
        return made
    labels = tuple(f"fact {k}" for k in range(len(block)))
    indices = tuple(WriteIndex(((label, 1),), Fixed(0), 1) for label in labels)
    operand = Value(made.name, labels, made.dtype).operand
    output = Output("", tensor.labels, tensor.lengths, dtype)
    return tensor.builder.add(Write(output, WRITE[tensor.spec.operator], operand, indices))
