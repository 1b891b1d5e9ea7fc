"""The operator `fuse_torch::rules`: a routed call that compilers see as one node, with counts that they do not know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from fuse_ref.analysis.lengths import Extent, Length, evaluate
from fuse_torch.facts import Facts
from fuse_torch.logic.counts import unknown_count
from fuse_torch.logic.crossing import Crossing, cross, find_crossing
from fuse_torch.logic.portable import key_of
from fuse_torch.logic.view import extents_of

__all__ = ["cross_opaquely"]


def cross_opaquely(
    key: str,
    text: str,
    handles: Sequence[Any],
    values: Sequence[torch.Tensor],
    sizes: Sequence[int],
    device: torch.device,
) -> list[torch.Tensor]:
    """`cross` as a call of the operator: handles, tensors or `Facts`, become tensors; sizes that they tell go along."""
    tensors: list[torch.Tensor] = []
    axes: list[int] = []
    for number, item in enumerate(handles):
        if isinstance(item, Facts):
            tensors.append(item.positions)
            axes.extend((-1,) * arity(key, number) if item.axes is None else item.axes)
        else:
            tensors.append(item)
            axes.extend((-1,) * arity(key, number))
    found: list[torch.Tensor] = torch.ops.fuse_torch.rules(tensors, list(values), list(sizes), axes, text, device)
    return found


def arity(key: str, number: int) -> int:
    """The number of arguments of the relation that enters a call at place `number`."""
    crossing = find_crossing(key)
    return len(crossing.plan.program.tensor(crossing.opened[number]).axes)


# The operator -----------------------------------------------------------------------------------

_LIBRARY = torch.library.Library("fuse_torch", "FRAGMENT")
_LIBRARY.define(
    "rules(Tensor[] handles, Tensor[] values, SymInt[] sizes, SymInt[] axes, str call, Device device) -> Tensor[]"
)


def _run(
    handles: Sequence[torch.Tensor],
    values: Sequence[torch.Tensor],
    sizes: Sequence[int],
    axes: Sequence[int],
    call: str,
    device: torch.device,
) -> list[torch.Tensor]:
    key = key_of(call)
    opened: list[Any] = []
    left = list(axes)
    for number, item in enumerate(handles):
        own = [left.pop(0) for _ in range(arity(key, number))]
        opened.append(Facts(item, own) if own and min(own) >= 0 else item)
    return [item.clone(memory_format=torch.contiguous_format) for item in cross(key, opened, values, sizes, device)]


def _shapes(
    handles: Sequence[torch.Tensor],
    values: Sequence[torch.Tensor],
    sizes: Sequence[int],
    axes: Sequence[int],
    call: str,
    device: torch.device,
) -> list[torch.Tensor]:
    crossing = find_crossing(key_of(call))
    known: dict[Extent, Any] = dict(zip(crossing.extents, sizes, strict=True))
    made: list[torch.Tensor] = []
    for item in crossing.results:
        lengths = crossing.lengths[item.name]
        for extent in _unknown(crossing, lengths):
            if extent not in known:
                known[extent] = unknown_count()
        if item.form == "tuples":
            count = unknown_count()
            made.append(torch.empty((count, len(lengths)), dtype=torch.int64, device=device))
            continue
        # A size that nobody knows yet must stand in the shape as it is.
        shape = [
            known[length]
            if isinstance(length, Extent)
            else torch.sym_max(0, evaluate(length, lambda t, k: known[Extent(t, k)]))
            for length in lengths
        ]
        made.append(torch.empty(shape, dtype=torch.bool if item.form == "dense" else torch.float32, device=device))
    return made


def _unknown(crossing: Crossing, lengths: tuple[Length, ...]) -> list[Extent]:
    return sorted(extents_of(lengths) - set(crossing.extents), key=lambda e: (e.tensor, e.position))


torch.library.impl("fuse_torch::rules", "CompositeExplicitAutograd", _run, lib=_LIBRARY)
# Truth values and positions have no gradient: without this line torch would warn of that while compiling.
_LIBRARY.impl("rules", torch.library.fallthrough_kernel, "Autograd")
torch.library.register_fake("fuse_torch::rules", _shapes, lib=_LIBRARY)
