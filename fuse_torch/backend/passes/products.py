"""Calls read as products of labelled tensors: matmul, einsum, linear, multiplications, sums and the views between.

Each call becomes operands with one label a dimension, and the labels of its result; labels that the
result lacks are summed. A dimension of size 1 that is stretched to fit another has a label of its own.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch.fx import Node
from torch.nn import functional

from fuse_torch.backend.passes.arguments import are_tensors, arguments_of, is_number, rank_of, sizes_of
from fuse_torch.backend.passes.graph import hint, sizes, tensor_of

__all__ = ["Labels", "Product", "Scale", "beneath", "read_product"]

Labels: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Scale:
    """A factor without dimensions, applied as it was written."""

    function: Callable[..., Any]  # operator.mul or operator.truediv
    value: Any  # a number, or the node of a number that depends on sizes


@dataclass(frozen=True, slots=True)
class Product:
    """One call as a product."""

    operands: tuple[tuple[Node, Labels], ...]
    output: Labels  # labels of no operand are new dimensions of size 1
    scale: Scale | None = None
    bias: Node | None = None  # added to the result

    @property
    def summed(self) -> bool:
        return any(label not in self.output for _, labels in self.operands for label in labels)

    @property
    def is_view(self) -> bool:
        """Whether it only names or orders dimensions."""
        return len(self.operands) == 1 and self.scale is None and not self.summed


def read_product(node: Node) -> Product | None:
    """The call as a product, or None where it is none or cannot be read without guards."""
    if node.op == "call_function":
        reader = _FUNCTIONS.get(node.target)
    elif node.op == "call_method":
        reader = _METHODS.get(str(node.target))
    else:
        return None
    made = sizes(node)
    if reader is None or made is None:
        return None
    found = reader(node)
    if found is None:
        return None
    known = all(sizes(operand) is not None for operand, _ in found.operands)
    return found if known and len(found.output) == len(made) else None


def beneath(node: Node, labels: Labels) -> tuple[Node, Labels, tuple[Node, ...]]:
    """The tensor whose dimensions transpositions have reordered to give `node`, its labels, and those calls."""
    passed: list[Node] = []
    while True:
        product = read_product(node)
        if product is None or not product.is_view:
            return node, labels, tuple(passed)
        below, mine = product.operands[0]
        # The same order may be a copy; a new dimension is not below.
        if product.output == mine or len(product.output) != len(mine):
            return node, labels, tuple(passed)
        passed.append(node)
        node, labels = below, tuple(labels[product.output.index(label)] for label in mine)


# Products as they are read ----------------------------------------------------------------------


def _stretched(parts: list[tuple[Node, Labels]], output: Labels) -> tuple[tuple[Node, Labels], ...]:
    """The operands with a label of its own for each size 1 that another operand's size stretches."""
    longest: dict[int, int] = {}
    for node, labels in parts:
        for label, size in zip(labels, sizes_of(node), strict=True):
            longest[label] = max(longest.get(label, 1), size) if size != 0 else 0
    fresh = 1 + max([*longest, *output], default=0)
    result = []
    for node, labels in parts:
        mine = []
        for label, size in zip(labels, sizes_of(node), strict=True):
            if size == 1 and longest[label] != 1:
                mine.append(fresh)
                fresh += 1
            else:
                mine.append(label)
        result.append((node, tuple(mine)))
    return tuple(result)


def _product(parts: list[tuple[Node, Labels]], output: Labels, bias: Node | None = None) -> Product | None:
    if any(len(labels) != len(sizes_of(node)) for node, labels in parts):
        return None
    return Product(_stretched(parts, output), output, bias=bias)


# Products --------------------------------------------------------------------------------------


def _matmul(node: Node) -> Product | None:
    given = (
        arguments_of(node, "input", "other")
        or arguments_of(node, "self", "mat2")
        or arguments_of(node, "self", "tensor")
    )
    if given is None or len(given) != 2 or not are_tensors(*given.values()):
        return None
    left, right = given.values()
    ranks = rank_of(left), rank_of(right)
    if 0 in ranks:
        return None
    row, summed, column, first_batch = 0, 1, 2, 3
    batch = tuple(range(first_batch, first_batch + max(*ranks, 2) - 2))

    def outer(rank: int) -> Labels:
        return batch[len(batch) - (rank - 2) :] if rank > 2 else ()

    lefts = (*outer(ranks[0]), row, summed) if ranks[0] > 1 else (summed,)
    rights = (*outer(ranks[1]), summed, column) if ranks[1] > 1 else (summed,)
    made = (*batch, *((row,) if ranks[0] > 1 else ()), *((column,) if ranks[1] > 1 else ()))
    return _product([(left, lefts), (right, rights)], made)


def _linear(node: Node) -> Product | None:
    given = arguments_of(node, "input", "weight", "bias")
    if given is None or not are_tensors(given.get("input"), given.get("weight")) or rank_of(given["weight"]) != 2:
        return None
    outer = tuple(range(2, 1 + rank_of(given["input"])))
    bias = given.get("bias")
    if bias is not None and not are_tensors(bias):
        return None
    return _product([(given["input"], (*outer, 1)), (given["weight"], (0, 1))], (*outer, 0), bias)


def _einsum(node: Node) -> Product | None:
    if node.kwargs or not node.args or not isinstance(node.args[0], str):
        return None
    given: Any = node.args[1:]
    operands = tuple(given[0]) if len(given) == 1 and isinstance(given[0], (list, tuple)) else given
    if not are_tensors(*operands):
        return None
    written, arrow, right = node.args[0].replace(" ", "").partition("->")
    terms = written.split(",")
    if len(terms) != len(operands):
        return None
    dots = [rank_of(operand) - len(term.replace("...", "")) for term, operand in zip(terms, operands, strict=True)]
    most = max([count for term, count in zip(terms, dots, strict=True) if "..." in term], default=0)
    if not arrow:
        letters = written.replace(",", "").replace(".", "")
        right = ("..." if "..." in written else "") + "".join(
            letter for letter in sorted(set(letters)) if letters.count(letter) == 1
        )

    def labels(term: str, count: int) -> Labels:
        # The dimensions under the dots have negative labels, the last one -1.
        before, _, after = term.partition("...")
        middle = tuple(range(-count, 0)) if "..." in term else ()
        return (*map(ord, before), *middle, *map(ord, after))

    parts = [(operand, labels(term, count)) for operand, term, count in zip(operands, terms, dots, strict=True)]
    output = labels(right, most)
    if any(len(set(found)) != len(found) for found in (output, *(labels for _, labels in parts))):
        return None  # a diagonal
    if any(min(labels, default=0) < -most for _, labels in parts):
        return None
    return _product(parts, output)


def _multiply(node: Node) -> Product | None:
    given = arguments_of(node, "input", "other") or arguments_of(node, "self", "other")
    if given is None or len(given) != 2:
        return None
    left, right = given.values()
    for tensor, number in ((left, right), (right, left)):
        if are_tensors(tensor) and is_number(number):
            return _scaled(tensor, Scale(operator.mul, number))
    if not are_tensors(left, right):
        return None
    rank = max(rank_of(left), rank_of(right))
    output = tuple(range(rank))
    return _product([(part, output[rank - rank_of(part) :]) for part in (left, right)], output)


def _divide(node: Node) -> Product | None:
    given = arguments_of(node, "input", "other") or arguments_of(node, "self", "other")
    if given is None or len(given) != 2:
        return None
    left, right = given.values()
    return _scaled(left, Scale(operator.truediv, right)) if are_tensors(left) and is_number(right) else None


def _negate(node: Node) -> Product | None:
    given = arguments_of(node, "input")
    return _scaled(given["input"], Scale(operator.mul, -1)) if given and are_tensors(*given.values()) else None


def _scaled(tensor: Node, scale: Scale) -> Product:
    labels = tuple(range(rank_of(tensor)))
    return Product(((tensor, labels),), labels, scale)


def _sum(node: Node) -> Product | None:
    given = arguments_of(node, "input", "dim", "keepdim")
    if given is None or not are_tensors(given.get("input")):
        return None
    rank = rank_of(given["input"])
    dims = given.get("dim")
    chosen = range(rank) if dims is None or dims == () else (dims,) if isinstance(dims, int) else dims
    if not all(isinstance(dim, int) for dim in chosen):
        return None
    summed = {dim % rank for dim in chosen} if rank else set()
    labels = tuple(range(rank))
    kept = tuple(rank + label if label in summed else label for label in labels)
    output = kept if given.get("keepdim") is True else tuple(label for label in labels if label not in summed)
    return Product(((given["input"], labels),), output)


# Views -----------------------------------------------------------------------------------------


def _view(tensor: Any, order: Callable[[Labels], Labels | None]) -> Product | None:
    if not are_tensors(tensor):
        return None
    labels = tuple(range(rank_of(tensor)))
    output = order(labels)
    return None if output is None else Product(((tensor, labels),), output)


def _transpose(node: Node) -> Product | None:
    given = arguments_of(node, "input", "first", "second") or arguments_of(node, "input", "dim0", "dim1")
    if given is None or len(given) != 3 or not all(isinstance(dim, int) for dim in list(given.values())[1:]):
        return None
    tensor, first, second = given.values()
    return _view(tensor, lambda labels: _swapped(labels, first, second))


def _swapped(labels: Labels, first: int, second: int) -> Labels | None:
    mine = list(labels)
    if mine:
        mine[first], mine[second] = mine[second], mine[first]
    return tuple(mine)


def _permute(node: Node) -> Product | None:
    if not node.args or not set(node.kwargs) <= {"dims"}:
        return None
    tensor, *rest = node.args
    dims: Any = node.kwargs.get("dims", rest)
    dims = dims[0] if len(dims) == 1 and isinstance(dims[0], (list, tuple)) else dims
    if not all(isinstance(dim, int) for dim in dims):
        return None
    return _view(tensor, lambda labels: tuple(labels[dim] for dim in dims))


def _attribute(node: Node) -> Product | None:
    tensor, name = node.args[:2]
    value = tensor_of(tensor) if isinstance(tensor, Node) else None
    if value is None or (name in ("H", "mH") and value.is_complex()):
        return None
    if name in ("T", "H"):
        return _view(tensor, lambda labels: labels[::-1])
    return _view(tensor, lambda labels: _swapped(labels, -1, -2)) if name in ("mT", "mH") else None


def _t(node: Node) -> Product | None:
    return _view(node.args[0], lambda labels: labels[::-1]) if len(node.args) == 1 and not node.kwargs else None


def _unsqueeze(node: Node) -> Product | None:
    given = arguments_of(node, "input", "dim")
    if given is None or not isinstance(given.get("dim"), int):
        return None

    def order(labels: Labels) -> Labels:
        dim = given["dim"] % (len(labels) + 1)
        return (*labels[:dim], len(labels), *labels[dim:])

    return _view(given["input"], order)


def _squeeze(node: Node) -> Product | None:
    given = arguments_of(node, "input", "dim")
    if given is None or not are_tensors(given.get("input")) or not isinstance(given.get("dim"), int):
        return None
    labels = tuple(range(rank_of(given["input"])))
    if not labels or sizes_of(given["input"])[given["dim"]] != 1:
        return None
    dropped = labels[given["dim"]]
    return Product(((given["input"], labels),), tuple(label for label in labels if label != dropped))


def _index(node: Node) -> Product | None:
    """`x[:, None]`: whole dimensions and new ones."""
    if len(node.args) != 2 or not are_tensors(node.args[0]):
        return None
    tensor, index = node.args
    parts = index if isinstance(index, tuple) else (index,)
    whole = slice(None, None, None)
    if not all(part is None or part is Ellipsis or part == whole for part in parts if not isinstance(part, Node)):
        return None
    if any(isinstance(part, Node) for part in parts) or parts.count(Ellipsis) > 1:
        return None
    rank = rank_of(tensor)
    named = sum(part == whole for part in parts)
    if Ellipsis not in parts:
        parts = (*parts, Ellipsis)

    def order(labels: Labels) -> Labels:
        output: list[int] = []
        rest, new = list(labels), rank
        for part in parts:
            if part is None:
                output.append(new)
                new += 1
            else:
                count = rank - named if part is Ellipsis else 1
                output += rest[:count]
                del rest[:count]
        return tuple(output)

    return _view(tensor, order)


def _same(node: Node) -> Product | None:
    """`contiguous()`, and conversions to what the tensor is already."""
    tensor = node.args[0]
    if not isinstance(tensor, Node):
        return None
    before, after = tensor_of(tensor), tensor_of(node)
    if before is None or after is None or node.kwargs.get("memory_format") is not None:
        return None
    same = before.dtype == after.dtype and before.device == after.device and before.dim() == after.dim()
    same = same and all(hint(one) == hint(two) for one, two in zip(before.shape, after.shape, strict=True))
    return _view(tensor, lambda labels: labels) if same else None


_Reader: TypeAlias = Callable[[Node], Product | None]

_FUNCTIONS: dict[Any, _Reader] = {
    **dict.fromkeys((operator.matmul, torch.matmul, torch.mm, torch.bmm, torch.mv, torch.dot), _matmul),
    functional.linear: _linear,
    torch.einsum: _einsum,
    **dict.fromkeys((operator.mul, torch.mul, torch.multiply), _multiply),
    **dict.fromkeys((operator.truediv, torch.div, torch.true_divide, torch.divide), _divide),
    **dict.fromkeys((operator.neg, torch.neg, torch.negative), _negate),
    torch.sum: _sum,
    **dict.fromkeys((torch.transpose, torch.swapaxes, torch.swapdims), _transpose),
    torch.permute: _permute,
    torch.t: _t,
    getattr: _attribute,
    torch.unsqueeze: _unsqueeze,
    torch.squeeze: _squeeze,
    operator.getitem: _index,
}

_METHODS: dict[str, _Reader] = {
    **dict.fromkeys(("matmul", "mm", "bmm", "mv", "dot", "__matmul__"), _matmul),
    **dict.fromkeys(("mul", "multiply", "__mul__", "__rmul__"), _multiply),
    **dict.fromkeys(("div", "divide", "true_divide", "__truediv__"), _divide),
    **dict.fromkeys(("neg", "negative", "__neg__"), _negate),
    "sum": _sum,
    **dict.fromkeys(("transpose", "swapaxes", "swapdims"), _transpose),
    "permute": _permute,
    "t": _t,
    "unsqueeze": _unsqueeze,
    "squeeze": _squeeze,
    **dict.fromkeys(("contiguous", "to", "type_as", "float", "double", "bfloat16"), _same),
}
