"""Exponentials that are summed, normalised or taken the logarithm of, in forms that do not overflow.

In exact arithmetic nothing changes. Written out, `log(sum(j: exp(X[i, j])))` overflows where an element
of X passes 88 in float32; the form with the largest element taken out does not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from fuse_ref.plan.passes.framework import Block, PlanPass, Rewritten
from fuse_ref.plan.steps import Along, DenseOperation, Map, Operand, Output, Reduce, Saving

__all__ = ["LOGSUMEXP"]


@dataclass
class _Rewriter:
    block: Block
    makers: dict[str, DenseOperation]
    uses: Mapping[str, tuple[DenseOperation, ...]]
    savings: list[Saving] = field(default_factory=list)
    count: int = 0

    def map_of(self, operand: Operand | int | float, *functions: str) -> Map | None:
        if not isinstance(operand, Operand):
            return None
        maker = self.makers.get(operand.value)
        return maker if isinstance(maker, Map) and maker.function in functions else None

    def note(self, operation: DenseOperation, what: str) -> None:
        self.savings.append(Saving("logsumexp", operation.output.out.partition("~")[0], what, 0, 0))

    def output(self, like: Output, labels: tuple[str, ...], dtype: str = "float") -> Output:
        lengths = dict(zip(like.labels, like.lengths, strict=True))
        name = ""
        while not name or name in self.block.values:
            self.count += 1
            name = f"{like.out.partition('~')[0]}~s{self.count}"
        kind = "bool" if dtype == "bool" else "float"
        return Output(name, labels, tuple(lengths[label] for label in labels), kind)  # type: ignore[arg-type]

    # Rules ----------------------------------------------------------------------------------------

    def rewritten(self, operation: DenseOperation) -> tuple[DenseOperation, ...]:
        """What stands for `operation`: itself, or stable operations."""
        match operation:
            case Map(_, "divide", (Operand() as above, Operand() as below), ()):
                return self._softmax(operation, above, below)
            case Map(_, "log", (Operand() as operand,), ()):
                return self._log(operation, operand)
            case _:
                return (operation,)

    def _softmax(self, operation: Map, above: Operand, below: Operand) -> tuple[DenseOperation, ...]:
        """exp(x) / sum exp(x), along one index."""
        total = self.makers.get(below.value)
        if not isinstance(total, Reduce) or total.operator != "sum" or total.operand.value != above.value:
            return (operation,)
        exponential = self.map_of(above, "exp")
        if exponential is None or _outside(self.block, self.uses, above.value, (total, operation)):
            return (operation,)
        if _outside(self.block, self.uses, below.value, (operation,)) or above.labels != operation.output.labels:
            return (operation,)
        read = total.operand.labels
        gone = [k for k, label in enumerate(read) if label not in total.output.labels]
        names = dict(zip(total.output.labels, below.labels, strict=True))
        # Each remaining dimension of the sum must stand where the exponential has it.
        same = all(names[label] == above.labels[k] for k, label in enumerate(read) if label in names)
        if len(gone) != 1 or not same:
            return (operation,)
        (inner,) = exponential.operands
        assert isinstance(inner, Operand)
        outer = dict(zip(exponential.output.labels, above.labels, strict=True))
        x = Operand(inner.value, tuple(outer[label] for label in inner.labels))
        self.note(operation, f"exponentials over their sum are a softmax of {inner.value}")
        return (Along(operation.output, "softmax", (x,), above.labels[gone[0]]),)

    def _log(self, operation: Map, operand: Operand) -> tuple[DenseOperation, ...]:
        maker = self.makers.get(operand.value)
        if maker is None or _outside(self.block, self.uses, operand.value, (operation,)):
            return (operation,)
        outer = dict(zip(maker.output.labels, operand.labels, strict=True))
        if isinstance(maker, Along) and maker.function == "softmax":
            (x,) = maker.operands
            assert isinstance(x, Operand)
            read = Operand(x.value, tuple(outer[label] for label in x.labels))
            self.note(operation, f"the logarithm of a softmax is a log_softmax of {x.value}")
            return (Along(operation.output, "log_softmax", (read,), outer[maker.axis], maker.options),)
        if isinstance(maker, Reduce) and maker.operator == "sum":
            exponential = self.map_of(maker.operand, "exp")
            if exponential is not None and not _outside(self.block, self.uses, maker.operand.value, (maker,)):
                return self._sum(operation, maker, exponential, outer)
        return (operation,)

    def _sum(
        self, operation: Map, total: Reduce, exponential: Map, outer: Mapping[str, str]
    ) -> tuple[DenseOperation, ...]:
        """log sum exp(x) = m + log sum exp(x - m), m the largest x; 0 where that is infinite or nothing is summed."""
        (inner,) = exponential.operands
        assert isinstance(inner, Operand)
        taken = set(outer.values())
        names = {label: outer.get(label, f"{label}^" if label in taken else label) for label in total.operand.labels}
        wide = tuple(names[label] for label in total.operand.labels)
        by_place = dict(zip(exponential.output.labels, wide, strict=True))
        x = Operand(inner.value, tuple(by_place[label] for label in inner.labels))
        few = tuple(outer[label] for label in total.output.labels)
        lengths = tuple(self.block.values[total.operand.value].lengths)
        whole = Output(operation.output.out, (*wide,), lengths, "float")
        made: list[DenseOperation] = []

        def add(
            build: type[Map] | type[Reduce], labels: tuple[str, ...], *arguments: object, dtype: str = "float"
        ) -> Operand:
            output = self.output(whole, labels, dtype)
            made.append(build(output, *arguments))  # type: ignore[arg-type]
            return Operand(output.out, labels)

        largest = add(Reduce, few, "max", x)
        magnitude = add(Map, few, "abs", (largest,))
        finite = add(Map, few, "less", (magnitude, math.inf), dtype="bool")
        shift = add(Map, few, "where", (finite, largest, 0))
        below = add(Map, wide, "subtract", (x, shift))
        powers = add(Map, wide, "exp", (below,))
        logarithm = add(Map, few, "log", (add(Reduce, few, "sum", powers),))
        made.append(Map(operation.output, "add", (logarithm, shift)))
        self.note(operation, f"the largest of {inner.value} is taken out of the sum of exponentials")
        return tuple(made)


def _outside(
    block: Block, uses: Mapping[str, tuple[DenseOperation, ...]], name: str, inside: tuple[DenseOperation, ...]
) -> bool:
    """Whether something other than `inside` sees a value: then it is made anyway."""
    return name in block.kept or any(user not in inside for user in uses.get(name, ()))


def _rewrite(block: Block) -> Rewritten:
    rewriter = _Rewriter(block, dict(block.makers()), block.uses())
    operations: list[DenseOperation] = []
    for operation in block.operations:
        found = rewriter.rewritten(operation)
        operations.extend(found)
        rewriter.makers[operation.output.out] = found[-1]
    if not rewriter.savings:
        return block.operations, ()
    return tuple(operations), tuple(rewriter.savings)


LOGSUMEXP = PlanPass("logsumexp", "sums, quotients and logarithms of exponentials do not overflow", _rewrite)
