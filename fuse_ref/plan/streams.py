"""Streams as stored axes: what a run begins with is given, and what the next one needs is a result.

A call over T positions computes a stream as a tensor with that many positions more. In front of them stands the state:
what was there before the call, as far back as any equation reads.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from fuse_ref.analysis.check import Checked
from fuse_ref.analysis.formulas import greatest
from fuse_ref.analysis.lengths import Fixed, Length, linear, minimum
from fuse_ref.analysis.shapes import ScopeShapes
from fuse_ref.ir.index import Affine, FromEnd, Gather, Index, SliceIndex, Symbol, Virtual, plain
from fuse_ref.ir.nodes import (
    Call,
    Compare,
    Equation,
    Expr,
    Number,
    Position,
    ProgramIR,
    Project,
    Read,
    Sum,
    Tensor,
)
from fuse_ref.ir.operations import NEUTRAL
from fuse_ref.ir.rebuilding import with_parts
from fuse_ref.ir.variables import children, reads
from fuse_ref.plan.lower import Definition
from fuse_ref.plan.operations import DenseOperation, Operand, Output, Permute, ReadIndex
from fuse_ref.plan.operations import Index as IndexOperation
from fuse_ref.plan.reading import with_filters
from fuse_ref.plan.references import Tensors
from fuse_ref.plan.steps import Step, Stream
from fuse_ref.plan.values import Unsupported
from fuse_ref.records import dataclass

__all__ = ["Streams", "find_streams"]


@dataclass(frozen=True, slots=True)
class _Window:
    """Where a stream's positions stand."""

    dimension: int
    before: int  # positions before the first that something reads
    ahead: int  # positions of the state from the first on: the equations write behind them
    advance: Length  # how many positions a call moves on
    fixed: bool  # equations write fixed positions
    counts: str = ""  # the stream whose positions it counts
    size: Length = Fixed(0)  # and how many there are


@dataclass(frozen=True, slots=True)
class Streams:
    """The program as it is planned, and what must be known of its streams."""

    program: ProgramIR
    checked: Checked
    windows: Mapping[str, _Window]
    unsupported: Mapping[str, str]  # stream -> why it cannot run yet

    def tensors(self, tensors: Tensors) -> Tensors:
        """`tensors` with streams as they are planned, and with what runs give and take of them."""
        specs, shapes, dtypes = dict(tensors.specs), dict(tensors.shapes), dict(tensors.dtypes)
        for name, window in self.windows.items():
            if window.counts:
                axis = specs[window.counts].axes[self.windows[window.counts].dimension]
                specs[name] = Tensor(name, (axis,), False, "int64", "computed", "=", None, None, ())
                shapes[name], dtypes[name] = (window.size,), "int64"
            spec, place = specs[name], window.dimension
            lengths = list(shapes[name])
            lengths[place] = linear([(lengths[place], 1)], window.before)
            specs[name], shapes[name] = replace(spec, virtual=None), tuple(lengths)
            axes = (spec.axes[place], *spec.axes[:place], *spec.axes[place + 1 :])
            state, fresh = _state(name), _fresh(name)
            specs[state] = replace(spec, name=state, axes=axes, virtual=None, role="free", operator="=")
            shapes[state] = self._lengths(name, tuple(lengths))
            dtypes[state] = dtypes[name]
            specs[fresh] = replace(specs[state], name=fresh, axes=(), boolean=True, dtype="bool")
            shapes[fresh], dtypes[fresh] = (), "bool"
        return replace(tensors, specs=specs, shapes=shapes, dtypes=dtypes)

    def _lengths(self, name: str, lengths: tuple[Length, ...]) -> tuple[Length, ...]:
        window = self.windows[name]
        place = window.dimension
        return (Fixed(window.before + window.ahead), *lengths[:place], *lengths[place + 1 :])

    def definitions(self, name: str, tensors: Tensors) -> list[Definition]:
        """The equation that puts the state in front of a stream; none where it has none."""
        window = self.windows.get(name)
        if window is None or window.before + window.ahead == 0:
            return []
        lengths = tensors.shapes[_state(name)]
        variables = tuple(f"{name}~{k}" for k in range(len(lengths)))
        first, rest = variables[0], variables[1:]
        ordered = (*rest[: window.dimension], first, *rest[window.dimension :])
        boolean = tensors.specs[name].boolean
        body = Read(_state(name), tuple(map(plain, variables)), boolean)
        target = Read(name, tuple(map(plain, ordered)), boolean)
        span = next(e.span for e in self.program.equations if e.target.tensor == (window.counts or name))
        scope = self.checked.shapes.equations[0].scope
        if window.counts:
            # From where the call before ended, one by one.
            start = Read(_state(name), (Affine((), 0),), False)
            counted = Equation(target, "=", Sum((Position(first), start)), "equation", span)
            return [Definition(counted, ScopeShapes(scope, {first: tensors.shapes[name][0]}, {}, frozenset()))]
        equation = Equation(target, tensors.specs[name].operator, body, "equation", span)
        return [Definition(equation, ScopeShapes(scope, dict(zip(variables, lengths, strict=True)), {}, frozenset()))]

    def counters(self, needed: Collection[str]) -> list[str]:
        """Streams that count the positions of those that are needed."""
        return [name for name, window in self.windows.items() if window.counts in needed]

    def described(self, name: str, tensors: Tensors) -> Stream:
        """What a plan says of the stream."""
        window = self.windows[name]
        held = window.before + window.ahead > 0
        neutral = float(NEUTRAL[tensors.specs[name].operator])
        return Stream(
            name,
            _state(name) if held else "",
            f"{name}~kept" if held else "",
            _fresh(name) if window.fixed else "",
            f"{name}~last" if name in self.program.exports else "",
            tensors.shapes[_state(name)],
            neutral,
            tensors.dtypes[name],
        )

    def left(self, name: str, tensors: Tensors) -> list[Step]:
        """The step that gives a stream's last position, and its state for the next run; none where neither is asked."""
        window, stream = self.windows[name], self.described(name, tensors)
        lengths, dtype = tensors.shapes[name], tensors.dtypes[name]
        place = window.dimension
        labels = tuple(f"{k}" for k in range(len(lengths)))
        whole = [ReadIndex(((label, 1),), Fixed(0), True) for label in labels]
        others = (*labels[:place], *labels[place + 1 :])
        rest = (*lengths[:place], *lengths[place + 1 :])
        operations: list[DenseOperation] = []
        if stream.last:
            last = list(whole)
            last[place] = ReadIndex((), linear([(lengths[place], 1)], -1), True)
            operations.append(IndexOperation(Output(stream.last, others, rest, dtype), name, tuple(last)))
        if stream.kept:
            kept = list(whole)
            kept[place] = ReadIndex(((labels[place], 1),), window.advance, True)
            made = Output(f"{name}~window", labels, (*lengths[:place], stream.lengths[0], *lengths[place + 1 :]), dtype)
            operations.append(IndexOperation(made, name, tuple(kept)))
            output = Output(stream.kept, (labels[place], *others), stream.lengths, dtype)
            operations.append(Permute(output, Operand(made.out, labels)))
        if not operations:
            return []
        writes = tuple(operation.output.out for operation in operations)
        return [Step("Dense", (), (name,), writes, "dense", f"what is left of {name}", operations=tuple(operations))]


def _state(name: str) -> str:
    return f"{name}~state"


def _position(name: str) -> str:
    return f"{name}~position"


def _fresh(name: str) -> str:
    return f"{name}~fresh"


def find_streams(program: ProgramIR, checked: Checked) -> Streams:
    """The streams of a program, and the program with stored axes in their place."""
    streams = {tensor.name: tensor for tensor in program.tensors if tensor.virtual is not None}
    if not streams:
        return Streams(program, checked, {}, {})
    unsupported: dict[str, str] = {}
    windows: dict[str, _Window] = {}
    found = _before(program, streams)
    for name in streams:
        try:
            windows[name] = _window(name, program, checked, streams, found[name])
        except Unsupported as why:
            unsupported[name] = str(why)
    equations, shapes = [], []
    for equation, scope in zip(program.equations, checked.shapes.equations, strict=True):
        counters = _counters(equation, streams)
        for variable, own in counters.items():
            if own in windows:
                known = windows.get(_position(own))
                size = greatest([scope.ranges[variable], linear([(windows[own].advance, 1)], 1)])
                size = size if known is None else greatest([size, known.size])
                windows[_position(own)] = _Window(0, 0, 1, windows[own].advance, False, own, size)
        counters = {variable: own for variable, own in counters.items() if own in windows}
        written, moved = _written(equation, scope, windows, counters)
        equations.append(written)
        shapes.append(moved)
    sinks = tuple(replace(sink, body=_rewritten(sink.body, windows, {})) for sink in program.sinks)
    changed = replace(checked.shapes, equations=tuple(shapes))
    return Streams(
        replace(program, equations=tuple(equations), sinks=sinks),
        replace(checked, shapes=changed),
        windows,
        unsupported,
    )


def _before(program: ProgramIR, streams: Mapping[str, Tensor]) -> dict[str, int]:
    """For each stream how many positions before its first something reads."""
    found = dict.fromkeys(streams, 0)
    bodies = [*(e.body for e in program.equations), *(s.body for s in program.sinks)]
    for read in (read for body in bodies for read in reads(body)):
        if read.tensor in streams:
            index = read.indices[streams[read.tensor].virtual or 0]
            match index:
                case Virtual(_, offset) | Affine(_, offset):
                    found[read.tensor] = max(found[read.tensor], -offset)
                case _:
                    pass
    return found


def _window(
    name: str, program: ProgramIR, checked: Checked, streams: Mapping[str, Tensor], before: int
) -> _Window:  # fmt: skip
    place = streams[name].virtual
    assert place is not None
    ahead: set[int] = set()
    fixed = False
    for equation in program.equations:
        if equation.target.tensor == name:
            match equation.target.indices[place]:
                case Virtual(_, offset):
                    ahead.add(offset)
                case Affine((), _):
                    fixed = True
                case _:
                    raise Unsupported(f"{name} is a stream, and an equation writes it at computed positions")
    if len(ahead) != 1 or min(ahead) < 0:
        raise Unsupported(f"the equations of the stream {name} do not write one position in front of another")
    return _Window(place, before, min(ahead), _advance(name, program, checked, streams, ()), fixed)


def _advance(
    name: str, program: ProgramIR, checked: Checked, streams: Mapping[str, Tensor], above: Sequence[str]
) -> Length:
    """How many positions a call moves a stream on: the range of an equation that writes ahead of what it reads.

    One that only reads streams runs to their last position, which the next call sees again.
    """
    place = streams[name].virtual
    assert place is not None
    ranges: list[Length] = []
    others: dict[str, None] = {}
    for equation, shapes in zip(program.equations, checked.shapes.equations, strict=True):
        index = equation.target.indices[place] if equation.target.tensor == name else None
        if isinstance(index, Virtual):
            if index.offset > 0:
                return shapes.ranges[index.variable]
            ranges.append(shapes.ranges[index.variable])
            others.update((r.tensor, None) for r in reads(equation.body) if r.tensor in streams and r.tensor != name)
    for other in others:
        if other not in above:
            return minimum([_advance(other, program, checked, streams, (*above, name)), greatest(ranges)])
    return greatest(ranges)


# Rewriting ----------------------------------------------------------------------------------------


def _written(
    equation: Equation, shapes: ScopeShapes, windows: Mapping[str, _Window], counters: Mapping[str, str]
) -> tuple[Equation, ScopeShapes]:  # fmt: skip
    target, body = _moved(equation.target, windows), _rewritten(equation.body, windows, counters)
    name = equation.target.tensor
    window = windows.get(name)
    kind = equation.kind
    if equation.operator != "=":
        # A combination that reads below the very first position does not count.
        filters = tuple(
            Compare(">=", Read(_position(own), (plain(variable),), False), Number(low))
            for variable, own in counters.items()
            if (low := _lowest(equation.body, variable, windows)) > 0
        )
        body = with_filters(filters, body) if filters else body
    if window is not None and isinstance(equation.target.indices[window.dimension], Affine):
        fresh = Read(_fresh(name), (), True)
        started = Call("where", (fresh, body, Number(0)), None, ())
        body = started if equation.operator == "=" else with_filters((fresh,), body)
        kind = "equation"
    kept: set[tuple[object, str]] = {
        ((_position(own), 0, 0, plain(variable)), "above") for variable, own in counters.items()
    }
    for key, side in shapes.kept:
        assert isinstance(key, tuple)
        tensor, size, place, index = key
        own = windows.get(tensor)
        if own is not None and place == own.dimension:
            index = _index(index, own.before, windows)
        kept.add(((tensor, size, place, index), side))
    return (
        Equation(target, equation.operator, body, kind, equation.span),
        ScopeShapes(shapes.scope, shapes.ranges, shapes.axis_of, frozenset(kept)),
    )


def _rewritten(expr: Expr, windows: Mapping[str, _Window], counters: Mapping[str, str]) -> Expr:
    match expr:
        case Read():
            return _moved(expr, windows)
        case Position(variable) if variable in counters:
            return Read(_position(counters[variable]), (plain(variable),), False, expr.span)
        case Project(variables=bound):
            counters = {variable: own for variable, own in counters.items() if variable not in bound}
        case _:
            pass
    return with_parts(expr, lambda part: _rewritten(part, windows, counters))


def _moved(read: Read, windows: Mapping[str, _Window]) -> Read:
    window = windows.get(read.tensor)
    indices = tuple(
        _index(index, window.before if window is not None and k == window.dimension else 0, windows)
        for k, index in enumerate(read.indices)
    )
    return Read(read.tensor, indices, read.boolean, read.span)


def _index(index: Index, before: int, windows: Mapping[str, _Window]) -> Index:
    match index:
        case Virtual(variable, offset):
            return Affine(((variable, 1),), offset + before)
        case Gather(read, offset):
            return Gather(_moved(read, windows), offset + before)
        case Affine(terms, offset):
            return Affine(terms, offset + before)
        case SliceIndex(start=start, stop=stop) if before:
            begin = (start or 0) + before if (start or 0) >= 0 else start
            return replace(index, start=begin, stop=stop if stop is None or stop < 0 else stop + before)
        case FromEnd() | Symbol() | SliceIndex():
            return index
        case _:
            return replace(
                index, numerator=replace(index.numerator, offset=index.numerator.offset + before * index.divisor)
            )


def _counters(equation: Equation, streams: Mapping[str, Tensor]) -> dict[str, str]:
    """For each variable of a stream whose position stands in the equation as a number, that stream."""
    counted = {node.variable for node in _nodes(equation.body) if isinstance(node, Position)}
    if equation.operator != "=":
        indices = (index for read in reads(equation.body) for index in read.indices)
        counted.update(index.variable for index in indices if isinstance(index, Virtual) and index.offset < 0)
    found: dict[str, str] = {}
    for read in (equation.target, *reads(equation.body)):
        place = None if read.tensor not in streams else streams[read.tensor].virtual
        index = None if place is None else read.indices[place]
        if isinstance(index, Virtual) and index.variable in counted:
            found.setdefault(index.variable, read.tensor)
    return found


def _lowest(expr: Expr, variable: str, windows: Mapping[str, _Window]) -> int:
    """How far below `variable` streams are read; reads under a projection of their own do not count."""
    if isinstance(expr, Project):
        return 0
    own = expr.indices if isinstance(expr, Read) and expr.tensor in windows else ()
    found = [-index.offset for index in own if isinstance(index, Virtual) and index.variable == variable]
    return max([0, *found, *(_lowest(part, variable, windows) for part in children(expr))])


def _nodes(expr: Expr) -> Iterator[Expr]:
    yield expr
    for child in children(expr):
        yield from _nodes(child)
