"""Steps along an axis: a loop of Python where code runs eagerly, torch's `scan` where it is compiled.

The graph of one step is a function of its own: what the steps before have made, this step's slices, and whole tensors
go in, this step's values come out. A number of steps that is known and small (layers of a network) is unrolled in
compiled code too.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch.fx import Graph, Node

from fuse_ref.analysis.lengths import Length, linear
from fuse_ref.ir.nodes import Dtype
from fuse_ref.plan.dataflow import reads
from fuse_ref.plan.reading import read_outside
from fuse_ref.plan.steps import Carry, DenseOperation, LiteralArray, Plan, Recurrence, Slice, Step
from fuse_torch.logic.view import extents_of
from fuse_torch.lowering.emitter import Emitter, Size, Value, identifier

__all__ = ["body_operations", "lower_recurrence"]

# So many steps are written out in compiled code: a scan keeps inductor from fusing across steps, and more
# steps take longer to compile than they save.
_UNROLLED: Final = 16

LowerOne = Callable[[Emitter, DenseOperation], Value]
_Tensors = tuple[torch.Tensor, ...]


def lower_recurrence(emit: Emitter, plan: Plan, step: Step, lower_one: LowerOne) -> None:
    """Writes the steps; each tensor of the group that something else reads becomes a value of `emit`.

    Args:
        lower_one: writes an operation.
    """
    made = step.recurrence
    assert made is not None
    inner = _Inner(emit, plan, made)
    body = inner.graph(lower_one)
    steps = emit.maximum(emit.size(made.steps), 0)
    windows = tuple(node for carry in made.carries for node in _window(emit, made, carry))
    sequences = tuple(_sequence(emit, made, item, steps) for item in made.slices)
    shapes = tuple(
        tuple(emit.size(length) for length in _without(carry.output.lengths, carry.dimension)) for carry in made.carries
    )
    loop = _loop_of(made, body, unrolled=isinstance(steps, int) and steps <= _UNROLLED)
    found = emit.call(loop, windows, sequences, tuple(inner.outer), shapes, steps)
    kept = [carry for carry in made.carries if carry.kept]
    for number, carry in enumerate(kept):
        stacked = emit.call(operator.getitem, found, number)
        node = _placed(emit, made, carry, stacked, steps)
        node._rename(identifier(carry.output.out))
        emit.define(carry.output.out, Value(node, carry.output.lengths, carry.output.dtype))


def _body_reads(body: Sequence[Step]) -> Iterator[str]:
    """The values that a body reads and does not make."""
    known: set[str] = set()
    for step in body:
        if step.recurrence is not None:
            yield from (name for name in read_outside(step.recurrence) if name not in known)
            known.update(carry.output.out for carry in step.recurrence.carries)
        for operation in step.operations:
            yield from (name for name in reads(operation) if name not in known)
            known.add(operation.output.out)


def body_operations(made: Recurrence) -> Iterator[DenseOperation]:
    """All operations of a step, those of recurrences inside included."""
    for step in made.body:
        yield from step.operations
        if step.recurrence is not None:
            yield from body_operations(step.recurrence)


def _without(lengths: tuple[Length, ...], dimension: int) -> tuple[Length, ...]:
    return (*lengths[:dimension], *lengths[dimension + 1 :])


# The graph of one step ----------------------------------------------------------------------------


@dataclass
class _Inner:
    """One step as a graph. Its placeholders: windows, slices, then what it takes whole."""

    emit: Emitter
    plan: Plan
    made: Recurrence

    def __post_init__(self) -> None:
        self.outer: list[Node] = []  # what it takes whole

    def graph(self, lower_one: LowerOne) -> Graph:
        made, outside = self.made, self.emit
        graph = Graph()
        inner = Emitter(graph)
        for carry in made.carries:
            lengths = _without(carry.output.lengths, carry.dimension)
            for distance, name in enumerate(carry.backs, 1):
                node = graph.placeholder(identifier(name or f"{carry.own}_{distance}"))
                if name:
                    inner.define(name, Value(node, lengths, carry.output.dtype))
        for item in made.slices:
            known = outside.values[item.value]
            node = graph.placeholder(identifier(item.name))
            inner.define(item.name, Value(node, _without(known.lengths, item.dimension), known.dtype))
        whole = [name for name in _body_reads(made.body) if name not in inner.values and name not in self._own()]
        known_values = [*inner.values.values(), *(outside.values[name] for name in whole if name in outside.values)]
        lengths = tuple(length for value in known_values for length in value.lengths)
        sized = sorted({extent.tensor for extent in extents_of((made.body, made.carries, lengths))})
        for name in dict.fromkeys([*whole, *sized]):
            if name in outside.values:
                known = outside.values[name]
                self.outer.append(known.node)
                inner.define(name, Value(graph.placeholder(identifier(name)), known.lengths, known.dtype))
            else:  # a relation that only its shape is needed of
                self.outer.append(outside.shapes[name])
                inner.shapes[name] = graph.placeholder(identifier(name))
        for operation in (item for step in made.body for item in step.operations):
            if isinstance(operation, LiteralArray):
                self._constant(inner, operation)
        assert outside.reference is not None
        self.outer.append(outside.reference)
        inner.reference = inner.anchor = graph.placeholder("reference")
        for step in made.body:
            if step.recurrence is not None:
                lower_recurrence(inner, self.plan, step, lower_one)
            for operation in step.operations:
                if not isinstance(operation, LiteralArray):
                    inner.define(operation.output.out, lower_one(inner, operation))
        graph.output(tuple(inner.values[carry.own].node for carry in made.carries))
        graph.eliminate_dead_code()
        graph.lint()
        return graph

    def _constant(self, inner: Emitter, operation: LiteralArray) -> None:
        """A number, made once before the steps."""
        (value,) = operation.values
        output = operation.output
        self.outer.append(self.emit.full((), value, output.dtype))
        inner.define(output.out, Value(inner.graph.placeholder(identifier(output.out)), (), output.dtype))

    def _own(self) -> set[str]:
        return {carry.own for carry in self.made.carries}


# What the loop begins with, and what it leaves ----------------------------------------------------


def _window(emit: Emitter, made: Recurrence, carry: Carry) -> list[Node]:
    """What 1, 2, … steps before the first one made: positions of the base, and 0 outside of the tensor."""
    reach, dimension, lengths = len(carry.backs), carry.dimension, carry.output.lengths
    if not reach:
        return []
    if not carry.base and carry.neutral == 0:
        sizes = tuple(emit.size(length) for length in _without(lengths, dimension))
        return [emit.full(sizes, 0, carry.output.dtype)] * reach
    pads = {dimension: (reach, 0) if made.direction == 1 else (0, reach)}
    padded = emit.padded(_base(emit, carry), len(lengths), pads, 0)
    length = emit.size(lengths[dimension])
    found = []
    for distance in range(1, reach + 1):
        # Positions of the padded base: where there are no steps, the first one may lie beyond its end.
        place = linear([(carry.start, 1)], reach - distance if made.direction == 1 else distance)
        last = emit.add(length, reach - 1)
        found.append(emit.call(torch.select, padded, dimension, emit.minimum(emit.size(place), last)))
    return found


def _base(emit: Emitter, carry: Carry) -> Node:
    if carry.base:
        return emit.values[carry.base].node
    sizes = tuple(emit.size(length) for length in carry.output.lengths)
    return emit.full(sizes, carry.neutral, carry.output.dtype)


def _sequence(emit: Emitter, made: Recurrence, item: Slice, steps: Size) -> Node:
    """What the steps see of a value, one behind the other along the first dimension, by position."""
    value = emit.values[item.value]
    low = _lowest(emit, made, item.start, steps)
    node = value.node
    base = made.direction == -1 and any(item.value == carry.base for carry in made.carries)
    if not item.inside or base:  # of a base, what lies where steps write, before the first position too
        length = emit.size(value.lengths[item.dimension])
        after = emit.subtract(emit.add(low, steps), length)
        node = emit.padded(node, len(value.lengths), {item.dimension: (emit.subtract(0, low), after)}, 0)
    else:
        node = emit.call(torch.narrow, node, item.dimension, low, steps)
    return node if item.dimension == 0 else emit.call(torch.movedim, node, item.dimension, 0)


def _lowest(emit: Emitter, made: Recurrence, start: Length, steps: Size) -> Size:
    first = emit.size(start)
    return first if made.direction == 1 else emit.add(emit.subtract(first, steps), 1)


def _placed(emit: Emitter, made: Recurrence, carry: Carry, stacked: Node, steps: Size) -> Node:
    """The whole tensor: the positions that steps made, between those that they did not."""
    dimension = carry.dimension
    node = stacked if dimension == 0 else emit.call(torch.movedim, stacked, 0, dimension)
    low = _lowest(emit, made, carry.start, steps)
    length = emit.size(carry.output.lengths[dimension])
    after = emit.subtract(length, emit.add(low, steps))
    if low == 0 and (after == 0 or made.steps == carry.output.lengths[dimension]):
        return node
    if carry.base:
        base = emit.values[carry.base].node
        if made.direction == -1 or len(made.carries) > 1:
            # What steps write before the first position and behind the last is dropped: others of the group go on.
            first, last = (emit.maximum(emit.subtract(0, size), 0) for size in (low, after))
            inside = emit.subtract(steps, emit.add(first, last))
            node = emit.call(torch.narrow, node, dimension, first, inside)
            low, after = emit.maximum(low, 0), emit.maximum(after, 0)
        begin = emit.call(torch.narrow, base, dimension, 0, low)
        end = emit.call(torch.narrow, base, dimension, emit.subtract(length, after), after)
        parts = [part for part, size in ((begin, low), (node, None), (end, after)) if size != 0]
        return emit.call(torch.cat, tuple(parts), dimension)
    return emit.padded(node, len(carry.output.lengths), {dimension: (low, after)}, carry.neutral)


# The loop -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Steps:
    """One step, as generated code, and what is to be done with what it makes."""

    forward: Callable[..., _Tensors]
    reaches: tuple[int, ...]  # of each tensor
    kept: tuple[int, ...]  # the tensors that are collected
    dtypes: tuple[Dtype, ...]  # of those
    backward: bool

    def shifted(self, windows: Sequence[torch.Tensor], own: _Tensors) -> Iterator[torch.Tensor]:
        """The windows of the next step."""
        place = 0
        for value, reach in zip(own, self.reaches, strict=True):
            if reach:
                yield value
                yield from windows[place : place + reach - 1]
            place += reach

    def nothing(self, reference: torch.Tensor, shapes: Sequence[Sequence[int]]) -> Iterator[torch.Tensor]:
        """What no step makes, in the precision of `reference`."""
        for number, dtype in zip(self.kept, self.dtypes, strict=True):
            known = {"float": reference.dtype, "int64": torch.int64, "bool": torch.bool}[dtype]
            yield reference.new_zeros((0, *shapes[number]), dtype=known)

    def in_python(self, windows: _Tensors, sequences: _Tensors, given: _Tensors, steps: int) -> list[_Tensors]:
        """What each step makes of the tensors that are kept, by position."""
        slices = [sequence.unbind(0) for sequence in sequences]
        found = []
        for number in reversed(range(steps)) if self.backward else range(steps):
            own = self.forward(None, *windows, *(item[number] for item in slices), *given)
            windows = tuple(self.shifted(windows, own))
            found.append(tuple(own[k] for k in self.kept))
        return found[::-1] if self.backward else found

    def by_scan(self, windows: _Tensors, sequences: _Tensors, given: _Tensors, steps: int) -> _Tensors:
        # Loaded here: it brings Dynamo, which is there already where code is compiled.
        from torch._higher_order_ops.scan import scan

        # It goes along something, also where steps see nothing of the outside.
        along = list(sequences) or [torch.arange(steps, device=given[-1].device)]

        # Results may be no arguments and must not share memory; carries keep their strides.
        def combine(carried: list[torch.Tensor], slices: list[torch.Tensor]) -> tuple[Any, Any]:
            own = self.forward(None, *carried, *(slices if sequences else ()), *given)
            following = [_own_memory(item) for item in self.shifted(carried, own)]
            return following, [_own_memory(own[k]) for k in self.kept]

        starts = [_own_memory(window) for window in windows]
        _, found = scan(combine, starts, along, dim=0, reverse=self.backward)
        return tuple(found)


def _own_memory(value: torch.Tensor) -> torch.Tensor:
    return value.clone(memory_format=torch.contiguous_format)


def _loop_of(made: Recurrence, body: Graph, *, unrolled: bool) -> Callable[..., _Tensors]:
    """The function that takes the steps of a recurrence whose one step is `body`."""
    names = [carry.output.out for carry in made.carries]
    code = body.python_code("self")
    scope: dict[str, Any] = dict(code.globals)
    # Our own text: a program's names are in it as identifiers only.
    exec(compile(code.src, f"<fuse step of {', '.join(names)}>", "exec"), scope)
    reaches = tuple(len(carry.backs) for carry in made.carries)
    kept = tuple(number for number, carry in enumerate(made.carries) if carry.kept)
    dtypes = tuple(made.carries[k].output.dtype for k in kept)
    one = _Steps(scope["forward"], reaches, kept, dtypes, made.direction == -1)

    def run(
        windows: _Tensors, sequences: _Tensors, given: _Tensors, shapes: Sequence[Sequence[int]], steps: int
    ) -> _Tensors:
        if not unrolled and torch.compiler.is_compiling() and steps > 0:
            return one.by_scan(windows, sequences, given, steps)
        found = one.in_python(windows, sequences, given, steps)
        if not found:
            return tuple(one.nothing(given[-1], shapes))
        return tuple(torch.stack(values) for values in zip(*found, strict=True))

    # Generated code finds functions by their names, which must differ within a graph.
    run.__name__ = run.__qualname__ = "steps_of_" + re.sub(r"\W", "_", "_".join(names), flags=re.ASCII)
    return run
