"""The torch engine of a Runner: a plan's graph, run eagerly."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np
import torch
from torch.fx import GraphModule

from fuse_ref.analysis.lengths import Fixed, evaluate
from fuse_ref.config import ExecutionConfig
from fuse_ref.evaluate.densely import densely, runs_densely
from fuse_ref.evaluate.entries import Kept
from fuse_ref.evaluate.logic import relations_of
from fuse_ref.evaluate.support import check_supported
from fuse_ref.ir.nodes import Dtype
from fuse_ref.mistakes import mistake
from fuse_ref.plan.steps import Plan
from fuse_ref.relations.derive import RuleRun
from fuse_ref.relations.tuples import Tuples
from fuse_ref.weights.arrays import numpy_array
from fuse_torch import fixpoint
from fuse_torch.devices import torch_device, torch_precision
from fuse_torch.kept import kept_lowering
from fuse_torch.logic.crossing import recorded
from fuse_torch.logic.held import held_tensor
from fuse_torch.lowering.checked import with_checks
from fuse_torch.lowering.lower import PRECISION, Lowered, graph_module, literal_tensor

__all__ = ["ENGINE", "TorchEngine", "TorchExecutable", "buffers_of"]


class TorchExecutable:
    """A plan made ready to run. Safe to call from several threads.

    Attributes:
        graph: the plan as a module of torch operations alone.
    """

    def __init__(self, plan: Plan, config: ExecutionConfig, outputs: tuple[str, ...], kept: Kept | None = None) -> None:
        # The values of a run are those of the plan as it was made: relations come as tuples.
        self._dense = relations_of(plan) if runs_densely(config) else frozenset()
        plan = densely(plan, config)
        self._plan = plan
        self._outputs = outputs
        self._lowered = kept_lowering(plan, outputs, kept, config, "tuples")
        self._config = config
        self._local = threading.local()
        self._numbers = {step.writes: number for number, step in enumerate(plan.steps, 1) if step.loop}
        self._relations = relations_of(plan).intersection(outputs)
        if config.checked:
            with_checks(self._lowered)
        self._givens = tuple(slot.tensor.name for slot in self._lowered.givens)
        self._states = tuple(slot.tensor.name for slot in self._lowered.states)
        self._carried = tuple(slot.tensor.name for slot in self._lowered.carried)
        self._kept = {stream.kept for stream in plan.streams if stream.kept}.intersection(outputs)
        self._dtype = torch_precision(config.precision)
        self._device = torch_device(config.device)
        self._graphs: dict[torch.device, GraphModule] = {}
        self._moved: dict[tuple[str, torch.device], tuple[torch.Tensor, int, torch.Tensor]] = {}

    def __call__(self, values: Mapping[str, torch.Tensor | Tuples]) -> dict[str, torch.Tensor | Tuples]:
        """The outputs by name; they share no memory with `values` or with each other."""
        if not self._outputs:
            return {}
        if self._dense:
            values = {**values, **{name: self._truth(name, values[name]) for name in self._dense if name in values}}
        device = self._where(values)
        graph = self._graphs.get(device)
        if graph is None:
            graph = self._graphs[device] = self._graph(device, values)
        # Lists and NumPy's arrays come as tensors of the CPU, beside tensors that are elsewhere.
        given = [
            values[name] if name in self._lowered.handles else _beside(device, name, values[name])
            for name in self._givens
        ]
        states = [self._on(device, name, values[name]) for name in self._states]
        recorded.runs = []
        rounds: dict[tuple[str, ...], int] = {}
        fixpoint.recorded.rounds = rounds
        try:
            result = graph.forward(*given, *states, *(_beside(device, name, values[name]) for name in self._carried))
        finally:
            self._local.runs, recorded.runs = tuple(recorded.runs), None
            fixpoint.recorded.rounds = None
        self._local.iterations = {self._numbers[heads]: count for heads, count in rounds.items()}
        found = {self._outputs[0]: result} if len(self._outputs) == 1 else result
        if self._kept:
            # No graph of autograd grows from call to call.
            found = {name: value.detach() if name in self._kept else value for name, value in found.items()}
        if self._relations:
            found = {name: self._relation(name, value, values) for name, value in found.items()}
        return found

    @property
    def rule_runs(self) -> tuple[RuleRun, ...]:
        """What each rule did in this thread's last call."""
        return tuple(getattr(self._local, "runs", ()))

    @property
    def iterations(self) -> dict[int, int]:
        """Step number from 1 -> rounds of its fixpoint in this thread's last call."""
        return dict(getattr(self._local, "iterations", {}))

    def _truth(self, name: str, value: torch.Tensor | Tuples) -> torch.Tensor | Tuples:
        if isinstance(value, Tuples):
            return held_tensor(value, name, self._config, listed=False)
        return value

    def _relation(self, name: str, value: torch.Tensor, given: Mapping[str, Any]) -> torch.Tensor | Tuples:
        """The tuples of a relation, of which the graph gives positions."""
        if name not in self._relations or value.dtype == torch.bool:
            return value
        shape = [max(0, evaluate(item, lambda tensor, k: given[tensor].shape[k])) for item in self._plan.shape(name)]
        array = value.cpu().numpy()
        return Tuples(tuple(array.T), shape, count=len(array), ordered=True)

    def _where(self, values: Mapping[str, torch.Tensor]) -> torch.device:
        """The device of the run: the one asked for, else where the inputs are."""
        if self._device is not None:
            return self._device
        devices = [values[name].device for name in self._givens if name not in self._lowered.handles]
        return next((device for device in devices if device.type != "cpu"), torch.device("cpu"))

    def _graph(self, device: torch.device, values: Mapping[str, torch.Tensor]) -> GraphModule:
        return graph_module(self._lowered, buffers_of(self._lowered, values, self._config, self._dtype, device))

    def _on(self, device: torch.device, name: str, value: torch.Tensor) -> torch.Tensor:
        """A parameter or weight on `device`, moved once for each of its values."""
        if value.device == device:
            return value
        known = self._moved.get((name, device))
        if known is None or known[0] is not value or known[1] != value._version:
            known = (value, value._version, value.to(device))
            self._moved[name, device] = known
        return known[2]


def _beside(device: torch.device, name: str, value: torch.Tensor) -> torch.Tensor:
    """An input on the device of the run.

    Raises:
        DeviceError: it lies on another one, and is not the CPU's.
    """
    if value.device == device:
        return value
    if value.device.type != "cpu":
        cure = f"{name}.to({str(device)!r})"
        reason = f"{name} is there, and other inputs on {device}"
        raise mistake("FUSE203", None, cure=cure, engine="torch", device=str(value.device), reason=reason)
    return value.to(device)


def buffers_of(
    lowered: Lowered,
    sources: Mapping[str, torch.Tensor | Tuples],
    config: ExecutionConfig,
    dtype: torch.dtype,
    device: torch.device,
) -> dict[str, torch.Tensor]:
    """The tensors that the owner of a lowered graph holds: literals, sources, and what tells the precision."""
    buffers = {
        attribute: held_tensor(sources[tensor], tensor, config, listed=attribute in lowered.listed).to(device)
        for attribute, tensor in lowered.sources
    }
    for attribute, operation in lowered.literals:
        shape = tuple(length.value for length in operation.output.lengths if isinstance(length, Fixed))
        buffers[attribute] = literal_tensor(operation, shape, dtype).to(device)
    if lowered.needs_precision:
        buffers[PRECISION] = torch.empty(0, dtype=dtype, device=device)
    return buffers


class TorchEngine:
    """What `Program.compile(backend="torch")` runs on."""

    name: Literal["torch"] = "torch"

    def prepare(
        self, plan: Plan, config: ExecutionConfig, outputs: tuple[str, ...], kept: Kept | None = None
    ) -> TorchExecutable:
        """Make `plan` ready; its graph comes from `kept` and stays there.

        Raises:
            RouteError: a step, or a setting, that this engine does not have yet.
            DeviceError: a device that is not here.
        """
        check_supported(plan, config, self.name)
        return TorchExecutable(plan, config, outputs, kept)

    def asarray(self, value: object, dtype: Dtype, config: ExecutionConfig) -> torch.Tensor | Tuples:
        """`value` as a tensor of `dtype` on the run's device; a tensor that fits is taken as it is, and so are tuples."""
        if isinstance(value, Tuples):
            return value
        kinds = {"float": torch_precision(config.precision), "int64": torch.int64, "bool": torch.bool}
        device = torch_device(config.device)
        if isinstance(value, torch.Tensor):
            return value.to(device=device, dtype=kinds[dtype])
        array = np.asarray(numpy_array(value), _NUMPY_TYPES[kinds[dtype]])
        if not array.flags.writeable or any(stride < 0 for stride in array.strides):
            array = array.copy()  # torch takes neither
        return torch.from_numpy(array).to(device=device, dtype=kinds[dtype])

    def to_numpy(self, array: torch.Tensor | Tuples) -> np.ndarray | Tuples:
        """A NumPy array of the same values, without their history, bfloat16 as float32; or the tuples of a relation."""
        return array if isinstance(array, Tuples) else numpy_array(array)

    def concatenate(self, arrays: Sequence[torch.Tensor], axis: int) -> torch.Tensor:
        """Arrays one after another along `axis`."""
        return torch.cat(list(arrays), axis)


_NUMPY_TYPES: Final[dict[torch.dtype, np.dtype]] = {
    torch.float32: np.dtype(np.float32),
    torch.float64: np.dtype(np.float64),
    torch.float16: np.dtype(np.float16),
    torch.bfloat16: np.dtype(np.float32),  # which NumPy lacks
    torch.int64: np.dtype(np.int64),
    torch.bool: np.dtype(np.bool_),
}

ENGINE: Final = TorchEngine()
