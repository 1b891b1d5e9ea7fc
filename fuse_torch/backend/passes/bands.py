"""Masks that are known while compiling: those made by tril, triu or comparisons of positions, of any size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.fx import Node

from fuse_torch.backend.passes.graph import tensor_of
from fuse_torch.backend.passes.products import read_product

__all__ = ["Band", "band_of", "constant_of"]


@dataclass(frozen=True, slots=True)
class Band:
    """A matrix that is not 0 where column - row ≤ k (`lower`), or where column - row ≥ k."""

    lower: bool
    k: int

    @property
    def opposite(self) -> Band:
        return Band(not self.lower, self.k + 1 if self.lower else self.k - 1)

    @property
    def fills_rows(self) -> bool:
        """Whether every row of every matrix, whatever its sizes, has a place that is not 0."""
        return self.lower and self.k >= 0


def band_of(node: Any) -> Band | None:
    """The band over the last two dimensions that a tensor is, all others of size 1; None where it is unknown."""
    value = tensor_of(node) if isinstance(node, Node) else None
    if value is None or value.dim() < 2 or any(not isinstance(s, int) or s != 1 for s in value.shape[:-2]):
        return None
    name = _name(node)
    if name in ("tril", "triu") and _positive(node.args[0]):
        k = node.args[1] if len(node.args) > 1 else node.kwargs.get("diagonal", 0)
        return Band(name == "tril", k) if isinstance(k, int) else None
    if name in ("bool", "float", "to", "contiguous"):
        return band_of(node.args[0])
    if name in ("logical_not", "__invert__", "invert", "inv", "bitwise_not") and _is_bool(node.args[0]):
        found = band_of(node.args[0])
        return None if found is None else found.opposite
    compared = _compared(node, name)
    if compared is not None:
        return compared
    product = read_product(node)
    if product is not None and product.is_view:
        (operand, labels), output = product.operands[0], product.output
        return band_of(operand) if output[-2:] == labels[-2:] else None
    return None


def constant_of(value: Any) -> float | None:
    """A number, or the number that fills a tensor."""
    if isinstance(value, (int, float)):
        return float(value)
    if not isinstance(value, Node) or value.op not in ("call_function", "call_method"):
        return None
    name, rest = _name(value), list(value.args)
    if name in ("ones", "ones_like", "new_ones"):
        return 1.0
    if name in ("zeros", "zeros_like", "new_zeros"):
        return 0.0
    if name in ("tensor", "scalar_tensor") and rest and value.op == "call_function":
        return float(rest[0]) if isinstance(rest[0], (int, float)) else None
    if name in ("full", "full_like", "new_full"):
        found = value.kwargs.get("fill_value", rest[-1] if rest else None)
        return float(found) if isinstance(found, (int, float)) and len(rest) <= 3 else None
    return None


def _name(node: Node) -> str:
    return str(node.target) if node.op == "call_method" else str(getattr(node.target, "__name__", ""))


def _positive(value: Any) -> bool:
    found = constant_of(value)
    return found is not None and found != 0 and found == found


def _is_bool(node: Any) -> bool:
    value = tensor_of(node) if isinstance(node, Node) else None
    return value is not None and value.dtype == torch.bool


# How a band compares with 0 or 1 where it holds 0 and 1 only: True for the band itself, False for its opposite.
_WITH_NUMBER = {("eq", 0): False, ("ne", 0): True, ("eq", 1): True, ("ne", 1): False, ("gt", 0): True, ("lt", 1): False}


def _compared(node: Node, name: str) -> Band | None:
    if name not in ("eq", "ne", "gt", "lt", "ge", "le") or len(node.args) != 2:
        return None
    left, right = node.args
    if isinstance(right, (int, float)):
        same = _WITH_NUMBER.get((name, int(right))) if right in (0, 1) else None
        found = band_of(left) if same is not None and _of_ones(left) else None
        return None if found is None else found if same else found.opposite
    rows, columns = _positions(left), _positions(right)
    if rows == columns or rows is None or columns is None or name in ("eq", "ne"):
        return None
    if rows == "columns":  # column < row is row > column
        name = {"gt": "lt", "lt": "gt", "ge": "le", "le": "ge"}[name]
    return {"ge": Band(True, 0), "gt": Band(True, -1), "le": Band(False, 0), "lt": Band(False, 1)}[name]


def _of_ones(node: Any) -> bool:
    """Whether a band holds 1 where it is not 0."""
    if not isinstance(node, Node):
        return False
    if _is_bool(node):
        return True
    if _name(node) in ("tril", "triu"):
        return constant_of(node.args[0]) == 1
    return bool(node.args) and _of_ones(node.args[0])


def _positions(node: Any) -> str | None:
    """`"rows"` or `"columns"` for 0, 1, 2, … along the last dimension but one, or the last."""
    if not isinstance(node, Node):
        return None
    if _name(node) == "arange":
        return "columns" if len(node.args) == 1 and not set(node.kwargs) & {"start", "step"} else None
    product = read_product(node)
    if product is None or not product.is_view:
        return None
    operand, labels = product.operands[0]
    if _positions(operand) != "columns" or len(labels) != 1:
        return None
    place = product.output.index(labels[0]) - len(product.output)
    return {-1: "columns", -2: "rows"}.get(place)
