"""What a Runner did or would do: steps, routes and reasons, sizes, casts, times."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass

from fuse_ref.plan.document import Document, plan_document
from fuse_ref.plan.steps import Plan, Step
from fuse_ref.plan.text import plan_table

__all__ = ["Explanation"]


@dataclass(frozen=True, slots=True)
class Explanation:
    """The plan of a Runner and what its last call made of it. `str()` is a page of text.

    Attributes:
        plan: the steps.
        backend: the engine that runs them, "auto" before the first call.
        backend_reason: why this engine.
        precision: of the floats; None before the first call under precision="auto".
        shapes: given tensor -> shape in the last call; empty before the first one.
        casts: (input, type given, type used) of the last call.
        seconds: of the last call, or None.
        step_seconds: one per step where the engine tells, else empty.
        iterations: step number from 1 -> iterations of its fixpoint.
        notes: what was decided on the way, such as a contraction order planned again.
    """

    plan: Plan
    backend: str
    backend_reason: str
    precision: str | None
    shapes: Mapping[str, tuple[int, ...]]
    casts: tuple[tuple[str, str, str], ...]
    seconds: float | None
    step_seconds: tuple[float, ...]
    iterations: Mapping[int, int]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"engine: {self.backend} ({self.backend_reason}), {self.precision or 'precision of the inputs'}"]
        lines.append(plan_table(self.plan))
        lines.extend(self.notes)
        if self.shapes:
            shown = (f"{name} {' × '.join(map(str, shape)) or 'scalar'}" for name, shape in self.shapes.items())
            lines.append(f"last call: {', '.join(shown)}")
        lines.extend(f"cast: {name} from {given} to {used}" for name, given, used in self.casts)
        if self.seconds is not None:
            lines.append(f"time: {_time(self.seconds)}")
            lines.extend(
                f"  step {number} ({step.kind}): {_time(seconds)}"
                for number, (step, seconds) in enumerate(zip(self.plan.steps, self.step_seconds, strict=False), 1)
            )
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Document]:
        """The same as JSON data; the keys of the plan are those of `plan_document`."""
        return {
            **plan_document(self.plan),
            "backend": self.backend,
            "backend_reason": self.backend_reason,
            "precision": self.precision,
            "last_shapes": {name: list(shape) for name, shape in self.shapes.items()},
            "casts": [{"tensor": name, "given": given, "used": used} for name, given, used in self.casts],
            "seconds": self.seconds,
            "step_seconds": list(self.step_seconds),
            "iterations": {str(number): count for number, count in self.iterations.items()},
            "notes": list(self.notes),
        }

    def to_dot(self) -> str:
        """The steps as a Graphviz graph: boxes are steps, arrows the tensors that go from one to the next."""
        lines = ["digraph plan {", "  rankdir=LR;", "  node [shape=box];"]
        makers: dict[str, str] = {}
        for name in (*self.plan.givens, *self.plan.parameters, *self.plan.weights):
            makers[name] = f"given_{len(makers)}"
            lines.append(f"  {makers[name]} [shape=ellipse, label={_quoted(name)}];")
        for number, step in enumerate(self.plan.steps, 1):
            lines.append(f"  step_{number} [label={_quoted(_label(number, step))}];")
            makers.update((name, f"step_{number}") for name in step.writes)
        for number, step in enumerate(self.plan.steps, 1):
            lines.extend(
                f"  {makers[name]} -> step_{number} [label={_quoted(name)}];" for name in step.reads if name in makers
            )
        return "\n".join([*lines, "}"])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{name}</th>" for name in ("#", "step", "route", "computes", "reads", "because", "time"))
        rows = []
        for number, step in enumerate(self.plan.steps, 1):
            time = _time(self.step_seconds[number - 1]) if number <= len(self.step_seconds) else ""
            cells = (str(number), step.kind, step.route, _names(step.writes), _names(step.reads), step.reason, time)
            rows.append("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>")
        caption = html.escape(f"{self.backend} ({self.backend_reason})")
        return f"<table><caption>{caption}</caption><tr>{head}</tr>{''.join(rows)}</table>"


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(name for name in names if "~" not in name)


def _label(number: int, step: Step) -> str:
    return f"{number}. {step.kind} ({step.route})\n{_names(step.writes) or step.reason}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _time(seconds: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-6:.2g} µs"
