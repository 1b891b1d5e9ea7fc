"""One-hot vectors times a matrix are rows of the matrix."""

from __future__ import annotations

from collections.abc import Mapping

from fuse_ref.analysis.lengths import Fixed
from fuse_ref.plan.passes.framework import Block, PlanPass, Rewritten
from fuse_ref.plan.steps import Contract, DenseOperation, Index, Iota, Map, Operand, Output, Permute, ReadIndex, Saving
from fuse_ref.records import dataclass

__all__ = ["LOOKUP", "why_not"]


@dataclass(frozen=True, slots=True)
class _OneHot:
    """1 where a position equals a whole number, as one operation reads it."""

    classes: Operand  # int64
    axis: str  # the label of the positions


def _rewrite(block: Block) -> Rewritten:
    makers, uses = block.makers(), block.uses()
    operations: list[DenseOperation] = []
    savings: list[Saving] = []
    for operation in block.operations:
        found = _found(block, operation, makers)
        if found is None:
            operations.append(operation)
            continue
        hot, table, vectors = found
        assert isinstance(operation, Contract)
        operations.extend(_emitted(block, operation, hot, table))
        alone = vectors not in block.kept and len(uses[vectors]) == 1
        size = 4 * block.estimates.elements(block.values[vectors]) if alone else 0
        what = f"rows of {table.value} at {hot.classes.value}"
        flops = block.estimates.flops(operation, block.values)
        savings.append(Saving("lookup", operation.output.out.partition("~")[0], what, flops, size))
    return (tuple(operations), tuple(savings)) if savings else (block.operations, ())


def _found(
    block: Block, operation: DenseOperation, makers: Mapping[str, DenseOperation]
) -> tuple[_OneHot, Operand, str] | None:
    if not isinstance(operation, Contract):
        return None
    for vectors, table in ((operation.left, operation.right), (operation.right, operation.left)):
        hot = _one_hot(block, vectors, makers)
        if hot is not None and not why_not(block, operation, hot, table):
            return hot, table, vectors.value
    return None


def _one_hot(block: Block, operand: Operand, makers: Mapping[str, DenseOperation]) -> _OneHot | None:
    """`operand` as classes and the axis of their positions, when that is how it is made."""
    labels = dict(zip(block.values[operand.value].labels, operand.labels, strict=True))
    maker = makers.get(operand.value)
    while isinstance(maker, Permute) or (isinstance(maker, Map) and maker.function == "to_number"):
        inner = maker.operand if isinstance(maker, Permute) else maker.operands[0]
        assert isinstance(inner, Operand)
        labels = dict(zip(block.values[inner.value].labels, (labels[k] for k in inner.labels), strict=True))
        maker = makers.get(inner.value)
    if not isinstance(maker, Map) or maker.function != "equal":
        return None
    first, second = maker.operands
    for classes, positions in ((first, second), (second, first)):
        if not isinstance(classes, Operand) or not isinstance(positions, Operand):
            continue
        (axis,) = positions.labels if len(positions.labels) == 1 else ("",)
        converted = makers.get(classes.value)
        if isinstance(converted, Map) and converted.function == "to_number":
            # Beside a bare index, whole numbers are compared in the run's precision.
            (whole_numbers,) = converted.operands
            assert isinstance(whole_numbers, Operand)
            own = dict(zip(converted.output.labels, classes.labels, strict=True))
            classes = Operand(whole_numbers.value, tuple(own[label] for label in whole_numbers.labels))
        whole = block.values[classes.value].dtype == "int64"
        if whole and axis not in classes.labels and isinstance(makers.get(positions.value), Iota):
            return _OneHot(Operand(classes.value, tuple(labels[k] for k in classes.labels)), labels[axis])
    return None


def why_not(block: Block, operation: Contract, hot: _OneHot, table: Operand) -> str:
    """Why the product stays one; "" when rows are read instead."""
    if hot.axis not in table.labels or hot.axis in operation.output.labels:
        return "the positions are not summed"
    if not set(hot.classes.labels) <= set(operation.output.labels):
        return "rows would be read to be summed"
    if not set(table.labels) - {hot.axis} <= set(operation.output.labels):
        return "the matrix is summed along more than the positions"
    values = block.values[table.value]
    if values.dtype != operation.output.dtype:
        return "the product converts the matrix"
    return ""


def _emitted(block: Block, operation: Contract, hot: _OneHot, table: Operand) -> tuple[DenseOperation, ...]:
    output = operation.output
    indices = tuple(
        ReadIndex((), Fixed(0), inside=False, gather=hot.classes, words=(table.value, hot.classes.value))
        if label == hot.axis
        else ReadIndex(((label, 1),), Fixed(0), inside=True)
        for label in table.labels
    )
    labels = tuple(
        dict.fromkeys(
            part for label in table.labels for part in (hot.classes.labels if label == hot.axis else (label,))
        )
    )
    if labels == output.labels:
        return (Index(output, table.value, indices),)
    lengths = dict(zip(output.labels, output.lengths, strict=True))
    name = f"{output.out.partition('~')[0]}~row"
    while name in block.values:
        name += "s"
    read = Output(name, labels, tuple(lengths[label] for label in labels), output.dtype)
    return (Index(read, table.value, indices), Permute(output, Operand(name, labels)))


LOOKUP = PlanPass("lookup", "one-hot vectors times a matrix are rows of the matrix", _rewrite)
