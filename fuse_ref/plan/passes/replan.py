"""Products that run over several equations are multiplied in the order that is cheapest for all of them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from fuse_ref.analysis.extents import is_open
from fuse_ref.plan.order import Order, choose_order, expression_of
from fuse_ref.plan.passes.framework import Block, PlanPass, Rewritten
from fuse_ref.plan.passes.trees import Tree, trees
from fuse_ref.plan.steps import Contract, Contraction, DenseOperation, Map, Operand, Output, Reduce, Saving
from fuse_ref.records import dataclass

__all__ = ["REPLAN", "why_not"]

_SHARE: Final = 0.2  # of the operations that must be saved: another order also rounds differently
_LEAST: Final = 1 << 16  # operations: below, calls cost more than arithmetic


@dataclass(frozen=True, slots=True)
class _Cost:
    flops: int
    largest: int  # elements of the largest value made on the way, or of the result
    made: int  # elements of all of them


@dataclass(frozen=True, slots=True)
class _Choice:
    order: Order
    inputs: tuple[tuple[str, ...], ...]  # the factors' labels once what each has alone is summed
    cost: _Cost


def _replan(block: Block) -> Rewritten:
    instead: dict[str, tuple[DenseOperation, ...]] = {}  # root -> what computes it now
    savings: list[Saving] = []
    orders = list(block.contractions)
    for tree in trees(block):
        if len(tree.members) == 1:
            continue
        before, choice = _written(block, tree), _cheapest(block, tree)
        spans = len(tree.tensors) > 1
        if why_not(before, choice.cost):
            if spans and len(tree.factors) > 2:
                # Other sizes may decide otherwise: what was assumed is noted where a Runner looks for it.
                orders = _with_order(orders, tree, _contraction(tree, Order(tree.path, before.flops, before.largest)))
            continue
        instead[tree.root.output.out] = _emitted(block, tree, choice)
        expression = _expression(tree)
        what = f"{expression} over {len(tree.tensors)} equations" if spans else f"{expression} in another order"
        savings.append(
            Saving(
                "replan",
                tree.root.output.out.partition("~")[0],
                what,
                before.flops - choice.cost.flops,
                max(0, 4 * (before.made - choice.cost.made)),
            )
        )
        orders = _with_order(orders, tree, _contraction(tree, choice.order))
    if not instead and orders == list(block.contractions):
        return block.operations, ()
    operations: list[DenseOperation] = []
    for operation in block.operations:
        operations.extend(instead.get(operation.output.out, (operation,)))
    return tuple(operations), tuple(savings), tuple(orders)


def why_not(before: _Cost, after: _Cost) -> str:
    """Why the author's order stays; "" when another is clearly better."""
    if after.largest > before.largest:
        return "a larger value would be made on the way"
    saved = before.flops - after.flops
    if saved >= _LEAST and saved >= _SHARE * before.flops:
        return ""
    if saved >= 0 and 2 * after.largest <= before.largest and before.largest >= _LEAST:
        return ""
    return "the orders cost much the same"


# Costs -------------------------------------------------------------------------------------------


def _written(block: Block, tree: Tree) -> _Cost:
    elements = [block.estimates.elements(member.output) for member in tree.members]
    flops = sum(block.estimates.flops(member, block.values) for member in tree.members)
    return _Cost(flops, max(elements), sum(elements))


def _sizes(block: Block, tree: Tree) -> dict[str, int]:
    return {label: block.estimates.number(length) for label, length in tree.lengths.items()}


def _cheapest(block: Block, tree: Tree) -> _Choice:
    sizes = _sizes(block, tree)
    written = [factor.labels for factor in tree.factors]
    inputs = tuple(
        tuple(label for label in labels if label in tree.output or sum(label in other for other in written) > 1)
        for labels in written
    )
    order = choose_order(inputs, tree.output, sizes)
    flops, largest, made = order.flops, order.largest, 0
    for labels, kept in zip(written, inputs, strict=True):
        if labels != kept:
            flops += math.prod(sizes[label] for label in labels)
            made += math.prod(sizes[label] for label in kept)
            largest = max(largest, made)
    remaining = [frozenset(labels) for labels in inputs]
    for first, second in order.path:
        both = remaining.pop(second) | remaining.pop(first)
        product = both & frozenset(tree.output).union(*remaining)
        made += math.prod(sizes[label] for label in product)
        remaining.append(product)
    smallest = min(math.prod(sizes[label] for label in labels) for labels in (*inputs, tree.output))
    flops += len(tree.scalings) * smallest
    return _Choice(order, inputs, _Cost(flops, largest, made))


# Operations --------------------------------------------------------------------------------------


class _Emitter:
    def __init__(self, block: Block, tree: Tree) -> None:
        self.tree = tree
        self.taken = set(block.values)
        self.operations: list[DenseOperation] = []
        self.count = 0

    def output(self, labels: Iterable[str]) -> Output:
        """A new value under the root's tensor; the last one becomes the root."""
        base = self.tree.root.output.out.partition("~")[0]
        while True:
            self.count += 1
            name = f"{base}~p{self.count}"
            if name not in self.taken:
                break
        labels = tuple(labels)
        return Output(name, labels, tuple(self.tree.lengths[label] for label in labels), "float")

    def add(self, operation: DenseOperation) -> Operand:
        self.operations.append(operation)
        return Operand(operation.output.out, operation.output.labels)

    def scaled(self, operand: Operand) -> Operand:
        for scaling in self.tree.scalings:
            items = tuple(operand if isinstance(item, Operand) else item for item in scaling.operands)
            operand = self.add(Map(self.output(operand.labels), scaling.function, items))
        return operand


def _emitted(block: Block, tree: Tree, choice: _Choice) -> tuple[DenseOperation, ...]:
    emitter = _Emitter(block, tree)
    sizes = _sizes(block, tree)
    remaining: list[Operand] = []
    for factor, labels in zip(tree.factors, choice.inputs, strict=True):
        summed = labels != factor.labels
        remaining.append(emitter.add(Reduce(emitter.output(labels), "sum", factor)) if summed else factor)
    elements = [math.prod(sizes[label] for label in factor.labels) for factor in remaining]
    early = min(elements) <= math.prod(sizes[label] for label in tree.output)
    if early:
        best = elements.index(min(elements))
        remaining[best] = emitter.scaled(remaining[best])
    for first, second in choice.order.path:
        right, left = remaining.pop(second), remaining.pop(first)
        needed = set(tree.output).union(*(operand.labels for operand in remaining))
        both = tuple(dict.fromkeys((*left.labels, *right.labels)))
        labels = tuple(label for label in both if label in needed)
        if set(labels) == set(tree.output):
            labels = tree.output
        if set(labels) == set(both):
            remaining.append(emitter.add(Map(emitter.output(labels), "multiply", (left, right))))
        else:
            remaining.append(emitter.add(Contract(emitter.output(labels), left, right)))
    if not early:
        emitter.scaled(remaining[0])
    emitter.operations[-1] = replace(emitter.operations[-1], output=tree.root.output)
    return tuple(emitter.operations)


# What explanations tell --------------------------------------------------------------------------


def _contraction(tree: Tree, order: Order) -> Contraction:
    assumed = {label.partition("^")[0] for label, length in tree.lengths.items() if is_open(length)}
    return Contraction(
        tree.root.output.out.partition("~")[0],
        _expression(tree),
        order.path,
        order.flops,
        order.largest,
        tuple(sorted(assumed)),
    )


def _expression(tree: Tree) -> str:
    """The whole product, inner sums by their equations' letters where these are free."""
    names: dict[str, str] = {}
    for label in sorted(tree.lengths, key=lambda item: "^" in item):
        plain = label.partition("^")[0]
        names[label] = label if plain in names.values() else plain
    inputs = [tuple(names[label] for label in factor.labels) for factor in tree.factors]
    return expression_of(inputs, tuple(names[label] for label in tree.output))


def _with_order(orders: list[Contraction], tree: Tree, order: Contraction) -> list[Contraction]:
    """`order` in place of those of the equations that the tree joins."""
    products = {member.output.out.partition("~")[0] for member in tree.members if isinstance(member, (Contract, Map))}
    places = [k for k, item in enumerate(orders) if item.tensor in products]
    rest = [item for item in orders if item.tensor not in products]
    at = min(places, default=len(rest))
    return [*rest[:at], order, *rest[at:]]


REPLAN = PlanPass("replan", "products over several equations are multiplied in the cheapest order", _replan)
