"""The equations of a stream as a program of its own: what it begins with is an input, its positions are stored.

Engines that hand a stream to the NumPy engine run that program there, and its gradient program for the way back.
"""

from __future__ import annotations

from dataclasses import replace

from fuse_ref.analysis.check import check_program
from fuse_ref.gradients.work import equation
from fuse_ref.ir.index import Affine, Index, plain
from fuse_ref.ir.nodes import Equation, ProgramIR, Read, Tensor
from fuse_ref.ir.text import explicit_text
from fuse_ref.ir.variables import reads, target_variables
from fuse_ref.plan.steps import Plan, Step
from fuse_ref.plan.streams import find_streams
from fuse_ref.program import Program
from fuse_ref.records import dataclass

__all__ = ["StreamProgram", "stream_program"]


@dataclass(frozen=True, slots=True)
class StreamProgram:
    """A stream by itself.

    Attributes:
        program: exports the streams with all their positions, those of the state first.
        inputs: value of the plan -> tensor of the program, for all that it is given.
        floats: the inputs that may have a gradient, by their names in the program.
        results: what it exports, by the names that the plan has too.
    """

    program: Program
    inputs: tuple[tuple[str, str], ...]
    floats: tuple[str, ...]
    results: tuple[str, ...]


def stream_program(plan: Plan, step: Step) -> StreamProgram | str:
    """The program of a recurrence along a virtual index; a clause that says why there is none."""
    tensors = {tensor.name: tensor for tensor in plan.program.tensors}
    if any(name not in tensors for name in step.writes):
        return "its positions stand in an equation as numbers"
    checked = check_program(plan.program, sizes=dict(plan.sizes))
    streams = find_streams(plan.program, checked)
    stored = streams.program
    described = {item.tensor: item for item in plan.streams}
    group = [stored.equations[number] for number in step.equations]
    if any(described[name].fresh for name in step.writes):
        return "an equation writes a fixed position of it"
    if any(equation.operator not in ("=", "+=") for equation in group):
        return "it takes the largest or smallest of several values"
    kept = tuple(c.output.out for c in step.recurrence.carries if c.kept) if step.recurrence is not None else ()
    outside = {read.tensor for item in group for read in (*reads(item.target), *reads(item.body))} - set(step.writes)
    own = {name for item in group for name in target_variables(item.target)}
    moving = {
        variable
        for item in group
        for variable in _variables(item.target.indices[streams.windows[item.target.tensor].dimension])
    }
    if not any(
        not moving.isdisjoint(_variables(index))
        for item in group
        for read in reads(item.body)
        if read.tensor in outside
        for index in read.indices
    ):
        return "no tensor outside of it says how many steps a call has"
    if any(name not in tensors or tensors[name].dtype != "float" for name in (*outside, *step.writes)):
        return "it reads truth values or whole numbers"
    taken = {*tensors, *own, *(letter for axis in stored.axes for letter in axis.letters)}
    inputs = {name: name for name in sorted(outside)}
    equations: list[Equation] = []
    for name in step.writes:
        window = streams.windows[name]
        rows = window.before + window.ahead
        if rows == 0:
            continue
        state = _free(f"{name.rstrip(chr(39))}_state", taken)
        inputs[described[name].state] = state
        letters = _letters(len(tensors[name].axes) - 1, taken)
        span = next(item.span for item in group if item.target.tensor == name)
        for row in range(rows):
            place: Index = Affine((), row)
            others = tuple(map(plain, letters))
            target = Read(name, (*others[: window.dimension], place, *others[window.dimension :]), False)
            equations.append(equation(target, Read(state, (place, *others), False), span))
    own_tensors = tuple(_free_tensor(tensors[name]) for name in (*sorted(outside), *step.writes))
    made: ProgramIR = replace(
        stored,
        tensors=own_tensors,
        equations=(*equations, *group),
        sinks=(),
        queries=(),
        exports=kept,
    )
    return StreamProgram(Program(explicit_text(made)), tuple(inputs.items()), tuple(inputs.values()), kept)


def _variables(index: Index) -> set[str]:
    return {variable for variable, _ in index.terms} if isinstance(index, Affine) else set()


def _free_tensor(tensor: Tensor) -> Tensor:
    return replace(tensor, role="free", virtual=None)


def _free(wanted: str, taken: set[str]) -> str:
    while wanted in taken:
        wanted += "_"
    taken.add(wanted)
    return wanted


def _letters(count: int, taken: set[str]) -> tuple[str, ...]:
    return tuple(_free(f"u{k}", taken) for k in range(count))
