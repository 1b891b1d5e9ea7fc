"""Products of two operands summed over shared labels, as matrix products of BLAS where there is a matrix."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from fuse_ref.evaluate.registers import Emitter, Register

__all__ = ["contract"]


def contract(
    emitter: Emitter,
    left: Register,
    left_labels: Sequence[str],
    right: Register,
    right_labels: Sequence[str],
    output: Sequence[str],
) -> Register:
    """Write the product of `left` and `right`, summed over the labels that `output` lacks.

    Labels fall into four groups: batch (both operands and the output), left and right (one operand and
    the output), summed (both operands only). A label of one operand only that the output lacks is summed
    before anything else. With a summed label and a left or right one this is a stack of matrix products;
    groups of several labels are merged into one dimension, without a copy where the memory allows it.
    """
    left, left_labels = _sum_alone(emitter, left, left_labels, right_labels, output)
    right, right_labels = _sum_alone(emitter, right, right_labels, left_labels, output)
    batch = [label for label in output if label in left_labels and label in right_labels]
    summed = [label for label in left_labels if label in right_labels and label not in output]
    only_left = [label for label in output if label not in right_labels]
    only_right = [label for label in output if label not in left_labels]
    if not summed:
        return _product(emitter, left, left_labels, right, right_labels, output)
    if not only_left and not only_right:
        return _inner(emitter, left, left_labels, right, right_labels, batch, summed)
    if not only_left or (only_right and output.index(only_right[0]) < output.index(only_left[0])):
        # The transposed product puts the dimensions where the output has them.
        left, left_labels, only_left, right, right_labels, only_right = (
            *(right, right_labels, only_right),
            *(left, left_labels, only_left),
        )
    if not only_right and batch and _in_memory(emitter, left, left_labels, left_labels)[-1] in batch:
        # A batch of vectors side by side: rows are added, where a matrix product would walk across the memory.
        numbers = [_numbers(labels, left_labels) for labels in (left_labels, right_labels, output)]
        shape = tuple(_sizes(emitter, left, left_labels)[label] for label in output)
        x, y, z = numbers
        return emitter.call(lambda a, b: np.einsum(a, x, b, y, z), (left, right), shape, emitter.infos[left].dtype)
    return _matrix(emitter, left, left_labels, right, right_labels, batch, only_left, summed, only_right, output)


def _sum_alone(
    emitter: Emitter, operand: Register, labels: Sequence[str], other: Sequence[str], output: Sequence[str]
) -> tuple[Register, Sequence[str]]:
    alone = tuple(k for k, label in enumerate(labels) if label not in other and label not in output)
    if not alone:
        return operand, labels
    info = emitter.infos[operand]
    kept = [k for k in range(len(labels)) if k not in alone]
    shape = tuple(info.shape[k] for k in kept)
    add = np.add.reduce
    return emitter.call(lambda x: add(x, axis=alone), (operand,), shape, info.dtype), [labels[k] for k in kept]


def _sizes(emitter: Emitter, operand: Register, labels: Sequence[str]) -> dict[str, int]:
    return dict(zip(labels, emitter.infos[operand].shape, strict=True))


def _product(
    emitter: Emitter,
    left: Register,
    left_labels: Sequence[str],
    right: Register,
    right_labels: Sequence[str],
    output: Sequence[str],
) -> Register:
    sizes = _sizes(emitter, left, left_labels) | _sizes(emitter, right, right_labels)
    shape = tuple(sizes[label] for label in output)
    dtype = emitter.infos[left].dtype
    operands = [emitter.align(left, left_labels, output), emitter.align(right, right_labels, output)]
    into = next((k for k in operands if emitter.infos[k].shape == shape and emitter.may_overwrite(k)), None)
    return emitter.call(np.multiply, operands, shape, dtype, into=into)


def _inner(
    emitter: Emitter,
    left: Register,
    left_labels: Sequence[str],
    right: Register,
    right_labels: Sequence[str],
    batch: list[str],
    summed: list[str],
) -> Register:
    """Everything is batch or summed: one inner product per batch position."""
    info = emitter.infos[left]
    sizes = _sizes(emitter, left, left_labels)
    shape = tuple(sizes[label] for label in batch)
    summed = _in_memory(emitter, left, left_labels, summed)
    layout = _in_memory(emitter, left, left_labels, [*batch, *summed])
    if batch and layout[: len(summed)] == summed:
        # The sum runs over the slow dimensions: add rows instead of gathering columns.
        into_left = _numbers(left_labels, left_labels)
        into_right = _numbers(right_labels, left_labels)
        into_output = _numbers(batch, left_labels)
        return emitter.call(
            lambda x, y: np.einsum(x, into_left, y, into_right, into_output), (left, right), shape, info.dtype
        )
    count = math.prod(sizes[label] for label in summed)
    operands = []
    for operand, labels in ((left, left_labels), (right, right_labels)):
        aligned = emitter.transpose(operand, tuple(labels.index(label) for label in (*batch, *summed)))
        operands.append(emitter.reshape(aligned, (*shape, count)))
    return emitter.call(np.vecdot, operands, shape, info.dtype)


def _numbers(labels: Sequence[str], among: Sequence[str]) -> list[int]:
    return [list(among).index(label) for label in labels]


def _in_memory(emitter: Emitter, operand: Register, labels: Sequence[str], group: Sequence[str]) -> list[str]:
    """The labels of `group` from the slowest to the fastest in the operand's memory."""
    return [labels[k] for k in emitter.infos[operand].order if labels[k] in group]


def _matrix(
    emitter: Emitter,
    left: Register,
    left_labels: Sequence[str],
    right: Register,
    right_labels: Sequence[str],
    batch: list[str],
    only_left: list[str],
    summed: list[str],
    only_right: list[str],
    output: Sequence[str],
) -> Register:
    sizes = _sizes(emitter, left, left_labels) | _sizes(emitter, right, right_labels)
    dtype = emitter.infos[left].dtype
    # Merging a group costs a copy unless its order is that of the memory; the larger operand has the say.
    larger, labels = (left, left_labels)
    if math.prod(emitter.infos[right].shape) > math.prod(emitter.infos[left].shape):
        larger, labels = (right, right_labels)
    summed = _in_memory(emitter, larger, labels, summed)
    only_left = _merged_order(emitter, left, left_labels, only_left)
    only_right = _merged_order(emitter, right, right_labels, only_right)

    stack = tuple(sizes[label] for label in batch)
    rows = math.prod(sizes[label] for label in only_left)
    inner = math.prod(sizes[label] for label in summed)
    columns = math.prod(sizes[label] for label in only_right)
    first = _as_matrices(emitter, left, left_labels, (*batch, *only_left, *summed), (*stack, rows, inner))
    if only_right:
        second = _as_matrices(emitter, right, right_labels, (*batch, *summed, *only_right), (*stack, inner, columns))
        product = emitter.call(np.matmul, (first, second), (*stack, rows, columns), dtype)
    elif not batch:
        second = _as_matrices(emitter, right, right_labels, summed, (inner,))
        product = emitter.call(np.matmul, (first, second), (rows,), dtype)
    else:
        second = _as_matrices(emitter, right, right_labels, (*batch, *summed), (*stack, inner, 1))
        product = emitter.call(np.matmul, (first, second), (*stack, rows, 1), dtype)
    made = (*batch, *only_left, *only_right)
    split = emitter.reshape(product, tuple(sizes[label] for label in made))
    return emitter.transpose(split, tuple(made.index(label) for label in output))


def _merged_order(emitter: Emitter, operand: Register, labels: Sequence[str], group: list[str]) -> list[str]:
    """The group in the order of the memory when it lies together there (merging is free), else as in the output."""
    if len(group) < 2:
        return group
    memory = _in_memory(emitter, operand, labels, labels)
    start = min(memory.index(label) for label in group)
    together = memory[start : start + len(group)]
    return together if set(together) == set(group) else group


def _as_matrices(
    emitter: Emitter, operand: Register, labels: Sequence[str], order: Sequence[str], shape: tuple[int, ...]
) -> Register:
    aligned = emitter.transpose(operand, tuple(labels.index(label) for label in order))
    return emitter.reshape(aligned, shape)
