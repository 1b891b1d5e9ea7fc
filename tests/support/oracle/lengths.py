"""Sizes of all axes and ranges of all variables, with what bounds a recurrence, and the checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tests.support.oracle.axes import Axes, Node, statement_reads
from tests.support.oracle.errors import OracleAxisError
from tests.support.oracle.program import Loaded
from tests.support.oracle.ranges import UNKNOWN, Solver
from tests.support.oracle.references import Affine, FromEnd

__all__ = ["Lengths", "find_lengths"]


@dataclass
class Lengths:
    shapes: dict[str, tuple[int, ...]]  # of every tensor
    ranges: dict[tuple[int, str], int]  # (statement, variable) -> number of positions, from 0
    symbols: dict[tuple[str, int], dict[str, int]]  # (tensor, place) -> symbol -> position
    variable_symbols: dict[tuple[int, str], dict[str, int]]  # (statement, variable) -> the same


# Recurrences without a bound of their own -------------------------------------------------------


def _endless(solver: Solver) -> list[Node]:
    roots = {solver.axes.of(*key) for key, size in solver.lengths.items() if size == UNKNOWN}
    roots |= {
        solver.axes.find(("variable", number, name))
        for (number, name), size in solver.ranges.items()
        if size == UNKNOWN
    }
    return sorted(roots & solver.axes.stepped, key=repr)


def _reads_ahead(solver: Solver) -> bool:
    for item in solver.definitions:
        written = {i.terms[0][0]: i.offset for i in item.target.indices if isinstance(i, Affine) and len(i.terms) == 1}
        for read in statement_reads(solver.loaded, item):
            for index in read.indices:
                match index:
                    case Affine(((name, 1),), offset) if name in written and offset > written[name]:
                        return True
    return False


def _base_lengths(solver: Solver) -> dict[tuple[str, int], float]:
    """For recurrences that run backwards: at the start stands only what constants write."""
    base: dict[tuple[str, int], float] = {}
    for item in solver.definitions:
        for place, index in enumerate(item.target.indices):
            key = (item.target.tensor, place)
            if solver.lengths.get(key) == UNKNOWN and solver.axes.of(*key) in solver.axes.stepped:
                known = index.offset + 1 if isinstance(index, Affine) and not index.terms else 0
                base[key] = max(base.get(key, 0), known)
    return base


def _cap(solver: Solver, root: Node) -> None:
    """The shortest given tensor bounds the steps, else a constant read does."""
    shortest = [
        size
        for tensor, shape in solver.given.items()
        for place, size in enumerate(shape)
        if solver.axes.of(tensor, place) == root and solver.loaded.virtual.get(tensor) != place
    ]
    if shortest:
        solver.step_caps[root] = min(shortest)
    elif any(solver.axes.of(tensor, place) == root for tensor, place in solver.loaded.virtual.items()):
        solver.step_caps[root] = 1  # a stream that reads no ordinary tensor makes one step
    else:
        for item in solver.definitions:
            for read in statement_reads(solver.loaded, item):
                for place, index in enumerate(read.indices):
                    key = (read.tensor, place)
                    if isinstance(index, Affine) and not index.terms and solver.axes.of(*key) == root:
                        solver.length_caps[key] = max(solver.length_caps.get(key, 0), index.offset + 1)


# The whole --------------------------------------------------------------------------------------


def find_lengths(
    loaded: Loaded,
    given: Mapping[str, tuple[int, ...]],
    sizes: Mapping[str, int],
    axes: Axes,
    spare: frozenset[str] = frozenset(),
) -> Lengths:
    """Sizes of all axes and ranges of all variables, for given shapes and declared sizes.

    Args:
        axes: of the whole text.
        spare: given tensors that nothing reads; they are not checked.
    """
    for letter, size in sizes.items():
        if loaded.axis_sizes.get(letter, size) != size:
            raise OracleAxisError(f"axis {letter} has two sizes")
    for tensor, shape in given.items():
        if len(shape) != loaded.ranks[tensor]:
            raise OracleAxisError(f"{tensor} has {len(shape)} axes, {loaded.ranks[tensor]} are read")
    solver = Solver(loaded, axes, given, {**loaded.axis_sizes, **sizes}, spare)
    start: dict[tuple[str, int], float] = {}
    solver.settle(start)
    if _endless(solver) and _reads_ahead(solver):
        start = _base_lengths(solver)
        solver.settle(start)
    endless = _endless(solver)
    if endless:
        for root in endless:
            _cap(solver, root)
        solver.settle(start)
    _check(solver)
    return Lengths(
        {
            tensor: tuple(int(solver.lengths[tensor, place]) for place in range(rank))
            for tensor, rank in loaded.ranks.items()
        },
        {key: int(size) for key, size in solver.ranges.items()},
        {(t, k): axes.symbols.get(axes.of(t, k), {}) for t, rank in loaded.ranks.items() for k in range(rank)},
        {(number, name): axes.symbols.get(axes.find(("variable", number, name)), {}) for number, name in solver.ranges},
    )


def _check(solver: Solver) -> None:
    for key, size in [*solver.lengths.items(), *solver.ranges.items()]:
        if size == UNKNOWN:
            raise OracleAxisError(f"no source of size for {key}")
    for number, name in solver.never_fits:
        if solver.ranges[number, name] == 0:
            raise OracleAxisError(f"a read with {name} in statement {number} never fits")
    for root, proposals in solver.proposals.items():
        if root not in solver.fixed and root not in solver.axes.stepped and len(set(proposals.values())) > 1:
            raise OracleAxisError(f"computed tensors give one axis different lengths: {proposals}")
    for (tensor, place), size in solver.lengths.items():
        root = solver.axes.of(tensor, place)
        needed = max(solver.least.get(root, 0), len(solver.axes.symbols.get(root, {})))
        if root not in solver.axes.stepped and size < needed and tensor not in solver.spare:
            raise OracleAxisError(f"{tensor} has {size} positions, but {needed} are written or named")
    for root, allowed in solver.axes.largest_offset.items():
        found = {
            shape[place]
            for tensor, shape in solver.given.items()
            for place in range(len(shape))
            if solver.axes.of(tensor, place) == root and tensor not in solver.spare
        }
        if root in solver.declared:
            found.add(solver.declared[root])
        if found and max(found) - min(found) > allowed:
            raise OracleAxisError(f"given tensors on one stepped axis have the lengths {sorted(found)}")
    for item in solver.definitions:
        for read in statement_reads(solver.loaded, item):
            for place, index in enumerate(read.indices):
                size = solver.length(read.tensor, place)
                match index:
                    case Affine((), offset) if offset >= size:
                        raise OracleAxisError(f"position {offset} of {read.tensor}, which has {size}")
                    case FromEnd(distance) if distance > size:
                        raise OracleAxisError(f"position -{distance} of {read.tensor}, which has {size}")
