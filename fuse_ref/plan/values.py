"""Operations of one step while they are put together: names, labels, sharing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import field, replace
from typing import Literal, TypeAlias

from fuse_ref.analysis.lengths import Length
from fuse_ref.ir.nodes import Dtype, Operator
from fuse_ref.plan.numbers import fold
from fuse_ref.plan.steps import (
    Along,
    Concat,
    ConcatPart,
    Contract,
    Contraction,
    DenseOperation,
    Expand,
    Iota,
    LiteralArray,
    Map,
    Operand,
    Output,
    Permute,
    Reduce,
    SampledSum,
)
from fuse_ref.records import dataclass
from fuse_ref.relations.rules import Rule

__all__ = ["COMBINE", "WRITE", "Builder", "Lowered", "Unsupported", "Value", "combined"]

# How the operator of a tensor's equations combines their values, element by element and where they are written.
COMBINE: dict[Operator, str] = {"=": "add", "max=": "max", "min=": "min", "avg=": "add", "prod=": "multiply"}
WRITE: dict[Operator, Literal["sum", "max", "min", "prod"]] = {
    "=": "sum",
    "avg=": "sum",
    "max=": "max",
    "min=": "min",
    "prod=": "prod",
}


class Unsupported(Exception):
    """An equation that the dense engines cannot run yet; the text says why, for the user."""


@dataclass(frozen=True, slots=True)
class Value:
    """An array that is there already, as one equation sees it."""

    name: str
    labels: tuple[str, ...]  # one per dimension, distinct
    dtype: Dtype

    @property
    def operand(self) -> Operand:
        return Operand(self.name, self.labels)


Lowered: TypeAlias = Value | int | float | bool  # a number where it is known while planning


@dataclass
class Builder:
    """Collects the operations of one tensor."""

    name: str  # of the tensor; temporaries are called after it
    ranges: Mapping[str, Length] = field(default_factory=dict)  # label -> length, of the equation at hand
    preferred: tuple[str, ...] = ()  # the left-hand side's variables: results have their order where they can
    operations: list[DenseOperation] = field(default_factory=list)
    contractions: list[Contraction] = field(default_factory=list)
    rules: list[tuple[Rule, tuple[Length, ...]]] = field(default_factory=list)  # of relations that it needs first
    drawn: Mapping[str, Value] = field(default_factory=dict)  # variable -> positions, where a sample stands for all
    sums: list[SampledSum] = field(default_factory=list)
    _made: dict[DenseOperation, Value] = field(default_factory=dict)
    _uses: dict[str, int] = field(default_factory=dict)
    _count: int = 0
    _draws: int = 0
    _samples: int = 0

    def begin(self, ranges: Mapping[str, Length], preferred: tuple[str, ...] = ()) -> None:
        """Starts another equation: its labels are its own, so nothing is shared with the one before."""
        self.ranges = ranges
        self.preferred = preferred
        self._made = {}

    def output(self, labels: Iterable[str], dtype: Dtype) -> Output:
        """An output without a name yet, its lengths the ranges of its labels."""
        labels = tuple(labels)
        return Output("", labels, tuple(self.ranges[label] for label in labels), dtype)

    def add(self, operation: DenseOperation) -> Value:
        """Emits `operation` (its output still nameless), or finds the equal one emitted before."""
        found = self._made.get(operation)
        if found is not None:
            return found
        self._count += 1
        output = replace(operation.output, out=f"{self.name}~{self._count}")
        self.operations.append(replace(operation, output=output))
        value = Value(output.out, output.labels, output.dtype)
        self._made[operation] = value
        return value

    def relation(self) -> str:
        """A name for a relation that a rule makes first."""
        return f"{self.name}~j{len(self.rules)}"

    # Common operations ----------------------------------------------------------------------------

    def literal(self, number: int | float | bool, dtype: Dtype) -> Value:
        return self.add(LiteralArray(self.output((), dtype), (number,)))

    def iota(self, variable: str, dtype: Dtype = "float") -> Value:
        if variable in self.drawn:
            positions = self.drawn[variable]
            return positions if dtype == "int64" else self.map("to_number", (positions,), dtype)
        return self.add(Iota(self.output((variable,), dtype)))

    @contextmanager
    def reading(self, drawn: Mapping[str, Value]) -> Iterator[None]:
        """Within it variables stand for the positions that `drawn` has for them, others for all of theirs."""
        before, self.drawn = self.drawn, drawn
        try:
            yield
        finally:
            self.drawn = before

    def hiding(self, variables: Iterable[str]) -> AbstractContextManager[None]:
        """Within it `variables` stand for all their positions: something binds them anew."""
        bound = set(variables)
        return self.reading({name: value for name, value in self.drawn.items() if name not in bound})

    def stream(self) -> str:
        """A name for the random numbers of one call, the same in every plan of the program."""
        self._draws += 1
        return f"{self.name}.{self._draws}"

    def sample(self) -> tuple[str, str]:
        """A name for the random numbers of one sample, and a label for its places."""
        self._samples += 1
        return f"{self.name}.{self._samples}", f"~{self._samples}"

    def seed(self, literal: LiteralArray) -> Value:
        """What samples are drawn with, under a name that nothing else has in another plan of the program."""
        output = replace(literal.output, out=f"{self.name}~seed")
        operation = replace(literal, output=output)
        if operation not in self.operations:
            self.operations.append(operation)
        return Value(output.out, output.labels, output.dtype)

    def map(
        self,
        function: str,
        operands: tuple[Lowered, ...],
        dtype: Dtype,
        options: tuple[tuple[str, str], ...] = (),
    ) -> Value:
        """An elementwise function; at least one operand is an array."""
        labels = self.union(operands)
        return self.add(Map(self.output(labels, dtype), function, tuple(_operand(o) for o in operands), options))

    def union(self, operands: Iterable[Lowered]) -> tuple[str, ...]:
        """All labels: as in the operand that has them all, else those of the left-hand side first, in its order."""
        values = [operand for operand in operands if isinstance(operand, Value)]
        found = tuple(dict.fromkeys(label for value in values for label in value.labels))
        if len(values) == 1:
            return values[0].labels
        if set(found) <= set(self.preferred):
            return tuple(label for label in self.preferred if label in found)
        ahead = (label for label in self.preferred if label in found)
        return next(
            (value.labels for value in values if len(value.labels) == len(found)),
            tuple(dict.fromkeys((*ahead, *found))),
        )

    def along(
        self,
        function: str,
        operands: tuple[Lowered, ...],
        axis: str,
        labels: tuple[str, ...],
        options: tuple[tuple[str, str], ...],
        dtype: Dtype = "float",
    ) -> Value:
        output = self.output(labels, dtype)
        return self.add(Along(output, function, tuple(_operand(o) for o in operands), axis, options))

    def concat(self, parts: tuple[tuple[Value, tuple[str, ...]], ...], axis: str, dtype: Dtype) -> Value:
        """Values one after another along `axis`, each with its own labels that become positions of it, first slowest."""
        gone = {label for _, along in parts for label in along}
        kept = tuple(dict.fromkeys(label for value, _ in parts for label in value.labels if label not in gone))
        if len(parts) == 1 and len(parts[0][1]) == 1:
            (value, (own,)) = parts[0]
            return Value(value.name, tuple(axis if label == own else label for label in value.labels), value.dtype)
        whole = tuple((self.expand(value, (*kept, *along)), along) for value, along in parts)
        labels = (*kept, axis)
        if set(labels) <= set(self.preferred):
            labels = tuple(label for label in self.preferred if label in labels)
        pieces = tuple(ConcatPart(value.operand, along) for value, along in whole)
        return self.add(Concat(self.output(labels, dtype), pieces, axis))

    def contract(self, left: Value, right: Value, labels: tuple[str, ...], dtype: Dtype) -> Value:
        """Their product, summed over the labels that are not in `labels`."""
        if set(labels) <= set(self.preferred):
            labels = tuple(label for label in self.preferred if label in labels)
        return self.add(Contract(self.output(labels, dtype), left.operand, right.operand))

    def reduce(self, operator: str, value: Value, variables: Iterable[str], dtype: Dtype | None = None) -> Value:
        gone = set(variables)
        labels = tuple(label for label in value.labels if label not in gone)
        if labels == value.labels:
            return value
        output = self.output(labels, value.dtype if dtype is None else dtype)
        match operator:
            case "sum" | "max" | "min" | "avg" | "prod" | "any":
                return self.add(Reduce(output, operator, value.operand))
            case _:
                raise AssertionError(operator)

    def expand(self, value: Value, variables: Iterable[str]) -> Value:
        """`value` repeated along the variables that it lacks."""
        missing = tuple(v for v in variables if v not in value.labels)
        if not missing:
            return value
        return self.add(Expand(self.output((*value.labels, *missing), value.dtype), value.operand))

    def number(self, lowered: Lowered) -> Value | int | float:
        """Truth values as 0 and 1."""
        if isinstance(lowered, bool):
            return int(lowered)
        if isinstance(lowered, Value) and lowered.dtype == "bool":
            return self.map("to_number", (lowered,), "float")
        return lowered

    def float(self, lowered: Lowered) -> Value | int | float:
        """Truth values and integers in the run's precision."""
        if isinstance(lowered, Value) and lowered.dtype != "float":
            return self.map("to_number", (lowered,), "float")
        return int(lowered) if isinstance(lowered, bool) else lowered

    def truth(self, lowered: Lowered) -> Value | bool:
        """Numbers as whether they are greater than 0."""
        if not isinstance(lowered, Value):
            return lowered > 0
        return lowered if lowered.dtype == "bool" else self.map("to_boolean", (lowered,), "bool")

    def arithmetic(self, function: str, operands: tuple[Lowered, ...]) -> Lowered:
        """A function of numbers; integers stay integers where they alone stand in it."""
        numbers = tuple(self.number(operand) for operand in operands)
        known = tuple(n for n in numbers if not isinstance(n, Value))
        if len(known) == len(numbers):
            folded = fold(function, known)
            if folded is not None:
                return folded
            return self.map(function, (self.literal(known[0], "float"), *known[1:]), "float")
        whole = function in ("add", "subtract", "multiply", "negate", "max", "min") and all(
            n.dtype == "int64" if isinstance(n, Value) else isinstance(n, int) for n in numbers
        )
        if whole:
            return self.map(function, numbers, "int64")
        return self.map(function, tuple(self.float(n) for n in numbers), "float")

    # The result -----------------------------------------------------------------------------------

    def finish(self, value: Value, labels: tuple[str, ...], lengths: tuple[Length, ...], name: str) -> None:
        """Makes `value` the tensor `name`, its dimensions in the order of `labels`."""
        last = self.operations[-1] if self.operations else None
        made = last is not None and last.output.out == value.name
        # Of several equations one alone may be left, and its letters are not those of the tensor.
        if last is not None and made and _may_reorder(last) and set(last.output.labels) == set(labels):
            by_label = dict(zip(labels, lengths, strict=True))
            output = Output(name, labels, tuple(by_label[label] for label in labels), value.dtype)
            self.operations[-1] = replace(last, output=output)
            return
        if last is not None and made and value.labels == labels:
            self.operations[-1] = replace(last, output=replace(last.output, out=name))
            return
        self.operations.append(Permute(Output(name, labels, lengths, value.dtype), value.operand))


def combined(builder: Builder, terms: Iterable[tuple[Value, int]]) -> Value:
    """The sum of coefficient * positions."""
    total: Lowered = 0
    for positions, coefficient in terms:
        term = positions if coefficient == 1 else builder.arithmetic("multiply", (positions, coefficient))
        total = term if isinstance(total, int) else builder.arithmetic("add", (total, term))
    assert isinstance(total, Value)
    return total


def _operand(lowered: Lowered) -> Operand | int | float:
    if isinstance(lowered, Value):
        return lowered.operand
    return int(lowered) if isinstance(lowered, bool) else lowered


def _may_reorder(operation: DenseOperation) -> bool:
    """Operations that make their output in any order of its labels."""
    return isinstance(operation, (Map, Contract, Reduce, Along, Expand, Concat))
