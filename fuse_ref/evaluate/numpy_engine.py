"""The NumPy engine: the reference that the other two are judged by."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, Literal

import numpy as np

from fuse_ref.analysis.lengths import Length, evaluate
from fuse_ref.config import ExecutionConfig
from fuse_ref.evaluate.checked import check_classes, check_finite, check_positions, spread
from fuse_ref.evaluate.dense import combine_of
from fuse_ref.evaluate.entries import Kept
from fuse_ref.evaluate.fixpoint import Head, write_fixpoint
from fuse_ref.evaluate.logic import (
    LogicCall,
    as_dense,
    counted_heads,
    dense_reads,
    logic_calls,
    relations_of,
    tuples_name,
    with_goals,
)
from fuse_ref.evaluate.narrow import write_in_precision
from fuse_ref.evaluate.recurrent import finite_results, write_recurrence
from fuse_ref.evaluate.registers import Emitter, Instruction, Register, Registers
from fuse_ref.evaluate.relaxation import Relaxing
from fuse_ref.evaluate.support import check_supported
from fuse_ref.evaluate.uses import every_operation, last_uses, rounds_of
from fuse_ref.ir.nodes import Dtype
from fuse_ref.mistakes import mistake
from fuse_ref.plan.dataflow import reads
from fuse_ref.plan.finiteness import FiniteCheck, FiniteChecks, finite_checks
from fuse_ref.plan.iterating import start_of
from fuse_ref.plan.relaxing import base_name
from fuse_ref.plan.steps import Along, DenseOperation, Index, Operand, Plan, ReadIndex, Step, Write, WriteIndex
from fuse_ref.records import dataclass
from fuse_ref.relations.derive import RuleRun
from fuse_ref.relations.tuples import Tuples
from fuse_ref.source import Span
from fuse_ref.weights.arrays import narrow_type, numpy_array, widened

__all__ = ["ENGINE", "NumpyEngine", "NumpyExecutable", "numpy_type"]

_KEPT_PROGRAMS: Final = 64  # sets of shapes that stay written; the oldest goes

Shapes = tuple[tuple[int, ...], ...]


def numpy_type(dtype: Dtype, config: ExecutionConfig) -> np.dtype:
    """The NumPy type of a tensor in a run."""
    if dtype == "bool":
        return np.dtype(np.bool_)
    if dtype == "int64":
        return np.dtype(np.int64)
    return narrow_type(config.precision) or np.dtype(np.float64 if config.precision == "float64" else np.float32)


class NumpyEngine:
    """Runs plans on NumPy, in one thread of Python and as many as BLAS takes."""

    name: Literal["numpy"] = "numpy"

    def prepare(
        self, plan: Plan, config: ExecutionConfig, outputs: tuple[str, ...], kept: Kept | None = None
    ) -> NumpyExecutable:
        """Make `plan` ready. Nothing is kept: what NumPy runs is written for each set of shapes in no time.

        Raises:
            RouteError: a step or setting that cannot run yet.
            DeviceError: any device but the CPU.
        """
        check_supported(plan, config, self.name)
        if config.device not in ("auto", "cpu"):
            reason = "NumPy computes on the CPU"
            raise mistake("FUSE203", None, engine=self.name, device=config.device, reason=reason)
        return NumpyExecutable(plan, config, outputs)

    def asarray(self, value: object, dtype: Dtype, config: ExecutionConfig) -> np.ndarray | Tuples:
        """`value` as a NumPy array of `dtype`; it shares memory with `value` when the type is right already.

        The tuples of a relation stay what they are.
        """
        if isinstance(value, Tuples):
            return value
        return np.asarray(numpy_array(value), numpy_type(dtype, config))

    def to_numpy(self, array: object) -> np.ndarray | Tuples:
        """The array itself, bfloat16 as float32, or the tuples of a relation."""
        return array if isinstance(array, Tuples) else numpy_array(array)

    def concatenate(self, arrays: Sequence[np.ndarray], axis: int) -> np.ndarray:
        """Arrays one after another along `axis`."""
        return np.concatenate(arrays, axis)


ENGINE: Final = NumpyEngine()


@dataclass(frozen=True, slots=True)
class _Program:
    """Instructions for one set of shapes."""

    template: Registers  # constants in place
    entries: tuple[tuple[str, Register], ...]  # values that each call puts in
    runs: tuple[Register, ...]  # what rules did, one register for each call of the logic engine
    iterations: tuple[tuple[int, Register], ...]  # step number from 1, how many rounds its fixpoint took
    steps: tuple[tuple[int, tuple[Instruction, ...]], ...]  # position in the plan, instructions
    results: tuple[tuple[str, Register, bool], ...]  # output, register, whether a copy must be made


class NumpyExecutable:
    """A plan as NumPy calls. For every new set of shapes they are written once; threads share them."""

    def __init__(self, plan: Plan, config: ExecutionConfig, outputs: tuple[str, ...]) -> None:
        self._local = threading.local()
        self._plan = plan
        self._config = config
        self._outputs = outputs
        self._lock = threading.Lock()
        self._programs: dict[Shapes, _Program] = {}
        self._dtypes = {tensor.name: numpy_type(tensor.dtype, config) for tensor in plan.program.tensors}
        for stream in plan.streams:
            self._dtypes |= {stream.state: numpy_type(stream.dtype, config), stream.fresh: np.dtype(np.bool_)}
        self._relations = relations_of(plan)
        self._logic = with_goals(logic_calls(plan.steps), plan, outputs)
        self._counted = counted_heads(plan, outputs)
        self._dense_reads = dense_reads(plan)
        operations = [operation for step in plan.steps for operation in every_operation(step)]
        made = {operation.output.out for operation in operations}
        made.update(name for step in plan.steps if rounds_of(step) for name in step.writes)
        self._last_use = last_uses(plan.steps)
        after = max(self._last_use.values(), default=0) + 1
        relaxed = (operand.value for step in plan.steps for item in step.relaxations for operand in item.operands)
        bases = (base_name(name) for step in plan.steps if step.relaxations for name in step.writes)
        logic = (name for call in self._logic.values() for name in (*call.relations, *call.tensors))
        for name in (*outputs, *logic, *relaxed, *bases):
            self._last_use[name] = after
        states = (name for stream in plan.streams for name in (stream.state, stream.fresh) if name)
        given = (*plan.givens, *plan.parameters, *plan.weights, *plan.sources, *states)
        self._given = tuple(dict.fromkeys(name for name in given if name not in made))
        self._finite = finite_checks(plan) if config.checked else FiniteChecks({}, {})
        self._spans: dict[str, Span] = {}
        for equation in plan.program.equations:
            self._spans.setdefault(equation.target.tensor, equation.span)

    def __call__(self, values: Mapping[str, Any]) -> dict[str, np.ndarray]:
        shapes = tuple([values[name].shape for name in self._given])
        program = self._programs.get(shapes)
        if program is None:
            program = self._write(shapes)
        r = program.template.copy()
        for name, register in program.entries:
            r[register] = values[name]
        seconds = [0.0] * len(self._plan.steps)
        # NaN and infinity go through as in the frameworks; NumPy's warnings would name lines of ours.
        with np.errstate(all="ignore"):
            for position, instructions in program.steps:
                start = time.perf_counter()
                for instruction in instructions:
                    instruction(r)
                seconds[position] = time.perf_counter() - start
        self._local.seconds = seconds
        self._local.runs = tuple(run for register in program.runs for run in r[register])
        self._local.iterations = {number: r[register] for number, register in program.iterations}
        return {name: np.array(r[register]) if copied else r[register] for name, register, copied in program.results}

    @property
    def step_seconds(self) -> tuple[float, ...]:
        """Of this thread's last call, one per step of the plan."""
        return tuple(getattr(self._local, "seconds", ()))

    @property
    def rule_runs(self) -> tuple[RuleRun, ...]:
        """What each rule did in this thread's last call."""
        return tuple(getattr(self._local, "runs", ()))

    @property
    def iterations(self) -> dict[int, int]:
        """Step number from 1 -> rounds of its fixpoint in this thread's last call."""
        return dict(getattr(self._local, "iterations", {}))

    def _write(self, shapes: Shapes) -> _Program:
        by_name = dict(zip(self._given, shapes, strict=True))

        def sizes(length: Length) -> int:
            return evaluate(length, lambda tensor, position: by_name[tensor][position])

        emitter = Emitter(numpy_type("float", self._config), self._last_use)
        entries = tuple((name, self._enter(emitter, name, shape)) for name, shape in by_name.items())
        runs: list[Register] = []
        iterations: list[tuple[int, Register]] = []
        steps: list[tuple[int, tuple[Instruction, ...]]] = []
        if self._config.checked:
            self._check_given(emitter)
            steps.append((0, _taken(emitter)))
        for position, step in enumerate(self._plan.steps):
            for operation in step.operations:
                self._write_one(emitter, operation, step, sizes)
            if step.recurrence is not None:
                write_recurrence(emitter, step, sizes, self._write_one, self._last_use)
                for check in finite_results(step) if self._config.checked else ():
                    _write_check(emitter, check, self._spans.get(check.tensor))
            if position in self._logic:
                runs.append(self._write_logic(emitter, self._logic[position], sizes))
            if step.relaxations:
                iterations.append((position + 1, self._write_relaxing(emitter, step, sizes)))
            elif step.loop:
                iterations.append((position + 1, self._write_rounds(emitter, step, sizes)))
            if emitter.instructions:
                steps.append((position, _taken(emitter)))
        results = tuple(self._results(emitter))
        program = _Program(emitter.template, entries, tuple(runs), tuple(iterations), tuple(steps), results)
        with self._lock:
            while len(self._programs) >= _KEPT_PROGRAMS:
                del self._programs[next(iter(self._programs))]
            self._programs[shapes] = program
        return program

    def _write_one(
        self, emitter: Emitter, operation: DenseOperation, step: Step, sizes: Callable[[Length], int]
    ) -> None:
        first = len(emitter.infos)
        name = operation.output.out
        if self._config.checked and isinstance(operation, Along):
            _write_class_check(emitter, operation, step)
        for check in self._finite.before.get(name, ()):
            _write_check(emitter, check, self._spans.get(check.tensor))
        if self._config.checked and isinstance(operation, Index | Write):
            _write_position_checks(emitter, operation, sizes, self._spans.get(name.partition("~")[0]))
        write_in_precision(emitter, operation, sizes, self._dtypes)
        if name in self._finite.after:
            _write_check(emitter, self._finite.after[name], self._spans.get(self._finite.after[name].tensor))
        used = {*reads(operation), name}
        emitter.finish_operation(first, [other for other in used if self._last_use[other] <= emitter.now])
        emitter.now += 1

    # Relations ------------------------------------------------------------------------------------

    def _enter(self, emitter: Emitter, name: str, shape: tuple[int, ...]) -> Register:
        """The register of a value that each call puts in: tuples where rules read it, an array else."""
        if name not in self._relations:
            return emitter.given(name, shape, self._dtypes[name])
        register = emitter.given(tuples_name(name), shape, np.dtype(np.bool_))
        self._open(emitter, name)
        return register

    def _open(self, emitter: Emitter, name: str) -> None:
        """Truth values of a relation, for dense operations."""
        if name in self._dense_reads:
            tuples = emitter.names[tuples_name(name)]
            dense = partial(as_dense, name=name, config=self._config)
            emitter.bind(name, emitter.call(dense, (tuples,), emitter.infos[tuples].shape, np.dtype(np.bool_)))

    def _write_logic(self, emitter: Emitter, call: LogicCall, sizes: Callable[[Length], int]) -> Register:
        """One call of the logic engine; the register that holds what its rules did."""
        names = (*call.relations, *call.tensors)
        sources = {name: emitter.names.get(tuples_name(name), emitter.names.get(name, -1)) for name in names}
        shapes = {
            name: tuple(max(0, sizes(length)) for length in lengths)
            for name, lengths in call.lengths(self._plan).items()
        }
        targets = {name: emitter.given(tuples_name(name), shape, np.dtype(np.bool_)) for name, shape in shapes.items()}
        report = emitter.constant(0)
        config, counted = self._config, self._counted

        def run(r: Registers) -> None:
            values = {name: r[register] for name, register in sources.items()}
            derived = call.run(values, shapes, sizes, config, counted)
            for name, register in targets.items():
                r[register] = derived.counts[name] if name in derived.counts else derived.relations[name]
            r[report] = derived.runs

        emitter.instructions.append(run)
        for name in call.heads:
            self._open(emitter, name)
        return report

    def _write_rounds(self, emitter: Emitter, step: Step, sizes: Callable[[Length], int]) -> Register:
        """A numeric fixpoint; the register that holds how many rounds it took."""
        program, heads = self._plan.program, []
        for name in step.writes:
            shape = tuple(max(0, sizes(length)) for length in self._plan.shape(name))
            heads.append(Head(name, shape, start_of(program, name), self._dtypes[name]))

        def write(operation: DenseOperation) -> None:
            self._write_one(emitter, operation, step, sizes)

        report = write_fixpoint(emitter, step, heads, self._config, write, self._last_use)
        if self._config.checked:
            for head in heads:
                allowed = float(head.start) if abs(head.start) == float("inf") else 0.0
                _write_check(emitter, FiniteCheck(head.name, head.name, allowed), self._spans.get(head.name))
        return report

    def _write_relaxing(self, emitter: Emitter, step: Step, sizes: Callable[[Length], int]) -> Register:
        """A cycle of `max=` or `min=` over relations; the register that holds how many rounds it took."""
        names = {operand.value for item in step.relaxations for operand in item.operands} - set(step.writes)
        sources = {name: emitter.names[name] for name in names}
        sources |= {name: emitter.names[base_name(name)] for name in step.writes}
        relations = {item.relation: emitter.names[tuples_name(item.relation)] for item in step.relaxations}
        combines = tuple(combine_of(emitter, item, {**emitter.names, **sources}, sizes) for item in step.relaxations)
        targets = tuple(item.output.out.partition("~")[0] for item in step.relaxations)
        relaxing = Relaxing(step, combines, targets)
        outputs = {
            name: emitter.given(name, emitter.infos[sources[name]].shape, emitter.float_type) for name in step.writes
        }
        config, report, float_type = self._config, emitter.constant(0), emitter.float_type

        def run(r: Registers) -> None:
            values = {name: widened(r[register]) for name, register in sources.items()}
            found, r[report], _ = relaxing.run(values, {name: r[k] for name, k in relations.items()}, config)
            for name, register in outputs.items():
                r[register] = found[name].astype(float_type, copy=False)

        emitter.instructions.append(run)
        return report

    def _check_given(self, emitter: Emitter) -> None:
        for tensor in self._plan.program.tensors:
            if tensor.name in self._given and tensor.name not in self._relations:
                _write_check(emitter, FiniteCheck(tensor.name, tensor.name), tensor.span)

    def _results(self, emitter: Emitter) -> list[tuple[str, Register, bool]]:
        results = []
        taken: set[Register] = set()
        for name in self._outputs:
            if name in self._relations:
                results.append((name, emitter.names[tuples_name(name)], False))
                continue
            register = emitter.names[name]
            info = emitter.infos[register]
            root = emitter.infos[info.root]
            # Results share no memory with anything: not with inputs, not with each other, nor keep a larger array.
            copied = not root.owned or info.overlapping or info.root in taken or root.elements > info.elements
            taken.add(info.root)
            results.append((name, register, copied))
        return results


def _taken(emitter: Emitter) -> tuple[Instruction, ...]:
    instructions = tuple(emitter.instructions)
    emitter.instructions.clear()
    return instructions


def _write_check(emitter: Emitter, check: FiniteCheck, span: Span | None) -> None:
    register, holds = emitter.names[check.value], check.holds
    if holds is None:
        emitter.instructions.append(lambda r: check_finite(check.words, r[register], span, check.allowed))
        return
    condition, labels = emitter.names[holds.value], holds.labels

    def look(r: Registers) -> None:
        where = spread(np.asarray(r[condition]), labels, check.labels)
        check_finite(check.words, r[register], span, check.allowed, where)

    emitter.instructions.append(look)


def _write_class_check(emitter: Emitter, operation: Along, step: Step) -> None:
    logits, *others = (operand for operand in operation.operands if isinstance(operand, Operand))
    if operation.axis not in logits.labels:
        return
    count = emitter.infos[emitter.names[logits.value]].shape[logits.labels.index(operation.axis)]
    for target in others:
        register = emitter.names[target.value]
        if operation.axis not in target.labels and emitter.infos[register].dtype == np.int64:
            emitter.instructions.append(_class_check(target.value, register, count, operation.axis, step.span))


def _class_check(name: str, register: Register, count: int, axis: str, span: Span | None) -> Instruction:
    return lambda r: check_classes(name, r[register], count, axis, span)


def _write_position_checks(
    emitter: Emitter, operation: Index | Write, sizes: Callable[[Length], int], span: Span | None
) -> None:
    if isinstance(operation, Index):
        counts = emitter.infos[emitter.names[operation.source]].shape
    else:
        counts = tuple(max(0, sizes(length)) for length in operation.output.lengths)
    indices: Sequence[ReadIndex | WriteIndex] = operation.indices
    for index, count in zip(indices, counts, strict=True):
        if index.gather is not None and any(index.words):
            check = partial(check_positions, index.words, index.gather.labels)
            register, offset = emitter.names[index.gather.value], sizes(index.offset)
            emitter.instructions.append(_position_check(check, register, offset, count, span))


def _position_check(
    check: Callable[..., None], register: Register, offset: int, count: int, span: Span | None
) -> Instruction:
    return lambda r: check(r[register], offset, count, span)
