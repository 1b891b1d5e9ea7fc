"""The emitter: writes torch calls into an FX graph and keeps what each value of the plan has become."""

from __future__ import annotations

import keyword
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, assert_never

import torch
from torch.fx import Graph, Node

from fuse_ref.analysis.lengths import Extent, Fixed, FloorDivide, Length, Linear, Maximum, Minimum, Times
from fuse_ref.ir.nodes import Dtype
from fuse_ref.plan.steps import Operand
from fuse_torch.lowering.padding import padded

__all__ = ["Argument", "Emitter", "Number", "Size", "Value", "identifier"]

Number: TypeAlias = int | float
Argument: TypeAlias = Node | int | float  # an operand as a function of the tables gets it
Size: TypeAlias = int | Node  # known when the graph is made, or a size node


@dataclass(frozen=True, slots=True)
class Value:
    """What a named value of the plan has become."""

    node: Node
    lengths: tuple[Length, ...]  # one per dimension
    dtype: Dtype


def identifier(name: str) -> str:
    """`name` as a Python identifier: primes and dots become underscores. `self` is the module's own."""
    text = re.sub(r"\W", "_", name, flags=re.ASCII)
    if not text or text[0].isdigit():
        text = f"_{text}"
    return f"{text}_" if keyword.iskeyword(text) or text == "self" else text


class Emitter:
    """Appends nodes to one graph.

    Sizes that are known stay Python integers; open ones become nodes computed from the size of a
    given tensor, so that one graph serves every batch size.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.values: dict[str, Value] = {}
        self.tuples: dict[str, Node] = {}  # relations as positions, (count, arity)
        self.shapes: dict[str, Node] = {}  # what has the shape of a relation, where nothing else of the plan has it
        self.handles: dict[str, Node] = {}  # given relations as they were given
        self.positions: set[str] = set()  # floats of the plan that are whole numbers here
        self.reference: Node | None = None  # a tensor of the run's precision, on the run's device
        self.anchor: Node | None = None  # the last placeholder or attribute: what all may use comes after it
        self.created: list[Node] = []  # all calls, in the order they were made
        self._sizes: dict[Length, Size] = {}
        self._reference_fields: dict[str, Node] = {}
        self._training: Node | None = None

    # Nodes -------------------------------------------------------------------------------------

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Node:
        return self._created(self.graph.call_function(function, args, kwargs))

    def method(self, name: str, *args: Any, **kwargs: Any) -> Node:
        return self._created(self.graph.call_method(name, args, kwargs))

    def _created(self, node: Node) -> Node:
        self.created.append(node)
        return node

    def define(self, name: str, value: Value) -> None:
        self.values[name] = value

    def operand(self, operand: Operand) -> Node:
        return self.values[operand.value].node

    def lengths(self, operand: Operand) -> dict[str, Length]:
        """The length of each label of `operand`."""
        return dict(zip(operand.labels, self.values[operand.value].lengths, strict=True))

    def dtype(self, operand: Operand) -> Dtype:
        return self.values[operand.value].dtype

    # Precision and device ----------------------------------------------------------------------

    def precision(self) -> Node:
        """The run's dtype, read from a tensor that has it: it follows `module.double()`."""
        return self._reference_field("dtype")

    def wide(self) -> Node:
        """The run's dtype, float32 where it has 16 bits."""
        return self.call(torch.promote_types, self.precision(), torch.float32)

    def device(self) -> Node:
        return self._reference_field("device")

    def torch_dtype(self, dtype: Dtype) -> Node | torch.dtype:
        match dtype:
            case "float":
                return self.precision()
            case "int64":
                return torch.int64
            case "bool":
                return torch.bool
            case _:
                assert_never(dtype)

    def floating(self, node: Node, dtype: Dtype) -> Node:
        """`node`, of type `dtype`, in the run's precision."""
        return node if dtype == "float" else self.method("to", node, self.precision())

    def full(self, sizes: Sequence[Size], value: Number | bool, dtype: Dtype) -> Node:
        """A tensor with every element `value`."""
        return self.call(torch.full, tuple(sizes), value, dtype=self.torch_dtype(dtype), device=self.device())

    def arange(self, length: Size, dtype: Dtype) -> Node:
        return self.call(torch.arange, length, dtype=self.torch_dtype(dtype), device=self.device())

    def training(self) -> Node:
        """The flag of the module that owns the graph."""
        if self._training is None:
            assert self.anchor is not None, "the graph's placeholders come first"
            with self.graph.inserting_after(self.anchor):
                self._training = self.graph.get_attr("training")
        return self._training

    def _reference_field(self, field: str) -> Node:
        if field not in self._reference_fields:
            assert self.reference is not None, "the graph's placeholders come first"
            assert self.anchor is not None, "the graph's placeholders come first"
            with self.graph.inserting_after(self.anchor):
                self._reference_fields[field] = self.call(getattr, self.reference, field)
        return self._reference_fields[field]

    # Sizes -------------------------------------------------------------------------------------

    def size(self, length: Length) -> Size:
        """`length` as an integer or a node."""
        found = self._sizes.get(length)
        if found is None:
            found = self._make_size(length)
            self._sizes[length] = found
        return found

    def _make_size(self, length: Length) -> Size:
        match length:
            case Fixed(value):
                return value
            case Extent(tensor, position):
                holder = self.shapes[tensor] if tensor in self.shapes else self.values[tensor].node
                return self.method("size", holder, position)
            case Linear(terms, offset):
                total: Size = 0
                for item, coefficient in terms:
                    total = self.add(total, self.multiply(self.size(item), coefficient))
                return self.add(total, offset)
            case FloorDivide(numerator, divisor):
                return self.floor_divide(self.size(numerator), divisor)
            case Times(items):
                product: Size = 1
                for item in items:
                    product = self.multiply(product, self.size(item))
                return product
            case Minimum(items):
                return self._fold(torch.sym_min, items)
            case Maximum(items):
                return self._fold(torch.sym_max, items)
            case _:
                assert_never(length)

    def _fold(self, choose: Callable[..., Any], items: tuple[Length, ...]) -> Size:
        result = self.size(items[0])
        for item in items[1:]:
            result = self._integer(choose, result, self.size(item))
        return result

    def _integer(self, function: Callable[..., Any], left: Size, right: Size) -> Size:
        if isinstance(left, int) and isinstance(right, int):
            return int(function(left, right))
        return self.call(function, left, right)

    def add(self, left: Size, right: Size) -> Size:
        if isinstance(left, int) and isinstance(right, int):
            return left + right
        if left == 0:
            return right
        if right == 0:
            return left
        if isinstance(right, int) and right < 0:
            return self.call(operator.sub, left, -right)
        return self.call(operator.add, left, right)

    def subtract(self, left: Size, right: Size) -> Size:
        if isinstance(right, int):
            return self.add(left, -right)
        return 0 if left is right else self.call(operator.sub, left, right)

    def multiply(self, left: Size, right: Size) -> Size:
        if isinstance(left, int) and isinstance(right, int):
            return left * right
        if left == 0 or right == 0:
            return 0
        if left == 1:
            return right
        if right == 1:
            return left
        return self.call(operator.mul, left, right)

    def floor_divide(self, left: Size, divisor: int) -> Size:
        if isinstance(left, int):
            return left // divisor
        return left if divisor == 1 else self.call(operator.floordiv, left, divisor)

    def maximum(self, left: Size, right: Size) -> Size:
        return self._integer(torch.sym_max, left, right)

    def minimum(self, left: Size, right: Size) -> Size:
        return self._integer(torch.sym_min, left, right)

    # Layout ------------------------------------------------------------------------------------

    def permuted(self, node: Node, labels: Sequence[str], wanted: Sequence[str]) -> Node:
        """`node` with its dimensions in the order `wanted`, a permutation of `labels`."""
        order = [labels.index(label) for label in wanted]
        moved = [position for position, origin in enumerate(order) if position != origin]
        if not moved:
            return node
        if len(moved) == 2:
            count = len(order)
            return self.method("transpose", node, moved[0] - count, moved[1] - count)
        return self.call(torch.permute, node, tuple(order))

    def aligned(self, node: Node, labels: Sequence[str], wanted: Sequence[str], *, leading: bool = False) -> Node:
        """`node` so that it broadcasts against dimensions `wanted`, which include all its labels.

        Missing dimensions in front broadcast by themselves and are made only when `leading` asks for them.
        """
        present = [label for label in wanted if label in labels]
        node = self.permuted(node, labels, present)
        if not present and not leading:
            return node
        inner = wanted if leading else wanted[wanted.index(present[0]) :]
        missing = [position for position, label in enumerate(inner) if label not in labels]
        if len(missing) == 1:
            position = missing[0]
            return self.call(torch.unsqueeze, node, position if position < len(inner) - 1 else -1)
        if missing:
            picks = tuple(slice(None) if label in labels else None for label in inner)
            return self.call(operator.getitem, node, picks)
        return node

    def padded(
        self,
        node: Node,
        ndim: int,
        pads: Mapping[int, tuple[Size, Size]],
        value: Number | bool,
        *,
        shared: bool = False,
    ) -> Node:
        """`node` with `pads[dimension] = (before, after)` elements of `value` added; negative ones crop.

        Args:
            shared: the result may be the argument itself, where nothing is added: it is only read.
        """
        wanted = {dim: pad for dim, pad in pads.items() if pad != (0, 0)}
        if not wanted:
            return node
        flat: list[Size] = []
        for dim in range(ndim - 1, min(wanted) - 1, -1):  # torch counts from the last dimension
            flat.extend(wanted.get(dim, (0, 0)))
        # functional.pad would pass the value on as a float, which whole numbers may not survive.
        return self.call(padded if shared else torch.constant_pad_nd, node, tuple(flat), value)

    def sliced(self, node: Node, dim: int, start: Size, stop: Size, step: int = 1) -> Node:
        picks = (slice(None),) * dim + (slice(start, stop, step if step != 1 else None),)
        return self.call(operator.getitem, node, picks if dim else picks[0])
