"""From what a program means to the plan that engines run."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from fuse_ref.analysis.check import Checked, check_program
from fuse_ref.analysis.dependencies import Group
from fuse_ref.analysis.extents import Finding
from fuse_ref.analysis.lengths import Extent, linear
from fuse_ref.analysis.recurrence import Cycle
from fuse_ref.analysis.shapes import Shapes
from fuse_ref.analysis.sizes import axes_of_letter, unknown_axis
from fuse_ref.errors import FuseError
from fuse_ref.ir.nodes import ProgramIR, Read
from fuse_ref.ir.variables import reads
from fuse_ref.mistakes import mistake
from fuse_ref.plan.bounds import find_bounds
from fuse_ref.plan.dense_logic import doubled, loop_steps
from fuse_ref.plan.estimates import OPEN_SIZE, Estimates
from fuse_ref.plan.logic import contribution
from fuse_ref.plan.lower import Definition, lower_sink, lower_tensor
from fuse_ref.plan.passes import improve
from fuse_ref.plan.recurrent import recurrent
from fuse_ref.plan.references import Tensors
from fuse_ref.plan.relational import Relational, is_positive, read_by_logic, sparse_relations
from fuse_ref.plan.sampling import Sampling
from fuse_ref.plan.schedule import schedule
from fuse_ref.plan.steps import DenseOperation, Plan, RangeCheck, Shape, SizeCheck, Step
from fuse_ref.plan.streams import find_streams
from fuse_ref.plan.values import Builder, Unsupported

__all__ = ["build_plan"]

Mode = Literal["auto", "single", "fixpoint", "demand"]


def build_plan(
    program: ProgramIR,
    *,
    sizes: Mapping[str, int] | None = None,
    hints: Mapping[str, int] | None = None,
    given: Mapping[str, Sequence[int]] | None = None,
    mode: Mode = "auto",
    disabled_passes: Collection[str] = (),
    dense_logic: bool = False,
    relations: Collection[str] = (),
    sampling: Sampling | None = None,
) -> Plan:
    """The plan of `program`; it serves every batch size.

    Args:
        program: what to plan.
        sizes: axis letter -> size; each means exactly a line `axis letter = size`.
        hints: axis letter -> size that contraction orders assume while the axis is open; 128 without.
        given: tensor -> shape, for weights and sources whose shape is known now.
        mode: "single" refuses cycles that are no recurrence; "fixpoint" iterates every cycle.
        disabled_passes: names of `fuse_ref.plan.passes.NAMES` that do not run.
        relations: Boolean inputs and sources that come as tuples, whatever reads them.
        dense_logic: rules become dense operations on truth values.
        sampling: sums and averages with many terms are estimated.

    Raises:
        AxisError: sizes that do not fit each other or the text, or an index without a size.
        ConfigError: mode="single" and a cycle that needs a fixpoint.
        StratificationError, SafetyError: rules without a meaning.
        DtypeError: a class target that holds no classes.
    """
    checked = check_program(program, sizes=sizes, given=given)
    _raise_first(checked.errors or checked.unsized)
    planner = _Planner(program, checked, hints or {}, given or {}, mode, dense_logic, frozenset(relations), sampling)
    return improve(planner.plan(), planner.estimates, disabled=disabled_passes)


def _raise_first(errors: Sequence[FuseError]) -> None:
    if errors:
        first, *others = errors
        first.others = tuple(others)
        raise first


class _Planner:
    def __init__(
        self,
        program: ProgramIR,
        checked: Checked,
        hints: Mapping[str, int],
        given: Mapping[str, Sequence[int]],
        mode: Mode,
        dense_logic: bool,
        relations: frozenset[str],
        sampling: Sampling | None,
    ) -> None:
        self.dense_logic = dense_logic
        self.written = program
        self.streams = find_streams(program, checked)
        self.program = self.streams.program
        self.checked = self.streams.checked
        self.given = given
        self.mode = mode
        self.relations = relations
        shapes = checked.shapes
        known = shapes.known
        bounds = find_bounds(self.program, self.checked.shapes.equations)
        tensors = Tensors(known.tensors, known.axes, shapes.tensors, checked.dtypes, bounds, sampling=sampling)
        self.tensors = self.streams.tensors(tensors)
        self.hints = self._hints(hints, shapes)
        self.estimates = Estimates(self._assumed())

    def plan(self) -> Plan:
        needed = self._needed()
        counted = {*needed, *self.streams.counters(needed)}
        steps = [*self._loads(needed), *self._tensor_steps(needed), *self._answers(), *self._stores()]
        size_checks, range_checks = _checks(self.checked.shapes.checks)
        roles = [(tensor.name, tensor.role) for tensor in self.program.tensors]
        weights = tuple(name for name, role in roles if role == "free" and name in self.given)
        inputs = [name for name, role in roles if role == "input"]
        free = [name for name, role in roles if role == "free" and name not in self.given]
        return Plan(
            program=self.written,
            steps=tuple(_merged(schedule(steps))),
            shapes=tuple(Shape(name, self.tensors.shapes[name]) for name in self.checked.shapes.tensors),
            size_checks=size_checks,
            range_checks=range_checks,
            givens=(*inputs, *free),
            parameters=tuple(name for name, role in roles if role == "param"),
            sources=tuple(name for name, role in roles if role == "source"),
            weights=weights,
            sizes=self.checked.shapes.known.added,
            hints=self.hints,
            streams=tuple(self.streams.described(n, self.tensors) for n in self.streams.windows if n in counted),
        )

    # Sizes that are assumed -----------------------------------------------------------------------

    def _hints(self, hints: Mapping[str, int], shapes: Shapes) -> tuple[tuple[str, int], ...]:
        """What each open axis is taken to be."""
        by_axis: dict[str, int] = {}
        for letter, size in hints.items():
            found = axes_of_letter(self.program, letter)
            if not found:
                raise unknown_axis(self.program, letter, "hints")
            by_axis.update((axis.name, size) for axis in found)
        open_axes = {
            axis: None
            for tensor in self.program.tensors
            for axis, length in zip(tensor.axes, shapes.tensors[tensor.name], strict=True)
            if isinstance(length, Extent)
        }
        return tuple((axis, by_axis.get(axis, OPEN_SIZE)) for axis in open_axes)

    def _assumed(self) -> dict[tuple[str, int], int]:
        sizes = dict(self.hints)
        return {
            (tensor.name, position): sizes.get(axis, OPEN_SIZE)
            for tensor in self.program.tensors
            for position, axis in enumerate(tensor.axes)
        }

    # What is observed -----------------------------------------------------------------------------

    def _needed(self) -> set[str]:
        """Tensors that exports, queries and sinks depend on; nobody can see the others."""
        wanted = [*self.program.exports, *(query.target.tensor for query in self.program.queries)]
        wanted.extend(read.tensor for sink in self.program.sinks for read in reads(sink.body))
        dependencies = self.checked.dependencies
        needed: set[str] = set()
        while wanted:
            name = wanted.pop()
            if name in needed:
                continue
            needed.add(name)
            for number in dependencies.definitions.get(name, ()):
                wanted.extend(a.tensor for a in dependencies.reads[number] if a.tensor is not None)
        return needed

    # Steps ----------------------------------------------------------------------------------------

    def _loads(self, needed: set[str]) -> list[Step]:
        return [
            Step("Load", (i,), (), (equation.target.tensor,), "host", "a file", span=equation.span)
            for i, equation in enumerate(self.program.equations)
            if equation.kind == "source" and equation.target.tensor in needed
        ]

    def _tensor_steps(self, needed: set[str]) -> list[Step]:
        logical = read_by_logic(self.program, self.checked, self.tensors, needed)
        sparse = sparse_relations(self.program, self.checked, self.tensors, needed, logical | self.relations)
        self.tensors = replace(
            self.tensors, sparse=frozenset() if self.dense_logic else sparse, counts=self.dense_logic
        )
        self.relational = Relational(self.program, self.checked, self.tensors, self.estimates)
        steps: list[Step] = []
        for group in self.checked.dependencies.groups:
            sources = all(self.program.equations[i].kind == "source" for i in group.equations)
            if not sources and any(name in needed for name in group.tensors):
                made = self._steps(group, logical)
                steps.extend(made)
                if not any(step.unsupported for step in made):
                    streams = [name for name in group.tensors if name in self.streams.windows]
                    steps.extend(step for name in streams for step in self.streams.left(name, self.tensors))
        for name in self.streams.counters(needed):
            group = Group((name,), (), (), False)
            steps.extend([*self._dense(group, name, "positions of a stream"), *self.streams.left(name, self.tensors)])
        return steps

    def _steps(self, group: Group, logical: set[str]) -> list[Step]:
        cycle = self.checked.cycles.get(group.tensors)
        span = self.program.equations[group.equations[0]].span
        common = (group.equations, group.needs, group.tensors)
        boolean = all(self.tensors.specs[name].boolean for name in group.tensors)
        if cycle is not None:
            if (
                cycle.kind == "recurrence"
                and self.mode != "fixpoint"
                and not is_positive(self.checked, self.tensors, group)
            ):
                route: Literal["dense", "streaming"] = "streaming" if cycle.virtual else "dense"
                return self._recurrence(Step("Recurrence", *common, route, cycle.reason, span=span), cycle)
            if self.mode == "single":
                raise mistake("FUSE162", span, tensors=" and ".join(group.tensors), reason=cycle.reason)
            if boolean and self.dense_logic:
                return self._loop(Step("Fixpoint", *common, "logical", cycle.reason, span=span))
            if boolean:
                return self.relational.logical(Step("Fixpoint", *common, "logical", cycle.reason, span=span))
            step = Step("Fixpoint", *common, "numeric", cycle.reason, span=span)
            return self.relational.relaxing(step) or self.relational.iterating(step)
        (name,) = group.tensors
        spec = self.tensors.specs[name]
        if name in self.streams.unsupported or (name in self.streams.windows and spec.boolean):
            step = Step("Recurrence", *common, "streaming", f"{name} is a stream", span=span)
            return [replace(step, unsupported=self._unsupported(group.tensors))]
        if name in self.streams.windows:
            return self._dense(group, name, f"{name} is a stream")
        kinds = {self.program.equations[i].kind for i in group.equations}
        if spec.boolean and not self.dense_logic and (not kinds <= {"fact", "literal"} or name in logical):
            reason = "facts of the text" if kinds <= {"fact", "literal"} else "acyclic, Boolean head"
            return self.relational.logical(Step("Relation", *common, "logical", reason, span=span))
        reason = "written in the text" if kinds <= {"fact", "literal"} else "acyclic, numeric head"
        return self._dense(group, name, reason)

    def _dense(self, group: Group, name: str, reason: str) -> list[Step]:
        span = next((self.program.equations[i].span for i in group.equations), None)
        counters = self.streams.counters((*group.tensors, *group.needs))
        step = Step("Dense", group.equations, (*group.needs, *counters), group.tensors, "dense", reason, span=span)
        definitions = self._definitions(group.equations, (name,))
        try:
            builder = lower_tensor(name, definitions, self.tensors, self.estimates.number)
            told = tuple(
                filter(None, (contribution(item, self.tensors) for item in definitions if self.tensors.sparse))
            )
            step = replace(step, contributions=told)
        except Unsupported as why:
            return [replace(step, unsupported=str(why))]
        return [*self.relational.joins(step, builder), self.relational.measured(step, builder)]

    def _definitions(self, equations: Sequence[int], tensors: Sequence[str]) -> list[Definition]:
        """The equations of some tensors, and those that put the state of streams in front of them."""
        found = [Definition(self.program.equations[i], self.checked.shapes.equations[i]) for i in equations]
        return [*found, *(item for name in tensors for item in self.streams.definitions(name, self.tensors))]

    def _unsupported(self, tensors: Sequence[str]) -> str:
        """Why tensors that move along an axis cannot run yet; "" where they can."""
        if any(self.tensors.specs[name].boolean for name in tensors) and not self.dense_logic:
            return "relations along an axis do not run yet"
        return next((self.streams.unsupported[name] for name in tensors if name in self.streams.unsupported), "")

    def _recurrence(self, step: Step, cycle: Cycle) -> list[Step]:
        reason = self._unsupported(step.writes)
        if reason:
            return [replace(step, unsupported=reason)]
        readers = self.checked.dependencies.readers
        observed = {*self.program.exports, *(query.target.tensor for query in self.program.queries)}
        observed.update(read.tensor for sink in self.program.sinks for read in reads(sink.body))
        observed.update(name for name in step.writes if set(readers.get(name, ())) - set(step.equations))
        observed.update(name for name in step.writes if self.streams.definitions(name, self.tensors))
        definitions = self._definitions(step.equations, step.writes)

        def finish(dense: Step, builder: Builder, tensors: Tensors) -> list[Step]:
            relational = replace(self.relational, tensors=tensors)
            return [*relational.joins(dense, builder), relational.measured(dense, builder)]

        try:
            return recurrent(step, definitions, cycle.along, self.tensors, self.estimates.number, finish, observed)
        except Unsupported as why:
            return [replace(step, unsupported=str(why))]

    def _loop(self, step: Step) -> list[Step]:
        """Relations that need each other, as rounds of dense operations."""
        equations = [self.program.equations[i] for i in step.equations]
        operations: list[DenseOperation] = []
        written = dict(zip(step.equations, doubled(equations), strict=True))
        for name in step.writes:
            definitions = [
                Definition(equation, self.checked.shapes.equations[i])
                for i, equation in written.items()
                if equation.target.tensor == name
            ]
            try:
                operations.extend(lower_tensor(name, definitions, self.tensors, self.estimates.number).operations)
            except Unsupported as why:
                return [replace(step, unsupported=str(why))]
        return loop_steps(step, operations)

    def _answers(self) -> list[Step]:
        steps = []
        for number, query in enumerate(self.program.queries):
            name = query.target.tensor
            steps.append(Step("Answer", (number,), (name,), (), "host", query.text, span=query.span))
        return steps

    def _stores(self) -> list[Step]:
        steps = []
        for number, sink in enumerate(self.program.sinks):
            names = tuple(dict.fromkeys(read.tensor for read in reads(sink.body)))
            step = Step("Store", (number,), names, (), "host", f"to {sink.path}", span=sink.span)
            shapes = self.checked.shapes.sinks[number]
            if not self._whole(sink.body, sink.variables):
                hidden = f"sink~{number}"
                try:
                    builder = lower_sink(hidden, sink, shapes, self.tensors, self.estimates.number)
                    steps.extend(self.relational.joins(step, builder))
                    step = self.relational.measured(replace(step, writes=(hidden,)), builder)
                except Unsupported as why:
                    step = replace(step, unsupported=str(why))
            steps.append(step)
        return steps

    def _whole(self, body: object, variables: tuple[str, ...]) -> bool:
        """Whether a sink writes a tensor just as it is."""
        if not isinstance(body, Read) or (body.boolean and not self.tensors.specs[body.tensor].boolean):
            return False
        plain = tuple(getattr(index, "variable", None) for index in body.indices)
        return plain == variables and len(plain) == len(self.tensors.specs[body.tensor].axes)


def _merged(steps: Sequence[Step]) -> list[Step]:
    """Neighbouring dense equations share one step; one that cannot run stands alone, so that errors name it."""
    merged: list[Step] = []
    for step in steps:
        last = merged[-1] if merged else None
        if last is not None and last.kind == step.kind == "Dense" and not last.unsupported and not step.unsupported:
            reads = (*last.reads, *(name for name in step.reads if name not in (*last.reads, *last.writes)))
            merged[-1] = replace(
                last,
                equations=(*last.equations, *step.equations),
                reads=reads,
                writes=(*last.writes, *step.writes),
                reason=last.reason if last.reason == step.reason else "acyclic, numeric head",
                operations=(*last.operations, *step.operations),
                contractions=(*last.contractions, *step.contractions),
                sampled=(*last.sampled, *step.sampled),
                contributions=(*last.contributions, *step.contributions),
                flops=last.flops + step.flops,
                largest=max(last.largest, step.largest),
            )
        else:
            merged.append(step)
    return merged


def _checks(findings: Sequence[Finding]) -> tuple[tuple[SizeCheck, ...], tuple[RangeCheck, ...]]:
    sizes: list[SizeCheck] = []
    ranges: list[RangeCheck] = []
    for found in findings:
        if found.given is not None and isinstance(found.actual, Extent):
            tensor, position, axis = found.given
            sizes.append(
                SizeCheck(
                    tensor,
                    position,
                    axis,
                    found.relation,
                    found.expected,
                    found.reason,
                    found.span,
                    found.code,
                    found.words,
                    found.values,
                    found.candidates,
                )
            )
            continue
        # The parts of an equality; the first that is negative tells both lengths.
        lengths = [linear([(found.actual, 1), (found.expected, -1)])]
        if found.relation == "==":
            lengths.append(linear([(found.expected, 1), (found.actual, -1)]))
        for length in lengths:
            ranges.append(
                RangeCheck(found.variable, length, found.reason, found.span, found.code, found.words, found.values)
            )
    return tuple(sizes), tuple(ranges)
