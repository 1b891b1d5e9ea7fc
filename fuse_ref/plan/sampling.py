"""Sums and averages that are estimated from some of their terms: Monte Carlo projection.

A sample of combinations takes the place of all combinations of the variables that are projected. The body is
computed at those alone: a read looks its elements up there, so that nothing is made that has one of the variables
for a dimension, and the cost follows the sample. A sum is the mean of the sampled terms, times the number of all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import field
from typing import TYPE_CHECKING, Final, Literal

from fuse_ref.analysis.lengths import Fixed, Length, lower_bound, maximum, minimum, times
from fuse_ref.ir.nodes import Call, Dtype, Expr
from fuse_ref.ir.operations import CATALOGUE
from fuse_ref.ir.variables import free_variables, reads
from fuse_ref.mistakes import mistake
from fuse_ref.plan.operations import DenseOperation, Index, LiteralArray, Output, Permute, Ratio, ReadIndex, Sample
from fuse_ref.plan.steps import SampledSum
from fuse_ref.plan.values import Builder, Lowered, Value
from fuse_ref.records import dataclass

if TYPE_CHECKING:
    from fuse_ref.ir.nodes import Operator
    from fuse_ref.plan.expressions import Expressions

__all__ = ["ROUNDS", "Drawn", "Sampling", "called", "draw", "estimated", "is_seed", "seed_words", "sums_of"]

_SEED: Final = ("~seed",)
ROUNDS: Final = 20  # of the permutation that decides what a sample holds

_ALONG: Final = ("along_axis", "reduce_axis")


@dataclass(frozen=True, slots=True)
class Sampling:
    """How sums and averages are estimated."""

    number: int | Mapping[str, int]  # terms at most: of every tensor's equations, or of those named
    seed: int
    spread: bool = False  # the plan also computes what errors are told from

    def of(self, tensor: str) -> int | None:
        """From how many terms sums in the equations of `tensor` are estimated; None: from all."""
        return self.number if isinstance(self.number, int) else self.number.get(tensor)


def seed_words(seed: int) -> tuple[int, int]:
    """A seed as two numbers of 31 bits."""
    return seed & 0x7FFFFFFF, (seed >> 31) & 0x7FFFFFFF


def is_seed(operation: DenseOperation) -> bool:
    """Whether an operation is the literal that holds a seed, which a call may replace."""
    return isinstance(operation, LiteralArray) and operation.output.labels == _SEED


def _stream_of(name: str) -> int:
    """A number of 31 bits for a name, the same in every process."""
    return int.from_bytes(hashlib.sha256(f"sample {name}".encode()).digest()[:4], "little") & 0x7FFFFFFF


def sums_of(
    sampling: Sampling | None, tensor: str, operator: Operator, dtype: Dtype, body: Expr, sparse: Iterable[str]
) -> int | None:
    """From how many terms sums in an equation are estimated; None: from all.

    `max=`, `min=` and `prod=` are exact, and so are whole numbers, truth values, and what is summed over the tuples
    of a relation.
    """
    if sampling is None or operator not in ("=", "avg=") or dtype != "float":
        return None
    if any(read.tensor in sparse for read in reads(body)):
        return None
    return sampling.of(tensor)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A sample that stands for all combinations of some variables."""

    builder: Builder
    sampling: Sampling
    labels: tuple[str, ...]  # what is projected in place of the variables: the sample, and variables of no read
    variables: tuple[str, ...]  # that the sample stands for
    ranges: tuple[Length, ...]  # of these
    number: int
    count: Length  # of the sample
    positions: Mapping[str, Value] = field(default_factory=dict)

    def reading(self) -> AbstractContextManager[None]:
        """Within it the variables are read at the positions of the sample."""
        bound = {*self.labels, *self.variables}
        outer = {name: value for name, value in self.builder.drawn.items() if name not in bound}
        return self.builder.reading({**outer, **self.positions})

    def scaled(self, total: Lowered) -> Lowered:
        """A sum over the sample as an estimate of that over all."""
        every = times(self.ranges)
        if isinstance(every, Fixed):
            return self.builder.arithmetic("multiply", (total, every.value / self.number))
        share = self.builder.add(Ratio(self.builder.output((), "float"), self.ranges, self.count))
        return self.builder.arithmetic("multiply", (total, share))

    def note(
        self,
        operator: Literal["sum", "avg"],
        total: Lowered | None = None,
        squares: Lowered | None = None,
        counted: Lowered | None = None,
    ) -> None:
        """Says that a sum is estimated, and what its error is told from: as fields of SampledSum."""
        labels = total.labels if isinstance(total, Value) else ()
        names = [self._named(lowered, labels) for lowered in (total, squares, counted)]
        tensor = self.builder.name.partition("~")[0]
        self.builder.sums.append(SampledSum(tensor, operator, self.variables, self.ranges, self.number, *names))

    def _named(self, lowered: Lowered | None, labels: tuple[str, ...]) -> str:
        if lowered is None:
            return ""
        value = lowered if isinstance(lowered, Value) else self.builder.literal(lowered, "float")
        value = self.builder.expand(value, labels)
        if value.labels != labels:
            value = self.builder.add(Permute(self.builder.output(labels, "float"), value.operand))
        return value.name


def draw(expressions: Expressions, variables: Iterable[str], body: Expr) -> Drawn | None:
    """A sample of the combinations of `variables`, over which `body` is projected; None where all are computed.

    Raises:
        ConfigError: an index with more positions than a sample can tell apart.
    """
    sampling, number = expressions.tensors.sampling, expressions.samples
    if sampling is None or number is None:
        return None
    builder = expressions.builder
    free = free_variables(body)
    own = tuple(variable for variable in dict.fromkeys(variables) if variable in free)
    if not own:
        return None
    ranges = tuple(_positive(builder.ranges[variable]) for variable in own)
    every = times(ranges)
    if isinstance(every, Fixed) and every.value <= number:
        return None
    for variable, length in zip(own, ranges, strict=True):
        if isinstance(length, Fixed) and length.value >= 2**31:
            raise mistake("FUSE240", None, variable=variable, size=length.value)
    count = minimum((Fixed(number), every))
    stream, label = builder.sample()
    words = builder.seed(LiteralArray(Output("", _SEED, (Fixed(2),), "int64"), seed_words(sampling.seed)))
    shape = (Fixed(len(own)), count)
    drawn = builder.add(
        Sample(Output("", (f"{label}v", label), shape, "int64"), words.operand, ranges, _stream_of(stream))
    )
    builder.ranges = {**builder.ranges, label: count}
    every_one = ReadIndex(((label, 1),), Fixed(0), True)
    positions = {
        variable: builder.add(
            Index(builder.output((label,), "int64"), drawn.name, (ReadIndex((), Fixed(row), True), every_one))
        )
        for row, variable in enumerate(own)
    }
    rest = tuple(variable for variable in variables if variable not in own)
    return Drawn(builder, sampling, (label, *rest), own, ranges, number, count, positions)


def _positive(length: Length) -> Length:
    """The length, or 0: a range that ends before it begins is empty."""
    bound = lower_bound(length)
    return length if bound is not None and bound >= 0 else maximum((length, Fixed(0)))


def estimated(
    expressions: Expressions, operator: Literal["sum", "avg"], variables: tuple[str, ...], body: Expr
) -> Lowered | None:
    """A sum or an average of `body`, which is no product; None where it is not to be estimated."""
    drawn = draw(expressions, variables, body)
    if drawn is None:
        return None
    builder = expressions.builder
    with drawn.reading():
        lowered = builder.float(expressions.lower(body))
    value = builder.expand(lowered if isinstance(lowered, Value) else builder.literal(lowered, "float"), drawn.labels)
    if drawn.sampling.spread:
        square = builder.map("multiply", (value, value), "float")
        drawn.note(operator, builder.reduce("sum", value, drawn.labels), builder.reduce("sum", square, drawn.labels))
    else:
        drawn.note(operator)
    total = builder.reduce(operator, value, drawn.labels)
    return drawn.scaled(total) if operator == "sum" else total


def called(expressions: Expressions, call: Call, lower: Callable[[Call], Lowered]) -> Lowered:
    """The value of a function; `lower` gives it for what the variables stand for."""
    if not expressions.builder.drawn or not _needs_all(expressions, call):
        return lower(call)
    with expressions.builder.reading({}):
        value = lower(call)
    return _at_samples(expressions.builder, value)


def _needs_all(expressions: Expressions, call: Call) -> bool:
    """Whether a function needs all positions of a variable that a sample stands for, not some."""
    row = CATALOGUE.get(call.function)
    if row is None or (row.kind == "elementwise" and call.function != "dropout"):
        return False
    if row.kind in _ALONG:
        return call.axis in expressions.builder.drawn
    return any(variable in expressions.builder.drawn for variable in free_variables(call))


def _at_samples(builder: Builder, value: Lowered) -> Lowered:
    """A value that was computed for all positions, at those of the sample."""
    if not isinstance(value, Value) or builder.drawn.keys().isdisjoint(value.labels):
        return value
    indices = tuple(
        ReadIndex((), Fixed(0), True, gather=builder.drawn[label].operand)
        if label in builder.drawn
        else ReadIndex(((label, 1),), Fixed(0), True)
        for label in value.labels
    )
    labels = dict.fromkeys(
        label for index in indices for label in ((index.terms[0][0],) if index.gather is None else index.gather.labels)
    )
    return builder.add(Index(builder.output(labels, value.dtype), value.name, indices))
