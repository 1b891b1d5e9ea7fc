"""Trees of products: calls whose only use is to be a factor of another product, read as one product of many factors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch.fx import Graph, Node

from fuse_torch.backend.passes.graph import Region, Size, hint, regions, sizes, tensor_of, times_used
from fuse_torch.backend.passes.order import cheapest
from fuse_torch.backend.passes.products import Labels, Product, Scale, read_product

__all__ = ["Tree", "trees_of"]


# Calls in one tree; what is below them is a factor. Orders of more are searched for too long.
_MOST = 64


@dataclass(slots=True)
class Tree:
    """One product of many factors, and what the author's order of it costs at the sizes of this call."""

    root: Node
    output: Labels = ()
    members: list[Node] = field(default_factory=list)  # the calls of the tree, a call before those that it uses
    factors: list[tuple[Node, Labels]] = field(default_factory=list)
    scales: list[Scale] = field(default_factory=list)
    bias: Node | None = None
    autocast: torch.dtype | None = None  # what autocast turns products into, where it is on
    sizes: dict[int, Size] = field(default_factory=dict)  # of each label
    hints: dict[int, int] = field(default_factory=dict)  # the same as numbers
    flops: int = 0
    largest: int = 0  # elements
    stored: int = 0  # elements of all intermediate results

    def label(self, size: Size, number: int) -> int:
        made = len(self.sizes)
        self.sizes[made], self.hints[made] = size, number
        return made


def trees_of(graph: Graph) -> list[Tree]:
    """The maximal trees of two products or more, the last one first: it may use what those after it compute."""
    found: list[Tree] = []
    where = regions(graph)
    taken: set[Node] = set()
    for node in reversed(graph.nodes):
        if node in taken:
            continue
        product = _member(node, where)
        if product is None or not _contracts(product):
            continue
        tree = _grown(node, product, where)
        taken.update(tree.members)
        if len(tree.factors) > 2 or (len(tree.factors) == 2 and _sums_later(tree)):
            found.append(tree)
    return found


def _member(node: Node, where: Mapping[Node, Region]) -> Product | None:
    """The product that a call is, where its operands have its type and device."""
    product = read_product(node)
    value = tensor_of(node)
    if product is None or value is None or not (value.is_floating_point() or value.is_complex()):
        return None
    cast = where[node].cast_to(value.device)
    nodes = [operand for operand, _ in product.operands]
    nodes += [] if product.bias is None else [product.bias]
    for operand in nodes:
        given = tensor_of(operand)
        if given is None or given.device != value.device:
            return None
        casts = cast == value.dtype and given.dtype in (torch.float32, torch.float16, torch.bfloat16)
        if given.dtype != value.dtype and not casts:
            return None
    return product


def _contracts(product: Product) -> bool:
    """Whether the call multiplies and sums, or sums: where a tree may begin."""
    found = [size for node, labels in product.operands for size in _summed_sizes(node, labels, product.output)]
    return any(size != 1 for size in found)


def _summed_sizes(node: Node, labels: Labels, output: Labels) -> list[int]:
    return [size for label, size in zip(labels, sizes(node) or (), strict=True) if label not in output]


def _sums_later(tree: Tree) -> bool:
    """Two factors are one product; a sum after it may come before it."""
    return sum(read is not None and _contracts(read) for read in map(read_product, tree.members)) > 1


def _grown(root: Node, product: Product, where: Mapping[Node, Region]) -> Tree:
    value = tensor_of(root)
    assert value is not None
    tree = Tree(root, bias=product.bias, autocast=where[root].cast_to(value.device))
    tree.output = tuple(tree.label(size, hint(size) or 0) for size in value.shape)
    _add(tree, root, product, tree.output, where)
    return tree


def _add(tree: Tree, node: Node, product: Product, outer: Labels, where: Mapping[Node, Region]) -> None:
    """Add one call whose dimensions have the labels `outer` in the tree, and what is below it."""
    tree.members.append(node)
    names = dict(zip(product.output, outer, strict=True))
    for operand, labels in product.operands:
        value = tensor_of(operand)
        assert value is not None
        for label, size in zip(labels, value.shape, strict=True):
            if label not in names:
                names[label] = tree.label(size, hint(size) or 0)
    if product.scale is not None:
        tree.scales.append(product.scale)
    _count(tree, node, product, {label: tree.hints[name] for label, name in names.items()})
    for operand, labels in product.operands:
        mine = tuple(names[label] for label in labels)
        below = _below(tree, node, operand, where)
        if below is None:
            tree.factors.append((operand, mine))
        else:
            _add(tree, operand, below, mine, where)


def _below(tree: Tree, node: Node, operand: Node, where: Mapping[Node, Region]) -> Product | None:
    """The operand as a part of the tree: computed for it alone, in the same type, with no side effect between."""
    if where[operand] != where[tree.root] or times_used(operand) != 1 or len(tree.members) >= _MOST:
        return None
    value, root = tensor_of(operand), tensor_of(tree.root)
    product = _member(operand, where)
    if product is None or product.bias is not None or value is None or root is None or value.dtype != root.dtype:
        return None
    return product


def _count(tree: Tree, node: Node, product: Product, hints: Mapping[int, int]) -> None:
    """Add what the call costs as it stands."""
    summed = {label for _, labels in product.operands for label in labels} - set(product.output)
    summing = any(hints[label] != 1 for label in summed)
    if len(product.operands) == 1 and product.scale is None and not summing:
        return  # a view
    made = math.prod(hints[label] for label in product.output)
    if len(product.operands) > 2:  # an einsum of many: torch finds an order of its own
        order = cheapest([labels for _, labels in product.operands], product.output, hints, None)
        tree.flops += order.flops
        tree.stored += order.stored
        tree.largest = max(tree.largest, order.largest)
    else:
        touched = {label for _, labels in product.operands for label in labels}
        twice = 2 if summing and len(product.operands) == 2 else 1
        tree.flops += math.prod(hints[label] for label in touched) * twice
    tree.largest = max(tree.largest, made)
    if node is not tree.root:
        tree.stored += made
