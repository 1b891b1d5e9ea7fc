"""Checks on sizes: what holds for every call, what only a call can tell, and what never holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fuse_ref.analysis.calls import call_findings
from fuse_ref.analysis.findings import Finding
from fuse_ref.analysis.formulas import slice_length
from fuse_ref.analysis.lengths import (
    Extent,
    Fixed,
    FloorDivide,
    Length,
    Linear,
    Maximum,
    Minimum,
    Times,
    evaluate,
    floor_divide,
    linear,
    maximum,
)
from fuse_ref.analysis.limits import Limit, Slot, affine_part, highest
from fuse_ref.analysis.sizes import because, size_cure
from fuse_ref.analysis.solve import AxisNode, RangeNode, Solver
from fuse_ref.errors import FuseError
from fuse_ref.ir.index import Affine, FromEnd, SliceIndex
from fuse_ref.mistakes import mistake
from fuse_ref.source import Span

__all__ = ["Finding", "failure", "find_checks", "is_open"]


def is_open(length: Length) -> bool:
    """Whether a formula depends on the shapes of a call."""
    match length:
        case Fixed():
            return False
        case Extent():
            return True
        case Linear(terms, _):
            return any(is_open(item) for item, _ in terms)
        case FloorDivide(numerator, _):
            return is_open(numerator)
        case Minimum(items) | Maximum(items) | Times(items):
            return any(is_open(item) for item in items)


def _number(length: Length) -> int:
    return evaluate(length, lambda tensor, position: 0)


def failure(finding: Finding, number: Callable[[Length], int]) -> FuseError:
    """The error of a check that failed; `number` tells the value of a length."""
    words: dict[str, object] = dict(finding.words)
    words.update((name, number(length)) for name, length in finding.values)
    if finding.candidates:
        place, size = max(((place, number(length)) for place, length in finding.candidates), key=lambda c: c[1])
        words.update(expected=size, other=because(place))
    return mistake(finding.code, finding.span, cure=size_cure(finding.code, words), **words)


def find_checks(solver: Solver, errors: list[FuseError]) -> tuple[Finding, ...]:
    """All checks; those that never hold become errors, those that always hold are left out."""
    kept: list[Finding] = []
    seen: set[tuple[Length, str, Length]] = set()
    for finding in (
        *_axes(solver),
        *_constants(solver),
        *_slices(solver),
        *_ranges(solver),
        *_concatenated(solver),
        *call_findings(solver),
    ):
        key = (finding.actual, finding.relation, finding.expected)
        if finding.actual == finding.expected or key in seen:
            continue
        seen.add(key)
        if is_open(finding.actual) or is_open(finding.expected):
            kept.append(finding)
            continue
        actual, expected = _number(finding.actual), _number(finding.expected)
        if actual == expected if finding.relation == "==" else actual >= expected:
            continue
        errors.append(failure(finding, _number))
    return tuple(kept)


# Axes ---------------------------------------------------------------------------------------------


def _axes(solver: Solver) -> Iterator[Finding]:
    for axis in solver.known.program.axes:
        if axis.stepped:
            yield from _stepped(solver, axis.name)
        else:
            yield from _same_length(solver, axis.name)
        yield from _least(solver, axis.name)


def _same_length(solver: Solver, axis: str) -> Iterator[Finding]:
    """Every given tensor on the axis has its length, and so has what equations write."""
    known = solver.known
    length = solver.solution.lengths[AxisNode(axis)]
    declared = known.declared.get(axis)
    literal = known.literal_size(axis)
    places = solver.given(axis)
    if declared is not None:
        reason = declared.reason
    elif literal is not None:
        reason = literal[1]
    elif places:
        first = next((place for place in places if known.lengths[place] == length), places[0])
        reason = known.place(first[0])
        if sum(tensor == first[0] for tensor, _ in places) > 1:
            reason = f"index {first[1] + 1} of {reason}"
    else:
        yield from _computed(solver, axis)
        return
    for tensor, position in places:
        actual = known.lengths[tensor, position]
        where = known.place(tensor)
        if sum(tensor == other for other, _ in places) > 1:
            where = f"index {position + 1} of {where}"  # A[i, i], or i <= j beside A[i, j]
        words = (("axis", axis), ("tensor", where), ("other", because(reason)))
        values = (("actual", actual), ("expected", length))
        given = (tensor, position, axis)
        yield Finding(actual, "==", length, "FUSE150", words, values, reason, known.span(tensor), given)
    if declared is None:
        for where, written in solver.solution.given_twice.get(axis, ()):
            yield _two_lengths(solver, axis, where, written, reason, length)


def _computed(solver: Solver, axis: str) -> Iterator[Finding]:
    found = solver.solution.given_twice.get(axis, [])
    for where, length in found[1:]:
        yield _two_lengths(solver, axis, where, length, found[0][0], found[0][1])


def _two_lengths(solver: Solver, axis: str, where: str, length: Length, other: str, expected: Length) -> Finding:
    letter = axis.partition("#")[0]
    words = (("axis", axis), ("tensor", where), ("other", other), ("letter", letter))
    values = (("actual", length), ("expected", expected))
    name = where.partition(" ")[0]
    span = solver.known.span(name) if name in solver.known.tensors else None
    return Finding(length, "==", expected, "FUSE164", words, values, other, span, variable=letter)


def _stepped(solver: Solver, axis: str) -> Iterator[Finding]:
    """Given tensors on a stepped axis differ by at most the largest offset."""
    known = solver.known
    candidates = [(known.place(t), known.lengths[t, p]) for t, p in solver.given(axis)]
    if axis in known.declared:
        candidates.insert(0, (known.declared[axis].reason, Fixed(known.declared[axis].size)))
    if len(candidates) < 2:
        return
    reach = _reach(solver, axis)
    for tensor, position in solver.given(axis):
        actual = known.lengths[tensor, position]
        if axis in known.declared:
            declared = Fixed(known.declared[axis].size)
            yield Finding(
                declared,
                ">=",
                linear([(actual, 1)], -reach),
                "FUSE157",
                (
                    ("axis", axis),
                    ("tensor", known.place(tensor)),
                    ("reach", str(reach)),
                    ("other", because(known.declared[axis].reason)),
                ),
                (("actual", actual), ("expected", declared)),
                known.place(tensor),
                known.span(tensor),
                variable=axis,
            )
        others = [(place, length) for place, length in candidates if length != actual]
        if not others:
            continue
        expected = linear([(maximum([length for _, length in others]), 1)], -reach)
        words = (("axis", axis), ("tensor", known.place(tensor)), ("reach", str(reach)))
        yield Finding(
            actual,
            ">=",
            expected,
            "FUSE157",
            words,
            (("actual", actual),),
            " and ".join(place for place, _ in others),
            known.span(tensor),
            (tensor, position, axis),
            tuple(others),
        )


def _reach(solver: Solver, axis: str) -> int:
    """The largest offset at which tensors on the axis are read or written."""
    reach = 0
    for place in solver.positions.get(axis, ()):
        for _, slot in (*solver.reads.get(place, ()), *solver.writes.get(place, ())):
            parts = affine_part(slot.index)
            if parts is not None and len(parts[0].terms) == 1 and parts[0].terms[0][1] == 1:
                reach = max(reach, abs(parts[0].offset))
    return reach


def _least(solver: Solver, axis: str) -> Iterator[Finding]:
    """Facts and constant indices on left-hand sides need so many positions."""
    known = solver.known
    spec = known.axes[axis]
    if spec.least == 0 or spec.stepped:
        return
    for tensor, position in solver.given(axis):
        actual = known.lengths[tensor, position]
        words = (("axis", axis), ("tensor", known.place(tensor)))
        values = (("actual", actual), ("expected", Fixed(spec.least)))
        reason = "facts and constant indices"
        given = (tensor, position, axis)
        yield Finding(actual, ">=", Fixed(spec.least), "FUSE158", words, values, reason, known.span(tensor), given)


# Reads --------------------------------------------------------------------------------------------


def _slots(solver: Solver) -> Iterator[tuple[int, Slot]]:
    for number, table in enumerate(solver.tables):
        for slot in table.reads:
            yield number, slot


def _constants(solver: Solver) -> Iterator[Finding]:
    """A constant read beyond the end of a tensor is an error."""
    for number, slot in _slots(solver):
        match slot.index:
            case Affine(terms, offset) if not terms and offset >= 0:
                position, needed = str(offset), offset + 1
            case FromEnd(distance):
                position, needed = f"-{distance}", distance
            case _:
                continue
        length = solver.slot_length(slot)
        axis = "" if slot.tensor is None else solver.known.tensors[slot.tensor].axes[slot.position]
        words = (("read", slot.text), ("position", position), ("tensor", slot.tensor or "the literal"))
        given = None
        if slot.tensor is not None and (slot.tensor, slot.position) in solver.known.lengths:
            length = solver.known.lengths[slot.tensor, slot.position]
            given = (slot.tensor, slot.position, axis)
        span = solver.tables[number].scope.span
        yield Finding(
            length, ">=", Fixed(needed), "FUSE154", words, (("have", length),), slot.text, span, given, variable=axis
        )


def _slices(solver: Solver) -> Iterator[Finding]:
    """Slices of one equation have one length and end within their tensors."""
    for number, table in enumerate(solver.tables):
        span = table.scope.span
        for variable, slots in table.slices.items():
            range_length = solver.solution.lengths[RangeNode(number, variable)]
            reads = [slot for slot in slots if slot not in table.writes]
            first = (reads or slots)[0]
            for slot in slots:
                assert isinstance(slot.index, SliceIndex)
                if slot in reads or (slot.index.stop is not None and slot.index.stop >= 0):
                    length = slice_length(slot.index, lambda slot=slot: solver.slot_length(slot))  # type: ignore[misc]
                    words = (("first", first.text), ("second", slot.text))
                    values = (("have", range_length), ("need", length))
                    yield Finding(
                        range_length, "==", length, "FUSE159", words, values, slot.text, span, variable="slice"
                    )
                if slot in reads:
                    yield from _slice_end(solver, slot, span)


def _slice_end(solver: Solver, slot: Slot, span: Span) -> Iterator[Finding]:
    assert isinstance(slot.index, SliceIndex)
    bounds = [b if b >= 0 else -b for b in (slot.index.start, slot.index.stop) if b is not None]
    needed = max(bounds, default=0)
    if needed:
        length = solver.slot_length(slot)
        axis = "" if slot.tensor is None else solver.known.tensors[slot.tensor].axes[slot.position]
        words = (("read", slot.text), ("position", str(needed - 1)), ("tensor", slot.tensor or "the literal"))
        yield Finding(
            length, ">=", Fixed(needed), "FUSE154", words, (("have", length),), slot.text, span, variable=axis
        )


def _ranges(solver: Solver) -> Iterator[Finding]:
    """A range that reads leave empty, though nothing given is empty, is an error."""
    for node, limits in solver.solution.limited.items():
        for limit in limits:
            if not _trivial(limit):
                yield _fits(solver, node, limit)
            if all(coefficient < 0 for _, coefficient in limit.form.terms):
                yield _reaches(solver, node, limit)


def _trivial(limit: Limit) -> bool:
    """`X[t]`, `X[t-1]`, `X[2*t]`: position 0 fits as soon as there is one. And no step at all is no mistake."""
    return limit.written or (not limit.others and limit.coefficient > 0 and limit.form.offset <= 0)


def _reaches(solver: Solver, node: RangeNode, limit: Limit) -> Finding:
    """The highest position of a read that no range was made for lies inside."""
    length = solver.slot_length(limit.slot)
    need = linear([(floor_divide(highest(limit.form, solver.ranges(node.scope)), limit.divisor), 1)], 1)
    return _never_fits(solver, node, limit, linear([(length, 1), (need, -1)]), need)


def _fits(solver: Solver, node: RangeNode, limit: Limit) -> Finding:
    fitting = solver.limit_length(limit, node.scope)
    ranges = solver.ranges(node.scope)
    rest = Affine(tuple((v, c) for v, c in limit.form.terms if v != node.variable), limit.form.offset)
    need = linear([(floor_divide(highest(rest, ranges), limit.divisor), 1)], 1)
    # Nothing fits into an empty tensor, and that is no mistake: then nothing is read.
    room = maximum([linear([(fitting, 1)], -1), linear([(solver.slot_length(limit.slot), -1)])])
    return _never_fits(solver, node, limit, room, need)


def _never_fits(solver: Solver, node: RangeNode, limit: Limit, room: Length, need: Length) -> Finding:
    slot = limit.slot
    length = solver.slot_length(slot)
    words = (("read", slot.text), ("variable", node.variable), ("tensor", slot.tensor or "the literal"))
    return Finding(
        room,
        ">=",
        Fixed(0),
        "FUSE153",
        words,
        (("have", length), ("need", need)),
        f"{slot.text} fits at no position of {node.variable!r}",
        solver.tables[node.scope].scope.span,
        variable=node.variable,
    )


def _concatenated(solver: Solver) -> Iterator[Finding]:
    """What concat puts together is as long as the axis, where something else says how long that is."""
    for number, table in enumerate(solver.tables):
        for variable, produced in table.produced.items():
            node = RangeNode(number, variable)
            made = solver.produced_length(node)
            if produced.function != "concat" or made is None:
                continue
            length = solver.solution.lengths[node]
            axis = table.axis.get(variable, variable)
            words = (("axis", axis),)
            values = (("actual", made), ("expected", length))
            span = table.scope.span
            yield Finding(made, "==", length, "FUSE145", words, values, "concat", span, variable=variable)
