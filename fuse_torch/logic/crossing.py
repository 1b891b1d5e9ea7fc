"""A routed call: neighbouring logical steps of a plan, which the NumPy engine runs between two graphs.

The first such call of a program also opens the relations that are given to it, and hands on what the rest of the
program needs of them.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import torch

from fuse_ref.analysis.lengths import Extent, Fixed, Length, evaluate
from fuse_ref.config import ExecutionConfig
from fuse_ref.evaluate.logic import LogicCall, as_dense
from fuse_ref.evaluate.truth import sparse_relations
from fuse_ref.plan.checks import check_shapes
from fuse_ref.plan.key import plan_key
from fuse_ref.plan.steps import Plan
from fuse_ref.relations.derive import RuleRun
from fuse_ref.relations.tuples import Tuples
from fuse_ref.weights.arrays import numpy_array
from fuse_torch.facts import Facts
from fuse_torch.logic.counts import open_count
from fuse_torch.logic.transforming import transformed
from fuse_torch.relations import FrozenTables

__all__ = ["Crossing", "Form", "Result", "cross", "find_crossing", "is_registered", "recorded", "register"]

# A relation in a graph: (count, arity) int64 in lexicographic order, truth values, or an array that has its shape
# and no memory.
Form: TypeAlias = Literal["tuples", "dense", "shape"]


@dataclass(frozen=True, slots=True)
class Result:
    """What a call gives back of one relation."""

    name: str
    form: Form


@dataclass(frozen=True, slots=True)
class Crossing:
    """One routed call.

    Attributes:
        origin: the plan that it is of, as it was planned.
        outputs: of the graph.
        plan: as torch sees it.
        lengths: of its tensors, and of relations that the planner made.
        call: the rules; None where relations are only opened.
        opened: given relations that enter here, as they were given.
        entered: the plan that their shapes are checked against; None where nothing is opened.
        values: other relations, and tensors whose elements rules read.
        listed: of `values`, relations that come as positions; others come as truth values or as numbers.
        extents: whose sizes the call takes.
        results: what it gives, in order.
    """

    origin: Plan
    outputs: tuple[str, ...]
    plan: Plan
    lengths: Mapping[str, tuple[Length, ...]]
    call: LogicCall | None
    opened: tuple[str, ...]
    entered: Plan | None
    values: tuple[str, ...]
    listed: frozenset[str]
    extents: tuple[Extent, ...]
    results: tuple[Result, ...]
    config: ExecutionConfig

    @property
    def key(self) -> str:
        """The same for equal calls of equal plans."""
        config = self.config
        steps = "" if self.call is None else ",".join(map(str, self.call.positions))
        results = ",".join(f"{item.name}:{item.form}" for item in self.results)
        limits = f"{config.dense_limit} {config.memory_limit} {config.time_limit} {config.mode}"
        # On demand a run with queries asks for less than one for exports alone.
        goals = "" if self.call is None else repr(self.call.goals)
        return f"{plan_key(self.plan)} {steps} {','.join(self.opened)} {results} {limits} {goals}"

    @property
    def equations(self) -> str:
        """The rules as the program has them."""
        if self.call is None:
            return ", ".join(self.opened)
        return "; ".join(dict.fromkeys(" ".join(rule.text.split()) for rule in self.call.rules))

    @property
    def reason(self) -> str:
        """Why a graph breaks here, in the form that `report()` takes apart."""
        what = "given relations are opened in NumPy" if self.call is None else "rules run in the NumPy engine"
        return f"fuse: «{self.equations}» {what}"

    def run(
        self,
        handles: Sequence[Any],
        values: Sequence[torch.Tensor],
        sizes: Sequence[int],
        device: torch.device,
    ) -> list[torch.Tensor]:
        """The results.

        Args:
            handles: what was given for `opened`.

        Raises:
            AxisError, DtypeError: given relations that do not fit.
            CapacityError: truth values of a relation beyond `dense_limit`.
            LimitError: rules that derive more than `memory_limit`.
        """
        known_sizes = dict(zip(self.extents, sizes, strict=True))
        found = self._open(dict(zip(self.opened, handles, strict=True)), known_sizes)

        def length(item: Any) -> int:
            return evaluate(item, lambda tensor, position: known_sizes[Extent(tensor, position)])

        def shape(name: str) -> tuple[int, ...]:
            return tuple(max(0, length(item)) for item in self.lengths[name])

        given: dict[str, Any] = dict(found)
        for name, value in zip(self.values, values, strict=True):
            array = numpy_array(value)
            if name in self.listed:
                given[name] = Tuples(tuple(array.T), shape(name), count=len(array), ordered=True)
            else:
                given[name] = array
        if self.call is not None:
            heads = {name: shape(name) for name in self.call.heads}
            derived = self.call.run(given, heads, length, self.config)
            found.update(derived.relations)
            if recorded.runs is not None:
                recorded.runs.extend(derived.runs)
        return [_result(found[item.name], item, self.config, device) for item in self.results]

    def empty(self, handles: Sequence[Any], sizes: Sequence[int], device: torch.device) -> list[torch.Tensor]:
        """The results of a call without data: of the right shapes, relations without tuples."""
        known = dict(zip(self.extents, sizes, strict=True))
        self._open({name: _without_data(value) for name, value in zip(self.opened, handles, strict=True)}, known)
        made: list[torch.Tensor] = []
        for item in self.results:
            shape = tuple(
                max(0, evaluate(length, lambda tensor, position: known[Extent(tensor, position)]))
                for length in self.lengths[item.name]
            )
            made.append(_result(Tuples.empty(shape), item, self.config, device))
        return made

    def _open(self, handles: Mapping[str, Any], sizes: dict[Extent, int]) -> dict[str, Tuples]:
        if self.entered is None:
            return {}
        plan = self.entered
        axes = {tensor.name: tensor.axes for tensor in plan.program.tensors}
        shapes: dict[str, tuple[int, ...]] = {}
        extents: dict[str, int] = {}
        for item in plan.shapes:
            numbers = [part.value for part in item.lengths if isinstance(part, Fixed)]
            if item.tensor not in handles and len(numbers) == len(item.lengths):
                shapes[item.tensor] = tuple(numbers)
            for axis, part in zip(axes[item.tensor], item.lengths, strict=True):
                if isinstance(part, Fixed):
                    extents[axis] = max(extents.get(axis, 0), part.value)
        for name, value in handles.items():
            if isinstance(value, Facts) and value.axes is not None:
                for axis, size in zip(axes[name], value.axes, strict=False):
                    extents[axis] = max(extents.get(axis, 0), size)
        for name in plan.givens:
            if name not in handles:
                shapes[name] = tuple(sizes[Extent(name, k)] for k in range(len(axes[name])))
                for axis, size in zip(axes[name], shapes[name], strict=True):
                    extents[axis] = max(extents.get(axis, 0), size)
        relations = [tensor for tensor in plan.program.tensors if tensor.name in handles]
        found = sparse_relations(handles, relations, FrozenTables.of(plan.program), extents)
        shapes.update((name, tuples.shape) for name, tuples in found.items())
        known = {*plan.givens, *plan.parameters, *plan.weights, *plan.sources}
        check_shapes(plan, {name: shape for name, shape in shapes.items() if name in known})
        for name, tuples in found.items():
            sizes.update((Extent(name, k), size) for k, size in enumerate(tuples.shape))
        return found


def _result(tuples: Tuples, item: Result, config: ExecutionConfig, device: torch.device) -> torch.Tensor:
    match item.form:
        case "tuples":
            return open_count(_tensor(tuples.positions, device))
        case "dense":
            return _tensor(as_dense(tuples, item.name, config), device)
        case "shape":
            return torch.zeros((), device=device).expand(tuples.shape)


def _tensor(array: np.ndarray, device: torch.device) -> torch.Tensor:
    # NumPy has other strides for arrays without elements, and compiled code would be made once more for those.
    tensor = torch.empty(array.shape, dtype=torch.bool if array.dtype == np.bool_ else torch.int64, device=device)
    return tensor.copy_(torch.from_numpy(array))


def _without_data(value: Any) -> Any:
    """A tensor of the meta device as one of the CPU: no tuples, all false."""
    if isinstance(value, torch.Tensor) and value.device.type == "meta":
        shape = value.shape if value.dtype == torch.bool else (0, *value.shape[1:])
        return torch.zeros(shape, dtype=value.dtype)
    return value


class _Recorded(threading.local):
    runs: list[RuleRun] | None = None


# What rules did, of this thread: a list where somebody wants to know.
recorded: Final = _Recorded()

_CROSSINGS: Final[dict[str, Crossing]] = {}  # by the key that graphs carry


def register(crossing: Crossing) -> str:
    """Let graphs find `crossing` by the key that this returns."""
    key = crossing.key
    _CROSSINGS.setdefault(key, dataclasses.replace(crossing))
    return key


def find_crossing(key: str) -> Crossing:
    """What was registered under `key`."""
    return _CROSSINGS[key]


def is_registered(key: str) -> bool:
    """Whether `find_crossing` finds `key`."""
    return key in _CROSSINGS


def cross(
    key: str,
    handles: Sequence[Any],
    values: Sequence[torch.Tensor],
    sizes: Sequence[int],
    device: torch.device,
) -> list[torch.Tensor]:
    """Run the call that `key` names; what the nodes of graphs call."""
    crossing = find_crossing(key)
    if device.type == "meta":
        return crossing.empty(handles, sizes, device)
    if torch._C._functorch.peek_interpreter_stack() is not None:
        return transformed(crossing, handles, values, sizes, device)
    return crossing.run(handles, values, sizes, device)
