"""Lengths that need themselves: recurrences. Variables that limit each other have no size.

Along a stepped axis a recurrence's range is the largest for which every read stays inside. A read of
the group itself only shifts the bound of another range (`X[t]` in `X[t+1] = f(X[t], U[t])` allows
one step more), so bounds are pushed along such shifts until they settle, as in Bellman and Ford's
shortest paths. Where they do not settle the group runs backwards, and a base case stops them.
"""

from __future__ import annotations

from collections.abc import Sequence

from fuse_ref.analysis.formulas import at_least_zero
from fuse_ref.analysis.lengths import Fixed, Length, linear, maximum, minimum
from fuse_ref.analysis.limits import Limit, Slot, affine_part
from fuse_ref.analysis.solve import AxisNode, LengthNode, Node, RangeNode, Solver
from fuse_ref.mistakes import mistake
from fuse_ref.records import dataclass

__all__ = ["solve_cycle"]


@dataclass(frozen=True, slots=True)
class _Edge:
    """The range of `node` is at most the range of `other` plus `shift`."""

    node: RangeNode
    other: RangeNode
    shift: int
    through: LengthNode | AxisNode


def solve_cycle(solver: Solver, members: Sequence[Node]) -> None:
    """Solves unknowns that need each other; everything else they need is solved."""
    pending = [node for node in members if isinstance(node, RangeNode)]
    inside = set(members)
    waiting = [node for node in pending if _waits_for_another(solver, node, inside)]
    if waiting:
        # `Y[i, j] = X[i+j]`: how far `i` runs depends on `j`, and the other way round.
        solver.no_source(waiting[0].variable, solver.tables[waiting[0].scope])
    edges = [edge for node in pending for edge in _edges(solver, node, inside)]
    settled = _push(_outer_bounds(solver, pending, inside, {}), edges)
    if settled is None:
        # Backwards: what is read ahead is as long as its base case.
        stops = {node: length for node in members if (length := _base(solver, node, inside)) is not None}
        edges = [edge for edge in edges if edge.through not in stops]
        settled = _push(_outer_bounds(solver, pending, inside, stops), edges)
    if settled is None:
        _backwards_without_length(solver, edges)
        settled = {}
    elif not any(settled.values()):
        settled = _push(_last_resort(solver, pending), edges) or {}
    for node in pending:
        bounds = [linear([(base, 1)], shift) for base, shift in settled.get(node, {}).items()]
        solver.solution.lengths[node] = at_least_zero(minimum(bounds)) if bounds else _unlimited(solver, node)
    for member in members:
        if not isinstance(member, RangeNode):
            solver.solution.lengths[member] = solver.value(member)
    for node in pending:
        _note_kept(solver, node)


def _waits_for_another(solver: Solver, node: RangeNode, members: set[Node]) -> bool:
    """Whether a read limits the variable by another one that waits for it in turn."""
    if solver.fixed_by_axis(node) is not None:
        return False
    return not all(_ready(limit, node, members) for limit in solver.limits[node])


def _base(solver: Solver, node: Node, members: set[Node]) -> Length | None:
    """The length that a tensor's base cases give it: writes at constant positions, and those along outside ranges."""
    if not isinstance(node, LengthNode):
        return None
    ends = []
    for scope, slot in solver.writes.get((node.tensor, node.position), ()):
        parts = affine_part(slot.index)
        if parts is not None and all(RangeNode(scope, variable) not in members for variable, _ in parts[0].terms):
            end = solver.written_length(scope, slot)
            if end is not None:
                ends.append(end)
    return maximum(ends) if ends else None


def _edges(solver: Solver, node: RangeNode, members: set[Node]) -> list[_Edge]:
    fixed = solver.fixed_by_axis(node)
    if fixed is not None:
        return [_Edge(node, other, shift, fixed) for other, shift in _writers(solver, fixed)]
    found = []
    for limit in solver.limits[node]:
        source = _source(solver, limit.slot)
        if source in members and not limit.others and limit.coefficient == 1 and limit.divisor == 1:
            assert isinstance(source, (LengthNode, AxisNode))
            for other, shift in _writers(solver, source):
                if other in members:
                    found.append(_Edge(node, other, shift - limit.form.offset, source))
    return found


def _source(solver: Solver, slot: Slot) -> Node | None:
    return None if slot.tensor is None else solver.length_node(slot.tensor, slot.position)


def _writers(solver: Solver, node: LengthNode | AxisNode) -> list[tuple[RangeNode, int]]:
    """The ranges that make a length: it is such a range plus the shift."""
    if isinstance(node, LengthNode):
        slots = solver.writes.get((node.tensor, node.position), [])
    else:
        slots = [(scope, slot) for scope, slot, _ in solver.contributions(node.axis)]
    found = []
    for scope, slot in slots:
        parts = affine_part(slot.index)
        if parts is not None and parts[1] == 1 and len(parts[0].terms) == 1 and parts[0].terms[0][1] == 1:
            found.append((RangeNode(scope, parts[0].terms[0][0]), parts[0].offset))
    return found


def _outer_bounds(
    solver: Solver, pending: Sequence[RangeNode], members: set[Node], stops: dict[Node, Length]
) -> dict[RangeNode, dict[Length, int]]:
    """What limits each range from outside the group; `stops` are lengths of base cases."""
    bounds: dict[RangeNode, dict[Length, int]] = {}
    for node in pending:
        if solver.fixed_by_axis(node) is not None:
            continue
        for limit in solver.limits[node]:
            source = _source(solver, limit.slot)
            if source is not None and source in stops and not limit.others and limit.coefficient == 1:
                bounds.setdefault(node, {})[linear([(stops[source], 1)], -limit.form.offset)] = 0
            elif source not in members and _ready(limit, node, members):
                bounds.setdefault(node, {})[solver.limit_length(limit, node.scope)] = 0
    return bounds


def _ready(limit: Limit, node: RangeNode, members: set[Node]) -> bool:
    return all(RangeNode(node.scope, variable) not in members for variable, _ in limit.others)


def _push(
    bounds: dict[RangeNode, dict[Length, int]], edges: Sequence[_Edge]
) -> dict[RangeNode, dict[Length, int]] | None:
    """Bounds pushed along the edges until they settle; None when they never do."""
    found = {node: dict(bound) for node, bound in bounds.items()}
    for _ in range(len({edge.node for edge in edges}) + 2):
        changed = False
        for edge in edges:
            for base, shift in tuple(found.get(edge.other, {}).items()):
                mine = found.setdefault(edge.node, {})
                if base not in mine or mine[base] > shift + edge.shift:
                    mine[base] = shift + edge.shift
                    changed = True
        if not changed:
            return found
    return None


def _last_resort(solver: Solver, pending: Sequence[RangeNode]) -> dict[RangeNode, dict[Length, int]]:
    """Nothing bounds the steps: the shortest given tensor on their axis does, else a constant read."""
    bounds: dict[RangeNode, dict[Length, int]] = {}
    for node in pending:
        axis = solver.tables[node.scope].axis.get(node.variable)
        shortest = None if axis is None else solver.shortest_given(axis)
        if shortest is not None:
            bounds[node] = {shortest: 0}
    if bounds:
        return bounds
    for node in pending:
        for slot in solver.tables[node.scope].writes:
            assert slot.tensor is not None
            parts = affine_part(slot.index)
            needed = solver.constant_read(slot.tensor, slot.position)
            if needed and parts is not None and parts[0].terms == ((node.variable, 1),):
                bounds[node] = {Fixed(needed - parts[0].offset): 0}
    return bounds


def _backwards_without_length(solver: Solver, edges: Sequence[_Edge]) -> None:
    edge = next(edge for edge in edges if edge.shift < 0)
    table = solver.tables[edge.node.scope]
    tensor = edge.through.tensor if isinstance(edge.through, LengthNode) else table.writes[0].tensor
    variable = edge.node.variable
    error = mistake("FUSE165", table.scope.span, tensor=tensor, variable=variable, letter=variable.rstrip("'"))
    solver.solution.unsized.append(error)


def _unlimited(solver: Solver, node: RangeNode) -> Length:
    """Nothing limits the range: its axis does, unless that waits for the range."""
    if solver.solution.unsized:
        return Fixed(1)  # a mistake of its own has been noted
    axis = solver.tables[node.scope].axis.get(node.variable)
    if axis is not None and not solver.known.axes[axis].stepped and AxisNode(axis) not in solver.solution.lengths:
        solver.no_source(node.variable, solver.tables[node.scope])
        return Fixed(1)
    return solver.unlimited(node)


def _note_kept(solver: Solver, node: RangeNode) -> None:
    """Reads that the final ranges keep inside for certain; others get a check of their own."""
    if solver.fixed_by_axis(node) is not None:
        return
    ranges = solver.ranges(node.scope)
    kept = []
    for limit in solver.limits[node]:
        room = linear([(solver.limit_length(limit, node.scope), 1), (ranges[node.variable], -1)])
        if isinstance(room, Fixed) and room.value >= 0:
            kept.append(limit)
    solver.keep(node.scope, kept)
