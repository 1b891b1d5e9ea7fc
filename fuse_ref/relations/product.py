"""Joins of which one old and one new variable are kept, as products of Boolean sparse matrices.

A product of sparse rows finds the different positions of a row while it goes (Gustavson, "Two fast algorithms for
sparse matrices", 1978): where bindings come many times over, that is cheaper than telling them apart later.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from fuse_ref.relations.index import Index, grouped

__all__ = ["products"]

_WORK: Final = 1 << 20  # bindings that are brought together at once, about


def products(
    rows: np.ndarray, places: np.ndarray, index: Index, size: int
) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """`(row, position)` columns for each row with the positions that its groups have, and of how many they came.

    Args:
        rows: (n,) positions.
        places: (n,) groups of `index`, which has one column of payload.
        size: of the axis of the payload.

    No pair comes twice from one block of rows; a block holds all of what is given for a row.
    """
    from scipy import sparse

    if not bool((rows[1:] >= rows[:-1]).all()):
        order = _order(rows)
        rows, places = rows.take(order), places.take(order)
    heads = np.flatnonzero(np.concatenate(([True], rows[1:] != rows[:-1])))
    bounds = np.append(heads, len(rows))
    work = np.concatenate(([0], np.cumsum(index.counts(places), dtype=np.int64))).take(bounds)
    right = index.matrix(size)
    first = 0
    while first < len(heads):
        last = max(int(np.searchsorted(work, work[first] + _WORK, "right")) - 1, first + 1)
        part = slice(int(bounds[first]), int(bounds[last]))
        count = int(work[last] - work[first])
        if count:
            left = sparse.csr_array(
                (
                    np.ones(part.stop - part.start, np.bool_),
                    places[part].astype(right.indices.dtype, copy=False),
                    (bounds[first : last + 1] - bounds[first]).astype(right.indptr.dtype),
                ),
                shape=(last - first, right.shape[0]),
            )
            made = left @ right
            yield np.repeat(rows.take(heads[first:last]), np.diff(made.indptr)), made.indices, count
        first = last


def _order(rows: np.ndarray) -> np.ndarray:
    least, most = int(rows.min()), int(rows.max())
    if most - least < 8 * len(rows):
        return grouped(rows - least, most - least + 1)[0]
    return np.argsort(rows, kind="stable")
