"""Shapes and ranges of a whole program, as formulas, with the checks that make them true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fuse_ref.analysis.cycles import solve_cycle
from fuse_ref.analysis.extents import Finding, find_checks
from fuse_ref.analysis.lengths import Fixed, Length, linear
from fuse_ref.analysis.limits import ScopeTable, affine_part, highest, lowest, tabulate
from fuse_ref.analysis.scopes import Scope, scopes
from fuse_ref.analysis.sizes import Known, find_known
from fuse_ref.analysis.solve import RangeNode, Solver
from fuse_ref.analysis.steps import keep_in_step
from fuse_ref.errors import FuseError
from fuse_ref.ir.index import Index
from fuse_ref.ir.nodes import ProgramIR
from fuse_ref.records import dataclass

__all__ = ["ScopeShapes", "Shapes", "find_shapes"]


@dataclass(frozen=True, slots=True)
class ScopeShapes:
    """The ranges of one equation or sink."""

    scope: Scope
    ranges: Mapping[str, Length]  # variable -> how many positions it runs over, from 0
    axis_of: Mapping[str, str]  # variable -> the axis it reads or writes alone; others have none
    kept: frozenset[tuple[object, str]]  # (slot, side) of reads that ranges were made to keep inside

    def inside(self, tensor: str | None, size: int, position: int, index: Index, length: Length) -> bool:
        """Whether a read along an axis of `length` positions is proven to stay within it."""
        parts = affine_part(index)
        if parts is None:
            return True
        form, divisor = parts
        key = (tensor, size, position, index)
        below = lowest(form, self.ranges)
        if (key, "below") not in self.kept and not (isinstance(below, Fixed) and below.value >= 0):
            return False
        above = linear([(length, divisor), (highest(form, self.ranges), -1)], -1)
        return (key, "above") in self.kept or (isinstance(above, Fixed) and above.value >= 0)


@dataclass(frozen=True, slots=True)
class Shapes:
    known: Known
    tensors: Mapping[str, tuple[Length, ...]]
    equations: tuple[ScopeShapes, ...]
    sinks: tuple[ScopeShapes, ...]
    checks: tuple[Finding, ...]  # what a call must verify, in order
    errors: tuple[FuseError, ...]  # what is wrong whatever a call gives
    unsized: tuple[FuseError, ...]  # lengths that nothing gives; then nothing else is checked


def find_shapes(
    program: ProgramIR,
    *,
    sizes: Mapping[str, int] | None = None,
    given: Mapping[str, Sequence[int]] | None = None,
) -> Shapes:
    """Lengths of all tensors and ranges of all variables of `program`.

    Args:
        program: what is planned.
        sizes: axis letter -> size; each means exactly a line `axis letter = size`.
        given: tensor -> shape, where it is known now; other inputs stay open.

    Raises:
        AxisError: `sizes` or `given` does not fit the program.
    """
    known = find_known(program, sizes, given)
    found = scopes(program)
    tables = [tabulate(scope, known) for scope in found]
    keep_in_step(tables, known)
    solver = Solver(known, tables)
    for members, cyclic in solver.groups():
        if cyclic:
            solve_cycle(solver, members)
        else:
            solver.solution.lengths[members[0]] = solver.value(members[0])
    solution = solver.solution
    kept: dict[int, set[tuple[object, str]]] = {}
    for number, key, side in solution.kept_inside:
        kept.setdefault(number, set()).add((key, side))
    shapes = [
        ScopeShapes(
            scope, _ranges(solver, number, tables[number]), tables[number].axis, frozenset(kept.get(number, ()))
        )
        for number, scope in enumerate(found)
    ]
    tensors = {
        tensor.name: tuple(
            solution.lengths[solver.length_node(tensor.name, position)] for position in range(len(tensor.axes))
        )
        for tensor in program.tensors
    }
    errors: list[FuseError] = []
    checks = () if solution.unsized else find_checks(solver, errors)
    count = len(program.equations)
    return Shapes(
        known, tensors, tuple(shapes[:count]), tuple(shapes[count:]), checks, tuple(errors), tuple(solution.unsized)
    )


def _ranges(solver: Solver, number: int, table: ScopeTable) -> dict[str, Length]:
    return {v: solver.solution.lengths[RangeNode(number, v)] for v in table.variables}
