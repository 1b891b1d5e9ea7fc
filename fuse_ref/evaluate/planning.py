"""What a Runner asks of plans: sizes of a call as hints, the values that sinks write, a query asked later."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from fuse_ref.config import ExecutionConfig
from fuse_ref.errors import FuseError
from fuse_ref.ir.from_syntax import build_program
from fuse_ref.ir.index import Affine
from fuse_ref.ir.nodes import ProgramIR, Read, Sink
from fuse_ref.ir.text import explicit_text
from fuse_ref.ir.variables import reads
from fuse_ref.language.parser import parse
from fuse_ref.language.syntax_tree import Export, Import
from fuse_ref.mistakes import mistake
from fuse_ref.plan.steps import Plan
from fuse_ref.source import Source

__all__ = ["ask", "axes_of_sink", "hints_from", "on_demand", "sinks_of", "with_device"]


def hints_from(plan: Plan, shapes: Mapping[str, tuple[int, ...]], known: Mapping[str, int]) -> dict[str, int]:
    """Axis letter -> its size in a call, for products whose order was chosen with a size that was assumed.

    Empty when no order depends on an assumed size, or when all were assumed rightly.

    Args:
        shapes: given tensor -> shape.
        known: letters that the user gave hints for; those stay.
    """
    if not any(len(item.path) > 1 and item.assumed for step in plan.steps for item in step.contractions):
        return {}
    assumed = dict(plan.hints)
    letters = {axis.name: axis.letters for axis in plan.program.axes}
    found: dict[str, int] = {}
    for tensor in plan.program.tensors:
        for axis, size in zip(tensor.axes, shapes.get(tensor.name, ()), strict=False):
            if assumed.get(axis, size) != size:
                for letter in letters[axis]:
                    if letter not in known:
                        found[letter] = max(size, found.get(letter, 0))
    return found


def sinks_of(plan: Plan) -> tuple[tuple[Sink, str], ...]:
    """Each sink of the plan with the name of the value that it writes."""
    sinks = []
    for step in plan.steps:
        if step.kind == "Store":
            (number,) = step.equations
            sink = plan.program.sinks[number]
            if step.writes:
                (name,) = step.writes
            else:
                assert isinstance(sink.body, Read)
                name = sink.body.tensor
            sinks.append((sink, name))
    return tuple(sinks)


def axes_of_sink(program: ProgramIR, sink: Sink) -> tuple[str | None, ...]:
    """The axis of each dimension that a sink writes; None where no plain index of its body says which."""
    axes: dict[str, str] = {}
    for read in reads(sink.body):
        for index, axis in zip(read.indices, program.tensor(read.tensor).axes, strict=True):
            if isinstance(index, Affine) and index.variable is not None:
                axes.setdefault(index.variable, axis)
    return tuple(axes.get(variable) for variable in sink.variables)


def on_demand(program: ProgramIR, text: str) -> ProgramIR:
    """The program as a run on demand computes it: with queries and no `export` line only answers are asked for."""
    if not program.queries or any(isinstance(item, Export) for item in parse(Source(text, "<program>"), []).statements):
        return program
    return dataclasses.replace(program, exports=())


def ask(program: ProgramIR, text: str, query: str) -> ProgramIR:
    """The program with nothing but `query` to answer: no exports, no sinks.

    Args:
        text: the program's text. The query is read as its last line, so that errors show it in its place.

    Raises:
        SyntaxFuseError: `query` is no single query.
        FuseError: it names a tensor that the program does not have, or indices that do not fit.
    """
    question = query.strip()
    if not question.endswith("?"):
        question += "?"
    if "\n" in question or ";" in question:
        raise mistake("FUSE213", None, query=query)
    errors: list[FuseError] = []
    module = parse(Source(f"{text}\n{question}", "<query>"), errors)
    if any(isinstance(statement, Import) for statement in module.statements):
        # The explicit form has the imported statements in it.
        module = parse(Source(f"{explicit_text(program)}{question}", "<query>"), errors)
    asked = build_program(module, errors)
    if errors:
        raise errors[-1]
    if len(asked.queries) != len(program.queries) + 1:
        raise mistake("FUSE213", None, query=query)
    return dataclasses.replace(asked, queries=asked.queries[-1:], exports=(), sinks=())


def with_device(config: ExecutionConfig | None, device: str | None) -> ExecutionConfig:
    """The settings of a Runner; a keyword beats them."""
    config = ExecutionConfig() if config is None else config
    return config if device is None else dataclasses.replace(config, device=device)
