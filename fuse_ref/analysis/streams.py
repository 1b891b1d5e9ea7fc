"""Streams that cannot be computed position by position."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fuse_ref.analysis.dependencies import Dependencies
from fuse_ref.analysis.recurrence import Cycle
from fuse_ref.analysis.words import reference_text
from fuse_ref.errors import FuseError
from fuse_ref.ir.index import Affine, Virtual
from fuse_ref.ir.nodes import ProgramIR
from fuse_ref.mistakes import mistake

__all__ = ["disordered_streams"]


def disordered_streams(
    program: ProgramIR, dependencies: Dependencies, cycles: Mapping[tuple[str, ...], Cycle]
) -> Iterator[FuseError]:
    """An error for each stream that needs itself otherwise than a fixed number of positions before."""
    streams = {tensor.name: tensor.virtual for tensor in program.tensors if tensor.virtual is not None}
    for group in dependencies.groups:
        cycle = cycles.get(group.tensors)
        own = [name for name in group.tensors if name in streams]
        if cycle is None or not own:
            continue
        reason = _reason(program, dependencies, group.equations, cycle, streams)
        if reason:
            span = next(program.equations[i].span for i in group.equations)
            yield mistake("FUSE173", span, name=own[0], reason=reason)


def _reason(
    program: ProgramIR,
    dependencies: Dependencies,
    equations: tuple[int, ...],
    cycle: Cycle,
    streams: Mapping[str, int],
) -> str:
    if cycle.kind != "recurrence" or not cycle.virtual:
        return cycle.reason
    if cycle.along[0].direction == "backward":
        return "it reads its own future"
    group = {program.equations[i].target.tensor for i in equations}
    for i in equations:
        target = program.equations[i].target
        place = streams.get(target.tensor)
        if place is None or not isinstance(target.indices[place], Virtual):
            continue
        for access in dependencies.reads[i]:
            if access.read is None or access.read.tensor not in streams or access.read.tensor not in group:
                continue
            index = access.indices[streams[access.read.tensor]]
            if isinstance(index, Affine) and index.is_constant:
                text = reference_text(access.read.tensor, access.indices)
                return f"{text} lies ever farther back, so that what must be kept would grow with every step"
    return ""
