"""Functions of a tensor as a whole, in plain Python: numbers by their positions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

__all__ = ["step_of_tucker"]

Cells: TypeAlias = Mapping[tuple[int, ...], float]
Matrix: TypeAlias = list[list[float]]


def step_of_tucker(cells: Cells, shape: Sequence[int], rank: int, threshold: float) -> dict[tuple[int, ...], float]:
    """1 where the Tucker approximation is above the threshold.

    Along each axis the tensor is projected onto the `rank` directions in which it is largest (0: the root of the
    size, rounded up); these are the leading eigenvectors of the products of its slices with each other.
    """
    if not all(math.isfinite(x) for x in cells.values()):
        return dict.fromkeys(cells, 0.0)
    approximation = dict(cells)
    for axis, size in enumerate(shape):
        projector = _projector(_slice_products(cells, shape, axis), rank or math.ceil(math.sqrt(size)))
        approximation = {
            place: sum(projector[place[axis]][k] * approximation[_moved(place, axis, k)] for k in range(size))
            for place in approximation
        }
    return {place: float(x > threshold) for place, x in approximation.items()}


def _moved(place: tuple[int, ...], axis: int, position: int) -> tuple[int, ...]:
    return (*place[:axis], position, *place[axis + 1 :])


def _slice_products(cells: Cells, shape: Sequence[int], axis: int) -> Matrix:
    size = shape[axis]
    others = list(itertools.product(*(range(1 if k == axis else n) for k, n in enumerate(shape))))
    return [
        [sum(cells[_moved(o, axis, a)] * cells[_moved(o, axis, b)] for o in others) for b in range(size)]
        for a in range(size)
    ]


def _projector(matrix: Matrix, rank: int) -> Matrix:
    """Onto the eigenvectors of the largest eigenvalues of a symmetric matrix."""
    values, vectors = _eigen(matrix)
    leading = sorted(range(len(values)), key=lambda k: -values[k])[:rank]
    size = len(matrix)
    return [[sum(vectors[a][k] * vectors[b][k] for k in leading) for b in range(size)] for a in range(size)]


def _eigen(matrix: Matrix) -> tuple[list[float], Matrix]:
    """Eigenvalues, and eigenvectors as columns, by Jacobi's rotations (Golub and Van Loan, section 8.5)."""
    size = len(matrix)
    a = [list(row) for row in matrix]
    v = [[float(i == j) for j in range(size)] for i in range(size)]
    for _ in range(60):
        for p, q in itertools.combinations(range(size), 2):
            if abs(a[p][q]) < 1e-300:
                continue
            tau = (a[q][q] - a[p][p]) / (2 * a[p][q])
            t = math.copysign(1.0, tau) / (abs(tau) + math.hypot(1.0, tau))
            c = 1 / math.hypot(1.0, t)
            s = t * c
            for k in range(size):
                a[k][p], a[k][q] = c * a[k][p] - s * a[k][q], s * a[k][p] + c * a[k][q]
            for k in range(size):
                a[p][k], a[q][k] = c * a[p][k] - s * a[q][k], s * a[p][k] + c * a[q][k]
            for k in range(size):
                v[k][p], v[k][q] = c * v[k][p] - s * v[k][q], s * v[k][p] + c * v[k][q]
    return [a[k][k] for k in range(size)], v
