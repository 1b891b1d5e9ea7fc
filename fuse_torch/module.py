"""FuseModule: a Fuse program as an nn.Module."""

from __future__ import annotations

import dataclasses
import operator
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from fuse_ref.analysis.lengths import Fixed
from fuse_ref.config import ExecutionConfig
from fuse_ref.evaluate.streaming import result_names
from fuse_ref.evaluate.support import check_supported
from fuse_ref.evaluate.temperatures import heated, temperatures_at
from fuse_ref.files.arrays import FileMap, own_to_write
from fuse_ref.files.paths import Folders
from fuse_ref.files.sources import Sources, read_sources
from fuse_ref.ir.nodes import Tensor
from fuse_ref.mistakes import mistake
from fuse_ref.plan.sampling import is_seed, seed_words
from fuse_ref.plan.steps import Plan, Step
from fuse_ref.policies import RuntimePolicies
from fuse_ref.program import Program, as_program
from fuse_ref.weights.manifest_store import ManifestWeightStore
from fuse_ref.weights.store import WeightStore
from fuse_torch.blueprint import Blueprint, Planning
from fuse_torch.devices import torch_device, torch_precision
from fuse_torch.initialise import initialise_
from fuse_torch.logic.held import held_relation
from fuse_torch.lowering.code import Forward
from fuse_torch.lowering.listing import Listings, attribute_of
from fuse_torch.lowering.lower import PRECISION, literal_tensor
from fuse_torch.lowering.needed import needed_for, without_unneeded
from fuse_torch.lowering.routed import why_native
from fuse_torch.names import Names, module_names
from fuse_torch.streams import Stateful

__all__ = ["FuseModule", "StepRoute"]


@dataclass(frozen=True, slots=True)
class StepRoute:
    """Where one step of a module's plan went."""

    kind: str  # as in the plan: "Dense", "Store", …
    tensors: tuple[str, ...]  # what the step defines; for sinks and queries, what they read
    route: str  # "dense"; "logical"; "load" for files read once; "none" for what a module does not run
    reason: str

    def __str__(self) -> str:
        return f"{self.kind} of {', '.join(self.tensors)}: {self.route} ({self.reason})"


class FuseModule(Stateful):
    """A Fuse program as a PyTorch module.

    Its parameters are the program's `param` tensors, under their names; free tensors that the weight
    store has are buffers. Works with `torch.compile`, `torch.func`, `torch.export`, `copy.deepcopy`,
    pickle and hooks like any module of torch's own.

    Args:
        program: a `Program`, or its text.
        sizes: axis letter -> size, like lines `axis d = 64`. Every axis of a `param` must be known.
        hints: axis letter -> size that the contraction order assumes while the axis is open.
        config: how to execute. `precision` is that of the new parameters; `.to()` changes it later.
        policies: where weights come from and which files may be read.
        state: `"buffer"` keeps the state of streams in the module, `"carry"` takes and returns it:
            `m(x, state=s)` gives (result, new state), and `m.initial_state()` is the first.

    Raises:
        AxisError: sizes that do not fit, or an axis of a parameter without a size.
        RouteError: a step or a setting that the torch engine cannot run.
        LimitError: every call would hold more than `memory_limit`; where sizes are open, calls raise it.
        ConfigError: a setting with a wrong value, or two names that collide.
    """

    _blueprint: Blueprint

    def __init__(
        self,
        program: Program | str,
        *,
        sizes: Mapping[str, int] | None = None,
        hints: Mapping[str, int] | None = None,
        config: ExecutionConfig | None = None,
        policies: RuntimePolicies | None = None,
        state: Literal["buffer", "carry"] = "buffer",
    ) -> None:
        super().__init__()
        if state not in ("buffer", "carry"):
            raise mistake("FUSE256", value=repr(state))
        program = as_program(program)
        config = ExecutionConfig() if config is None else config
        policies = RuntimePolicies() if policies is None else policies
        tensors = program.ir.tensors
        stored = [t.name for t in tensors if t.role in ("param", "free") and t.name in policies.store]
        shapes = {name: policies.store.shape(name) for name in stored}
        folders = Folders.of(program.path, policies.roots)
        sources = read_sources(
            program.ir,
            folders,
            shapes=shapes,
            sizes=sizes,
            limit=config.dense_limit,
            strict=policies.strict_mmap,
            tuples=True,
        )
        shapes.update(sources.shapes)
        # Schedules' temperatures are buffers: what is compiled reads them, and no gradient goes to them.
        shapes.update((name, ()) for name in temperatures_at(config, 0))
        planning = Planning.of(sizes, hints, shapes, config, sources)
        plan = planning.plan(heated(sources.program, config), config)
        check_supported(without_unneeded(plan, program.ir.exports), config, "torch", policies)
        by_name = {tensor.name: tensor for tensor in plan.program.tensors}
        names = module_names([by_name[name] for name in (*plan.parameters, *plan.weights)])
        self._blueprint = Blueprint(program, plan, planning, config, names, state == "carry", frozenset(stored))
        splitting = self._blueprint.code().splitting
        if splitting is not None:
            splitting.check_known(config.precision)
        self._projection_seed = config.projection_seed
        self._seeds: list[str] = []  # buffers
        self._attach()
        self._create(sources, policies)
        self.reset_state()
        self.iteration = 0
        self.reset_parameters()

    # What a module has -------------------------------------------------------------------------

    @property
    def program(self) -> Program:
        """The program that this module computes."""
        return self._blueprint.program

    @property
    def plan(self) -> Plan:
        """The steps that run, in order; `str(plan)` is a table."""
        return self._blueprint.plan

    @property
    def names(self) -> Names:
        """Names of parameters and weights: program -> module, and module -> program."""
        return self._blueprint.names

    @property
    def projection_seed(self) -> int:
        """What estimated sums are drawn with; a new one for each step of a training compiles nothing.

        Raises:
            ConfigError: set to what is no whole number, or less than 0.
        """
        return self._projection_seed

    @projection_seed.setter
    def projection_seed(self, seed: int) -> None:
        self._projection_seed = dataclasses.replace(self._blueprint.config, projection_seed=seed).projection_seed
        words = torch.tensor(seed_words(self._projection_seed))
        with torch.no_grad():
            for attribute in self._seeds:
                self.get_buffer(attribute).copy_(words)

    def routes(self) -> tuple[StepRoute, ...]:
        """Where each step of the plan went, and why."""
        outputs = (*map(self.plan.result, self.plan.program.exports), *result_names(self.plan))
        needed = needed_for(self.plan, outputs).steps
        plan, config = self.plan, self._blueprint.config
        return tuple(_route(plan, step, position in needed, config) for position, step in enumerate(plan.steps))

    @property
    def iteration(self) -> int:
        """Where the schedules of temperatures are; whoever trains moves it on: `module.iteration = step`.

        Calls do not count by themselves: one may be recomputed by a checkpoint, or made of many by vmap. What is
        compiled stays compiled, and saved states have no iteration.

        Raises:
            ConfigError: set to what is no whole number, 0 or more, or a schedule gives no temperature for it.
        """
        return self._iteration

    @iteration.setter
    def iteration(self, value: int) -> None:
        if isinstance(value, bool) or not hasattr(type(value), "__index__") or operator.index(value) < 0:
            raise mistake("FUSE200", field="iteration", expected="a whole number, 0 or more", value=repr(value))
        self._iteration = operator.index(value)
        for name, temperature in temperatures_at(self._blueprint.config, self._iteration).items():
            if name in self.plan.weights:
                # Another tensor: what autograd keeps of a call before this one does not change.
                old = self.get_buffer(self.names[name])
                self.register_buffer(self.names[name], torch.full_like(old, temperature), persistent=False)

    def forward(self, *args: Any, **inputs: Any) -> Any:
        """The export, or a dict of the exports by name when there are several.

        Args:
            args: the inputs in the order of the `input` lines. A mapping as the only argument gives
                inputs by name.
            inputs: given tensors by name.

        Raises:
            InputError, UnboundTensorError: a tensor that is missing, given twice or no input.
            AxisError: a rank or size that does not fit.
            DtypeError: a tensor of another type, or no tensor.
            LimitError: a call that would hold more than `memory_limit`, also in blocks.
        """
        return self._function(self, *args, **inputs)

    def reset_parameters(self) -> None:
        """Draw first values for every parameter that did not come from the weight store; refill literals."""
        tensors = _tensors(self.plan)
        for name in self.plan.parameters:
            if name not in self._blueprint.stored:
                initialise_(getattr(self, self.names[name]), tensors[name])
        for attribute, operation in self._blueprint.code().lowered.literals:
            buffer = self.get_buffer(attribute)
            with torch.no_grad():
                buffer.copy_(literal_tensor(operation, tuple(buffer.shape), buffer.dtype))
        self.projection_seed = self._projection_seed

    def extra_repr(self) -> str:
        return f"({', '.join(self._blueprint.code().lowered.plan.givens)}) -> {', '.join(self.plan.program.exports)}"

    # Construction and copies -------------------------------------------------------------------

    def _attach(self) -> None:
        """Take the generated function of the plan, as `forward` itself unless a subclass has its own.

        Bound directly, each program has a code object of its own, which is what Dynamo caches by.
        """
        self._function = self._blueprint.code().function
        if type(self).forward is FuseModule.forward:
            self.__dict__["forward"] = types.MethodType(self._function, self)

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        del state["_function"]
        bound = state.get("forward")
        if getattr(bound, "__func__", None) is self._function:
            del state["forward"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "forward" in self.__dict__:  # somebody put a function of their own there
            self._function = self._blueprint.code().function
        else:
            self._attach()

    def _create(self, sources: Sources, policies: RuntimePolicies) -> None:
        config, tensors = self._blueprint.config, _tensors(self.plan)
        device = torch_device(config.device) or torch.get_default_device()
        dtype = torch_precision(config.precision)
        for name in self.plan.parameters:
            if name in self._blueprint.stored:
                first = _weight(policies.store, tensors[name], dtype, device)
            else:
                first = torch.empty(self._shape(name), dtype=dtype, device=device)
            self.register_parameter(self.names[name], nn.Parameter(first))
        heats = temperatures_at(config, 0)
        for name in self.plan.weights:
            if name in heats:
                self.register_buffer(self.names[name], torch.zeros((), dtype=dtype, device=device), persistent=False)
                continue
            self.register_buffer(self.names[name], _weight(policies.store, tensors[name], dtype, device))
        code = self._blueprint.code()
        for attribute, name in code.lowered.sources:
            listed = attribute in code.lowered.listed
            array = held_relation(sources.arrays[name], name, config, listed=listed)
            if listed:
                self.register_buffer(attribute, torch.from_numpy(array).to(device=device), persistent=False)
                continue
            source = _loaded(array, tensors[name], dtype, shared=True).to(device=device)
            sources.check_kept(name, *_seen(source))
            self.register_buffer(attribute, source, persistent=False)
        for attribute, operation in code.lowered.literals:
            shape = tuple(length.value for length in operation.output.lengths if isinstance(length, Fixed))
            literal = literal_tensor(operation, shape, dtype)
            self.register_buffer(attribute, literal.to(device=device), persistent=False)
            self._seeds += [attribute] * is_seed(operation)
        if code.owns_precision:
            self.register_buffer(PRECISION, torch.empty(0, dtype=dtype, device=device), persistent=False)

    def _planned_for(self, listings: Listings, listed: tuple[str, ...]) -> str:
        """Where in `listings` the function is for calls that list the tuples of `listed`; made at the first call.

        Dynamo calls this itself while it traces and takes what it gives for a constant (see below): it cannot follow
        the making of a plan, and a function that it is handed as a constant has no guard.
        """
        code = listings.made.get(listed)
        if code is None:
            code = self._blueprint.listing(listed).code()
            listings.put(listed, code.function, code)
        missing = [item for item in code.lowered.sources if item[0] not in self._buffers]
        seeds = [name for name, item in code.lowered.literals if is_seed(item) and name not in self._buffers]
        if missing or seeds:
            self._complete(code, missing, seeds)
        return attribute_of(listed)

    # What `torch.compiler.assume_constant_result` does; that would load all of Dynamo.
    _planned_for._dynamo_marked_constant = True  # type: ignore[attr-defined]

    def _complete(self, code: Forward, missing: Sequence[tuple[str, str]], seeds: Sequence[str]) -> None:
        """Hold relations of files in the form that a plan for listed tuples takes: the module has them in the other.

        Args:
            seeds: buffers of that plan, which the module has under other names.
        """
        own = {name: attribute for attribute, name in self._blueprint.code().lowered.sources}
        with torch.inference_mode(False), torch.no_grad():
            for attribute, name in missing:
                held = self.get_buffer(own[name])
                if attribute in code.lowered.listed:
                    made = held.nonzero()
                else:
                    made = torch.zeros(self._shape(name), dtype=torch.bool, device=held.device)
                    made[held.unbind(1)] = True
                self.register_buffer(attribute, made, persistent=False)
            for attribute in seeds:
                self.register_buffer(attribute, self.get_buffer(self._seeds[0]).clone(), persistent=False)
                self._seeds.append(attribute)

    def _shape(self, name: str) -> tuple[int, ...]:
        """The shape of a parameter or weight, which must be known."""
        tensor, sizes = _tensors(self.plan)[name], []
        for axis, length in zip(tensor.axes, self.plan.shape(name), strict=True):
            if not isinstance(length, Fixed):
                raise mistake("FUSE257", tensor.span, name=name, axis=axis)
            sizes.append(length.value)
        return tuple(sizes)


def _tensors(plan: Plan) -> dict[str, Tensor]:
    return {tensor.name: tensor for tensor in plan.program.tensors}


def _weight(store: WeightStore, tensor: Tensor, precision: torch.dtype, device: torch.device) -> torch.Tensor:
    """A weight of the store. Under `strict_mmap` the store gives each caller a map of its own, and that is kept."""
    array = store.load(tensor.name)
    strict = isinstance(store, ManifestWeightStore) and store.strict
    weight = _loaded(array, tensor, precision, shared=strict).to(device=device)
    if isinstance(store, ManifestWeightStore):
        store.check_kept(tensor.name, array, *_seen(weight))
    return weight


def _seen(tensor: torch.Tensor) -> tuple[str, int, str]:
    """What `why_copied` asks of a tensor that a module holds."""
    dtype = str(tensor.dtype).removeprefix("torch.")
    return dtype, tensor.data_ptr(), f"the module's tensors lie on {tensor.device.type}, in memory of their own"


def _loaded(array: np.ndarray, tensor: Tensor, precision: torch.dtype, *, shared: bool = False) -> torch.Tensor:
    """An array of a store or file as a tensor.

    Args:
        shared: the tensor may be the memory map itself, of which nobody else knows; else it has memory of its own.
    """
    if tensor.dtype != "float" and array.dtype.kind not in ("b" if tensor.dtype == "bool" else "iu"):
        expected = "truth values" if tensor.dtype == "bool" else "int64 values"
        raise mistake("FUSE303", tensor.span, name=tensor.name, expected=expected, got=str(array.dtype))
    kinds = {"float": precision, "int64": torch.int64, "bool": torch.bool}
    if shared and isinstance(array, FileMap) and array.over_file:
        return torch.from_numpy(np.asarray(own_to_write(array))).to(kinds[tensor.dtype])
    return torch.from_numpy(np.array(array)).to(kinds[tensor.dtype])


def _route(plan: Plan, step: Step, needed: bool, config: ExecutionConfig) -> StepRoute:
    breaks = config.breaks
    match step.kind:
        case "Load":
            return StepRoute(step.kind, step.writes, "load", "read once, when the module was made")
        case "Store":
            return StepRoute(step.kind, step.reads, "none", "sinks do not run inside modules")
        case "Answer":
            return StepRoute(step.kind, step.reads, "none", "queries do not run inside modules")
        case _ if not needed:
            return StepRoute(step.kind, step.writes, "none", "no export needs it")
        case "Recurrence" if step.route == "streaming":
            found = why_native(plan, step, config)
            if isinstance(found, str):
                return StepRoute(step.kind, step.writes, "dense", f"{step.reason}; torch runs its steps: {found}")
            how = "compiled code has an operator for it" if breaks == "opaque" else "compiled code breaks there"
            reason = f"{step.reason}; the NumPy engine runs it on the CPU, torch elsewhere; {how}"
            return StepRoute(step.kind, step.writes, step.route, reason)
        case _ if step.rules:
            how = "compiled code has an operator for it" if breaks == "opaque" else "compiled code breaks there"
            equations = "; ".join(dict.fromkeys(" ".join(rule.text.split()) for rule in step.rules))
            reason = f"{step.reason}; the NumPy engine runs {equations}; {how}"
            return StepRoute(step.kind, step.writes, step.route, reason)
        case _:
            return StepRoute(step.kind, step.writes, step.route, step.reason)
