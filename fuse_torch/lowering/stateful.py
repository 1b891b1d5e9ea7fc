"""Lines of a generated `forward` that only modules with streams have: the state before, and the state after."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from fuse_ref.analysis.lengths import Length
from fuse_ref.ir.nodes import Dtype
from fuse_ref.plan.steps import Plan, Stream
from fuse_torch.lowering.lowered import PRECISION, Lowered, Slot
from fuse_torch.streams import buffer_of

__all__ = ["begin_lines", "leave_lines", "results_of", "state_lines"]


class _Call(Protocol):
    """What stands around the graph's lines."""

    carry: bool
    streams: tuple[Stream, ...]
    starts: dict[str, str]
    results: list[tuple[str, str, tuple[Length, ...], Dtype]]
    local: dict[str, str]
    helper: dict[str, str]
    by_position: list[str]
    open: list[Slot]
    lowered: Lowered
    owns_precision: bool

    def size(self, length: Length) -> str: ...


def begin_lines(call: _Call) -> list[str]:
    """In front of everything else: may the state move, and where do streams begin that the caller gives a start."""
    if not call.streams:
        return []
    local, helper = call.local, call.helper
    names = tuple(call.starts)
    starts = ", ".join(call.starts.values())
    lines = [] if call.carry else [f"{helper['guarded']}({names!r})"]
    holder = call.by_position[0] if call.by_position else f"{local['rest']}[0]"
    present = "" if call.by_position else f"{local['rest']} and "
    made = f"{helper['without_starts']}({holder}, {names!r}, ({starts},))"
    target = holder if call.by_position else local["values"]
    lines += [f"if {present}isinstance({holder}, {helper['dict']}):", f"    {target}, {starts} = {made}"]
    if not call.by_position:
        lines.append(f"    {local['rest']} = ({target},)")
    return lines


def state_lines(call: _Call) -> list[str]:
    """The state that streams go on from."""
    if not call.streams:
        return []
    local, helper = call.local, call.helper
    slots = {slot.tensor.name: slot for slot in call.lowered.carried}
    dtypes = {"float": local["precision"], "int64": helper["int64"], "bool": helper["boolean"]}
    placed = [slot.variable for slot in (*call.lowered.states, *call.open)]
    placed += [f"{local['self']}._buffers[{PRECISION!r}]"] if call.owns_precision else []
    lines = [f"{local['state']} = {helper['held']}({local['state']}, {helper['streams']})"] if call.carry else []
    for number, stream in enumerate(call.streams):
        start, slot = call.starts[stream.tensor], slots[stream.state]
        known = f"{helper['streams']}[{number}]"
        sizes = "".join(f"max(0, {call.size(length)}), " for length in stream.lengths)
        dtype = dtypes[slot.tensor.dtype]
        arguments = f"{known}, {start}, {_held(call, stream.tensor)}, ({sizes}), {dtype}, {placed[0]}"
        lines.append(f"{slot.variable} = {helper['begun']}({arguments})")
        if stream.fresh:
            made = f"{helper['freshness']}({start}, {_held(call, stream.fresh)}, {placed[0]})"
            lines.append(f"{slots[stream.fresh].variable} = {made}")
    return lines


def _held(call: _Call, name: str) -> str:
    return f"{call.local['state']}.get({name!r})" if call.carry else f"{call.local['self']}.{buffer_of(name)}"


def leave_lines(call: _Call, outputs: Mapping[str, str]) -> list[str]:
    """Behind the graph's lines: the state for the next call, and what is returned.

    Args:
        outputs: the text of each output of the graph.
    """
    found = {export: outputs[name] for export, name, _, _ in call.results}
    result = next(iter(found.values())) if len(found) == 1 else _dict(found)
    kept = {stream.tensor: outputs[stream.kept] for stream in call.streams}
    no = f".new_zeros((), dtype={call.helper['boolean']})"
    kept |= {stream.fresh: outputs[stream.kept] + no for stream in call.streams if stream.fresh}
    if call.carry:
        return [f"return {result}, {_dict(kept)}"]
    own = call.local["self"]
    return [*(f"{own}.{buffer_of(name)} = {text}.detach()" for name, text in kept.items()), f"return {result}"]


def _dict(texts: Mapping[str, str]) -> str:
    return f"{{{', '.join(f'{name!r}: {text}' for name, text in texts.items())}}}"


def results_of(plan: Plan) -> list[tuple[str, str, tuple[Length, ...], Dtype]]:
    """Of each export its value in the graph, its lengths and its type."""
    streams = {stream.tensor for stream in plan.streams}
    found = []
    for name in plan.program.exports:
        tensor, lengths = plan.program.tensor(name), plan.shape(name)
        if name in streams:
            place = tensor.virtual or 0
            lengths = (*lengths[:place], *lengths[place + 1 :])
        found.append((name, plan.result(name), lengths, tensor.dtype))
    return found
