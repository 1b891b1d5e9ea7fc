"""Contractions that stand in several calls, ordered anew: `(Q Kᵀ) V` becomes `Q (Kᵀ V)` where that is less work."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass

import torch
from torch.fx import GraphModule, Node

from fuse_torch.backend.passes.contraction import Factor, Writer, layout_of
from fuse_torch.backend.passes.graph import Emitter, hint, tensor_of
from fuse_torch.backend.passes.order import Order, cheapest
from fuse_torch.backend.passes.products import Labels, Scale
from fuse_torch.backend.passes.result import PassResult
from fuse_torch.backend.passes.trees import Tree, trees_of
from fuse_torch.backend.passes.words import count_of

__all__ = ["LEAST_FLOPS", "LEAST_SHARE", "Plan", "plan_of", "run"]

NAME = "replan"

LEAST_SHARE = 0.2  # another order rounds differently: it must save this part of the work
LEAST_FLOPS = 100_000  # and so much: less is about what a call costs

# A factor within these bounds may be applied elsewhere without overflow or loss.
_LARGEST_SCALE = 2.0**40

_log = logging.getLogger("fuse")


@dataclass(frozen=True, slots=True)
class Plan:
    """A cheaper order of a tree."""

    order: Order
    flops: int  # all of it, sums before the products included
    stored: int  # elements of its intermediate results
    layout: Labels  # the result's labels as they lie in memory


def run(gm: GraphModule) -> PassResult:
    """Order the trees of the graph anew where that saves work."""
    fired = 0
    refused: list[str] = []
    flops_before = flops = bytes_before = bytes_after = 0
    # A tree is rewritten before those whose results are its factors: those calls are still there to be named.
    for tree in trees_of(gm.graph):
        plan = plan_of(tree)
        if isinstance(plan, str):
            refused.append(f"{_name(tree)}: {plan}")
            _log.debug("%s refuses %s", NAME, refused[-1])
            continue
        value = tensor_of(tree.root)
        assert value is not None
        size = value.element_size()
        _rewrite(gm, tree, plan)
        fired += 1
        flops_before, flops = flops_before + tree.flops, flops + plan.flops
        bytes_before, bytes_after = bytes_before + tree.stored * size, bytes_after + plan.stored * size
        _log.debug("%s orders %s anew: %d FLOPs instead of %d", NAME, _name(tree), plan.flops, tree.flops)
    if not fired:
        return PassResult(NAME, 0, refused=tuple(refused))
    less, fewer = flops_before - flops, bytes_before - bytes_after
    saved = f"{count_of(less, flops_before, 'FLOP')}, {count_of(fewer, bytes_before, 'B')} of intermediate results"
    return PassResult(NAME, fired, saved, tuple(refused), less, fewer)


def _name(tree: Tree) -> str:
    return f"{tree.root.name} ({', '.join(node.name for node, _ in tree.factors)})"


# Can I? ----------------------------------------------------------------------------------------


def plan_of(tree: Tree) -> Plan | str:
    """A better order of the tree, or the reason why it stays as it was written."""
    value = tensor_of(tree.root)
    assert value is not None
    if value.dtype == torch.float16:
        return "float16 overflows early, and so the written order is kept"
    if tree.autocast not in (None, value.dtype) and value.dtype in (torch.float32, torch.bfloat16):
        return f"autocast would compute it in {tree.autocast}, as it was not written"
    if 0 in tree.hints.values():
        return "it is empty"
    wrong = next((scale for scale in tree.scales if not _movable(scale)), None)
    if wrong is not None:
        return f"its factor {wrong.value} must stay where it is"
    layout = layout_of(value, tree.output)
    if layout is None:
        return "its result does not lie densely in memory"
    inputs, output, first = _reduced(tree)
    if len(inputs) < 2:
        return "it has one factor only"
    order = cheapest(inputs, output, tree.hints, tree.largest)
    scaling = min(math.prod(tree.hints[label] for label in labels) for labels in (*inputs, output))
    flops = first + order.flops + scaling * len(tree.scales)
    if order.largest > tree.largest:
        return "each cheaper order has a larger intermediate result"
    saved = tree.flops - flops
    if saved <= 0:
        return "no order is cheaper"
    if saved < LEAST_SHARE * tree.flops or saved < LEAST_FLOPS:
        return f"the best order saves {saved} of {tree.flops} FLOPs only"
    return Plan(order, flops, order.stored, layout)


def _movable(scale: Scale) -> bool:
    value = scale.value
    known = hint(value.meta["example_value"]) if _is_whole(value) else value
    if isinstance(known, (int, float)):
        return 1 / _LARGEST_SCALE <= abs(known) <= _LARGEST_SCALE
    return isinstance(value, Node)  # a root or the like of a size


def _is_whole(value: object) -> bool:
    return isinstance(value, Node) and isinstance(value.meta["example_value"], (int, torch.SymInt))


def _reduced(tree: Tree) -> tuple[list[Labels], Labels, int]:
    """Labels of the factors after what only one of them has was summed, those of the product, and the FLOPs."""
    uses: dict[int, int] = dict.fromkeys(tree.output, 1)
    for _, labels in tree.factors:
        for label in labels:
            uses[label] = uses.get(label, 0) + 1
    inputs, flops = [], 0
    for _, labels in tree.factors:
        kept = tuple(label for label in labels if uses[label] > 1)
        if any(tree.hints[label] != 1 for label in labels if uses[label] == 1):
            flops += math.prod(tree.hints[label] for label in labels)
        inputs.append(kept)
    known = {label for labels in inputs for label in labels}
    return inputs, tuple(label for label in tree.output if label in known), flops


# Do it -----------------------------------------------------------------------------------------


def _rewrite(gm: GraphModule, tree: Tree, plan: Plan) -> None:
    emit = Emitter(gm.graph, tree.root)
    write = Writer(emit, tree.sizes)
    value = tensor_of(tree.root)
    assert value is not None
    inputs, output, _ = _reduced(tree)
    factors: list[Factor] = []
    for (node, labels), kept in zip(tree.factors, inputs, strict=True):
        factor = Factor(emit.cast(node, value.dtype), labels)
        alone = [label for label in labels if label not in kept]
        factor = write.without(factor, [label for label in alone if tree.hints[label] == 1], single=True)
        factors.append(write.without(factor, [label for label in alone if tree.hints[label] != 1], single=False))
    _scale_smallest(emit, tree, factors, output)
    layout = tuple(label for label in plan.layout if label in output)
    for number, (first, second) in enumerate(plan.order.pairs, 1):
        right, left = factors.pop(second), factors.pop(first)
        needed = frozenset(output).union(*(factor.labels for factor in factors))
        wished = layout if number == len(plan.order.pairs) else None
        factors.append(write.product(left, right, needed, wished))
    result = _finished(write, factors[0], tree, output)
    if tree.bias is not None:
        bias = emit.cast(tree.bias, value.dtype)
        result = emit.call(torch.add, result, bias, shape=value.shape)
    tree.root.replace_all_uses_with(result)
    for node in tree.members:
        gm.graph.erase_node(node)


def _scale_smallest(emit: Emitter, tree: Tree, factors: list[Factor], output: Labels) -> None:
    """Apply the numbers to the smallest factor."""
    if not tree.scales:
        return
    counts = [math.prod(tree.hints[label] for label in factor.labels) for factor in factors]
    place = counts.index(min(counts))
    node, labels = factors[place].node, factors[place].labels
    for scale in tree.scales:
        node = emit.call(scale.function, node, scale.value, shape=[tree.sizes[label] for label in labels])
    factors[place] = Factor(node, labels)


def _finished(write: Writer, factor: Factor, tree: Tree, output: Labels) -> Node:
    """The result with its dimensions where the author has them, lying in memory as the author's does."""
    node = factor.node
    if node.target is not torch.matmul:  # whose result lies densely
        node = write.emit.method("contiguous", node, shape=[tree.sizes[label] for label in factor.labels])
    ordered = write.permuted(Factor(node, factor.labels), output)
    node, labels = ordered.node, list(output)
    for dim, label in enumerate(tree.output):
        if label not in output:
            labels.insert(dim, label)
            node = write.emit.call(torch.unsqueeze, node, dim, shape=[tree.sizes[name] for name in labels])
    return node
