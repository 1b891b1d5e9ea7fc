"""Groups that run in order along an axis, as steps: what is made before, and what each step computes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from fuse_ref.analysis.formulas import greatest, reaches
from fuse_ref.analysis.graph import groups
from fuse_ref.analysis.lengths import Fixed, Length, linear
from fuse_ref.analysis.recurrence import Along
from fuse_ref.analysis.shapes import ScopeShapes
from fuse_ref.ir.index import Affine, FromEnd, plain
from fuse_ref.ir.nodes import Call, Equation, Number, Read
from fuse_ref.ir.operations import NEUTRAL
from fuse_ref.plan.hoisting import Moving, Names, Rewriter
from fuse_ref.plan.lower import Definition, lower_tensor
from fuse_ref.plan.reading import equation_reads, offsets, read_by, read_outside, with_filters
from fuse_ref.plan.references import Tensors
from fuse_ref.plan.relaxing import base_name
from fuse_ref.plan.steps import Carry, Output, Recurrence, Slice, Step
from fuse_ref.plan.values import Builder, Unsupported
from fuse_ref.records import dataclass

__all__ = ["Finish", "recurrent"]

Finish = Callable[[Step, Builder, Tensors], list[Step]]  # a dense step with a builder's operations, and the joins first


@dataclass(frozen=True, slots=True)
class _Moved:
    """An equation that reads the group."""

    equation: Equation
    shapes: ScopeShapes
    variable: str | None  # of the axis on the left-hand side; None where one position is written
    offset: int  # that is added to it, or the position
    lowest: int  # the least value of the variable that counts

    @property
    def length(self) -> Length:
        """How many positions it writes."""
        if self.variable is None:
            return Fixed(1)
        return linear([(self.shapes.ranges[self.variable], 1)], -self.lowest)


def recurrent(
    step: Step,
    definitions: Sequence[Definition],
    along: Sequence[Along],
    tensors: Tensors,
    number: Callable[[Length], int],
    finish: Finish,
    observed: Collection[str],
) -> list[Step]:
    """The steps of a group: what its steps need, then the recurrence.

    Args:
        step: with the tensors of the group as `writes`.
        along: as the analysis found them, for the group and for what still needs itself inside a step.
        number: how many positions a length is taken to be.
        observed: what something outside the group reads.

    Raises:
        Unsupported: no engine can run it yet.
    """
    positions = {name: dict(along[0].positions)[name] for name in step.writes}
    return _Group(step, positions, along[0].direction, along[1:], Names.of(tensors), number, finish, observed).steps(
        definitions
    )


class _Group:
    def __init__(
        self,
        step: Step,
        positions: Mapping[str, int],
        direction: Literal["forward", "backward"],
        inner: Sequence[Along],
        names: Names,
        number: Callable[[Length], int],
        finish: Finish,
        observed: Collection[str],
    ) -> None:
        self.step = step
        self.positions = positions
        self.way: Literal[1, -1] = 1 if direction == "forward" else -1
        self.inner = inner
        self.names = names
        self.known = names.known
        self.number = number
        self.finish = finish
        self.observed = observed
        self.slices: list[Slice] = []
        self.joins: list[Step] = []
        self.backs: dict[str, dict[int, str]] = {name: {} for name in step.writes}
        self.shifts: dict[str, int] = {}
        self.low = 0  # the lowest position, the same for every tensor but its shift
        self.end: Length = Fixed(0)

    def steps(self, definitions: Sequence[Definition]) -> list[Step]:
        group = self.step.writes
        found = [self._moved(item) for item in definitions if self._in_group(item.equation)]
        bases = {
            name: [d for d in definitions if d.equation.target.tensor == name and not self._in_group(d.equation)]
            for name in group
        }
        self.shifts = self._shifts(found)
        starts = [self._start(item) for item in found]
        ends = [linear([(item.length, 1)], start) for item, start in zip(found, starts, strict=True)]
        self.low = min(starts)
        # Forward, what only the group itself reads is not needed beyond the last step that something outside sees.
        last = [end for item, end in zip(found, ends, strict=True) if item.equation.target.tensor in self.observed]
        self.end = greatest(last if last and self.way == 1 else ends)
        self.count = linear([(self.end, 1)], -self.low)
        before = [step for name in group for step in self._base(name, bases[name], self._fixed(name, found))]
        body = self._body(found, bases)
        for builder in self.names.builders:
            before.extend(self._finished(builder, f"before the steps of {', '.join(group)}"))
        carries = tuple(self._carry(name, bool(bases[name])) for name in group)
        made = Recurrence(self.count, self.way, carries, tuple(self.slices), tuple(body))
        return [*self.joins, *before, replace(self.step, reads=read_outside(made), recurrence=made)]

    # Where equations stand --------------------------------------------------------------------------

    def _in_group(self, equation: Equation) -> bool:
        return any(read.tensor in self.positions for read in equation_reads(equation))

    def _moved(self, item: Definition) -> _Moved:
        equation = item.equation
        index = equation.target.indices[self.positions[equation.target.tensor]]
        match index:
            case Affine((), offset):
                return _Moved(equation, item.shapes, None, offset, 0)
            case Affine(((variable, 1),), offset):
                # A combination that reads below 0 does not count.
                below = [] if equation.operator == "=" else offsets(equation.body, variable)
                lowest = max([0, *(-offset for offset in below)])
                return _Moved(equation, item.shapes, variable, offset, lowest)
            case _:
                raise AssertionError(index)

    def _behind(self, item: _Moved, read: Read) -> int | None:
        """How many positions the read lies behind the write, in the direction of the steps; None at a fixed one."""
        name = item.equation.target.tensor
        shift = self.shifts[read.tensor] - self.shifts[name]
        match read.indices[self.positions[read.tensor]]:
            case Affine((), offset) if item.variable is None:
                return (shift + item.offset - offset) * self.way
            case Affine(((_, 1),), offset):
                return (shift + item.offset - offset) * self.way
            case _:
                return None

    def _shifts(self, found: Sequence[_Moved]) -> dict[str, int]:
        """How far ahead each tensor is written: where it can be, a step makes what one value of its variable writes.

        A tensor that is read before it would be made is made earlier; that ends, since every cycle steps back.
        """
        self.shifts = {
            name: next((m.offset for m in found if m.equation.target.tensor == name and m.variable is not None), 0)
            for name in self.positions
        }
        edges = [(m, read) for m in found for read in equation_reads(m.equation) if read.tensor in self.positions]
        waiting = True
        while waiting:
            waiting = False
            for item, read in edges:
                behind = self._behind(item, read)
                if behind is not None and behind < 0:
                    self.shifts[read.tensor] -= behind * self.way
                    waiting = True
        return self.shifts

    def _start(self, item: _Moved) -> int:
        return item.offset + item.lowest - self.shifts[item.equation.target.tensor]

    def _first(self, name: str) -> Length:
        """The position of a tensor that the first step makes."""
        if self.way == 1:
            return Fixed(self.low + self.shifts[name])
        return linear([(self.end, 1)], self.shifts[name] - 1)

    # What stands there already ----------------------------------------------------------------------

    def _fixed(self, name: str, found: Sequence[_Moved]) -> bool:
        """Whether steps read a fixed position of a tensor."""
        own = [(item, read) for item in found for read in equation_reads(item.equation) if read.tensor == name]
        return any(self._behind(item, read) is None for item, read in own)

    def _base(self, name: str, definitions: Sequence[Definition], wanted: bool) -> list[Step]:
        if not definitions and not wanted:
            return []
        spec = self.known.specs[name]
        base = self.names.add(
            base_name(name), self.known.shapes[name], self.known.dtypes[name], axes=spec.axes, operator=spec.operator
        )
        builder = lower_tensor(name, definitions, self.known, self.number, called=base)
        return self._finished(builder, f"what {name} begins with")

    def _meets(self, name: str, definitions: Sequence[Definition]) -> bool:
        """Whether a step makes a position that other equations may write."""
        for item in definitions:
            length = self.known.shapes[name][self.positions[name]]
            index = None if item.equation.kind == "literal" else item.equation.target.indices[self.positions[name]]
            many: Length = Fixed(1)
            match index:
                case Affine((), offset):
                    place: Length = Fixed(offset)
                case Affine(((variable, 1),), offset):
                    place, many = Fixed(offset), item.shapes.ranges[variable]
                case FromEnd(distance):
                    place = linear([(length, 1)], -distance)
                case _:
                    return True
            place = linear([(place, 1)], -self.shifts[name])
            beyond = reaches(place, self.end)
            below = reaches(Fixed(self.low), linear([(place, 1), (many, 1)]))
            if not beyond and not below:
                return True
        return False

    def _carry(self, name: str, based: bool) -> Carry:
        place = self.positions[name]
        spec = self.known.specs[name]
        lengths, dtype = self.known.shapes[name], self.known.dtypes[name]
        labels = tuple(str(k) for k in range(len(lengths)))
        found = self.backs[name]
        backs = tuple(found.get(distance, "") for distance in range(1, max(found, default=0) + 1))
        return Carry(
            Output(name, labels, lengths, dtype),
            place,
            self._own(name),
            backs,
            self._first(name),
            base_name(name) if based else "",
            0.0 if spec.boolean else NEUTRAL[spec.operator],
            name in self.observed,
        )

    # One step ---------------------------------------------------------------------------------------

    def _own(self, name: str) -> str:
        return f"{name}~now"

    def _without(self, name: str) -> tuple[tuple[str, ...], tuple[Length, ...]]:
        place = self.positions[name]
        axes, lengths = self.known.specs[name].axes, self.known.shapes[name]
        return (*axes[:place], *axes[place + 1 :]), (*lengths[:place], *lengths[place + 1 :])

    def _body(self, found: Sequence[_Moved], bases: Mapping[str, Sequence[Definition]]) -> list[Step]:
        group = self.step.writes
        for name in group:
            axes, lengths = self._without(name)
            spec = self.known.specs[name]
            self.names.add(self._own(name), lengths, self.known.dtypes[name], axes=axes, operator=spec.operator)
        rewritten: dict[str, list[Definition]] = {name: [] for name in group}
        for item in found:
            rewritten[item.equation.target.tensor].append(self._rewritten(item))
        for name in group:
            if bases[name] and self._meets(name, bases[name]):
                if self.known.specs[name].operator == "avg=":
                    raise Unsupported(f"an average beside other equations in the recurrence of {name} does not run yet")
                rewritten[name].append(self._base_now(name))
        own = {self._own(name): name for name in group}
        needs = {
            name: [own[r.tensor] for d in rewritten[name] for r in equation_reads(d.equation) if r.tensor in own]
            for name in group
        }
        body: list[Step] = []
        for members in groups(group, needs):
            made = [d for name in members for d in rewritten[name]]
            if len(members) == 1 and members[0] not in needs[members[0]]:
                builder = lower_tensor(self._own(members[0]), made, self.known, self.number)
                body.extend(self._finished(builder, f"one step of {members[0]}"))
            else:
                body.extend(self._inner(members, made))
        return body

    def _inner(self, members: Sequence[str], definitions: Sequence[Definition]) -> list[Step]:
        """What still needs itself inside a step runs along another axis."""
        found = next(k for k, item in enumerate(self.inner) if {name for name, _ in item.positions} == set(members))
        along = self.inner[found]

        def below(name: str, place: int) -> int:
            return place - (place > self.positions[name])

        positions = {self._own(name): below(name, place) for name, place in along.positions}
        rest = [
            Along(
                item.axis,
                item.direction,
                tuple((self._own(n), below(n, p)) for n, p in item.positions if n in self.positions),
                item.reach,
            )
            for k, item in enumerate(self.inner)
            if k != found
        ]
        names = self.names.inner()
        step = replace(self.step, writes=tuple(positions), reads=(), reason=f"{along.direction} along {along.axis}")
        group = _Group(step, positions, along.direction, rest, names, self.number, self.finish, tuple(positions))
        made = group.steps(definitions)
        self.joins.extend(group.joins)
        return [step for step in made if step not in group.joins]

    def _rewritten(self, item: _Moved) -> Definition:
        equation = item.equation
        name = equation.target.tensor
        start = self._start(item)
        always = start <= self.low and reaches(linear([(item.length, 1)], start), self.end)
        offset = self.shifts[name] - item.offset  # from the position of all to the equation's variable
        first = Fixed(self.low + offset) if self.way == 1 else linear([(self.end, 1)], offset - 1)
        rewriter = Rewriter(
            self.names,
            item.shapes,
            Moving(item.variable, first, always),
            lambda read: self._read(item, read),
            self.number,
            counted=equation.operator != "=",
            whole=self.known.dtypes[name] == "int64",
            prefix=name,
        )
        body = rewriter.expr(equation.body)
        if not always:
            active = rewriter.active(start - self.low, item.length, self.count, forward=self.way == 1)
            body = (
                Call("where", (active, body, Number(0)), None, ())
                if equation.operator == "="
                else with_filters((active,), body)
            )
        place = self.positions[name]
        others = (index for k, index in enumerate(equation.target.indices) if k != place)
        indices = tuple(map(rewriter.index, others))
        target = Read(self._own(name), indices, equation.target.boolean, equation.target.span)
        self.slices.extend(rewriter.slices)
        kind = "equation" if equation.kind == "fact" else equation.kind
        shapes = self._shapes(item.shapes)
        return Definition(Equation(target, equation.operator, body, kind, equation.span), shapes)

    def _shapes(self, shapes: ScopeShapes) -> ScopeShapes:
        """What is known of reads holds for the names that the body has for them."""
        kept: set[tuple[object, str]] = set(shapes.kept)
        for key, side in shapes.kept:
            assert isinstance(key, tuple)
            tensor, size, place, index = key
            if tensor in self.positions and place != self.positions[tensor]:
                now = place - (place > self.positions[tensor])
                names = (self._own(tensor), *self.backs[tensor].values())
                kept.update(((name, size, now, index), side) for name in names)
        return ScopeShapes(shapes.scope, shapes.ranges, shapes.axis_of, frozenset(kept))

    def _read(self, item: _Moved, read: Read) -> Read | None:
        """What a step calls a read of the group."""
        if read.tensor not in self.positions:
            return None
        name, place = read.tensor, self.positions[read.tensor]
        others = (*read.indices[:place], *read.indices[place + 1 :])
        behind = self._behind(item, read)
        if behind is None:
            index = read.indices[place]
            assert isinstance(index, Affine)
            if self.way == 1 and index.offset < self.low + self.shifts[name]:
                return Read(base_name(name), read.indices, read.boolean, read.span)  # no step makes it
            raise Unsupported(f"every step of the recurrence of {name} reads one fixed position of it")
        if behind == 0:
            return Read(self._own(name), others, read.boolean, read.span)
        known = self.backs[name].get(behind)
        if known is None:
            axes, lengths = self._without(name)
            known = self.names.add(f"{name}~back{behind}", lengths, self.known.dtypes[name], axes=axes)
            self.backs[name][behind] = known
        return Read(known, others, read.boolean, read.span)

    def _base_now(self, name: str) -> Definition:
        """The equation that gives a step what other equations put at its position."""
        axes, lengths = self._without(name)
        now = self.names.add(self.names.fresh(f"{name}~s"), lengths, self.known.dtypes[name], axes=axes)
        place = self.positions[name]
        self.slices.append(Slice(now, base_name(name), place, self._first(name), True))
        variables = tuple(f"{name}~{k}" for k in range(len(lengths)))
        spec = self.known.specs[name]
        read = Read(now, tuple(map(plain, variables)), spec.boolean)
        target = Read(self._own(name), read.indices, spec.boolean)
        assert self.step.span is not None
        equation = Equation(target, spec.operator, read, "equation", self.step.span)
        ranges = dict(zip(variables, lengths, strict=True))
        scope = ScopeShapes(None, ranges, {}, frozenset())  # type: ignore[arg-type]
        return Definition(equation, scope)

    def _finished(self, builder: Builder, reason: str) -> list[Step]:
        """The dense step of a builder; what joins it needs first goes before all steps."""
        made = builder.operations[-1].output.out
        step = Step("Dense", (), read_by(builder), (made,), "dense", reason, span=self.step.span)
        *joins, dense = self.finish(step, builder, self.known)
        self.joins.extend(joins)
        return [dense]
