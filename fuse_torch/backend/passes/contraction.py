"""A product of two labelled tensors as one call that neither plans nor specialises: matmul, else a binary einsum."""

from __future__ import annotations

import math
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch.fx import Node

from fuse_torch.backend.passes.graph import Emitter, Size, hint
from fuse_torch.backend.passes.products import Labels

__all__ = ["Factor", "Writer", "layout_of"]


# BLAS multiplies by a matrix of so few columns up to seven times slower than by one of as few rows.
_THIN = 8


@dataclass(frozen=True, slots=True)
class Factor:
    """A tensor and the labels of its dimensions."""

    node: Node
    labels: Labels


def layout_of(value: torch.Tensor, labels: Labels) -> Labels | None:
    """The labels of a tensor from the slowest to the fastest; None where there are gaps or overlaps."""
    lengths = [hint(size) for size in value.shape]
    steps = [1 if isinstance(stride, int) and stride == 1 else hint(stride) for stride in value.stride()]
    if None in lengths or None in steps:
        return None
    order = sorted(range(len(steps)), key=lambda dim: (-(steps[dim] or 0), dim))
    # Dimensions of size 1 may have any stride: they stay in their places where all else is in order.
    moving = [dim for dim in order if lengths[dim] != 1]
    order = list(range(len(steps))) if moving == sorted(moving) else order
    expected = 1
    for dim in reversed(order):
        if lengths[dim] != 1 and steps[dim] != expected:
            return None
        expected *= lengths[dim] or 0
    return tuple(labels[dim] for dim in order)


@dataclass(frozen=True, slots=True)
class Writer:
    """Emits products; knows the size of every label."""

    emit: Emitter
    sizes: Mapping[int, Size]

    def _shape(self, labels: Labels) -> tuple[Size, ...]:
        return tuple(self.sizes[label] for label in labels)

    def permuted(self, factor: Factor, labels: Labels) -> Factor:
        """The same tensor with its dimensions in another order: a view."""
        if factor.labels == labels:
            return factor
        if len(labels) == 2:
            return Factor(self.emit.call(torch.transpose, factor.node, 0, 1, shape=self._shape(labels)), labels)
        order = [factor.labels.index(label) for label in labels]
        return Factor(self.emit.call(torch.permute, factor.node, tuple(order), shape=self._shape(labels)), labels)

    def without(self, factor: Factor, dropped: Sequence[int], *, single: bool) -> Factor:
        """The factor summed over labels; `single` says that they have size 1, and so there is nothing to add."""
        if not dropped:
            return factor
        labels = tuple(label for label in factor.labels if label not in dropped)
        dims = tuple(factor.labels.index(label) for label in dropped)
        function = torch.squeeze if single else torch.sum
        return Factor(self.emit.call(function, factor.node, dims, shape=self._shape(labels)), labels)

    def product(self, left: Factor, right: Factor, kept: frozenset[int], wished: Labels | None = None) -> Factor:
        """The product of two factors, without the labels that are not `kept`.

        Args:
            kept: labels that the result or a later product needs.
            wished: the order of the result's labels; None where it does not matter.
        """
        shared = [label for label in left.labels if label in right.labels]
        summed = [label for label in shared if label not in kept]
        batch = tuple(label for label in shared if label in kept)
        rows = tuple(label for label in left.labels if label not in shared)
        columns = tuple(label for label in right.labels if label not in shared)
        if columns and rows and self._swap(rows, columns, wished):
            left, right, rows, columns = right, left, columns, rows
        made = None
        if len(summed) == 1:
            made = self._matrix(left, right, summed[0], batch, rows, columns)
        if made is None:
            made = self._einsum(left, right, wished or (*batch, *rows, *columns))
        return made if wished is None else self.permuted(made, wished)

    def _swap(self, rows: Labels, columns: Labels, wished: Labels | None) -> bool:
        """Whether the right factor comes first: the result lies as wished then, or is wide and not thin."""
        few, many = self._count(columns), self._count(rows)
        if min(few, many) <= _THIN:
            return few < many
        return wished is not None and wished[-1] in rows

    def _count(self, labels: Labels) -> int:
        return math.prod(hint(self.sizes[label]) or 1 for label in labels)

    def _matrix(
        self, left: Factor, right: Factor, summed: int, batch: Labels, rows: Labels, columns: Labels
    ) -> Factor | None:
        single = len(rows) == len(columns) == 1
        if batch:
            return self._matmul(left, right, (*batch, *rows, summed), (*batch, summed, *columns)) if single else None
        if len(rows) <= 1 and len(columns) <= 1:
            return self._matmul(left, right, (*rows, summed), (summed, *columns))
        if len(columns) <= 1 and left.labels[-1] == summed:
            return self._matmul(left, right, left.labels, (summed, *columns))
        return None

    def _matmul(self, left: Factor, right: Factor, lefts: Labels, rights: Labels) -> Factor:
        first, second = self.permuted(left, lefts), self.permuted(right, rights)
        made = (*lefts[:-1], *(rights[-1:] if len(rights) > 1 else ()))
        return Factor(self.emit.call(torch.matmul, first.node, second.node, shape=self._shape(made)), made)

    def _einsum(self, left: Factor, right: Factor, made: Labels) -> Factor:
        letters: dict[int, str] = {}
        for label in (*left.labels, *right.labels):
            letters.setdefault(label, string.ascii_letters[len(letters)])
        spelled = ["".join(letters[label] for label in labels) for labels in (left.labels, right.labels, made)]
        equation = f"{spelled[0]},{spelled[1]}->{spelled[2]}"
        return Factor(self.emit.call(torch.einsum, equation, left.node, right.node, shape=self._shape(made)), made)
