"""The checks that every call makes before its first step, with real shapes."""

from __future__ import annotations

from collections.abc import Mapping

from fuse_ref.analysis.lengths import Length, evaluate
from fuse_ref.analysis.sizes import because, size_cure, wrong_rank
from fuse_ref.errors import FuseError
from fuse_ref.mistakes import mistake
from fuse_ref.plan.steps import Plan, RangeCheck, SizeCheck

__all__ = ["check_shapes"]


def check_shapes(plan: Plan, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Verifies that given arrays have shapes that the plan can run with.

    Args:
        plan: what is about to run.
        shapes: the shape of every given tensor, weight and source of the plan; parameters may be among them.

    Raises:
        AxisError: a wrong rank, two sizes for one axis, or a read that never fits. The first in the
            plan's order.
    """
    for tensor in plan.program.tensors:
        shape = shapes.get(tensor.name)
        if shape is not None and len(shape) != len(tensor.axes):
            raise wrong_rank(tensor, tuple(shape), tensor.span)

    def extent(tensor: str, position: int) -> int:
        return shapes[tensor][position]

    for check in plan.size_checks:
        if check.tensor not in shapes:
            continue
        actual, expected = shapes[check.tensor][check.position], evaluate(check.expected, extent)
        if actual != expected if check.relation == "==" else actual < expected:
            raise _failure(check, shapes)
    for item in plan.range_checks:
        if evaluate(item.length, extent) < 0:
            raise _failure(item, shapes)
    for expected_shape in plan.shapes:
        if expected_shape.tensor in shapes and expected_shape.tensor in plan.parameters:
            _parameter(plan, expected_shape.tensor, expected_shape.lengths, shapes)


def _failure(check: SizeCheck | RangeCheck, shapes: Mapping[str, tuple[int, ...]]) -> FuseError:
    def number(length: Length) -> int:
        return evaluate(length, lambda tensor, position: shapes[tensor][position])

    words: dict[str, object] = dict(check.words)
    words.update((name, number(length)) for name, length in check.values)
    if isinstance(check, SizeCheck) and check.candidates:
        place, size = max(((place, number(length)) for place, length in check.candidates), key=lambda found: found[1])
        words.update(expected=size, other=because(place))
    return mistake(check.code, check.span, cure=size_cure(check.code, words), **words)


def _parameter(plan: Plan, name: str, lengths: tuple[Length, ...], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """A parameter's own shape follows from the plan."""
    tensor = plan.program.tensor(name)
    for position, length in enumerate(lengths):
        expected = evaluate(length, lambda other, k: shapes[other][k])
        actual = shapes[name][position]
        if actual != expected:
            line = "" if tensor.span is None else f" (line {tensor.span.line})"
            words: dict[str, object] = {"axis": tensor.axes[position], "actual": actual, "expected": expected}
            words.update(tensor=f"{name}{line}", other="in the program")
            raise mistake("FUSE150", tensor.span, cure=size_cure("FUSE150", words), **words)
