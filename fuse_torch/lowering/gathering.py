"""Reads and writes at positions that a call gives: rows selected by an index, rows added to places.

The gathered dimensions are flattened into one, so that one index per row is enough. Positions outside are
told by a mask on the index; the rows themselves are touched once.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence

import torch
from torch.fx import Node

from fuse_ref.analysis.lengths import Fixed, lower_bound
from fuse_ref.ir.nodes import Dtype
from fuse_ref.plan.steps import Index, ReadIndex, Write, WriteIndex
from fuse_torch.lowering.emitter import Emitter, Number, Size, Value
from fuse_torch.lowering.narrow import added, picked

__all__ = ["lower_gather", "lower_scatter", "whole_dimensions"]

_SCATTER = {"max": "amax", "min": "amin", "prod": "prod"}


def whole_dimensions(indices: Sequence[ReadIndex | WriteIndex]) -> dict[int, str]:
    """The dimensions whose index is a label of their own, read from position 0 on in steps of 1."""
    used: list[str] = []
    for index in indices:
        gathered = () if index.gather is None else index.gather.labels
        used.extend({*(label for label, _ in index.terms), *gathered})
    return {
        k: index.terms[0][0]
        for k, index in enumerate(indices)
        if index.gather is None
        and index.divisor == 1
        and index.offset == Fixed(0)
        and [coefficient for _, coefficient in index.terms] == [1]
        and used.count(index.terms[0][0]) == 1
    }


def _positions(emit: Emitter, index: ReadIndex | WriteIndex, labels: Sequence[str], counts: Mapping[str, Size]) -> Node:
    """The position of every element along one dimension, so that it broadcasts over dimensions `labels`."""
    result: Node | None = None
    for label, coefficient in index.terms:
        steps = emit.arange(counts[label], "int64")
        if coefficient != 1:
            steps = emit.call(operator.mul, steps, coefficient)
        steps = emit.aligned(steps, (label,), labels)
        result = steps if result is None else emit.call(operator.add, result, steps)
    if index.gather is not None:
        gathered = emit.operand(index.gather)
        aligned = emit.aligned(gathered, index.gather.labels, labels)
        result = aligned if result is None else emit.call(operator.add, result, aligned)
    if result is None:
        result = emit.full((), 0, "int64")
    offset = emit.size(index.offset)
    if offset != 0:
        result = emit.call(operator.add, result, offset)
    return emit.call(operator.floordiv, result, index.divisor) if index.divisor > 1 else result


def _flat(
    emit: Emitter,
    indices: Sequence[ReadIndex | WriteIndex],
    sizes: Sequence[Size],
    labels: Sequence[str],
    counts: Mapping[str, Size],
) -> tuple[Node, Node | None]:
    """The position in all dimensions flattened, and whether it lies outside one of them; None where it cannot."""
    flat: Node | None = None
    outside: Node | None = None
    for index, size in zip(indices, sizes, strict=True):
        position = _positions(emit, index, labels, counts)
        flat = position if flat is None else emit.call(operator.add, emit.call(operator.mul, flat, size), position)
        if isinstance(index, ReadIndex) and index.inside:
            continue
        below, above = emit.call(operator.lt, position, 0), emit.call(operator.ge, position, size)
        beyond = emit.call(torch.logical_or, below, above)
        if index.gather is not None and any(index.words):  # for checked runs
            offset = emit.size(index.offset)
            beyond.meta["fuse_positions"] = (
                emit.operand(index.gather),
                offset,
                size,
                index.words,
                index.gather.labels,
            )
        outside = beyond if outside is None else emit.call(torch.logical_or, outside, beyond)
    assert flat is not None
    return flat, outside


def lower_gather(emit: Emitter, operation: Index) -> Value:
    """A read with gathers; positions outside, also negative ones, give 0 and have no gradient."""
    output = operation.output
    counts = {label: emit.size(length) for label, length in zip(output.labels, output.lengths, strict=True)}
    source = emit.values[operation.source]
    whole = whole_dimensions(operation.indices)
    picked = [k for k in range(len(operation.indices)) if k not in whole]
    inner = [label for label in output.labels if label not in whole.values()]
    sizes = [emit.size(source.lengths[k]) for k in picked]
    flat, outside = _flat(emit, [operation.indices[k] for k in picked], sizes, inner, counts)
    if outside is not None:
        flat = emit.call(torch.masked_fill, flat, outside, 0)
    dim = picked[0]
    table = source.node
    if len(picked) > 1:
        order = (*picked, *whole)
        if order != tuple(range(len(order))):
            table = emit.call(torch.permute, table, order)
        dim, table = 0, emit.call(torch.flatten, table, 0, len(picked) - 1)
        labels = [*inner, *whole.values()]
    else:
        labels = [*(whole[k] for k in range(dim)), *inner, *(whole[k] for k in range(dim + 1, len(whole) + 1))]
    rank = 1 + len(whole)
    some = outside is None or all((lower_bound(source.lengths[k]) or 0) > 0 for k in picked)
    rows = _selected(emit, table, dim, flat, [counts[label] for label in inner], rank, some=some)
    if outside is not None:
        behind = len(labels) - dim - len(inner)
        if behind:
            outside = emit.call(operator.getitem, outside, (..., *(None,) * behind))
        rows = emit.call(torch.masked_fill, rows, outside, 0)
    return Value(emit.permuted(rows, labels, output.labels), output.lengths, output.dtype)


def _selected(emit: Emitter, table: Node, dim: int, flat: Node, inner: list[Size], rank: int, *, some: bool) -> Node:
    """The rows of `table` (of `rank` dimensions) along `dim` at positions `flat`, which has sizes `inner`.

    `some`: the table surely has a row.
    """
    index = flat if len(inner) == 1 else emit.method("reshape", flat, (-1,))
    if some:
        rows = emit.call(picked, table, dim, index)
    else:
        # Nothing can be selected from a table without rows: then no row is, and zeros stand for all of them.
        count: Size = 1
        for size in inner:
            count = emit.multiply(count, size)
        kept = emit.multiply(count, emit.minimum(emit.method("size", table, dim), 1))
        rows = emit.call(picked, table, dim, emit.sliced(index, 0, 0, kept))
        rows = emit.padded(rows, rank, {dim: (0, emit.subtract(count, kept))}, 0)
    if len(inner) == 1:
        return rows
    return emit.method("unflatten", rows, dim, tuple(inner)) if inner else emit.call(torch.select, rows, dim, 0)


def lower_scatter(emit: Emitter, operation: Write, node: Node, dtype: Dtype, fill: Number) -> Node:
    """Any write: each element, or each row of whole dimensions, goes to its position.

    Positions outside, also negative ones, are sent to one place more than there are, which is left out.
    """
    operand = operation.operand
    lengths = emit.lengths(operand)
    counts = {label: emit.size(length) for label, length in lengths.items()}
    whole = {
        k: label
        for k, label in whole_dimensions(operation.indices).items()
        if lengths[label] == operation.output.lengths[k]
    }
    picked = [k for k in range(len(operation.indices)) if k not in whole]
    targets = [emit.size(length) for length in operation.output.lengths]
    inner = [label for label in operand.labels if label not in whole.values()]
    kept = list(whole.values())
    total: Size = 1
    for k in picked:
        total = emit.multiply(total, targets[k])
    width = tuple(targets[k] for k in whole)
    if picked:
        flat, outside = _flat(emit, [operation.indices[k] for k in picked], [targets[k] for k in picked], inner, counts)
        if outside is not None:
            flat = emit.call(torch.where, outside, total, flat)
    else:
        flat = emit.full((), 0, "int64")  # everything meets in one place
    sizes = tuple(counts[label] for label in inner)
    where = emit.method("reshape", emit.method("expand", flat, sizes), (-1,))
    count: Size = 1
    for size in sizes:
        count = emit.multiply(count, size)
    values = emit.permuted(node, operand.labels, [*inner, *kept])
    if len(inner) != 1:
        values = emit.method("reshape", values, (count, *width))
    start = emit.full((emit.add(total, 1), *width), fill, dtype)
    if operation.operator == "sum":
        result = emit.call(added, start, where, values)
    else:
        if whole:
            column = emit.call(operator.getitem, where, (slice(None), *(None,) * len(whole)))
            where = emit.method("expand", column, (count, *width))
        mode = _SCATTER[operation.operator]
        result = emit.call(torch.scatter_reduce, start, 0, where, values, mode, include_self=True)
    result = emit.sliced(result, 0, 0, total)
    if len(picked) != 1:
        result = emit.method("reshape", result, (*(targets[k] for k in picked), *width))
    made = [str(k) for k in (*picked, *whole)]
    return emit.permuted(result, made, [str(k) for k in range(len(targets))])
