"""A lowered graph as JSON and back: data alone, and only the calls that a lowering makes."""

from __future__ import annotations

import keyword
import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import torch
from torch.fx import Graph, Node
from torch.nn import functional

from fuse_ref.ir.json import Json
from fuse_ref.plan.steps import LiteralArray, Plan
from fuse_torch.lowering.attend import attend
from fuse_torch.lowering.lower import PRECISION, Lowered, Slot
from fuse_torch.lowering.marks import Marks
from fuse_torch.lowering.narrow import added, multiplied, picked
from fuse_torch.lowering.needed import restricted
from fuse_torch.lowering.padding import padded
from fuse_torch.lowering.sampling import ratio, sample
from fuse_torch.registered import apply_registered

__all__ = ["NotAGraph", "graph_from_json", "graph_to_json"]


class NotAGraph(ValueError):
    """A graph that is not written, or data that no lowering gives."""


def _functions() -> dict[str, Callable[..., Any]]:
    """Every function that a node of a kept graph may call. A graph that calls another one is not kept."""
    tables: tuple[tuple[str, object, str], ...] = (
        ("operator", operator, "add sub mul truediv floordiv pow neg getitem eq ne lt le gt ge"),
        (
            "torch",
            torch,
            "abs all amax amin any arange argmax bmm cat clamp constant_pad_nd conv1d conv2d conv3d cos cumsum diagonal"
            " div einsum exp flatten flip floor full gather index_add index_select isfinite log log_softmax"
            " logical_and logical_not logical_or logsumexp masked_fill matmul maximum mean minimum movedim permute"
            " pow prod promote_types relu remainder rsqrt scatter_reduce select sigmoid sign sin softmax sqrt square squeeze stack"
            " sum sym_max sym_min tanh tensordot topk trunc unsqueeze where zeros_like",
        ),
        (
            "functional",
            functional,
            "avg_pool1d avg_pool2d avg_pool3d dropout gelu layer_norm leaky_relu linear max_pool1d max_pool2d"
            " max_pool3d rms_norm scaled_dot_product_attention silu softplus",
        ),
        ("linalg", torch.linalg, "svd vecdot"),
    )
    found = {f"{room}.{name}": getattr(home, name) for room, home, names in tables for name in names.split()}
    own = {"attend": attend, "padded": padded, "ratio": ratio, "sample": sample, "apply_registered": apply_registered}
    own |= {"added": added, "multiplied": multiplied, "picked": picked}
    return {**found, **own, "getattr": getattr}


_FUNCTIONS: Final = _functions()
_NAMES: Final = {function: name for name, function in _FUNCTIONS.items()}
_METHODS: Final = frozenset(
    {"clone", "contiguous", "detach", "expand", "new_full", "repeat_interleave"}
    | {"reshape", "size", "to", "transpose", "unflatten", "unfold"}
)
_FIELDS: Final = frozenset({"dtype", "device"})  # what `getattr` may ask of a tensor
_DTYPES: Final = {
    str(dtype): dtype
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64, torch.bool)
}
_FORMATS: Final = {str(item): item for item in (torch.contiguous_format, torch.preserve_format)}
_EXTRA: Final = ("fuse_classes", "fuse_finite", "fuse_positions")  # meta that no `Marks` gives


# Writing --------------------------------------------------------------------------------------


def graph_to_json(lowered: Lowered) -> Json:
    """`lowered` without its plan.

    Raises:
        NotAGraph: it has a call, or a value, that `graph_from_json` would not take.
    """
    marks = Marks(lowered.plan)
    numbers = {node: number for number, node in enumerate(lowered.graph.nodes)}
    return {
        "givens": [slot.tensor.name for slot in lowered.givens],
        "states": [slot.tensor.name for slot in lowered.states],
        "literals": [[attribute, operation.output.out] for attribute, operation in lowered.literals],
        "sources": [[attribute, tensor] for attribute, tensor in lowered.sources],
        "outputs": list(lowered.outputs),
        "precision": lowered.needs_precision,
        "nodes": [_node(node, numbers, marks) for node in lowered.graph.nodes],
    }


def _node(node: Node, numbers: Mapping[Node, int], marks: Marks) -> Json:
    target = node.target
    if node.op == "call_function":
        assert callable(target)
        if target not in _NAMES:
            raise NotAGraph(f"{node.name} calls {target}")
        target = _NAMES[target]
    assert isinstance(target, str)
    if node.op == "call_method" and target not in _METHODS:
        raise NotAGraph(f"{node.name} calls the method {target}")
    tensor = node.meta.get("fuse_tensor")
    extra = {name: _encode(node.meta[name], numbers) for name in _EXTRA if name in node.meta}
    result = bool(node.meta.get("fuse_result"))
    meta = {**({} if tensor is None else marks.of(tensor)), **({"fuse_result": True} if result else {})}
    if {**meta, **{name: node.meta[name] for name in extra}} != node.meta:
        raise NotAGraph(f"{node.name} says something else of where it comes from than its plan")
    args = [_encode(item, numbers) for item in node.args]
    kwargs = {name: _encode(item, numbers) for name, item in node.kwargs.items()}
    return [node.op, node.name, target, args, kwargs, tensor, result, extra]


def _encode(value: object, numbers: Mapping[Node, int]) -> Json:
    match value:
        case Node():
            return {"node": numbers[value]}
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else {"float": repr(value)}
        case tuple():
            return {"tuple": [_encode(item, numbers) for item in value]}
        case list():
            return [_encode(item, numbers) for item in value]
        case dict():
            return {"dict": {str(name): _encode(item, numbers) for name, item in value.items()}}
        case slice():
            return {"slice": [_encode(item, numbers) for item in (value.start, value.stop, value.step)]}
        case torch.dtype() if str(value) in _DTYPES:
            return {"dtype": str(value)}
        case torch.memory_format() if str(value) in _FORMATS:
            return {"format": str(value)}
        case _ if value is Ellipsis:
            return {"ellipsis": 0}
        case _:
            raise NotAGraph(f"it holds {value!r:.40}")


# Reading --------------------------------------------------------------------------------------


def graph_from_json(data: object, plan: Plan, outputs: tuple[str, ...]) -> Lowered:
    """The inverse of `graph_to_json`: the graph that `lower(plan, outputs)` makes, node for node.

    Raises:
        NotAGraph: data of another form, or of another plan.
    """
    match data:
        case {
            "givens": list(givens),
            "states": list(states),
            "literals": list(literals),
            "sources": list(sources),
            "outputs": list(found),
            "precision": bool(precision),
            "nodes": list(nodes),
        }:
            pass
        case _:
            raise NotAGraph("it has other parts than a graph")
    if tuple(found) != outputs:
        raise NotAGraph("it computes other outputs")
    if [name for name in plan.givens if name in givens] != givens or states != [*plan.parameters, *plan.weights]:
        raise NotAGraph("it takes other tensors than the plan")
    arrays = {
        operation.output.out: operation
        for step in plan.steps
        for operation in step.operations
        if isinstance(operation, LiteralArray)
    }
    held_literals = tuple((attribute, arrays[name]) for attribute, name in _pairs(literals, arrays))
    held_sources = tuple(_pairs(sources, plan.sources))
    attributes = {name for name, _ in (*held_literals, *held_sources)} | {"training"}
    reader = _Reader(Marks(plan), attributes | ({PRECISION} if precision else set()))
    for node in nodes:
        reader.add(node)
    placeholders = [node for node in reader.nodes if node.op == "placeholder"]
    ends = [position for position, node in enumerate(reader.nodes, 1) if node.op == "output"]
    if len(placeholders) != len(givens) + len(states) or ends != [len(reader.nodes)]:
        raise NotAGraph("it takes and gives other values than it says")
    tensors = {tensor.name: tensor for tensor in plan.program.tensors}
    slots = [Slot(tensors[name], node.name, node) for name, node in zip([*givens, *states], placeholders, strict=True)]
    kept = restricted(plan, givens)
    return Lowered(
        plan=kept,
        graph=reader.graph,
        givens=tuple(slots[: len(givens)]),
        states=tuple(slots[len(givens) :]),
        literals=held_literals,
        sources=held_sources,
        outputs=outputs,
        needs_precision=precision,
        checked=kept,
    )


class _Reader:
    def __init__(self, marks: Marks, attributes: set[str]) -> None:
        self.graph = Graph()
        self.nodes: list[Node] = []
        self._marks = marks
        self._attributes = attributes

    def add(self, data: object) -> None:
        match data:
            case [
                str(op),
                str(name),
                str(target),
                list(args),
                dict(kwargs),
                (None | str()) as tensor,
                bool(result),
                dict(extra),
            ]:
                pass
            case _:
                raise NotAGraph(f"{data!r:.40} is no node")
        if not _is_name(name) or not all(isinstance(key, str) and _is_name(key) for key in kwargs):
            raise NotAGraph(f"{name!r:.40} is no name")
        arguments = tuple([self._decode(item) for item in args])
        named = {key: self._decode(item) for key, item in kwargs.items()}
        self._check(op, name, target, arguments, named)
        called = _FUNCTIONS[target] if op == "call_function" else target
        node = self.graph.create_node(op, called, arguments, named, name=name)
        if node.name != name:
            raise NotAGraph(f"two nodes are called {name}")
        if tensor is not None:
            self._marks.put(node, tensor)
        if result:
            node.meta["fuse_result"] = True
        for key, item in extra.items():
            if key not in _EXTRA:
                raise NotAGraph(f"{key!r:.40} is nothing that a node says")
            node.meta[key] = self._decode(item)
        self.nodes.append(node)

    def _check(self, op: str, name: str, target: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """A node may do what a lowering does, and nothing else: its target becomes part of Python code."""
        match op:
            case "call_function":
                fits = target in _FUNCTIONS
                if fits and target == "getattr":
                    fits = len(args) == 2 and isinstance(args[0], Node) and args[1] in _FIELDS and not kwargs
            case "call_method":
                fits = target in _METHODS and bool(args) and isinstance(args[0], Node)
            case "get_attr":
                fits = target in self._attributes and not args and not kwargs
            case "placeholder":
                fits = target == name and not args and not kwargs
            case "output":
                fits = target == "output" and len(args) == 1 and not kwargs
            case _:
                fits = False
        if not fits:
            raise NotAGraph(f"{op} of {target!r:.40} is nothing that a graph does")

    def _decode(self, value: object) -> Any:
        match value:
            case None | bool() | int() | str():
                return value
            case float() if math.isfinite(value):
                return value
            case list():
                return [self._decode(item) for item in value]
            case {"node": int(number)} if 0 <= number < len(self.nodes):
                return self.nodes[number]
            case {"tuple": list(items)}:
                return tuple([self._decode(item) for item in items])
            case {"dict": dict(items)}:
                return {name: self._decode(item) for name, item in items.items()}
            case {"slice": [start, stop, step]}:
                return slice(self._decode(start), self._decode(stop), self._decode(step))
            case {"dtype": str(name)} if name in _DTYPES:
                return _DTYPES[name]
            case {"format": str(name)} if name in _FORMATS:
                return _FORMATS[name]
            case {"float": ("nan" | "inf" | "-inf") as text}:
                return float(text)
            case {"ellipsis": 0}:
                return Ellipsis
            case _:
                raise NotAGraph(f"{value!r:.40} is nothing that a graph holds")


def _pairs(data: Sequence[object], known: Iterable[str]) -> list[tuple[str, str]]:
    """Attributes with the names of what they hold."""
    names, found = set(known), list[tuple[str, str]]()
    for item in data:
        match item:
            case [str(attribute), str(name)] if _is_name(attribute) and name in names:
                found.append((attribute, name))
            case _:
                raise NotAGraph(f"{item!r:.40} is nothing that the graph's owner holds")
    return found


def _is_name(text: str) -> bool:
    return text.isascii() and text.isidentifier() and not keyword.iskeyword(text)
