"""Where a value comes from, and what the labels of its maker are called where it is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from fuse_ref.plan.dataflow import reads
from fuse_ref.plan.passes.framework import Block
from fuse_ref.plan.steps import DenseOperation, Operand, Permute

__all__ = ["Names", "Tracer"]


@dataclass(slots=True)
class Names:
    """Labels of one operation as the operation that is being made calls them; others get new ones."""

    known: dict[str, str]
    taken: set[str]  # shared by all that are named together

    def __getitem__(self, label: str) -> str:
        found = self.known.get(label)
        if found is None:
            found = label
            while found in self.taken:
                found += "'"
            self.taken.add(found)
            self.known[label] = found
        return found

    def operand(self, operand: Operand) -> Operand:
        return Operand(operand.value, tuple(self[label] for label in operand.labels))


@dataclass(slots=True)
class Tracer:
    """Looks up makers of values in one block."""

    block: Block
    makers: Mapping[str, DenseOperation] = field(init=False)
    _reads: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self.makers = self.block.makers()
        self._reads = {}
        for operation in self.block.operations:
            for name in reads(operation):
                self._reads[name] = self._reads.get(name, 0) + 1

    def single(self, value: str) -> bool:
        """Whether one operand alone reads the value, and nothing outside sees it."""
        return value not in self.block.kept and self._reads.get(value, 0) == 1

    def source(self, operand: Operand, *, single: bool = False) -> tuple[DenseOperation | None, Operand]:
        """What made the operand before its dimensions were put in another order, and that value as an operand.

        `single` stops at values that something else reads too.
        """
        while True:
            maker = self.makers.get(operand.value)
            if single and not self.single(operand.value):
                return None, operand
            if not isinstance(maker, Permute):
                return maker, operand
            called = dict(zip(maker.output.labels, operand.labels, strict=True))
            operand = Operand(maker.operand.value, tuple(called[label] for label in maker.operand.labels))

    def fresh(self, wanted: str, taken: Iterable[str] = ()) -> str:
        """A name for a new value: `wanted`, or that with a number."""
        used = {*self.block.values, *taken}
        name, count = wanted, 1
        while name in used:
            count += 1
            name = f"{wanted}{count}"
        return name
