"""Plans written by hand: dense operations on given tensors, run by the NumPy engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fuse_ref.analysis.lengths import Extent, Fixed, Length, evaluate
from fuse_ref.config import ExecutionConfig
from fuse_ref.evaluate.numpy_engine import ENGINE, NumpyExecutable
from fuse_ref.ir.nodes import Dtype, ProgramIR, Tensor
from fuse_ref.plan.steps import DenseOperation, Output, Plan, Step

__all__ = ["lengths_of", "out", "plan_of", "prepare", "run"]


def out(name: str, labels: Sequence[str], lengths: Sequence[Length | int], dtype: Dtype = "float") -> Output:
    """An output; plain numbers are fixed lengths."""
    return Output(name, tuple(labels), tuple(Fixed(n) if isinstance(n, int) else n for n in lengths), dtype)


def plan_of(operations: Sequence[DenseOperation], givens: Mapping[str, tuple[int, Dtype]]) -> Plan:
    """One dense step over `givens` (name -> number of axes, type), all of whose axes are open."""
    tensors = [_tensor(name, rank, dtype, "input") for name, (rank, dtype) in givens.items()]
    made = [operation.output for operation in operations]
    tensors += [_tensor(output.out, len(output.labels), output.dtype, "computed") for output in made]
    program = ProgramIR(
        axes=(), tensors=tuple(tensors), constants=(), declared=(), equations=(), sinks=(), queries=(), exports=()
    )
    names = tuple(output.out for output in made)
    step = Step("Dense", (), tuple(givens), names, "dense", "acyclic", tuple(operations))
    return Plan(program, (step,), (), (), (), tuple(givens), (), (), (), (), ())


def _tensor(name: str, rank: int, dtype: Dtype, role: str) -> Tensor:
    axes = tuple(f"{name}.{k}" for k in range(rank))
    return Tensor(name, axes, False, dtype, role, "=", None, None, ())  # type: ignore[arg-type]


def prepare(
    operations: Sequence[DenseOperation],
    givens: Mapping[str, tuple[int, Dtype]],
    outputs: Sequence[str],
    precision: str = "float64",
    **settings: object,
) -> NumpyExecutable:
    config = ExecutionConfig(precision=precision, **settings)  # type: ignore[arg-type]
    return ENGINE.prepare(plan_of(operations, givens), config, tuple(outputs))


def run(operation: DenseOperation, values: Mapping[str, np.ndarray], precision: str = "float64") -> np.ndarray:
    """One operation on arrays whose types say what they are."""
    kinds: dict[str, Dtype] = {"f": "float", "i": "int64", "b": "bool"}
    givens = {name: (array.ndim, kinds[array.dtype.kind]) for name, array in values.items()}
    executable = prepare([operation], givens, [operation.output.out], precision)
    return executable(values)[operation.output.out]


def lengths_of(values: Mapping[str, np.ndarray]):  # type: ignore[no-untyped-def]
    """The evaluator of lengths for given arrays."""
    return lambda length: evaluate(length, lambda tensor, position: values[tensor].shape[position])


def extent(name: str, position: int) -> Extent:
    return Extent(name, position)
