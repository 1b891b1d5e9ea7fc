"""Plans from text, and a run of their dense operations element by element."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from fuse_ref.analysis.lengths import Length, evaluate
from fuse_ref.plan.build import build_plan
from fuse_ref.plan.checks import check_shapes
from fuse_ref.plan.steps import DenseOperation, Index, Plan
from tests.analysis.reading import program_of
from tests.evaluate.by_loops import run_by_loops

__all__ = ["operations_of", "plan_of", "run"]


def plan_of(text: str, **keywords: Any) -> Plan:
    return build_plan(program_of(text), **keywords)


def operations_of(plan: Plan) -> list[DenseOperation]:
    """All dense operations in order."""
    return [operation for step in plan.steps for operation in step.operations]


def run(plan: Plan, given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every value of a plan whose steps are all dense."""
    shapes = {name: array.shape for name, array in given.items()}
    check_shapes(plan, shapes)
    values = dict(given)

    def length(item: Length) -> int:
        return evaluate(item, lambda tensor, position: shapes[tensor][position])

    for step in plan.steps:
        assert not step.unsupported, step.unsupported
        for operation in step.operations:
            assert operation.output.out not in values, "each value is assigned once"
            if isinstance(operation, Index):
                _assert_inside(operation, values[operation.source].shape, length)
            values[operation.output.out] = run_by_loops(operation, values, length)
            assert values[operation.output.out].ndim == len(operation.output.labels)
    for tensor in plan.shapes:
        if tensor.tensor in values:
            assert values[tensor.tensor].shape == tuple(length(item) for item in tensor.lengths), tensor.tensor
    return values


def _assert_inside(operation: Index, shape: tuple[int, ...], length: Any) -> None:
    """What an operation says of its positions is true."""
    sizes = {label: length(item) for label, item in zip(operation.output.labels, operation.output.lengths, strict=True)}
    for index, size in zip(operation.indices, shape, strict=True):
        if index.inside:
            ranges = [range(sizes[label]) for label, _ in index.terms]
            for position in itertools.product(*ranges):
                place = length(index.offset) + sum(c * p for (_, c), p in zip(index.terms, position, strict=True))
                empty = any(sizes[label] == 0 for label in operation.output.labels)
                assert empty or 0 <= place < size, (operation, place, size)
