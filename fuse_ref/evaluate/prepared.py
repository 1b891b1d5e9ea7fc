"""A plan made ready, and one call of it: what lies between a Runner and an engine's executable."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field, replace
from typing import Final, TypeAlias

from fuse_ref.config import ExecutionConfig
from fuse_ref.evaluate.answer import Answer, answer
from fuse_ref.evaluate.binding import Bound, fitting
from fuse_ref.evaluate.blocks import Blocks, blocks_for, splits_of
from fuse_ref.evaluate.deviations import Estimate, estimates_of
from fuse_ref.evaluate.engine import Array, Engine, Executable
from fuse_ref.evaluate.entries import Kept
from fuse_ref.evaluate.planning import axes_of_sink
from fuse_ref.evaluate.weighing import check_parameters
from fuse_ref.files.paths import Folders
from fuse_ref.files.sinks import Result
from fuse_ref.ir.nodes import Query, Sink, Tensor
from fuse_ref.plan.checks import check_shapes
from fuse_ref.plan.steps import Plan
from fuse_ref.records import dataclass
from fuse_ref.relations.derive import RuleRun

__all__ = ["Call", "Prepared", "answered", "asked", "execute", "written"]

Shapes: TypeAlias = tuple[tuple[int, ...], ...]

_KEPT_SHAPES: Final = 256  # sets of shapes whose checks have passed


@dataclass(frozen=True, slots=True)
class Prepared:
    """A plan made ready for one precision."""

    plan: Plan
    config: ExecutionConfig  # its precision is resolved
    engine: Engine
    executable: Executable
    outputs: tuple[str, ...]  # values that the executable gives
    fixed: dict[str, Array]  # parameters, weights and sources
    sinks: tuple[tuple[Sink, str], ...]  # each with the name of the value that it writes
    queries: tuple[tuple[Query, Tensor], ...]  # each with the tensor that it asks
    # Shapes of the givens whose checks have passed, and how their runs are split.
    passed: dict[Shapes, tuple[Blocks | None]] = field(default_factory=dict)

    def asking(self, plan: Plan, kept: Kept | None) -> Prepared:
        """A plan of one query, ready for the same engine, precision and weights."""
        (question,) = plan.program.queries
        tensor = plan.program.tensor(question.target.tensor)
        outputs = (tensor.name,)
        executable = self.engine.prepare(plan, self.config, outputs, kept)
        fixed = fitting(self.fixed, plan, self.engine, self.config)
        return Prepared(plan, self.config, self.engine, executable, outputs, fixed, (), ((question, tensor),))


@dataclass(slots=True)
class Call:
    """One finished call, for what is asked after it. Inputs are kept for queries, results are not."""

    prepared: Prepared
    bound: Bound
    seconds: float
    step_seconds: tuple[float, ...]
    rule_runs: tuple[RuleRun, ...]
    answers: tuple[Answer, ...]
    iterations: Mapping[int, int] = field(default_factory=dict)  # step number from 1 -> rounds of its fixpoint

    def estimates(self) -> tuple[Estimate, ...]:
        """The sums that the call estimated, and how far they may be off."""
        prepared = self.prepared
        values = {**prepared.fixed, **self.bound.values}
        plan, config = prepared.plan, prepared.config
        return estimates_of(plan, config, {name: prepared.engine.to_numpy(value) for name, value in values.items()})


def written(prepared: Prepared, folders: Folders, results: Mapping[str, Array], bound: Bound) -> Iterator[Result]:
    """What the sinks of a call write, and where."""
    for sink, name in prepared.sinks:
        axes = axes_of_sink(prepared.plan.program, sink)
        yield Result(
            folders.place(sink.path, sink.key, "written", sink.span),
            "array" if "~" in name else name,
            prepared.engine.to_numpy(results[name]),
            tuple(None if axis is None else bound.symbols.get(axis) for axis in axes),
            letters=sink.variables,
            limit=prepared.config.dense_limit,
        )


def answered(prepared: Prepared, results: Mapping[str, Array], bound: Bound) -> tuple[Answer, ...]:
    """The answers to the queries of a call with these results."""
    if not prepared.queries:
        return ()
    values = {**prepared.fixed, **bound.values, **results}  # what is given is no result
    to_numpy = prepared.engine.to_numpy
    return tuple(
        answer(query, to_numpy(values[tensor.name]), tensor.boolean, tensor.axes, bound.symbols)
        for query, tensor in prepared.queries
    )


def asked(prepared: Prepared, bound: Bound) -> Mapping[str, Array]:
    """What the query of a plan of its own asks of a call that another plan of the program was made for.

    Raises:
        AxisError, LimitError: as `execute`. CapacityError: as `fitting`.
    """
    values = fitting(bound.values, prepared.plan, prepared.engine, prepared.config)
    if any(tensor.role == "computed" for _, tensor in prepared.queries):
        return execute(prepared, replace(bound, values=values))
    return {}  # it is given, and no step makes it


def execute(prepared: Prepared, bound: Bound) -> dict[str, Array]:
    """Check the shapes of a call, once for each set of them, and run every step.

    Raises:
        AxisError: shapes that do not fit the program or each other.
        LimitError: they need more than `memory_limit`, also in blocks.
    """
    values = bound.values
    shapes = tuple([value.shape for value in values.values()])
    found = prepared.passed.get(shapes)
    if found is None:
        plan = prepared.plan
        known = {name: tuple(prepared.fixed[name].shape) for name in (*plan.weights, *plan.sources)}
        known |= {name: tuple(shape) for name, shape in zip(values, shapes, strict=True)}
        check_shapes(plan, known)
        check_parameters(plan, prepared.fixed, known)
        found = (None,)
        if prepared.config.memory_limit is not None and not any(step.rules for step in plan.steps):
            sizes = {name: tuple(value.shape) for name, value in {**prepared.fixed, **values}.items()}
            splits = splits_of(plan, prepared.outputs)
            found = (blocks_for(plan, splits, sizes, prepared.outputs, prepared.config),)
        if len(prepared.passed) >= _KEPT_SHAPES:
            prepared.passed.clear()
        prepared.passed[shapes] = found
    (blocks,) = found
    whole = {**prepared.fixed, **values}
    if blocks is None:
        return prepared.executable(whole)
    parts = [prepared.executable(blocks.of(whole, part)) for part in blocks.parts()]
    return {name: blocks.join(name, [part[name] for part in parts], prepared.engine.concatenate) for name in parts[0]}
