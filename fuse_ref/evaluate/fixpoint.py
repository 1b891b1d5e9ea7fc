"""Numeric fixpoints on NumPy: the instructions of a round, run until no element changes any more."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from fuse_ref.config import ExecutionConfig
from fuse_ref.errors import DivergenceError, LimitError
from fuse_ref.evaluate.registers import Emitter, Instruction, Register, Registers
from fuse_ref.evaluate.temperatures import last_change, schedules_of, temperature_at, temperature_name
from fuse_ref.evaluate.uses import rounds_of
from fuse_ref.mistakes import mistake
from fuse_ref.plan.dense_logic import following
from fuse_ref.plan.steps import DenseOperation, Step
from fuse_ref.records import dataclass
from fuse_ref.source import Span
from fuse_ref.weights.arrays import widened

__all__ = ["Head", "History", "change", "diverges", "write_fixpoint"]


_STEPS: Final = {"bfloat16": 2.0**-7, "float16": 2.0**-10}  # between 1 and the next value


@dataclass(frozen=True, slots=True)
class Head:
    """A tensor of a group that is iterated."""

    name: str
    shape: tuple[int, ...]
    start: int | float | bool  # of every element
    dtype: np.dtype


class History:
    """The largest change of each round, as a share of what changed where that is more than 1."""

    def __init__(self, names: Sequence[str], span: Span | None, config: ExecutionConfig) -> None:
        self.names = names
        self.span = span
        self.config = config
        self.tol = tolerance(config.tol, config.precision)
        self.changes: list[float] = []
        self._least = last_change(config, names)  # what holds still while a schedule goes on may move again
        self._start = time.monotonic()

    def goes_on(self, largest: float) -> bool:
        """Notes what a round changed; whether there is another one.

        Raises:
            DivergenceError: that was the last round that the settings allow, and they ask for no less.
            LimitError: it took longer than `time_limit`.
        """
        config = self.config
        self.changes.append(largest)
        if largest <= self.tol and len(self.changes) > self._least:
            return False
        if len(self.changes) >= config.max_iters:
            if config.on_divergence == "last":
                return False
            raise diverges(self.names, self.span, self.changes)
        spent = time.monotonic() - self._start
        if config.time_limit is not None and spent > config.time_limit:
            names = " and ".join(self.names)
            raise mistake("FUSE265", self.span, name=names, spent=spent, limit=config.time_limit)
        return True


def tolerance(tol: float, precision: str) -> float:
    """What counts as no change: in a type of two bytes also the step from one value to the next."""
    return max(tol, _STEPS.get(precision, 0.0))


def diverges(
    names: Sequence[str], span: Span | None, changes: Sequence[float], rounds: int | None = None
) -> DivergenceError:
    """The error of a fixpoint that goes on.

    Args:
        changes: the largest of each round, or of the last ones where there were `rounds`.
    """
    last = ", ".join(f"{value:.3g}" for value in changes[-3:])
    error = mistake("FUSE264", span, name=" and ".join(names), rounds=rounds or len(changes), history=last)
    assert isinstance(error, DivergenceError)
    error.residuals = tuple(changes)
    return error


def change(new: np.ndarray, old: np.ndarray) -> float:
    """By how much elements changed at most, as a share of values beyond 1; equal infinities and NaN did not."""
    new, old = widened(np.asarray(new)), widened(np.asarray(old))  # numbers are no arrays, and bfloat16 no float
    if new.dtype.kind in "bi":
        return float(bool((new != old).any()))
    step = np.asarray(np.abs(new - old) / np.maximum(1, np.abs(new)))
    largest = float(step.max(initial=0.0))
    if largest == largest:
        return largest
    # Something is infinite or NaN.
    same = (new == old) | (np.isnan(new) & np.isnan(old))
    step[same] = 0
    return float(np.nan_to_num(step, nan=np.inf).max(initial=0.0))


def write_fixpoint(
    emitter: Emitter,
    step: Step,
    heads: Sequence[Head],
    config: ExecutionConfig,
    write: Callable[[DenseOperation], None],
    uses: Mapping[str, int],
) -> Register:
    """The instruction that runs a step to its end; the register that then holds how many rounds it took.

    Args:
        write: writes one operation, and counts it.
        uses: of `last_uses`.

    Raises:
        DivergenceError: from the instruction, where elements still change after `max_iters` rounds.
        LimitError: likewise, after `time_limit`; its `partial` has the last iterate.
    """
    outside = emitter.instructions
    body: list[Instruction] = []
    states = [emitter.given(head.name, head.shape, head.dtype) for head in heads]
    emitter.instructions = body
    for operation in rounds_of(step):
        write(operation)
    emitter.instructions = outside
    results = [emitter.names[following(head.name)] for head in heads]
    report = emitter.constant(0)
    instructions = tuple(body)
    heats = [
        (name, emitter.names[temperature_name(name)])
        for name in schedules_of(config)
        if name in step.writes and temperature_name(name) in emitter.names
    ]

    def run(r: Registers) -> None:
        for head, state in zip(heads, states, strict=True):
            r[state] = np.full(head.shape, head.start, head.dtype)
        history = History(step.writes, step.span, config)
        while True:
            for name, register in heats:
                r[register] = np.asarray(temperature_at(config, name, len(history.changes)), r[register].dtype)
            for instruction in instructions:
                instruction(r)
            made = [r[result] for result in results]
            largest = max(change(new, r[state]) for new, state in zip(made, states, strict=True))
            for new, state in zip(made, states, strict=True):
                r[state] = new
            try:
                if not history.goes_on(largest):
                    break
            except LimitError as error:
                error.partial = {head.name: np.asarray(new) for head, new in zip(heads, made, strict=True)}
                raise
        r[report] = len(history.changes)

    emitter.instructions.append(run)
    dead = [name for name in emitter.names if uses.get(name) == emitter.now]
    emitter.finish_operation(len(emitter.infos), dead)
    emitter.now += 1
    return report
