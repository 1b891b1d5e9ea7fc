"""Attention in its common spellings, `softmax(Q Kᵀ · c + mask) V`, as one scaled_dot_product_attention.

The scores are then never stored. Masks keep their meaning to the last row: a row that a Boolean mask
drops whole is NaN, or the mean of the values, as the author's softmax makes it.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch.fx import GraphModule, Node

from fuse_torch.backend.passes.attend import attend
from fuse_torch.backend.passes.bands import Band
from fuse_torch.backend.passes.graph import Region, hint, regions, sizes, tensor_of, times_used
from fuse_torch.backend.passes.products import Labels, Product, beneath, read_product
from fuse_torch.backend.passes.result import PassResult
from fuse_torch.backend.passes.scores import (
    Filled,
    Refusal,
    Scores,
    contracted,
    guarded,
    read_scores,
    softmax_of,
    undropped,
)
from fuse_torch.backend.passes.words import amount_of

__all__ = ["Attention", "attention_at", "run"]

NAME = "attention"

_log = logging.getLogger("fuse")


@dataclass(frozen=True, slots=True)
class Attention:
    """One place where queries attend to keys. Labels are those of the product of queries and keys.

    The dimensions are (*batch, row, inner) of the queries, (*batch, column, inner) of the keys and
    (*batch, column, value) of the values; an operand may lack some of `batch`.
    """

    scores: Scores
    softmax: Node
    root: Node  # the product with the values, which is replaced
    members: tuple[Node, ...]  # calls to be removed, each before those that it uses
    views: tuple[Node, ...]  # calls that may be left without use
    query: tuple[Node, Labels]
    key: tuple[Node, Labels]
    values: tuple[Node, Labels]
    batch: Labels
    row: int
    column: int
    inner: int
    value: int
    output: Labels  # of root

    def band(self, item: Filled) -> Band | None:
        """Where a mask keeps scores, over rows and columns as they stand here."""
        over = self.scores.product.output[-2:] == (self.row, self.column)
        mask, scores = sizes(item.mask) or (), sizes(self.scores.node) or ()
        return item.band if over and mask[-2:] == scores[-2:] else None

    @property
    def is_causal(self) -> bool:
        """Whether the only mask keeps those columns that do not come after the row."""
        if self.scores.added or len(self.scores.filled) != 1:
            return False
        return self.band(self.scores.filled[0]) == Band(True, 0)


def run(gm: GraphModule) -> PassResult:
    """Replace attention written out by one call."""
    fired = stored = flops = 0
    refused: list[str] = []
    for node in list(gm.graph.nodes):
        if softmax_of(node) is None:
            continue
        found = attention_at(node, regions(gm.graph))
        if isinstance(found, Refusal):
            refused.append(f"{node.name}: {found.reason}")
            _log.debug("%s refuses %s", NAME, refused[-1])
        elif found is not None:
            count, value = math.prod(sizes(node) or ()), tensor_of(node)
            stored += 2 * count * (0 if value is None else value.element_size())
            flops += _saved(found, count)
            attend(gm.graph, found)
            fired += 1
            _log.debug("%s: %s is one call", NAME, node.name)
    saved = f"{amount_of(stored, 'B')} of scores and weights" if fired else ""
    return PassResult(NAME, fired, saved, tuple(refused), flops, stored)


def _saved(found: Attention, count: int) -> int:
    """FLOPs: a causal mask alone leaves half of both products out."""
    if not found.is_causal:
        return 0
    ends = ((found.query, found.inner), (found.values, found.value))
    return count * sum((sizes(node) or ())[labels.index(label)] for (node, labels), label in ends)


# Can I? ----------------------------------------------------------------------------------------


def attention_at(softmax: Node, where: Mapping[Node, Region]) -> Attention | Refusal | None:
    """The attention around a softmax; why it is none of ours; None where it does not look like one."""
    found = softmax_of(softmax)
    above = _above(softmax)
    if found is None or above is None:
        return None
    root, chain, product = above
    node, dim = found
    scores = read_scores(node, where, where[root])
    if scores is None:
        return None
    if isinstance(scores, Refusal):
        return scores
    weights = chain[-1]
    problem = _problem(softmax, chain, root, scores, where)
    if problem is not None:
        return Refusal(problem)
    return _arranged(softmax, root, (root, *chain[::-1], *scores.members), product, weights, scores, dim)


def _above(softmax: Node) -> tuple[Node, list[Node], Product] | None:
    """The product with the values, the calls from the softmax up to it, and what the product is."""
    chain = [softmax]
    while True:
        for user in chain[-1].users:
            product = read_product(user)
            if product is not None and contracted(product) and product.bias is None:
                return user, chain, product
        if len(chain[-1].users) != 1:
            return None
        (user,) = chain[-1].users
        product = read_product(user)
        same = product is not None and product.is_view and product.output == product.operands[0][1]
        if not same and not _drops(user) and guarded(user) is None:
            return None
        chain.append(user)


def _drops(node: Node) -> bool:
    return getattr(node.target, "__name__", "") == "dropout"


def _problem(softmax: Node, chain: list[Node], root: Node, scores: Scores, where: Mapping[Node, Region]) -> str | None:
    """Why the chain of calls cannot be one, as far as types, uses and side effects tell."""
    made, first = tensor_of(root), tensor_of(scores.node)
    if made is None or first is None:
        return "its result is no ordinary tensor"
    for node in chain:
        if times_used(node) != 1:
            return f"the weights ({node.name}) are used {times_used(node)} times"
        if where[node] != where[root]:
            return f"a side effect, autocast or a change of gradient mode stands between {node.name} and its use"
        if _drops(node) and undropped(node) is None:
            return "dropout is active"
        guard = guarded(node)
        if guard is not None and guard[1] is not scores.guard:
            return f"weights become 0 where {guard[1].name} is not true"
    if scores.guard is not None and all(guarded(node) is None for node in chain):
        return f"scores become 0 where {scores.guard.name} is not true"
    if not made.is_floating_point():
        return f"its type is {made.dtype}"
    cast = where[root].cast_to(made.device)
    widened = cast == made.dtype
    weights = tensor_of(softmax)
    if first.dtype != made.dtype or weights is None:
        return f"scores are {first.dtype} and results {made.dtype}"
    if weights.dtype != made.dtype and not (widened and weights.dtype == torch.float32):
        return f"the softmax is computed in {weights.dtype}, scores in {first.dtype}"
    if cast is not None and not widened and made.dtype in (torch.float32, torch.float16, torch.bfloat16):
        return f"autocast would compute it in {cast}"
    return None


def _arranged(
    softmax: Node,
    root: Node,
    members: tuple[Node, ...],
    product: Product,
    weights: Node,
    scores: Scores,
    dim: int,
) -> Attention | Refusal:
    """The roles of all dimensions."""
    read = scores.product
    summed = contracted(read)
    if len(summed) != 1:
        return Refusal("queries and keys share several summed dimensions")
    column = read.output[dim]
    sides = [operand for operand in read.operands if column in operand[1]]
    if len(sides) != 1:
        return Refusal("the softmax runs along a dimension of both factors, or of none")
    key = sides[0]
    query = read.operands[0] if read.operands[1] is key else read.operands[1]
    places = [index for index, (node, _) in enumerate(product.operands) if node is weights]
    if len(places) != 1:
        return Refusal("the weights are multiplied with themselves")
    values_node, theirs = product.operands[1 - places[0]]
    # The labels of the product with the values, in terms of those of the scores.
    names = dict(zip(product.operands[places[0]][1], read.output, strict=True))
    fresh = 1 + max(label for _, labels in read.operands for label in labels)
    fresh = max(fresh, *(label + 1 for label in read.output))
    for label in (*theirs, *product.output):
        if label not in names:
            names[label] = fresh
            fresh += 1
    values = (values_node, tuple(names[label] for label in theirs))
    output = tuple(names[label] for label in product.output)
    if [names[label] for label in contracted(product)] != [column]:
        return Refusal("the product with the values sums along other dimensions than the softmax")
    alone = [label for label in values[1] if label in output and label not in read.output]
    if len(alone) != 1:
        return Refusal(f"the values have {len(alone)} dimensions of their own, not one")
    rows = [label for label in read.output if label in query[1] and label not in (*key[1], *values[1])]
    if not rows:
        return Refusal("there is no dimension of queries alone")
    row = rows[-1]
    batch = tuple(label for label in read.output if label not in (row, column))
    if set(output) != {*batch, row, alone[0]}:
        return Refusal("the product with the values sums over more than the keys")
    queries, keys, read_values = (beneath(*operand) for operand in (query, key, values))
    found = Attention(
        scores=scores,
        softmax=softmax,
        root=root,
        members=members,
        views=(*queries[2], *keys[2], *read_values[2], *(() if scores.guard is None else (scores.guard,))),
        query=queries[:2],
        key=keys[:2],
        values=read_values[:2],
        batch=batch,
        row=row,
        column=column,
        inner=summed[0],
        value=alone[0],
        output=output,
    )
    problem = _stray(found)
    return found if problem is None else Refusal(problem)


def _stray(found: Attention) -> str | None:
    """Dimensions that have no role must be of size 1: those that were stretched."""
    for (node, labels), own in (
        (found.query, (found.row, found.inner)),
        (found.key, (found.column, found.inner)),
        (found.values, (found.column, found.value)),
    ):
        value = tensor_of(node)
        if value is None or 0 in (sizes(node) or (0,)):
            return f"{node.name} is empty"
        for label, size in zip(labels, value.shape, strict=True):
            if label not in (*found.batch, *own) and hint(size) != 1:
                return f"{node.name} is summed by itself"
    if any(item.kept is None and found.band(item) is None for item in found.scores.filled):
        return "an added triangle is not over the queries and keys"
    if len(found.batch) > 2 and not _flat(found):
        return "a mask differs along more than two batch dimensions"
    return None


def _flat(found: Attention) -> bool:
    masks = [item.mask for item in found.scores.added] + [item.mask for item in found.scores.filled]
    for mask in masks:
        shape, labels = sizes(mask) or (), found.scores.product.output
        for label, size in zip(labels[len(labels) - len(shape) :], shape, strict=True):
            if label in found.batch and size != 1:
                return False
    return True
