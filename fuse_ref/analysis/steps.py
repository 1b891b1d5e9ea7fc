"""Streams that read streams take as many steps as those: none has states beyond the last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fuse_ref.analysis.limits import ScopeTable, Slot
from fuse_ref.analysis.sizes import Known
from fuse_ref.ir.index import Virtual

__all__ = ["keep_in_step"]


def keep_in_step(tables: Sequence[ScopeTable], known: Known) -> None:
    """Where an equation of a stream reads another one, its variable runs no further than that one's own.

    `G[*t+1] = G[*t] + H[*t]` makes a state for each step of H, though `H[*t]` alone would allow one more.
    """
    streams = {name: tensor.virtual for name, tensor in known.tensors.items() if tensor.virtual is not None}
    if len(streams) < 2:
        return
    ahead: dict[str, int] = {}
    reads: dict[str, set[str]] = {name: set() for name in streams}
    for table in tables:
        target = table.scope.target
        index = None if target is None or target.tensor not in streams else target.indices[streams[target.tensor]]
        if target is None or not isinstance(index, Virtual):
            continue
        ahead[target.tensor] = max(ahead.get(target.tensor, 0), index.offset)
        reads[target.tensor].update(slot.tensor for slot in table.reads if slot.tensor in streams and slot.tensor)
    for table in tables:
        target = table.scope.target
        index = None if target is None or target.tensor not in streams else target.indices[streams[target.tensor]]
        if target is None or not isinstance(index, Virtual):
            continue
        moving = {s.tensor for s in table.reads if s.tensor and s.index.__class__ is Virtual}
        moving.discard(target.tensor)
        for name in sorted((_stepping(moving, reads, ahead) | moving) - {target.tensor}):
            offset = max(0, ahead.get(name, 0) - (index.offset == 0))
            place = streams[name]
            slot = Slot(name, 0, place, Virtual(index.variable, offset), f"{name}[*{index.variable}]")
            if slot.key not in {other.key for other in table.reads}:
                table.reads.append(slot)


def _stepping(names: set[str], reads: Mapping[str, set[str]], ahead: Mapping[str, int]) -> set[str]:
    """The streams that are written ahead, among `names` and what those read at their own position."""
    found: set[str] = set()
    seen: set[str] = set()
    waiting = sorted(names)
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if ahead.get(name, 0) > 0:
            found.add(name)
        else:
            waiting.extend(reads.get(name, ()))
    return found
