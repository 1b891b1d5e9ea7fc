"""Reading and extending Dynamo's graphs: sizes without guards, stretches without side effects, new calls."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.fx import Graph, Node
from torch.fx.node import map_arg

__all__ = ["Emitter", "Region", "Size", "hint", "is_plain", "regions", "sizes", "tensor_of", "times_used"]

Size: TypeAlias = Any  # int or torch.SymInt


# Values and sizes ------------------------------------------------------------------------------


def tensor_of(node: Node) -> torch.Tensor | None:
    """The fake tensor that Dynamo saw at `node`, where it is an ordinary dense one.

    Within vmap or grad of torch.func tensors are wrapped, and have other dimensions than they show.
    """
    value = node.meta.get("example_value")
    if isinstance(value, torch.Tensor) and torch._C._functorch.is_functorch_wrapped_tensor(value):
        return None
    if type(value) not in (FakeTensor, torch.Tensor, torch.nn.Parameter) or value.layout is not torch.strided:
        return None
    return None if value.is_quantized or value.is_conj() or value.is_neg() else value


def hint(size: Size) -> int | None:
    """A size as a number, without a guard: of an open size the one of this call; None where there is none.

    An open size that happens to be 1 is unknown too: 1 broadcasts, and other sizes do not.
    """
    if isinstance(size, int):
        return size
    known = size.node.maybe_as_int()
    if known is not None:
        return int(known)
    if not size.node.has_hint():
        return None
    found = int(size.node.hint)
    return found if found > 1 else None


def sizes(node: Node) -> tuple[int, ...] | None:
    """The sizes of a dense tensor as numbers, None where one is unknown."""
    value = tensor_of(node)
    found = () if value is None else tuple(hint(size) for size in value.shape)
    return None if value is None or None in found else found  # type: ignore[return-value]


def times_used(node: Node) -> int:
    """How often `node` stands among arguments; `x @ x` uses x twice."""
    count = 0

    def look(found: Node) -> Node:
        nonlocal count
        count += found is node
        return found

    for user in node.users:
        map_arg((user.args, user.kwargs), look)
    return count


# Side effects ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Region:
    """A stretch of the graph without side effects: within it a call may move."""

    number: int
    autocast: Mapping[str, torch.dtype] = field(hash=False)  # device type -> dtype, of those that are enabled

    def cast_to(self, device: torch.device) -> torch.dtype | None:
        return self.autocast.get(device.type)


def regions(graph: Graph) -> dict[Node, Region]:
    """The region of every node."""
    stack = [_ambient()]
    number = 0
    found: dict[Node, Region] = {}
    for node in graph.nodes:
        if _has_effect(node):
            number += 1
            name = getattr(node.target, "__name__", "")
            if name == "_enter_autocast":
                stack.append(_entered(stack[-1], node))
            elif name == "_exit_autocast" and len(stack) > 1:
                stack.pop()
            found[node] = Region(number, stack[-1])
            number += 1
        else:
            found[node] = Region(number, stack[-1])
    return found


def _ambient() -> dict[str, torch.dtype]:
    """What is enabled around the compiled function; Dynamo guards on it and keeps it while it compiles."""
    devices = ("cpu", "cuda", "xpu", "mps")
    return {name: torch.get_autocast_dtype(name) for name in devices if torch.is_autocast_enabled(name)}


def _entered(current: Mapping[str, torch.dtype], node: Node) -> dict[str, torch.dtype]:
    device, dtype, enabled = (*node.args, None, True)[0], node.args[1], node.args[2]
    inside = {name: value for name, value in current.items() if name != device}
    if enabled:
        inside[str(device)] = dtype if isinstance(dtype, torch.dtype) else torch.get_autocast_dtype(str(device))
    return inside


# Functions of these modules compute values; what they change besides is known by their names and arguments.
_PURE = frozenset(
    {"torch", "torch._C._nn", "torch._C._linalg", "torch._C._fft", "torch._C._special", "torch.functional"}
    | {"torch.nn.functional", "torch._tensor", "_operator", "math", "builtins"}
)

# These change a tensor that is not their result.
_CHANGING = frozenset({"batch_norm", "instance_norm", "setitem", "delitem", "setattr", "_assert_async"})

_IN_PLACE = frozenset(
    getattr(operator, name)
    for name in ("iadd", "isub", "imul", "itruediv", "ifloordiv", "imod", "ipow", "imatmul", "iand", "ior", "ixor")
)


def is_plain(node: Node) -> bool:
    """Whether a call only computes its result."""
    return not _has_effect(node)


def _has_effect(node: Node) -> bool:
    if node.op in ("placeholder", "output", "get_attr"):
        return False
    if node.op == "call_method":
        name = str(node.target)
        return (name.endswith("_") and not name.endswith("__")) or name == "__setitem__" or "out" in node.kwargs
    if node.op != "call_function" or "out" in node.kwargs or node.target in _IN_PLACE:
        return True
    schema = getattr(node.target, "_schema", None)
    if schema is not None:
        return bool(schema.is_mutable)
    module, name = getattr(node.target, "__module__", ""), getattr(node.target, "__name__", "")
    if module not in _PURE or name in _CHANGING or (name.endswith("_") and not name.endswith("__")):
        return True
    return _changes_argument(node)


def _changes_argument(node: Node) -> bool:
    """`relu(x, inplace=True)`; `embedding` with `max_norm` rewrites its table."""
    if node.kwargs.get("inplace") or node.kwargs.get("max_norm") is not None:
        return True
    if getattr(node.target, "__module__", "") != "torch.nn.functional":
        return False
    try:
        given = inspect.signature(node.target).bind(*node.args, **node.kwargs).arguments
    except (TypeError, ValueError):  # a builtin without a signature: none of them has such an argument
        return False
    return bool(given.get("inplace")) or given.get("max_norm") is not None


# New calls -------------------------------------------------------------------------------------


@dataclass(slots=True)
class Emitter:
    """Adds calls before the node that they replace, with what the passes after it read of them."""

    graph: Graph
    place: Node

    def call(self, target: Callable[..., Any], *args: Any, shape: Sequence[Size] | None = None, **kwargs: Any) -> Node:
        """A call of a function; `shape` is that of its result, None for no tensor."""
        return self._made(self.graph.call_function, target, args, kwargs, shape)

    def method(self, name: str, *args: Any, shape: Sequence[Size] | None = None, **kwargs: Any) -> Node:
        return self._made(self.graph.call_method, name, args, kwargs, shape)

    def _made(
        self,
        create: Callable[..., Node],
        target: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        shape: Sequence[Size] | None,
    ) -> Node:
        with self.graph.inserting_before(self.place):
            made = create(target, args, kwargs)
        made.meta = {name: value for name, value in self.place.meta.items() if name != "example_value"}
        if shape is not None:
            made.meta["example_value"] = self.fake(shape)
        return made

    def cast(self, node: Node, dtype: torch.dtype) -> Node:
        """`node` as `dtype`, as autocast would turn it."""
        value = tensor_of(node)
        if value is None or value.dtype == dtype:
            return node
        made = self.method("to", node, dtype)
        made.meta["example_value"] = self.fake(value.shape, dtype)
        return made

    def fake(self, shape: Sequence[Size], dtype: torch.dtype | None = None) -> torch.Tensor:
        """An empty tensor like the replaced result: nothing is computed, and so no guard can come of it."""
        like = self.place.meta["example_value"]
        dtype = like.dtype if dtype is None else dtype
        if isinstance(like, FakeTensor):
            with like.fake_mode:
                return torch.empty(tuple(shape), dtype=dtype, device=like.device)
        return torch.empty(tuple(shape), dtype=dtype, device="meta")
