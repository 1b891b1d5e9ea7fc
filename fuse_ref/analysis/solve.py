"""Lengths of axes and ranges of variables, worked out from what needs what.

Unknowns are the length of an axis (one for all its tensors), the length of one tensor along a
stepped axis, and the range of a variable in one equation. Each follows from others by a formula of
language.md, section 3. They are solved group by group in dependency order; groups that need
themselves are recurrences and are left to `analysis.cycles`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from typing import TypeAlias, assert_never

from fuse_ref.analysis.formulas import at_least_zero, deciding_slice, open_slice, slice_length, written_variables
from fuse_ref.analysis.graph import groups
from fuse_ref.analysis.lengths import Fixed, Length, floor_divide, linear, maximum, minimum, times
from fuse_ref.analysis.limits import Limit, ScopeTable, Slot, affine_part, highest, likely_cure, limits, lowest, unsized
from fuse_ref.analysis.loose import declared_alone, declared_size, stream_axis
from fuse_ref.analysis.sizes import Known, written_by_gathers
from fuse_ref.errors import FuseError
from fuse_ref.ir.index import Affine, SliceIndex
from fuse_ref.ir.nodes import Tensor
from fuse_ref.ir.variables import index_variables
from fuse_ref.mistakes import mistake
from fuse_ref.records import dataclass

__all__ = ["AxisNode", "LengthNode", "Node", "RangeNode", "Solution", "Solver"]


@dataclass(frozen=True, slots=True)
class AxisNode:
    """The length of an axis that is not stepped."""

    axis: str


@dataclass(frozen=True, slots=True)
class LengthNode:
    """The length of one tensor along a stepped axis."""

    tensor: str
    position: int


@dataclass(frozen=True, slots=True)
class RangeNode:
    """How many positions a variable runs over in one scope."""

    scope: int
    variable: str


Node: TypeAlias = AxisNode | LengthNode | RangeNode


@dataclass
class Solution:
    lengths: dict[Node, Length] = field(default_factory=dict)
    # Slots that were kept inside when a range was found: (scope, slot key, "above" or "below").
    kept_inside: set[tuple[int, object, str]] = field(default_factory=set)
    # Ranges that limits gave: the limits, for the check that they are not empty.
    limited: dict[RangeNode, list[Limit]] = field(default_factory=dict)
    # Lengths that several computed tensors give to one axis: (where, length), the first one counts.
    given_twice: dict[str, list[tuple[str, Length]]] = field(default_factory=dict)
    unsized: list[FuseError] = field(default_factory=list)


class Solver:
    """Solves all unknowns of a program."""

    def __init__(self, known: Known, tables: Sequence[ScopeTable]) -> None:
        self.known = known
        self.tables = tables
        self.solution = Solution()
        self.limits: dict[RangeNode, list[Limit]] = {}
        self.declared: dict[RangeNode, Fixed] = {}  # of letters that stand at no tensor by themselves
        # Per tensor: the slots that equations write, with their scope; per position.
        self.writes: dict[tuple[str, int], list[tuple[int, Slot]]] = {}
        self.reads: dict[tuple[str, int], list[tuple[int, Slot]]] = {}
        for number, table in enumerate(tables):
            for variable in table.variables:
                node = RangeNode(number, variable)
                self.limits[node] = limits(table, known, variable)
                declared = declared_alone(table, self.limits[node], known, variable)
                if declared is not None:
                    self.declared[node] = declared
            for slot in table.writes:
                assert slot.tensor is not None
                self.writes.setdefault((slot.tensor, slot.position), []).append((number, slot))
            for slot in table.reads:
                if slot.tensor is not None:
                    self.reads.setdefault((slot.tensor, slot.position), []).append((number, slot))
        self.positions: dict[str, list[tuple[str, int]]] = {}
        for tensor in known.program.tensors:
            for position, axis in enumerate(tensor.axes):
                self.positions.setdefault(axis, []).append((tensor.name, position))

    def groups(self) -> list[tuple[tuple[Node, ...], bool]]:
        """The unknowns in the order to solve them, grouped: (members, whether they need themselves)."""
        nodes: list[Node] = []
        for axis in self.known.program.axes:
            if axis.stepped:
                nodes.extend(LengthNode(t, p) for t, p in self.positions.get(axis.name, ()))
            else:
                nodes.append(AxisNode(axis.name))
        nodes.extend(self.limits)
        needs = {node: self.needs(node) for node in nodes}
        return [(members, len(members) > 1 or members[0] in needs[members[0]]) for members in groups(nodes, needs)]

    # What each unknown needs ----------------------------------------------------------------------

    def length_node(self, tensor: str, position: int) -> Node:
        """The unknown that says how long `tensor` is along `position`."""
        axis = self.known.axes[self.known.tensors[tensor].axes[position]]
        return LengthNode(tensor, position) if axis.stepped else AxisNode(axis.name)

    def fixed_by_axis(self, node: RangeNode) -> AxisNode | None:
        """The axis whose length is the variable's range, or None where reads decide it."""
        table = self.tables[node.scope]
        name = table.axis.get(node.variable)
        if name is None or self.known.axes[name].stepped:
            return None
        if name in self.known.declared or node.variable in table.alone or self.is_given(name):
            return AxisNode(name)
        return None

    def given(self, axis: str) -> list[tuple[str, int]]:
        """Positions of given tensors and literals on `axis`."""
        return [place for place in self.positions.get(axis, ()) if place in self.known.lengths]

    def is_given(self, axis: str) -> bool:
        """Whether a given tensor or a literal says how long an axis is."""
        return bool(self.given(axis)) or self.known.literal_size(axis) is not None

    def needs(self, node: Node) -> tuple[Node, ...]:
        match node:
            case RangeNode():
                return self._range_needs(node)
            case LengthNode(tensor, position):
                return self._length_needs(tensor, position)
            case AxisNode(axis):
                return self._axis_needs(axis)
            case _:
                assert_never(node)

    def _range_needs(self, node: RangeNode) -> tuple[Node, ...]:
        fixed = self.fixed_by_axis(node)
        if fixed is not None:
            return (fixed,)
        if node in self.declared:
            return ()
        table = self.tables[node.scope]
        found: dict[Node, None] = {}
        if node.variable in table.slices:
            slot = deciding_slice(table, node.variable)
            if slot.tensor is not None and not open_slice(slot.index):
                found[self.length_node(slot.tensor, slot.position)] = None
        for limit in self.limits[node]:
            if limit.slot.tensor is not None:
                found[self.length_node(limit.slot.tensor, limit.slot.position)] = None
            found.update((RangeNode(node.scope, v), None) for v, _ in limit.others)
        if node.variable in table.produced:
            for part in table.produced[node.variable].parts:
                found.update((RangeNode(node.scope, v), None) for v in part.variables)
        axis = table.axis.get(node.variable)
        made = node.variable in table.produced
        if not found and not made and axis is not None and not self.known.axes[axis].stepped:
            found[AxisNode(axis)] = None
        return tuple(found)

    def _length_needs(self, tensor: str, position: int) -> tuple[Node, ...]:
        spec = self.known.tensors[tensor]
        if spec.axes[position] in self.known.declared:
            return ()
        if (tensor, position) in self.known.lengths and not self._computed(spec):
            return ()
        # A parameter without a declaration is as long as its reads need.
        slots = self.reads if spec.role == "param" else self.writes
        return self._slot_ranges(slots.get((tensor, position), ()))

    def _slot_ranges(self, slots: Sequence[tuple[int, Slot]]) -> tuple[Node, ...]:
        found: dict[Node, None] = {}
        for scope, slot in slots:
            found.update((RangeNode(scope, v), None) for v in written_variables(slot))
        return tuple(found)

    def _axis_needs(self, axis: str) -> tuple[Node, ...]:
        if axis in self.known.declared:
            return ()
        slots = [(s, slot) for s, slot, plain in self.contributions(axis) if not plain or not self.is_given(axis)]
        return self._slot_ranges(slots)

    def contributions(self, axis: str) -> list[tuple[int, Slot, bool]]:
        """Writes that give `axis` a length: (scope, slot, whether the slot is a plain variable)."""
        found = []
        for tensor, position in self.positions.get(axis, ()):
            for scope, slot in self.writes.get((tensor, position), ()):
                variable = slot.index.variable if isinstance(slot.index, Affine) else None
                if variable is None:
                    if written_variables(slot) or (index_variables(slot.index) and affine_part(slot.index)):
                        found.append((scope, slot, False))
                elif variable not in self.tables[scope].alone and self._has_limits(scope, variable):
                    found.append((scope, slot, True))
        return found

    def _has_limits(self, scope: int, variable: str) -> bool:
        table = self.tables[scope]
        return bool(self.limits[RangeNode(scope, variable)]) or variable in table.produced

    @staticmethod
    def _computed(spec: Tensor) -> bool:
        return spec.role == "computed"

    # What each unknown is -------------------------------------------------------------------------

    def value(self, node: Node) -> Length:
        """The unknown's formula; everything it needs is solved."""
        match node:
            case RangeNode():
                return self._range(node)
            case LengthNode(tensor, position):
                return self._length(tensor, position)
            case AxisNode(axis):
                return self._axis(axis)
            case _:
                assert_never(node)

    def _range(self, node: RangeNode) -> Length:
        fixed = self.fixed_by_axis(node)
        if fixed is not None:
            return self.solution.lengths[fixed]
        if node in self.declared:
            return self.declared[node]
        table = self.tables[node.scope]
        if node.variable in table.slices:
            return self._slice_range(table, node.variable)
        found = self.limits[node]
        made = self.produced_length(node)
        if not found and made is None:
            return self.unlimited(node)
        lengths = [self.limit_length(limit, node.scope) for limit in found]
        return self.limited(node, found, lengths if made is None else [*lengths, made])

    def produced_length(self, node: RangeNode) -> Length | None:
        """How many positions a function makes along the variable; None when none does."""
        produced = self.tables[node.scope].produced.get(node.variable)
        if produced is None:
            return None
        lengths = self.solution.lengths
        parts = []
        for part in produced.parts:
            factors = [lengths[RangeNode(node.scope, v)] for v in part.variables]
            parts.append((times([*factors, Fixed(part.count)]), 1))
        return linear(parts)

    def limited(self, node: RangeNode, found: list[Limit], lengths: list[Length]) -> Length:
        """The range that limits leave; records them for checks."""
        self.solution.limited[node] = found
        self.keep(node.scope, found)
        return at_least_zero(minimum(lengths))

    def keep(self, scope: int, found: Sequence[Limit]) -> None:
        """Notes that the slots of these limits stay inside."""
        self.solution.kept_inside.update((scope, limit.slot.key, side) for limit in found for side in limit.sides)

    def ranges(self, scope: int) -> dict[str, Length]:
        """The ranges of one scope that are known so far."""
        lengths = self.solution.lengths
        return {v: lengths[node] for v in self.tables[scope].variables if (node := RangeNode(scope, v)) in lengths}

    def slot_length(self, slot: Slot) -> Length:
        """How many positions there are where `slot` reads or writes."""
        if slot.tensor is None:
            return Fixed(slot.size)
        return self.solution.lengths[self.length_node(slot.tensor, slot.position)]

    def limit_length(self, limit: Limit, scope: int) -> Length:
        """The positions of the variable for which the slot stays inside, before clamping at 0."""
        ranges = self.ranges(scope)
        others = Affine(limit.others, 0)
        if limit.coefficient > 0:
            last = linear([(self.slot_length(limit.slot), limit.divisor)], -1 - limit.form.offset)
            room = linear([(last, 1), (highest(others, ranges), -1)])
        else:
            room = linear([(lowest(others, ranges), 1)], limit.form.offset)
        step = abs(limit.coefficient)
        return floor_divide(linear([(room, 1)], step), step)

    def _slice_range(self, table: ScopeTable, variable: str) -> Length:
        slot = deciding_slice(table, variable)
        assert isinstance(slot.index, SliceIndex)
        return slice_length(slot.index, lambda: self.slot_length(slot))

    def unlimited(self, node: RangeNode) -> Length:
        """Nothing read keeps the variable: its axis does, a given tensor on it, or a constant read."""
        table = self.tables[node.scope]
        axis = table.axis.get(node.variable)
        if axis is not None and not self.known.axes[axis].stepped:
            return self.solution.lengths[AxisNode(axis)]
        if axis is not None:
            if axis in self.known.declared:
                return Fixed(self.known.declared[axis].size)
            shortest = self.shortest_given(axis)
            if shortest is not None:
                return shortest
            needed = max((self.constant_read(t, p) for t, p in self.positions[axis]), default=0)
            if needed:
                return Fixed(needed)
        if node.variable in table.virtual:
            return self.shortest_given(stream_axis(table, self.known, node.variable)) or Fixed(1)  # a call is one step
        loose = declared_size(table, self.known, node.variable)
        if loose is None:
            self.no_source(node.variable, table)
        return loose or Fixed(1)

    def shortest_given(self, axis: str) -> Length | None:
        return minimum(self.known.lengths[place] for place in self.given(axis)) if self.given(axis) else None

    def constant_read(self, tensor: str, position: int) -> int:
        """How many positions the constant reads of a tensor need; 0 without one."""
        found = [
            slot.index.offset + 1
            for _, slot in self.reads.get((tensor, position), ())
            if isinstance(slot.index, Affine) and slot.index.is_constant
        ]
        return max(found, default=0)

    def no_source(self, variable: str, table: ScopeTable) -> None:
        """Notes that nothing says how far a variable runs."""
        self.solution.unsized.append(unsized(table, variable))

    def _length(self, tensor: str, position: int) -> Length:
        spec = self.known.tensors[tensor]
        computed = self._computed(spec)
        if (tensor, position) in self.known.lengths and not computed:
            return self.known.lengths[tensor, position]
        axis = spec.axes[position]
        if axis in self.known.declared:
            return Fixed(self.known.declared[axis].size)
        slots = self.reads if spec.role == "param" else self.writes
        ends = [self.written_length(scope, slot) for scope, slot in slots.get((tensor, position), ())]
        found = [end for end in ends if end is not None]
        if (tensor, position) in self.known.lengths:
            found.append(self.known.lengths[tensor, position])
        if not found:
            return self._unsized_axis(axis, tensor)
        return maximum(found)

    def _unsized_axis(self, axis: str, tensor: str) -> Length:
        """No equation gives a length: the axis's symbols and facts do, or there is none."""
        least = self.known.axes[axis].least
        if least:
            return Fixed(least)
        letter, span = axis.partition("#")[0], self.known.span(tensor)
        cure = likely_cure(self.tables, tensor, axis)
        error = mistake("FUSE152", span, cure=cure, variable=letter, letter=letter.rstrip("'"))
        self.solution.unsized.append(written_by_gathers(self.known, axis) or error)
        return Fixed(1)

    def written_length(self, scope: int, slot: Slot) -> Length | None:
        """The last position that `slot` reaches, plus 1; None where it says nothing."""
        index = slot.index
        if isinstance(index, SliceIndex):
            length = self.solution.lengths[RangeNode(scope, index.variable)]
            start = index.start or 0
            return None if start < 0 else linear([(length, index.step)], start + 1 - index.step)
        parts = affine_part(index)
        if parts is None:
            return None
        form, divisor = parts
        if form.is_constant:
            return Fixed(form.offset // divisor + 1)
        last = highest(form, self.ranges(scope))
        return at_least_zero(floor_divide(linear([(last, 1)], divisor), divisor))

    def _axis(self, axis: str) -> Length:
        least = self.known.axes[axis].least
        if axis in self.known.declared:
            return Fixed(self.known.declared[axis].size)
        # A tensor is as long as what its equations write together; the tensors of an axis are alike.
        written: dict[tuple[str | None, int], tuple[str, list[Length]]] = {}
        for scope, slot, plain in self.contributions(axis):
            if plain and self.is_given(axis):
                continue  # the given tensor fixes the variable's range
            length = self.written_length(scope, slot)
            if length is not None:
                where = f"{slot.tensor} (line {self.tables[scope].scope.span.line})"
                written.setdefault((slot.tensor, slot.position), (where, []))[1].append(length)
        found = [(where, maximum(lengths)) for where, lengths in written.values()]
        self.solution.given_twice[axis] = found
        literal = self.known.literal_size(axis)
        if literal is not None:
            return Fixed(literal[0])
        lengths = [self.known.lengths[place] for place in self.given(axis)]
        if lengths:
            return next((length for length in lengths if isinstance(length, Fixed)), lengths[0])
        if found:
            return maximum([found[0][1], Fixed(least)]) if least else found[0][1]
        return self._unsized_axis(axis, self.positions[axis][0][0])
