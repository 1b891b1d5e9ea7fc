"""What stands between a product of queries and keys and its softmax: factors, masks that are added, masks that fill."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch.fx import Node
from torch.nn import functional

from fuse_torch.backend.passes.bands import Band, band_of, constant_of
from fuse_torch.backend.passes.graph import Region, sizes, tensor_of, times_used
from fuse_torch.backend.passes.products import Product, Scale, read_product

__all__ = ["Added", "Filled", "Refusal", "Scores", "contracted", "guarded", "read_scores", "softmax_of", "undropped"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why something that looks like attention stays as it is."""

    reason: str


@dataclass(frozen=True, slots=True)
class Added:
    """A mask of numbers added to the scores."""

    mask: Node
    scales: tuple[Scale, ...] = ()  # applied to it; one written after the addition counts for both


@dataclass(frozen=True, slots=True)
class Filled:
    """A condition and the number that scores get where they are not kept."""

    mask: Node
    kept: bool | None  # the value of the mask where scores are kept; None for a mask of numbers, kept where it is 0
    value: float
    band: Band | None  # where scores are kept, if that is known


@dataclass(slots=True)
class Scores:
    """A product of queries and keys, and what is done to it before the softmax, in that order."""

    product: Product
    node: Node  # the product's
    members: list[Node] = field(default_factory=list)  # calls to be removed, each before those that it uses
    scales: list[Scale] = field(default_factory=list)
    added: list[Added] = field(default_factory=list)
    filled: list[Filled] = field(default_factory=list)
    guard: Node | None = None  # where it is false nothing is kept, and the scores are 0 instead of -inf


@dataclass(frozen=True, slots=True)
class Guarded:
    """Rows in which nothing is kept get scores 0; their weights are to become 0 afterwards."""

    rows: Node
    mask: Node  # of which `rows` tells whether anything is true


_MOST_STEPS = 10

_Step: TypeAlias = tuple[Node, Scale | Added | Filled | Guarded | None]


def read_scores(
    node: Node, where: Mapping[Node, Region], region: Region, steps: int = _MOST_STEPS
) -> Scores | Refusal | None:
    """The scores that `node` is, None where there is no product of two tensors in so many steps below it."""
    product = read_product(node)
    if product is not None and contracted(product):
        if product.bias is not None:
            return Refusal("the product of queries and keys has a bias")
        problem = _owned(node, where, region)
        return Scores(product, node, [node]) if problem is None else Refusal(problem)
    refusal: Refusal | None = None
    for below, step in _steps(node):
        if steps == 0 or not _alike(below, node):
            continue
        found = read_scores(below, where, region, steps - 1)
        if isinstance(found, Refusal):
            refusal = found
        elif found is not None:
            problem = _owned(node, where, region) or _extend(found, step, below)
            return Refusal(problem) if problem is not None else _with(found, node)
    return refusal


def contracted(product: Product) -> tuple[int, ...]:
    """The labels that two operands share and their product lacks."""
    if len(product.operands) != 2:
        return ()
    (_, left), (_, right) = product.operands
    return tuple(label for label in left if label in right and label not in product.output)


def _alike(one: Node, two: Node) -> bool:
    """Whether two tensors have the same sizes and type."""
    first, second = tensor_of(one), tensor_of(two)
    known = first is not None and second is not None and first.dtype == second.dtype
    return known and sizes(one) is not None and sizes(one) == sizes(two)


def _with(scores: Scores, node: Node) -> Scores:
    scores.members.insert(0, node)
    return scores


def _owned(node: Node, where: Mapping[Node, Region], region: Region) -> str | None:
    if times_used(node) != 1:
        return f"{node.name} is used {times_used(node)} times"
    if where[node] != region:
        return f"a side effect, autocast or a change of gradient mode stands between {node.name} and its use"
    return None


def _extend(scores: Scores, step: Scale | Added | Filled | Guarded | None, below: Node) -> str | None:
    """Append a step; the reason where it cannot be one of scaled_dot_product_attention's."""
    value = tensor_of(below)
    if step is None or value is None:
        return None
    if scores.guard is not None:
        return "scores of rows without anything kept are changed again"
    if isinstance(step, Guarded):
        return _guarded(scores, step)
    if isinstance(step, Scale):
        return _scaled(scores, step)
    mask = tensor_of(step.mask)
    if mask is None:
        return "its mask is no ordinary tensor"
    if isinstance(step, Added):
        if mask.requires_grad:
            return f"mask {step.mask.name} takes part in training"
        if mask.dtype != value.dtype or mask.device != value.device:
            return f"mask {step.mask.name} has another type than the scores"
        scores.added.append(step)
        return _both(scores)
    if mask.dtype != torch.bool and step.kept is not None:
        return f"mask {step.mask.name} is not Boolean"
    lowest = torch.finfo(value.dtype).min
    if not step.value <= max(lowest / 2, _NOTHING):
        return f"scores that are masked become {step.value:g}, whose exponential may count"
    if step.value != -math.inf:
        if scores.filled:
            return "two masks set scores to numbers"
    elif any(item.value != -math.inf for item in scores.filled):
        return "two masks set scores to numbers"
    scores.filled.append(step)
    return _both(scores)


def _both(scores: Scores) -> str | None:
    """Gradients of a row without anything kept depend on which of the two masks dropped it."""
    added = bool(scores.added) or any(item.kept is None for item in scores.filled)
    several = len(scores.added) + len(scores.filled) > 1 and bool(scores.filled)
    return "one mask is added and another sets scores" if added and several else None


def _guarded(scores: Scores, step: Guarded) -> str | None:
    masks = [(item.mask, item.kept, item.value) for item in scores.filled]
    if scores.added or masks != [(step.mask, True, -math.inf)]:
        return f"scores become 0 where {step.rows.name} is not true"
    scores.guard = step.rows
    return None


# A score of this or less has weight 0 beside any that is not masked.
_NOTHING = -1e9


def _scaled(scores: Scores, scale: Scale) -> str | None:
    value = scale.value
    if isinstance(value, (int, float)) and not _is_finite(scale, value):
        return "scores are scaled by no finite number"  # all of a row may be -inf: NaN as written, 0 in the fast kernel
    if not scores.added and not scores.filled:
        scores.scales.append(scale)
        return None
    if not isinstance(value, (int, float)) or not 2.0**-20 <= value <= 2.0**20:
        return "scores are scaled after the mask by something that is no moderate positive number"
    factor = value if scale.function is operator.mul else 1 / value
    filled = [Filled(i.mask, i.kept, i.value * factor, i.band) for i in scores.filled]
    if any(item.value > _NOTHING for item in filled):
        return "scores are scaled after the mask"
    scores.scales.append(scale)
    scores.filled = filled
    scores.added = [Added(item.mask, (*item.scales, scale)) for item in scores.added]
    return None


def _is_finite(scale: Scale, value: float) -> bool:
    return math.isfinite(value) and (scale.function is operator.mul or value != 0)


# Steps -----------------------------------------------------------------------------------------


def _steps(node: Node) -> list[_Step]:
    """How the call may be one step above scores: what it does to which of its arguments."""
    product = read_product(node)
    if product is not None and len(product.operands) == 1:
        ((operand, labels),) = product.operands
        return [(operand, product.scale)] if labels == product.output else []
    if product is not None and len(product.operands) == 2 and not contracted(product):
        # A factor without dimensions may be a tensor.
        (left, lefts), (right, rights) = product.operands
        found: list[_Step] = [(left, Scale(operator.mul, right))] if not rights else []
        return [*found, (right, Scale(operator.mul, left))] if not lefts else found
    reader = _READERS.get(node.target if node.op == "call_function" else str(node.target))
    return [] if reader is None else reader(node)


def _add(node: Node) -> list[_Step]:
    if len(node.args) != 2 or node.kwargs or not all(isinstance(value, Node) for value in node.args):
        return []
    left, right = node.args
    return [step for one, two in ((left, right), (right, left)) for step in _plus(one, two)]


def _plus(scores: Any, mask: Any) -> list[_Step]:
    """Where the added mask is 0 and -inf in a known pattern, it is a condition."""
    found = _pattern(mask)
    if found is not None:
        return [(scores, found)]
    return [(scores, Added(mask))]


def _pattern(mask: Any) -> Filled | None:
    name = str(getattr(mask.target, "__name__", mask.target))
    if name in ("triu", "tril") and constant_of(mask.args[0]) == -math.inf:
        dropped = band_of(mask)
        if dropped is not None and dropped.opposite.fills_rows:
            return Filled(mask, None, -math.inf, dropped.opposite)
    return None


def _masked_fill(node: Node) -> list[_Step]:
    if len(node.args) != 3 or node.kwargs:
        return []
    scores, mask, given = node.args
    value = constant_of(given)
    if value is None or not isinstance(mask, Node) or not isinstance(scores, Node):
        return []
    dropped = band_of(mask)
    return [(scores, Filled(mask, False, value, None if dropped is None else dropped.opposite))]


def _where(node: Node) -> list[_Step]:
    """`where(mask, scores, -inf)`, or the other way round; the method's first argument is the scores."""
    if len(node.args) != 3 or node.kwargs:
        return []
    mask, first, second = node.args if node.op == "call_function" else (node.args[1], node.args[0], node.args[2])
    rows = guarded(node)
    if rows is not None:
        below, guard = rows
        return [(below, Guarded(guard, _any_of(guard)))]
    found: list[_Step] = []
    for scores, other, kept in ((first, second, True), (second, first, False)):
        value = constant_of(other)
        if isinstance(scores, Node) and isinstance(mask, Node) and value is not None:
            band = band_of(mask)
            found.append((scores, Filled(mask, kept, value, band if kept or band is None else band.opposite)))
    return found


def guarded(node: Node) -> tuple[Node, Node] | None:
    """(x, rows) of `where(rows, x, 0)` where `rows` tells in which rows of a mask anything is true."""
    if node.target is not torch.where or len(node.args) != 3 or node.kwargs:
        return None
    rows, below, other = node.args
    if not isinstance(rows, Node) or not isinstance(below, Node) or constant_of(other) != 0:
        return None
    return (below, rows) if _any_of(rows) is not rows else None


def _any_of(rows: Node) -> Node:
    """The mask of `any(mask, -1, keepdim=True)`; `rows` itself where it is something else."""
    name = str(getattr(rows.target, "__name__", rows.target))
    given = {**dict(zip(("input", "dim", "keepdim"), rows.args, strict=False)), **rows.kwargs}
    mask = given.get("input")
    value = tensor_of(mask) if isinstance(mask, Node) else None
    if name != "any" or value is None or not isinstance(mask, Node) or given.get("keepdim") is not True:
        return rows
    return mask if given.get("dim") in (-1, value.dim() - 1) else rows


_READERS: dict[Any, Callable[[Node], list[_Step]]] = {
    **dict.fromkeys((operator.add, torch.add, "add", "__add__", "__radd__"), _add),
    **dict.fromkeys((torch.masked_fill, "masked_fill"), _masked_fill),
    **dict.fromkeys((torch.where, "where"), _where),
}

# A dropout that drops nothing.
_DROPOUT = (functional.dropout, torch.dropout)


def softmax_of(node: Node) -> tuple[Node, int] | None:
    """The argument of a softmax and its dimension, counted from 0; None where the call is none."""
    names: tuple[str, ...]
    if node.target is functional.softmax:
        names = ("input", "dim", "_stacklevel", "dtype")
    elif node.target is torch.softmax or (node.op == "call_method" and node.target == "softmax"):
        names = ("input", "dim", "dtype")
    else:
        return None
    given: dict[str, Any] = {**dict(zip(names, node.args, strict=False)), **node.kwargs}
    scores, dim = given.get("input"), given.get("dim")
    if not isinstance(scores, Node) or not isinstance(dim, int):
        return None
    value = tensor_of(scores)
    if value is None or value.dim() == 0:
        return None
    return scores, dim % value.dim()


def undropped(node: Node) -> Node | None:
    """The argument of a dropout that passes everything on; None where the call is none."""
    if node.target not in _DROPOUT:
        return None
    given = {**dict(zip(("input", "p", "training", "inplace"), node.args, strict=False)), **node.kwargs}
    idle = given.get("training", True) is False or given.get("p", 0.5) == 0
    found = given.get("input")
    return found if idle and not given.get("inplace") and isinstance(found, Node) else None
