"""Functions of an array as a whole as torch calls."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch.fx import Node

from fuse_ref.plan.steps import Whole
from fuse_torch.lowering.emitter import Emitter, Size, Value

__all__ = ["WHOLE", "lower_whole"]

# (emitter, array, its sizes, the other arguments) -> an array of the same sizes
WholeFunction: TypeAlias = Callable[[Emitter, Node, Sequence[Size], Sequence[int | float]], Node]


def _tucker_dense(emit: Emitter, x: Node, sizes: Sequence[Size], numbers: Sequence[int | float]) -> Node:
    """Truncated higher-order SVD (De Lathauwer et al. 2000, section 4), then the step at the threshold."""
    rank, threshold = int(numbers[0]), numbers[1]
    wide = emit.wide()  # 16 bits have no decomposition
    fixed = emit.method("to", emit.method("detach", x), wide)
    # torch refuses to decompose what is not finite.
    finite = emit.call(torch.all, emit.call(torch.isfinite, fixed))
    fixed = value = emit.call(torch.where, finite, fixed, 0.0)
    for dim, size in enumerate(sizes):
        if rank and isinstance(size, int) and size <= rank:
            continue
        rows = emit.call(torch.movedim, fixed, dim, 0)
        rows = emit.call(torch.flatten, rows, 1) if len(sizes) > 1 else emit.call(torch.unsqueeze, rows, 1)
        factor = emit.call(operator.getitem, emit.call(torch.linalg.svd, rows, full_matrices=False), 0)
        if rank:
            factor = emit.call(operator.getitem, factor, (slice(None), slice(None, rank)))
        else:
            # The root of the size, rounded up: column k is one of those where k * k < size.
            column = emit.call(torch.arange, emit.method("size", factor, 1), device=emit.device())
            kept = emit.call(operator.lt, emit.call(operator.mul, column, column), size)
            factor = emit.call(torch.where, kept, factor, 0.0)
        # torch.autocast makes products of 16 bits, which tensordot takes beside nothing else.
        core = emit.method("to", emit.call(torch.tensordot, factor, value, ([0], [dim])), wide)
        back = emit.method("to", emit.call(torch.tensordot, factor, core, ([1], [0])), wide)
        value = emit.call(torch.movedim, back, 0, dim)
    above = emit.call(torch.logical_and, emit.call(operator.gt, value, threshold), finite)
    return emit.method("to", above, emit.precision())


WHOLE: dict[str, WholeFunction] = {"tucker_dense": _tucker_dense}


def lower_whole(emit: Emitter, operation: Whole) -> Value:
    output, operand = operation.output, operation.operand
    node = emit.permuted(emit.floating(emit.operand(operand), emit.dtype(operand)), operand.labels, output.labels)
    sizes = [emit.size(length) for length in output.lengths]
    return Value(WHOLE[operation.function](emit, node, sizes, operation.numbers), output.lengths, output.dtype)
