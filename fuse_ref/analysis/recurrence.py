"""What kind of cycle a group of tensors is: language.md, section 6."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from fuse_ref.analysis.dependencies import Dependencies, Group
from fuse_ref.analysis.graph import groups
from fuse_ref.analysis.words import reference_text
from fuse_ref.ir.index import Affine, Index, Virtual
from fuse_ref.ir.nodes import ProgramIR, Read
from fuse_ref.records import dataclass

__all__ = ["Along", "Cycle", "classify"]


@dataclass(frozen=True, slots=True)
class Along:
    """One axis that a recurrence moves along, and how."""

    axis: str  # the name of the first tensor's axis
    direction: Literal["forward", "backward"]
    positions: tuple[tuple[str, int], ...]  # for each tensor of the group which of its positions it is
    reach: int  # how many steps back the farthest read lies


@dataclass(frozen=True, slots=True)
class Cycle:
    """How a group of tensors that need each other is computed."""

    kind: Literal["recurrence", "logical", "numeric"]
    along: tuple[Along, ...]  # of a recurrence, outermost first; more than one for grids
    virtual: bool  # the outermost axis is a stream's
    reason: str  # a clause for the plan


@dataclass(frozen=True, slots=True)
class _Edge:
    """An equation of the group reads a tensor of the group."""

    target: Read
    read: Read
    bound: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Step:
    """Where an index stands along the axis: at the variable plus offset, or at a constant position."""

    variable: str | None
    offset: int


def classify(program: ProgramIR, dependencies: Dependencies, group: Group) -> Cycle:
    """The kind of cycle that `group` is, with the reason."""
    edges = _edges(program, dependencies, group)
    axes = {tensor.name: tensor.axes for tensor in program.tensors}
    virtual = {tensor.name: tensor.virtual for tensor in program.tensors if tensor.virtual is not None}
    along = _order(group.tensors, edges, axes, {}, virtual)
    if along is not None:
        streams = any(virtual.get(name) == position for name, position in along[0].positions)
        return Cycle("recurrence", along, streams, _recurrence_reason(along, streams))
    names = ", ".join(group.tensors)
    shown = _unordered(edges)
    if all(tensor.boolean for tensor in program.tensors if tensor.name in group.tensors):
        return Cycle("logical", (), False, f"{names}: relations that need themselves, {shown}")
    return Cycle("numeric", (), False, f"{shown}: no axis puts them in order")


def _edges(program: ProgramIR, dependencies: Dependencies, group: Group) -> list[_Edge]:
    return [
        _Edge(program.equations[number].target, access.read, access.bound)
        for number in group.equations
        for access in dependencies.reads[number]
        if access.read is not None and access.tensor in group.tensors
    ]


def _unordered(edges: Sequence[_Edge]) -> str:
    edge = edges[0]
    left = reference_text(edge.target.tensor, edge.target.indices)
    return f"{left} needs {reference_text(edge.read.tensor, edge.read.indices)}"


def _recurrence_reason(along: tuple[Along, ...], streams: bool) -> str:
    parts = []
    for number, item in enumerate(along):
        star = "*" if streams and number == 0 else ""
        reach = "" if item.reach <= 1 else f", window {item.reach}"
        parts.append(f"{item.direction} along {star}{item.axis}{reach}")
    return ", then ".join(parts)


# An order along one axis, then along others where that leaves cycles ------------------------------


def _order(
    members: Sequence[str],
    edges: Sequence[_Edge],
    axes: dict[str, tuple[str, ...]],
    used: dict[str, frozenset[int]],
    virtual: dict[str, int],
) -> tuple[Along, ...] | None:
    """Axes that put all reads of a group behind their writes; None when there are none.

    Args:
        used: positions of each tensor that an outer axis has taken.
        virtual: the stream position of each tensor that has one; tried first.
    """
    first = members[0]
    starts = [p for p in range(len(axes[first])) if p not in used.get(first, frozenset())]
    starts.sort(key=lambda p: virtual.get(first) != p)
    for start in starts:
        positions = _positions(members, edges, axes, used, first, start)
        if positions is None:
            continue
        for direction in (1, -1):
            found = _moving(edges, positions, direction)
            if found is None or not any(found):
                continue
            inner = _inner(members, edges, found, axes, used, positions, virtual)
            if inner is None:
                continue
            name: Literal["forward", "backward"] = "forward" if direction == 1 else "backward"
            along = Along(axes[first][start], name, tuple(positions.items()), max(found))
            return (along, *inner)
    return None


def _positions(
    members: Sequence[str],
    edges: Sequence[_Edge],
    axes: dict[str, tuple[str, ...]],
    used: dict[str, frozenset[int]],
    first: str,
    start: int,
) -> dict[str, int] | None:
    """For each tensor the position that moves with position `start` of `first`; None if some has none."""
    found = {first: start}
    changed = True
    while changed and len(found) < len(members):
        changed = False
        for edge in edges:
            for known, other in ((edge.target, edge.read), (edge.read, edge.target)):
                if known.tensor not in found or other.tensor in found:
                    continue
                step = _step(known.indices[found[known.tensor]])
                if step is None or step.variable is None or step.variable in edge.bound:
                    continue
                taken = used.get(other.tensor, frozenset())
                fitting = [p for p in _with_variable(other.indices, step.variable) if p not in taken]
                if fitting:
                    axis = axes[known.tensor][found[known.tensor]]
                    fitting.sort(key=lambda p, t=other.tensor, a=axis: axes[t][p] != a)  # type: ignore[misc]
                    found[other.tensor] = fitting[0]
                    changed = True
    return {name: found[name] for name in members} if len(found) == len(members) else None


def _step(index: Index) -> _Step | None:
    match index:
        case Affine((), offset) if offset >= 0:
            return _Step(None, offset)
        case Affine(((variable, 1),), offset) | Virtual(variable, offset):
            return _Step(variable, offset)
        case _:
            return None


def _with_variable(indices: Sequence[Index], variable: str) -> Iterator[int]:
    for position, index in enumerate(indices):
        step = _step(index)
        if step is not None and step.variable == variable:
            yield position


def _moving(edges: Sequence[_Edge], positions: dict[str, int], direction: int) -> list[int] | None:
    """For each edge by how many steps the read lies behind the write; None if one lies ahead."""
    found = []
    for edge in edges:
        write = _step(edge.target.indices[positions[edge.target.tensor]])
        read = _step(edge.read.indices[positions[edge.read.tensor]])
        if write is None or read is None:
            return None
        if write.variable == read.variable:
            if write.variable is not None and write.variable in edge.bound:
                return None
            behind = (write.offset - read.offset) * direction
        elif read.variable is None and direction == 1:
            behind = write.offset - read.offset  # at the first position; later ones lie farther ahead
        else:
            return None
        if behind < 0:
            return None
        found.append(behind)
    return found


def _inner(
    members: Sequence[str],
    edges: Sequence[_Edge],
    behind: Sequence[int],
    axes: dict[str, tuple[str, ...]],
    used: dict[str, frozenset[int]],
    positions: dict[str, int],
    virtual: dict[str, int],
) -> tuple[Along, ...] | None:
    """How the cycles within one step are ordered: () when there are none, None when they cannot be."""
    still = [edge for edge, distance in zip(edges, behind, strict=True) if distance == 0]
    needs = {name: [e.read.tensor for e in still if e.target.tensor == name] for name in members}
    now_used = {name: used.get(name, frozenset()) | {positions[name]} for name in members}
    result: tuple[Along, ...] = ()
    for inside in groups(members, needs):
        if len(inside) == 1 and inside[0] not in needs[inside[0]]:
            continue
        within = [edge for edge in still if edge.target.tensor in inside and edge.read.tensor in inside]
        found = _order(inside, within, axes, now_used, virtual)
        if found is None:
            return None
        result = (*result, *found)
    return result
