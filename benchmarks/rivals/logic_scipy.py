"""SciPy: semi-naive rounds of Boolean products of CSR matrices."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from benchmarks.rivals.logic_report import report

__all__ = ["FAMILIES"]


class _Facts:
    """Relations of two columns as square Boolean matrices of one size."""

    def __init__(self, folder: Path) -> None:
        # One call parses a whole file; np.loadtxt takes a step of Python for each line.
        rows = {
            path.stem: np.fromstring(path.read_text(encoding="ascii"), np.int64, sep=" ").reshape(-1, 2)
            for path in folder.glob("*.tsv")
        }
        self.size = max(int(part.max()) for part in rows.values()) + 1
        self.rows = rows

    def matrix(self, name: str) -> csr_array:
        rows = self.rows[name]
        found = csr_array((np.ones(len(rows), np.bool_), (rows[:, 0], rows[:, 1])), shape=(self.size,) * 2)
        found.sum_duplicates()
        return found


def _closure(facts: _Facts) -> int:
    edge = facts.matrix("Edge")
    path = fresh = edge
    while fresh.nnz:
        fresh = (fresh @ edge) > path
        path = path + fresh
    return int(path.nnz)


def _generation(facts: _Facts) -> int:
    parent = facts.matrix("Parent")
    below = parent.T.tocsr()
    same = fresh = parent @ below
    while fresh.nnz:
        fresh = (parent @ fresh @ below) > same
        same = same + fresh
    return int(same.nnz)


def _andersen(facts: _Facts) -> int:
    assign, load, store = (facts.matrix(name) for name in ("Assign", "Load", "Store"))
    points = fresh = facts.matrix("Addr")
    while fresh.nnz:
        made = assign @ fresh
        made = made + (load @ fresh) @ points + (load @ points) @ fresh
        made = made + fresh.T.tocsr() @ (store @ points) + points.T.tocsr() @ (store @ fresh)
        fresh = made > points
        points = points + fresh
    return int(points.nnz)


def _triangles(facts: _Facts) -> int:
    edge = facts.matrix("Edge").astype(np.int32)
    return int((edge @ edge).multiply(edge).sum())


def _reach(facts: _Facts) -> int:
    edge = facts.matrix("Edge")
    reach = fresh = edge[[0]]
    while fresh.nnz:
        fresh = (fresh @ edge) > reach
        reach = reach + fresh
    return int(reach.nnz)


FAMILIES: dict[str, Callable[[_Facts], int]] = {
    "closure": _closure,
    "generation": _generation,
    "andersen": _andersen,
    "triangles": _triangles,
    "reach": _reach,
}

if __name__ == "__main__":
    _family, _folder = sys.argv[1:]
    report(FAMILIES[_family](_Facts(Path(_folder))))
