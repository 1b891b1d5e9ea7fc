"""Sizes of parameters before the first call: from the program, from inputs' shapes, from `init`'s keywords."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, replace

from fuse_ref.analysis.lengths import Length, evaluate
from fuse_ref.analysis.sizes import axes_of_letter, unknown_axis, wrong_rank
from fuse_ref.ir.nodes import ProgramIR, Tensor
from fuse_ref.mistakes import mistake
from fuse_ref.plan.steps import Plan

__all__ = ["Sizes", "with_open_parameters"]


@dataclass(frozen=True, slots=True)
class Sizes:
    """What is known when parameters are made.

    Raises:
        AxisError: `sizes` names no axis of the program, or contradicts it or a shape.
    """

    plan: Plan
    program: ProgramIR
    shapes: Mapping[str, tuple[int, ...]]  # of inputs, by name
    sizes: Mapping[str, int]  # axis letter -> size

    def __post_init__(self) -> None:
        for letter, size in self.sizes.items():
            axes = axes_of_letter(self.program, letter)
            if not axes:
                raise unknown_axis(self.program, letter, "sizes")
            for axis in axes:
                for tensor in self.program.tensors:
                    self._check(tensor, axis.name, letter, size)
        for tensor in self.program.tensors:
            shape = self.shapes.get(tensor.name)
            if shape is not None and len(shape) != len(tensor.axes):
                raise wrong_rank(tensor, shape, tensor.span)

    def _check(self, tensor: Tensor, axis: str, letter: str, size: int) -> None:
        """Compares `size` with the lengths of `tensor` on `axis` that do not depend on it."""
        shape = self.shapes.get(tensor.name)
        for position, name in enumerate(tensor.axes):
            if name != axis or (shape is None and tensor.role not in ("param", "source", "free")):
                continue
            length = self.plan.shape(tensor.name)[position]
            fixed = shape[position] if shape is not None else _number(length)
            if fixed is not None and fixed != size:
                raise mistake(
                    "FUSE155", tensor.span, name=letter, size=size, axis=axis, expected=fixed, other=f"in {tensor.name}"
                )

    def shape(self, tensor: Tensor) -> tuple[int, ...]:
        """The shape of parameter `tensor`.

        Raises:
            AxisError: nothing that is known gives one of its sizes.
        """
        lengths = self.plan.shape(tensor.name)
        return tuple(self._size(length, tensor, axis) for length, axis in zip(lengths, tensor.axes, strict=True))

    def _size(self, length: Length, parameter: Tensor, axis: str) -> int:
        return evaluate(length, lambda given, position: self._extent(given, position, parameter, axis))

    def _extent(self, given: str, position: int, parameter: Tensor, axis: str) -> int:
        if given in self.shapes:
            return self.shapes[given][position]
        source = next(tensor for tensor in self.program.tensors if tensor.name == given)
        for letter, size in self.sizes.items():
            if any(found.name == source.axes[position] for found in axes_of_letter(self.program, letter)):
                return size
        reason = "nothing in the program gives it" if given == parameter.name else f"{given} gives it"
        raise mistake("FUSE282", parameter.span, name=parameter.name, axis=axis, reason=reason)


def _number(length: Length) -> int | None:
    """The length when it depends on no call, else None."""
    found: list[str] = []

    def note(tensor: str, position: int) -> int:
        found.append(tensor)
        return 0

    value = evaluate(length, note)
    return None if found else value


def with_open_parameters(program: ProgramIR, *, sizes: Mapping[str, int], given: Container[str]) -> ProgramIR:
    """The program in which a parameter counts as given by the call where nothing else tells its sizes.

    Args:
        sizes: axis letter -> size, as lines `axis letter = size`.
        given: tensors whose shape is known.
    """
    known = {axis.name for axis in program.axes if axis.size is not None or any(n in sizes for n in axis.letters)}
    for tensor in program.tensors:
        if tensor.role in ("input", "free", "source") or tensor.name in given:
            known.update(tensor.axes)
    return replace(
        program,
        tensors=tuple(
            replace(tensor, role="free")
            if tensor.role == "param" and tensor.name not in given and not known.issuperset(tensor.axes)
            else tensor
            for tensor in program.tensors
        ),
    )
