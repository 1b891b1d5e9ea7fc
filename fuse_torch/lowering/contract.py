"""Products of two operands as the cheapest torch call that needs no copy: linear, matmul, else a binary einsum.

Never more than two operands per call: torch plans longer einsums from the sizes it sees, which would
fix every open size.
"""

from __future__ import annotations

import operator
import string
from dataclasses import dataclass

import torch
from torch.fx import Node
from torch.nn import functional

from fuse_ref.plan.dataflow import reads
from fuse_ref.plan.steps import Contract, DenseOperation, Map, Operand, Output
from fuse_torch.lowering.emitter import Emitter, Value

__all__ = ["Bias", "biases", "lower_contract"]


@dataclass(frozen=True, slots=True)
class _Factor:
    """An operand of a product on its way into a torch call."""

    node: Node
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bias:
    """A product whose only use is to have a vector added: one call for both."""

    contract: Contract
    addition: Map
    vector: Operand


def lower_contract(emit: Emitter, operation: Contract, bias: Bias | None = None) -> Value:
    """The product, with the bias added where there is one."""
    output = operation.output
    left, right = (_prepared(emit, operation, operand) for operand in (operation.left, operation.right))
    result = _linear(emit, left, right, output.labels, bias)
    if result is None:
        result = _product(emit, left, right, output)
    return Value(result, output.lengths, output.dtype)


def biases(operations: tuple[DenseOperation, ...], kept: frozenset[str]) -> dict[str, Bias]:
    """Products that an addition of a vector can join, by the name of the product.

    `kept` are the values that something else needs: a product among them stays by itself.
    """
    products = {item.output.out: item for item in operations if isinstance(item, Contract)}
    uses: dict[str, int] = {}
    for item in operations:
        for operand in reads(item):
            uses[operand] = uses.get(operand, 0) + 1
    found: dict[str, Bias] = {}
    for item in operations:
        if not isinstance(item, Map) or item.function != "add" or len(item.operands) != 2:
            continue
        first, second = item.operands
        for product, vector in ((first, second), (second, first)):
            if not isinstance(product, Operand) or not isinstance(vector, Operand):
                continue
            contract = products.get(product.value)
            if contract is None or product.value in kept or uses[product.value] != 1 or product.value in found:
                continue
            # The addition may rename the product's dimensions, not reorder them.
            aligned = product.labels == item.output.labels
            last = vector.labels == item.output.labels[-1:] and len(vector.labels) == 1
            if aligned and last and _linear_roles(contract) is not None and item.output.dtype == "float":
                found[product.value] = Bias(contract, item, vector)
                break
    return found


def _prepared(emit: Emitter, operation: Contract, operand: Operand) -> _Factor:
    """The operand in the product's type, without the labels that it alone has and the output lacks."""
    node, labels = emit.operand(operand), operand.labels
    if operation.output.dtype == "float":
        node = emit.floating(node, emit.dtype(operand))
    other = operation.right if operand is operation.left else operation.left
    alone = [label for label in labels if label not in other.labels and label not in operation.output.labels]
    if alone:
        node = emit.call(torch.sum, node, tuple(labels.index(label) for label in alone))
        labels = tuple(label for label in labels if label not in alone)
    return _Factor(node, labels)


def _linear_roles(contract: Contract) -> tuple[Operand, Operand] | None:
    """(x, weight) when the product is x[…, s] weight[r, s] -> […, r], as functional.linear computes it."""
    for x, weight in ((contract.left, contract.right), (contract.right, contract.left)):
        if _is_linear(x.labels, weight.labels, contract.output.labels):
            return x, weight
    return None


def _is_linear(x: tuple[str, ...], weight: tuple[str, ...], out: tuple[str, ...]) -> bool:
    if len(weight) != 2 or len(x) < 2:
        return False
    row, summed = weight
    return x[-1] == summed and row not in x and summed not in out and out == (*x[:-1], row)


def _linear(emit: Emitter, left: _Factor, right: _Factor, out: tuple[str, ...], bias: Bias | None) -> Node | None:
    for x, weight in ((left, right), (right, left)):
        if _is_linear(x.labels, weight.labels, out):
            if bias is None:
                return emit.call(functional.linear, x.node, weight.node)
            vector = emit.floating(emit.operand(bias.vector), emit.dtype(bias.vector))
            return emit.call(functional.linear, x.node, weight.node, vector)
    return None


def _product(emit: Emitter, left: _Factor, right: _Factor, output: Output) -> Node:
    out = output.labels
    summed = [label for label in left.labels if label in right.labels and label not in out]
    if not summed:
        aligned = (emit.aligned(factor.node, factor.labels, out) for factor in (left, right))
        return emit.call(operator.mul, *aligned)
    batch = [label for label in out if label in left.labels and label in right.labels]
    rows = [label for label in left.labels if label not in right.labels]
    columns = [label for label in right.labels if label not in left.labels]
    if not batch and rows and columns:
        both = _flattened(emit, left, right, output, summed)
        if both is not None:
            return both
    if len(summed) == 1 and not batch:
        matrix = _matrix(emit, left, right, out, summed[0], rows, columns)
        matrix = matrix or _leading(emit, left, right, output, summed[0])
        if matrix is not None:
            return matrix
    if len(summed) == 1 and len(rows) == 1 and len(columns) == 1:
        return _batched(emit, left, right, out, summed[0], batch, rows[0], columns[0])
    if len(summed) == 1 and batch and len(rows) + len(columns) == 1:
        many, one = (left, right) if rows else (right, left)
        if many.labels[-1] in batch:
            # Side by side in memory: rows are added, where a matrix product would walk across the memory.
            weights = emit.aligned(one.node, one.labels, many.labels)
            summed_up = emit.call(torch.sum, emit.call(operator.mul, many.node, weights), many.labels.index(summed[0]))
            return emit.permuted(summed_up, tuple(label for label in many.labels if label != summed[0]), out)
        return _vectors(emit, many, one, out, summed[0], batch, *rows, *columns)
    if len(summed) == 1 and batch and not rows and not columns:
        both = [emit.permuted(factor.node, factor.labels, (*out, summed[0])) for factor in (left, right)]
        return emit.call(torch.linalg.vecdot, *both)
    return _einsum(emit, left, right, out)


def _flattened(emit: Emitter, left: _Factor, right: _Factor, output: Output, summed: list[str]) -> Node | None:
    """x[…, s] and weight[r…, s] as functional.linear with the rows of the weight as one, where both end with s.

    The result lies in memory as x does, each position with its rows behind it: attention reads heads so.
    """
    last = tuple(label for label in left.labels if label in summed)
    x, weight = (left, right) if output.labels[0] in left.labels else (right, left)
    rows = weight.labels[: -len(last)]
    if len(rows) < 2 or any(factor.labels[-len(last) :] != last for factor in (x, weight)):
        return None
    lengths = dict(zip(output.labels, output.lengths, strict=True))
    flat = emit.call(torch.flatten, weight.node, 0, len(rows) - 1)
    first = x.node
    if len(last) > 1:
        flat = emit.call(torch.flatten, flat, 1, -1)
        first = emit.call(torch.flatten, first, len(x.labels) - len(last), -1)
    made = emit.call(functional.linear, first, flat)
    split = emit.method("unflatten", made, -1, tuple(emit.size(lengths[label]) for label in rows))
    return emit.permuted(split, (*x.labels[: -len(last)], *rows), output.labels)


def _matrix(
    emit: Emitter,
    left: _Factor,
    right: _Factor,
    out: tuple[str, ...],
    summed: str,
    rows: list[str],
    columns: list[str],
) -> Node | None:
    """Dot products, matrix times vector, and (rows…, s) times (s, column) of any number of rows."""
    if not rows and not columns:
        # Not dot and mv, which torch.autocast leaves alone with operands of two types.
        return emit.call(torch.matmul, left.node, right.node)
    if not columns and len(rows) == 1:
        return emit.call(torch.matmul, emit.permuted(left.node, left.labels, (*rows, summed)), right.node)
    if not rows and len(columns) == 1:
        return emit.call(torch.matmul, emit.permuted(right.node, right.labels, (*columns, summed)), left.node)
    for many, one, outer, inner in ((left, right, rows, columns), (right, left, columns, rows)):
        if len(inner) == 1 and many.labels[-1] == summed and out == (*outer, inner[0]):
            matrix = emit.permuted(one.node, one.labels, (summed, inner[0]))
            return emit.call(torch.matmul, many.node, matrix)
    return None


def _leading(emit: Emitter, left: _Factor, right: _Factor, output: Output, summed: str) -> Node | None:
    """(column, s) times (s, rows…) or (rows…, s), into (column, rows…): what torch's einsum would make the other way
    round, (rows…, column), and call transposed, so that whatever reads it next walks across the memory."""
    out = output.labels
    for many, one in ((left, right), (right, left)):
        inner = [label for label in one.labels if label != summed]
        if len(inner) != 1 or len(many.labels) < 3:
            continue
        column = emit.permuted(one.node, one.labels, (*inner, summed))
        if (summed, *out[1:]) == many.labels:
            flat = emit.call(torch.flatten, many.node, 1, -1)
        elif (*out[1:], summed) == many.labels:
            flat = emit.method("transpose", emit.call(torch.flatten, many.node, 0, len(many.labels) - 2), -2, -1)
        else:
            continue
        made = emit.call(torch.matmul, column, flat)
        return emit.method("unflatten", made, -1, tuple(emit.size(length) for length in output.lengths[1:]))
    return None


def _batched(
    emit: Emitter,
    left: _Factor,
    right: _Factor,
    out: tuple[str, ...],
    summed: str,
    batch: list[str],
    row: str,
    column: str,
) -> Node:
    """A batch of matrix products; the operands' dimensions are moved by views."""
    if out.index(row) > out.index(column):
        left, right, row, column = right, left, column, row
    first = emit.permuted(left.node, left.labels, (*batch, row, summed))
    second = emit.permuted(right.node, right.labels, (*batch, summed, column))
    made = (*batch, row, column)
    return emit.permuted(emit.call(torch.matmul, first, second), made, out)


def _vectors(
    emit: Emitter, many: _Factor, one: _Factor, out: tuple[str, ...], summed: str, batch: list[str], column: str
) -> Node:
    """A batch of vectors times matrices, each vector a row: as a column torch 2.13 is ten times slower on the CPU."""
    matrix = emit.permuted(many.node, many.labels, (*batch, summed, column))
    vector = emit.permuted(one.node, one.labels, (*batch, summed))
    if vector is not one.node:
        vector = emit.method("contiguous", vector)  # the smaller of the two, and slow where it is strided
    row = emit.call(torch.unsqueeze, vector, -2)
    return emit.permuted(emit.call(torch.squeeze, emit.call(torch.matmul, row, matrix), -2), (*batch, column), out)


def _einsum(emit: Emitter, left: _Factor, right: _Factor, out: tuple[str, ...]) -> Node:
    letters: dict[str, str] = {}
    for label in (*left.labels, *right.labels):
        letters.setdefault(label, string.ascii_letters[len(letters)])
    spelled = ["".join(letters[label] for label in labels) for labels in (left.labels, right.labels, out)]
    return emit.call(torch.einsum, f"{spelled[0]},{spelled[1]}->{spelled[2]}", left.node, right.node)
