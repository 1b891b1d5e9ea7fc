"""Plans written by hand, to test the lowering of single operations."""

from __future__ import annotations

from collections.abc import Mapping

from fuse_ref.analysis.lengths import Extent, Fixed, Length
from fuse_ref.ir.nodes import Axis, Dtype, ProgramIR, Role, Tensor
from fuse_ref.plan.steps import DenseOperation, Output, Plan, Shape, Step

Given = tuple[int, Dtype]  # number of axes, all open, and type


def plan_of(operations: list[DenseOperation], givens: Mapping[str, Given], export: str) -> Plan:
    """A plan of one dense step whose givens have open axes."""
    shapes = [
        Shape(name, tuple(Extent(name, position) for position in range(rank))) for name, (rank, _) in givens.items()
    ]
    tensors = [
        _tensor(name, tuple(f"{name}{k}" for k in range(rank)), dtype, "input")
        for name, (rank, dtype) in givens.items()
    ]
    made = [operation.output for operation in operations]
    for output in made:
        if output.out != export:
            continue  # a value on the way, no tensor of the program
        shapes.append(Shape(output.out, output.lengths))
        axes = tuple(f"{output.out}{k}" for k in range(len(output.labels)))
        tensors.append(_tensor(output.out, axes, output.dtype, "computed"))
    axes_of = {axis for tensor in tensors for axis in tensor.axes}
    program = ProgramIR(
        axes=tuple(_axis(name) for name in sorted(axes_of)),
        tensors=tuple(tensors),
        constants=(),
        declared=(),
        equations=(),
        sinks=(),
        queries=(),
        exports=(export,),
    )
    step = Step("Dense", (), tuple(givens), (export,), "dense", "acyclic", tuple(operations))
    return Plan(program, (step,), tuple(shapes), (), (), tuple(givens), (), (), (), (), ())


def _axis(name: str) -> Axis:
    return Axis(name, size=None, least=0, symbols=None, letters=(), stepped=False, origins=())


def _tensor(name: str, axes: tuple[str, ...], dtype: Dtype, role: Role) -> Tensor:
    return Tensor(name, axes, False, dtype, role, operator="=", virtual=None, initialiser=None, letters=())


def output(name: str, labels: str, *lengths: Length | int, dtype: Dtype = "float") -> Output:
    """An output with one letter per label."""
    fixed = tuple(Fixed(length) if isinstance(length, int) else length for length in lengths)
    return Output(name, tuple(labels), fixed, dtype)
