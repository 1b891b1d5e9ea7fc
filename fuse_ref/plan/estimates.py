"""What a plan costs, with open sizes at their hints."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import assert_never

from fuse_ref.analysis.lengths import Length, evaluate
from fuse_ref.plan.sampling import ROUNDS
from fuse_ref.plan.steps import (
    Aggregate,
    Along,
    Attention,
    Concat,
    Contract,
    Convolve,
    DenseOperation,
    Expand,
    Index,
    Iota,
    LiteralArray,
    Map,
    Operand,
    Output,
    Permute,
    Ratio,
    Reduce,
    Sample,
    Whole,
    Write,
)
from fuse_ref.records import dataclass

__all__ = ["OPEN_SIZE", "Estimates"]

OPEN_SIZE = 128  # what an open axis is taken to be without a hint


@dataclass(frozen=True, slots=True)
class Estimates:
    """Sizes that are assumed where a call decides them."""

    sizes: Mapping[tuple[str, int], int]  # (given tensor, position) -> assumed extent

    def number(self, length: Length) -> int:
        """A length with open extents at their hints; at least 1, since it serves to compare costs."""
        return max(1, evaluate(length, lambda tensor, position: self.sizes.get((tensor, position), OPEN_SIZE)))

    def elements(self, output: Output) -> int:
        return math.prod(self.number(length) for length in output.lengths)

    def flops(self, operation: DenseOperation, outputs: Mapping[str, Output]) -> int:
        """Multiplications, additions and function values; moving data counts nothing."""
        match operation:
            case Contract(output, left, right):
                lengths = dict(zip(output.labels, output.lengths, strict=True))
                for operand in (left, right):
                    lengths.update(_lengths(operand, outputs))
                return 2 * math.prod(self.number(length) for length in lengths.values())
            case Convolve(output, image, weights, windows):
                sources = {window.source for window in windows}
                lengths = {label: n for label, n in _lengths(image, outputs).items() if label not in sources}
                lengths.update(_lengths(weights, outputs))
                lengths.update(zip(output.labels, output.lengths, strict=True))
                return 2 * math.prod(self.number(length) for length in lengths.values())
            case Attention(output, query, key, value, axis):
                lengths = dict(zip(output.labels, output.lengths, strict=True)) | _lengths(value, outputs)
                weighed = math.prod(self.number(length) for length in lengths.values())
                products = _lengths(query, outputs) | _lengths(key, outputs)
                own = set(value.labels) - {axis, *products}
                places = products | {label: n for label, n in lengths.items() if label not in own}
                scores = {label: n for label, n in places.items() if label in output.labels or label == axis}
                return (
                    2 * math.prod(self.number(length) for length in places.values())
                    + 5 * math.prod(self.number(length) for length in scores.values())
                    + 2 * weighed
                )
            case Map(output):
                return self.elements(output)
            case Whole(output):
                # A singular value decomposition for each index: about 20 n multiplications an element.
                return 20 * self.elements(output) * sum(self.number(length) for length in output.lengths)
            case Reduce(_, _, operand) | Write(_, _, operand, _):
                source = outputs.get(operand.value)
                return 0 if source is None else self.elements(source)
            case Along(output, _, operands):
                first = operands[0]
                source = None if isinstance(first, (int, float)) else outputs.get(first.value)
                # Largest, difference, exponential, sum, quotient: five passes for the usual ones.
                return 5 * self.elements(output if source is None else source)
            case Aggregate(output, _, _, columns, operands, inner):
                # Of the tuples nothing is known: as many as the longest of their axes has positions.
                lengths = dict(zip(output.labels, output.lengths, strict=True))
                for operand in operands:
                    lengths.update(_lengths(operand, outputs))
                tuples = max((self.number(lengths[label]) for label in columns if label in lengths), default=OPEN_SIZE)
                dense = math.prod(self.number(length) for label, length in lengths.items() if label not in columns)
                return tuples * dense * (1 + max(len(operands) - 1, 0) + len(inner))
            case Sample(output):
                return 17 * ROUNDS * self.elements(output)
            case LiteralArray() | Ratio() | Iota() | Index() | Permute() | Expand() | Concat():
                return 0
            case _:
                assert_never(operation)


def _lengths(operand: Operand, outputs: Mapping[str, Output]) -> dict[str, Length]:
    """The length of each label of `operand`; none where the value is not known."""
    source = outputs.get(operand.value)
    return {} if source is None else dict(zip(operand.labels, source.lengths, strict=True))
