"""Products that several operations compute together: maximal trees of contractions, sums and multiplications."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from fuse_ref.analysis.lengths import Length
from fuse_ref.plan.passes.framework import Block
from fuse_ref.plan.steps import Contract, DenseOperation, Map, Operand, Permute, Reduce
from fuse_ref.plan.substitution import operands

__all__ = ["Tree", "trees"]

Nest: TypeAlias = "int | tuple[Nest, Nest]"  # the number of a factor, or two products that are multiplied


@dataclass
class Tree:
    """One product: factors, what is summed, and what is made on the way as the author wrote it.

    Labels are those of the root's equation; inner sums have labels of their own.
    """

    root: DenseOperation
    factors: list[Operand] = field(default_factory=list)
    scalings: list[Map] = field(default_factory=list)  # of a product by a number, wherever they stand
    members: list[DenseOperation] = field(default_factory=list)  # the root and all that only it needs
    lengths: dict[str, Length] = field(default_factory=dict)  # of every label
    path: tuple[tuple[int, int], ...] = ()  # the author's order, as opt_einsum writes it

    @property
    def output(self) -> tuple[str, ...]:
        return self.root.output.labels

    @property
    def tensors(self) -> tuple[str, ...]:
        """Whose equations the tree joins."""
        names = (member.output.out.partition("~")[0] for member in self.members if not isinstance(member, Permute))
        return tuple(dict.fromkeys(names))


def trees(block: Block) -> list[Tree]:
    """The maximal trees of a block with at least two factors and a sum, in order.

    What is kept, or read twice, ends a tree: it has to be made anyway.
    """
    uses, makers = block.uses(), block.makers()
    inner: set[str] = set()
    found: list[Tree] = []
    for operation in reversed(block.operations):
        output = operation.output
        if output.out in inner or not _multiplies(operation):
            continue
        tree = Tree(operation)
        names = dict(zip(output.labels, output.labels, strict=True))
        nest = _Growth(block, uses, makers, tree).grow(operation, names)
        tree.path = _path(nest, len(tree.factors))
        inner.update(member.output.out for member in tree.members)
        tree.lengths.update(zip(output.labels, output.lengths, strict=True))
        if len(tree.factors) > 1 and set(tree.lengths) != set(tree.output):
            found.append(tree)
    return found[::-1]


def _multiplies(operation: DenseOperation) -> bool:
    """Whether an operation is a product, a sum of one, or one times a number."""
    if operation.output.dtype != "float":
        return False
    match operation:
        case Contract() | Permute() | Map(_, "multiply" | "negate", _) | Reduce(_, "sum", _):
            return True
        case Map(_, "divide", (left, right)):
            return isinstance(left, Operand) and not isinstance(right, Operand)
        case _:
            return False


@dataclass
class _Growth:
    block: Block
    uses: Mapping[str, tuple[DenseOperation, ...]]
    makers: Mapping[str, DenseOperation]
    tree: Tree
    sums: int = 0

    def grow(self, operation: DenseOperation, names: dict[str, str]) -> Nest:
        """Adds `operation`, whose output labels are called `names` in the tree."""
        self.tree.members.append(operation)
        read = operands(operation)
        parts: list[Nest] = []
        for operand in read:
            for label in operand.labels:
                if label not in names:
                    self.sums += 1
                    names[label] = f"{label.partition('^')[0]}^{self.sums}"
            once = sum(other.value == operand.value for other in read) == 1
            parts.append(self._factor(Operand(operand.value, tuple(names[label] for label in operand.labels)), once))
        if len(parts) == 2:
            return (parts[0], parts[1])
        if isinstance(operation, Map):
            self.tree.scalings.append(operation)
        return parts[0]

    def _factor(self, operand: Operand, once: bool) -> Nest:
        value, labels = operand.value, operand.labels
        maker = self.makers.get(value)
        if (
            maker is not None
            and once
            and value not in self.block.kept
            and len(self.uses[value]) == 1
            and _multiplies(maker)
        ):
            return self.grow(maker, dict(zip(maker.output.labels, labels, strict=True)))
        self.tree.factors.append(operand)
        self.tree.lengths.update(zip(labels, self.block.values[value].lengths, strict=True))
        return len(self.tree.factors) - 1


def _path(nest: Nest, count: int) -> tuple[tuple[int, int], ...]:
    """Pairs in opt_einsum's form: both leave the list of products, and theirs joins its end."""
    products: list[Nest] = list(range(count))
    found: list[tuple[int, int]] = []

    def join(part: Nest) -> None:
        if isinstance(part, int):
            return
        for inner in part:
            join(inner)
        first, second = sorted(_place(products, inner) for inner in part)
        found.append((first, second))
        del products[second], products[first]
        products.append(part)

    join(nest)
    return tuple(found)


def _place(products: Sequence[Nest], wanted: Nest) -> int:
    return next(k for k, item in enumerate(products) if item is wanted or item == wanted)
