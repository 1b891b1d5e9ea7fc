"""All that analysis says about a program, with every mistake it finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fuse_ref.analysis.calls import call_errors
from fuse_ref.analysis.dependencies import Dependencies, find_dependencies
from fuse_ref.analysis.dtypes import tensor_dtypes, wrong_indices, wrong_targets
from fuse_ref.analysis.recurrence import Cycle, classify
from fuse_ref.analysis.rules import ordered_symbols, unsafe_rules, unstratified
from fuse_ref.analysis.shapes import Shapes, find_shapes
from fuse_ref.analysis.streams import disordered_streams
from fuse_ref.errors import FuseError
from fuse_ref.ir.nodes import Dtype, ProgramIR
from fuse_ref.records import dataclass

__all__ = ["Checked", "check_program"]


@dataclass(frozen=True, slots=True)
class Checked:
    dependencies: Dependencies
    dtypes: Mapping[str, Dtype]
    cycles: Mapping[tuple[str, ...], Cycle]  # by the tensors of the group
    shapes: Shapes
    errors: tuple[FuseError, ...]  # wrong whatever sizes are given
    unsized: tuple[FuseError, ...]  # lengths that nothing gives; `sizes=` or a weight store may


def check_program(
    program: ProgramIR,
    *,
    sizes: Mapping[str, int] | None = None,
    given: Mapping[str, Sequence[int]] | None = None,
) -> Checked:
    """Dependencies, dtypes, cycles and shapes of `program`.

    Args:
        program: what to look at.
        sizes: axis letter -> size, like lines `axis letter = size`.
        given: tensor -> shape, where it is known.

    Raises:
        AxisError: `sizes` or `given` does not fit the program.
    """
    dependencies = find_dependencies(program)
    cycles = {group.tensors: classify(program, dependencies, group) for group in dependencies.groups if group.cyclic}
    errors = [*unsafe_rules(program), *unstratified(program, dependencies, cycles), *ordered_symbols(program)]
    errors.extend(disordered_streams(program, dependencies, cycles))
    shapes = find_shapes(program, sizes=sizes, given=given)
    errors.extend(shapes.errors)
    dtypes = tensor_dtypes(program, dependencies)
    errors.extend(wrong_indices(program, dtypes))
    errors.extend(wrong_targets(program, dtypes))
    errors.extend(call_errors(program, dtypes))
    return Checked(dependencies, dtypes, cycles, shapes, tuple(errors), shapes.unsized)
