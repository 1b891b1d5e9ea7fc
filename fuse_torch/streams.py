"""The state of streams in a module: what a call begins with, from buffers, from the caller, or anew.

States are rebound, never written into: autograd and other calls may still hold the old one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import nn

from fuse_ref.analysis.lengths import Fixed, evaluate
from fuse_ref.config import ExecutionConfig
from fuse_ref.mistakes import mistake
from fuse_ref.plan.steps import Plan, Stream
from fuse_torch.binding import ABSENT
from fuse_torch.devices import torch_device, torch_precision
from fuse_torch.lowering.emitter import identifier

__all__ = [
    "Stateful",
    "begun",
    "buffer_of",
    "first_values",
    "freshness",
    "guarded",
    "held",
    "stateful",
    "without_starts",
]

_CURE = "module.reset_state() begins anew; a batch of another size has a state of its own"


def buffer_of(name: str) -> str:
    """The buffer that holds a stream's state, or whether nothing was before."""
    return f"_state_{identifier(name)}"


def stateful(plan: Plan) -> tuple[Stream, ...]:
    """The streams that later calls go on from."""
    return tuple(stream for stream in plan.streams if stream.state)


def first_values(
    plan: Plan,
    stream: Stream,
    inputs: Mapping[str, Any],
    sizes: Mapping[str, int],
    dtype: torch.dtype,
    device: torch.device,
) -> dict[str, torch.Tensor]:
    """The state of a stream where nothing was before, and that nothing was.

    Args:
        inputs: given tensor -> tensor, for its shape.
        sizes: axis letter -> size.

    Raises:
        AxisError: a size that neither tells.
    """

    def extent(name: str, position: int) -> int:
        if name in inputs:
            return int(inputs[name].shape[position])
        tensor = plan.program.tensor(name)
        axis = next(axis for axis in plan.program.axes if axis.name == tensor.axes[position])
        letter = next((letter for letter in axis.letters if letter in sizes), None)
        if letter is None:
            raise mistake("FUSE257", tensor.span, name=f"the state of {stream.tensor}", axis=axis.name)
        return sizes[letter]

    kinds = {"float": dtype, "int64": torch.int64, "bool": torch.bool}
    shape = tuple(max(0, evaluate(length, extent)) for length in stream.lengths)
    kind = kinds[stream.dtype]
    found = {stream.tensor: torch.full(shape, stream.neutral, dtype=kind, device=device)}
    if stream.fresh:
        found[stream.fresh] = torch.ones((), dtype=torch.bool, device=device)
    return found


def begun(
    stream: Stream, start: Any, state: torch.Tensor | None, shape: tuple[int, ...], dtype: torch.dtype, like: Any
) -> torch.Tensor:
    """What a call is given for a stream.

    Args:
        start: what the caller says was just before the first position; `ABSENT` else.
        state: that it goes on from; None where it begins anew.
        shape: that it must have.
        like: a tensor on the device of the call.

    Raises:
        InputError: a state or start of another shape.
    """
    if start is not ABSENT:
        if tuple(start.shape) != shape[1:]:
            raise mistake("FUSE215", None, cure=_CURE, name=stream.tensor, got=tuple(start.shape), expected=shape[1:])
        before = torch.full((shape[0] - 1, *shape[1:]), stream.neutral, dtype=dtype, device=like.device)
        return torch.cat([before, start.to(dtype).unsqueeze(0)])
    if state is None:
        return torch.full(shape, stream.neutral, dtype=dtype, device=like.device)
    if tuple(state.shape) != shape:
        raise mistake("FUSE215", None, cure=_CURE, name=stream.tensor, got=tuple(state.shape), expected=shape)
    if not torch.compiler.is_compiling() and state.is_inference() and not torch.is_inference_mode_enabled():
        state = state.clone()  # autograd keeps no tensor of inference mode
    return state.to(dtype)


def freshness(start: Any, fresh: torch.Tensor | None, like: Any) -> torch.Tensor:
    """Whether a stream begins anew in this call."""
    if fresh is None or start is not ABSENT:
        return torch.ones((), dtype=torch.bool, device=like.device)
    return fresh


def held(state: Mapping[str, torch.Tensor] | None, streams: tuple[Stream, ...]) -> Mapping[str, torch.Tensor]:
    """The state that a caller gives.

    Raises:
        InputError: it names something else than a stream.
    """
    if state is None:
        return {}
    known = {name for stream in streams for name in (stream.tensor, stream.fresh)}
    for name in state:
        if name not in known:
            raise mistake("FUSE283", None, cure="module.initial_state() is the first state", name=name)
    return state


def without_starts(value: Any, names: tuple[str, ...], starts: tuple[Any, ...]) -> tuple[Any, ...]:
    """A mapping of inputs without the starts of streams, then the starts."""
    if not isinstance(value, Mapping):
        return (value, *starts)
    found = tuple(value.get(name, start) for name, start in zip(names, starts, strict=True))
    return ({name: item for name, item in value.items() if name not in names}, *found)


def guarded(names: tuple[str, ...]) -> None:
    """Refuse calls that would move a buffer's state on behind somebody's back.

    Raises:
        GradientError: in torch.func, where the new state belongs to the transformation, or while autograd runs, where
            a checkpoint recomputes what has moved the state on already.
    """
    if torch.compiler.is_compiling():
        return
    if torch._C._functorch.peek_interpreter_stack() is not None:
        raise mistake("FUSE269", None, name=" and ".join(names), where="a transformation of torch.func")
    if torch._C._current_graph_task_id() != -1:
        raise mistake("FUSE269", None, name=" and ".join(names), where="the recomputation of a checkpoint")


class _Blueprint(Protocol):
    """What a module is made from, as far as its state goes."""

    @property
    def plan(self) -> Plan: ...
    @property
    def carry(self) -> bool: ...
    @property
    def config(self) -> ExecutionConfig: ...


class Stateful(nn.Module):
    """What a module has of the streams of its program.

    In buffer mode the state of stream H is the buffer `_state_H`, saved with the module; None before the first call
    where its size comes from an input.
    """

    _blueprint: _Blueprint

    @property
    def _streams(self) -> tuple[Stream, ...]:
        return stateful(self._blueprint.plan)

    def initial_state(self, inputs: Mapping[str, Any] | None = None, **sizes: int) -> dict[str, torch.Tensor]:
        """The state before the first position of every stream, by name: {} for a program without streams.

        Args:
            inputs: given tensor -> tensor, of which only the shape counts, where a stream's size comes from an input.
            sizes: axis letter -> size, for axes that the program leaves open.

        Raises:
            AxisError: a size that is not known.
        """
        device, dtype = self._place()
        found: dict[str, torch.Tensor] = {}
        for stream in self._streams:
            found |= first_values(self._blueprint.plan, stream, inputs or {}, sizes, dtype, device)
        return found

    def reset_state(self) -> None:
        """Put every stream back to its start; a state whose size comes from an input is made by the next call."""
        if self._blueprint.carry:
            return
        device, dtype = self._place()
        for stream in self._streams:
            values: dict[str, torch.Tensor | None] = {stream.tensor: None}
            if stream.fresh:
                values[stream.fresh] = torch.ones((), dtype=torch.bool, device=device)
            if _is_known(stream):
                values |= first_values(self._blueprint.plan, stream, {}, {}, dtype, device)
            for name, value in values.items():
                self.register_buffer(buffer_of(name), value)

    def _place(self) -> tuple[torch.device, torch.dtype]:
        """Where the module is, and in which precision."""
        own = next((t for t in (*self.parameters(), *self.buffers()) if t.dtype.is_floating_point), None)
        if own is None:
            config = self._blueprint.config
            return torch_device(config.device) or torch.get_default_device(), torch_precision(config.precision)
        return own.device, own.dtype

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        for stream in () if self._blueprint.carry else self._streams:
            name = buffer_of(stream.tensor)
            saved = state_dict.get(prefix + name)
            if not _is_known(stream) and saved is not None:  # there is nothing to copy it into, or of another size
                device, dtype = self._place()
                self.register_buffer(name, torch.empty(saved.shape, dtype=dtype, device=device))
        super()._load_from_state_dict(state_dict, prefix, *args)


def _is_known(stream: Stream) -> bool:
    return all(isinstance(length, Fixed) for length in stream.lengths)
