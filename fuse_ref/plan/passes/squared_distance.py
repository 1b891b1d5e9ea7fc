"""Sums of squared differences of all pairs of rows as one matrix product.

|x - y|² = |x|² + |y|² - 2 x·y, where the array of all differences is larger by the length of a row.

Rounding. The right-hand side cancels: its error is about ε (|x|² + |y|²), however small the distance is,
with ε = 6e-8 in float32. So one point is taken from all rows first, which changes no distance and makes
|x|² as large as the data's spread, not its offset (see `_Emitter.centre`). Where rows are compared with
themselves, the sums of squares are taken smaller by that error, and what falls below 0 is 0: so a
row to itself is 0 exactly. What is left is an error of ε times the squared spread. It is harmless in
exp(-d/s), unless the spread is thousands of times √s, and in sums over rows; it is not where small
distances count for themselves: under a root, a logarithm, in a denominator, in a comparison, or where
they are observed. There the differences are made as written. A row with NaN or infinity in it gives NaN
against all others, and touches no other pair.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from typing import Final, Literal

from fuse_ref.analysis.lengths import Fixed, Length, floor_divide, linear
from fuse_ref.ir.nodes import Dtype
from fuse_ref.plan.passes.framework import Block, PlanPass, Rewritten
from fuse_ref.plan.passes.rounding import harmless
from fuse_ref.plan.steps import (
    Contract,
    DenseOperation,
    Index,
    LiteralArray,
    Map,
    Operand,
    Output,
    ReadIndex,
    Reduce,
    Saving,
)
from fuse_ref.records import dataclass

__all__ = ["SQUARED_DISTANCE"]

_LEAST: Final = 1 << 16  # differences; below, their array costs nothing
_LEAST_ROW: Final = 8  # elements of a row; below, a matrix product wins little and rounds worse
_SAMPLE: Final = 32  # rows that tell where the data lie
_ROUNDING: Final = 16.0  # units in the last place that sums of some hundred terms may be wrong by, with room


@dataclass(frozen=True, slots=True)
class _Match:
    left: Operand  # x; labels of its rows' places, then those that are summed, in any order
    right: Operand  # y
    weight: Operand | None  # a factor over summed labels alone
    rows: tuple[str, ...]  # labels of x alone
    columns: tuple[str, ...]  # labels of y alone
    summed: tuple[str, ...]
    difference: Map
    factor: float = 1.0  # numbers that the sum is multiplied by
    last: DenseOperation = field(kw_only=True)  # makes the sum, scaled


def _rewrite(block: Block) -> Rewritten:
    uses, makers = block.uses(), block.makers()
    instead: dict[str, tuple[DenseOperation, ...]] = {}
    savings: list[Saving] = []
    for operation in block.operations:
        match = _find(block, operation, uses, makers)
        if match is None or _why_not(block, match, uses):
            continue
        made = _emitted(block, match, len(instead))
        instead[match.last.output.out] = made
        savings.append(_saving(block, match, made))
    if not instead:
        return block.operations, ()
    operations: list[DenseOperation] = []
    for operation in block.operations:
        operations.extend(instead.get(operation.output.out, (operation,)))
    return tuple(operations), tuple(savings)


# Finding -----------------------------------------------------------------------------------------


def _find(
    block: Block,
    operation: DenseOperation,
    uses: Mapping[str, tuple[DenseOperation, ...]],
    makers: Mapping[str, DenseOperation],
) -> _Match | None:
    """What `operation` sums, if these are squares of differences that nothing else needs."""

    def alone(operand: Operand) -> DenseOperation | None:
        name = operand.value
        single = name not in block.kept and len(uses[name]) == 1
        return makers.get(name) if single else None

    weight: Operand | None = None
    square: Operand | None = None
    squares: tuple[Operand, Operand] | None = None
    match operation:
        case Reduce(_, "sum", operand):
            square = operand
        case Contract(_, left, right) if left == right:
            squares = (left, right)
        case Contract(_, left, right):
            weight, square = (left, right) if len(left.labels) < len(right.labels) else (right, left)
        case _:
            return None
    names: dict[str, str] = {}
    if square is not None:
        inner = alone(square)
        if not isinstance(inner, Map) or inner.function != "multiply":
            return None
        first, second = inner.operands
        if not isinstance(first, Operand) or first != second:
            return None
        names = dict(zip(inner.output.labels, square.labels, strict=True))
        squares = (first, first)
    assert squares is not None
    read = squares[0]
    difference = alone(read)
    if not isinstance(difference, Map) or difference.function != "subtract":
        return None
    x, y = difference.operands
    if not isinstance(x, Operand) or not isinstance(y, Operand):
        return None
    outer = dict(zip(difference.output.labels, (names.get(label, label) for label in read.labels), strict=True))
    x, y = (Operand(item.value, tuple(outer[label] for label in item.labels)) for item in (x, y))
    summed = tuple(label for label in outer.values() if label not in operation.output.labels)
    if not set(summed) <= set(x.labels) & set(y.labels):
        return None
    if weight is not None and not set(weight.labels) <= set(summed):
        return None
    rows = tuple(label for label in x.labels if label not in y.labels)
    columns = tuple(label for label in y.labels if label not in x.labels)
    found = _Match(x, y, weight, rows, columns, summed, difference, last=operation)
    return _scaled(block, found, uses)


def _scaled(block: Block, match: _Match, uses: Mapping[str, tuple[DenseOperation, ...]]) -> _Match:
    """`match` with the multiplications by numbers that follow it.

    One by a value stays as it is: taken into the product, a 0 or an infinity there would reach other pairs.
    """
    while True:
        name = match.last.output.out
        labels = match.last.output.labels
        users = uses.get(name, ())
        if name in block.kept or len(users) != 1:
            return match
        (user,) = users
        if not isinstance(user, Map) or user.function not in ("multiply", "divide", "negate"):
            return match
        first, second = user.operands if len(user.operands) == 2 else (*user.operands, -1)
        value, other = (first, second) if isinstance(first, Operand) and first.value == name else (second, first)
        if user.function == "divide" and value is not first:
            return match
        if not isinstance(value, Operand) or value.labels != user.output.labels or len(labels) != len(value.labels):
            return match
        if isinstance(other, Operand) or (user.function == "divide" and other == 0):
            return match
        factor = match.factor * other if user.function == "multiply" else match.factor / other
        match = replace(match, factor=factor, last=user)
        # Labels are those of the equation that comes last.
        match = _renamed(match, dict(zip(labels, value.labels, strict=True)))


def _renamed(match: _Match, names: Mapping[str, str]) -> _Match:
    taken = set(names.values())

    def new(labels: Sequence[str]) -> tuple[str, ...]:
        return tuple(names.get(label, f"{label}^" if label in taken else label) for label in labels)

    weight = match.weight
    return replace(
        match,
        left=Operand(match.left.value, new(match.left.labels)),
        right=Operand(match.right.value, new(match.right.labels)),
        weight=None if weight is None else Operand(weight.value, new(weight.labels)),
        rows=new(match.rows),
        columns=new(match.columns),
        summed=new(match.summed),
    )


# Whether -----------------------------------------------------------------------------------------


def _why_not(block: Block, match: _Match, uses: Mapping[str, tuple[DenseOperation, ...]]) -> str:
    """Why the differences are made as written; "" when a product may stand for them."""
    number, values = block.estimates.elements, block.values
    if not match.rows or not match.columns:
        return "the differences are no larger than what they are made from"
    if match.difference.output.dtype != "float" or any(
        values[operand.value].dtype != "float" for operand in (match.left, match.right)
    ):
        return "whole numbers stay exact"
    lengths = _lengths(block, match)
    if math.prod(block.estimates.number(lengths[label]) for label in match.summed) < _LEAST_ROW:
        return "rows are short"
    elements = number(match.difference.output)
    if elements < _LEAST or elements < 2 * max(number(values[item.value]) for item in (match.left, match.right)):
        return "there are few differences"
    if not math.isfinite(match.factor):
        return "the factor is not finite"
    pairs = (frozenset(match.rows), frozenset(match.columns))
    if not harmless(block, match.last.output.out, pairs, uses):
        return "small distances count for themselves"
    return ""


# Operations --------------------------------------------------------------------------------------


def _lengths(block: Block, match: _Match) -> dict[str, Length]:
    found: dict[str, Length] = {}
    for operand in (match.left, match.right):
        found.update(zip(operand.labels, block.values[operand.value].lengths, strict=True))
    return found | dict(zip(match.last.output.labels, match.last.output.lengths, strict=True))


class _Emitter:
    def __init__(self, block: Block, match: _Match, number: int) -> None:
        self.lengths = _lengths(block, match)
        self.number = block.estimates.number
        self.base = f"{match.last.output.out.partition('~')[0]}~d{number}"
        self.operations: list[DenseOperation] = []

    def _output(self, labels: tuple[str, ...], dtype: Dtype = "float") -> Output:
        name = f"{self.base}.{len(self.operations)}"
        return Output(name, labels, tuple(self.lengths[label] for label in labels), dtype)

    def _add(self, operation: DenseOperation) -> Operand:
        self.operations.append(operation)
        return Operand(operation.output.out, operation.output.labels)

    def map(
        self, function: str, labels: tuple[str, ...], *operands: Operand | float, dtype: Dtype = "float"
    ) -> Operand:
        return self._add(Map(self._output(labels, dtype), function, operands))

    def reduce(
        self, operator: Literal["sum", "avg", "min", "max"], operand: Operand, labels: tuple[str, ...]
    ) -> Operand:
        return self._add(Reduce(self._output(labels), operator, operand))

    def centre(self, rows: Operand, labels: tuple[str, ...]) -> Operand:
        """A point amid the rows.

        Any point amid them does, so some rows, evenly spread, stand for all. It is their mean, unless one far
        off all others draws it away from them: then the point of the rows' bounding box that is nearest
        to 0, from which no coordinate is farther than from 0. Of the two, each coordinate takes the one
        with the smaller mean root of distances, which a single row hardly changes; 0 where neither is a
        number. Derivatives through it cancel, as the result does not depend on it.
        """
        whole = self.lengths
        rows, self.lengths = self.sample(rows, labels)
        mean = self.reduce("avg", rows, labels)
        low = self.map("max", labels, self.reduce("min", rows, labels), 0)
        high = self.map("min", labels, self.reduce("max", rows, labels), 0)
        corner = self.map("add", labels, low, high)
        spreads = []
        for point in (mean, corner):
            distance = self.map("abs", rows.labels, self.map("subtract", rows.labels, rows, point))
            spreads.append(self.reduce("avg", self.map("sqrt", rows.labels, distance), labels))
        chosen = self.map("where", labels, self.map("less", labels, *spreads, dtype="bool"), mean, corner)
        self.lengths = whole
        return self.map("where", labels, self.map("equal", labels, chosen, chosen, dtype="bool"), chosen, 0)

    def sample(self, rows: Operand, labels: tuple[str, ...]) -> tuple[Operand, dict[str, Length]]:
        """One of every so many rows, about `_SAMPLE` where sizes are as estimated, and their lengths."""
        lengths = dict(self.lengths)
        indices: list[ReadIndex] = []
        for label in rows.labels:
            step = 1 if label in labels else _prime(self.number(lengths[label]) // _SAMPLE)
            lengths[label] = floor_divide(linear([(lengths[label], 1)], step - 1), step)
            indices.append(ReadIndex(((label, step),), Fixed(0), inside=True))
        if lengths == self.lengths:
            return rows, lengths
        output = replace(self._output(rows.labels), lengths=tuple(lengths[label] for label in rows.labels))
        return self._add(Index(output, rows.value, tuple(indices))), lengths

    def contract(self, left: Operand, right: Operand, labels: tuple[str, ...]) -> Operand:
        return self._add(Contract(self._output(labels), left, right))

    def shrunk(self, squares: Operand, count: int) -> Operand:
        """`squares` without their rounding error, told from how many terms each is the sum.

        Errors of sums grow with the root of their length. 3 (4/3 - 1) - 1 is the distance from 1 to the
        next number of the run's precision, which a plan does not know.
        """
        third = self._add(LiteralArray(self._output(()), (4 / 3,)))
        near = self.map("multiply", (), self.map("subtract", (), third, 1), 3)
        step = self.map("abs", (), self.map("subtract", (), near, 1))
        part = self.map("multiply", (), step, -max(_ROUNDING, math.sqrt(count)))
        return self.map("multiply", squares.labels, squares, self.map("add", (), part, 1))


def _emitted(block: Block, match: _Match, number: int) -> tuple[DenseOperation, ...]:
    emit = _Emitter(block, match, number)
    left, right, labels = match.left, match.right, match.last.output.labels
    centre = emit.centre(left, tuple(label for label in left.labels if label not in match.rows))
    x = emit.map("subtract", left.labels, left, centre)
    names = dict(zip(right.labels, left.labels, strict=False))
    itself = left.value == right.value and all(
        a == b or (a in match.rows and b in match.columns) for b, a in names.items()
    )
    y = Operand(x.value, right.labels) if itself else emit.map("subtract", right.labels, right, centre)

    def scaled(value: Operand, factor: float) -> Operand:
        return value if factor == 1 else emit.map("multiply", value.labels, value, factor)

    weighted = x if match.weight is None else emit.map("multiply", x.labels, x, match.weight)

    def squares(rows: Operand) -> Operand:
        first = rows if match.weight is None else emit.map("multiply", rows.labels, rows, match.weight)
        summed = emit.contract(first, rows, tuple(label for label in rows.labels if label not in match.summed))
        return scaled(summed, match.factor)

    rows = squares(x)
    # Weights may be negative, and sums with them too.
    clipped = itself and match.weight is None
    if clipped:
        rows = emit.shrunk(rows, math.prod(block.estimates.number(emit.lengths[label]) for label in match.summed))
    columns = Operand(rows.value, tuple(_back(names, k, match) for k in rows.labels)) if itself else squares(y)
    product = emit.contract(scaled(weighted, -2 * match.factor), y, labels)
    total = emit.map("add", labels, emit.map("add", labels, product, rows), columns)
    if clipped:
        bounds = (0, math.inf) if match.factor > 0 else (-math.inf, 0)
        emit.map("clip", labels, total, *bounds)
    emit.operations[-1] = replace(emit.operations[-1], output=match.last.output)
    return tuple(emit.operations)


def _prime(most: int) -> int:
    """The largest prime up to `most`, else 1: rows that come in groups of one size are met at all their places."""
    return next((n for n in range(most, 1, -1) if all(n % k for k in range(2, math.isqrt(n) + 1))), 1)


def _back(names: Mapping[str, str], label: str, match: _Match) -> str:
    return next((b for b, a in names.items() if a == label and b in match.columns), label)


def _saving(block: Block, match: _Match, made: Sequence[DenseOperation]) -> Saving:
    differences = block.estimates.elements(match.difference.output)
    values = dict(block.values) | {operation.output.out: operation.output for operation in made}
    after = sum(block.estimates.flops(operation, values) for operation in made)
    before = 3 * differences + block.estimates.elements(match.last.output)
    tensor = match.last.output.out.partition("~")[0]
    what = f"({match.left.value} - {match.right.value})² by a matrix product"
    return Saving("squared_distance", tensor, what, max(0, before - after), 2 * 4 * differences)


SQUARED_DISTANCE = PlanPass(
    "squared_distance", "squared distances of all pairs of rows are one matrix product", _rewrite
)
