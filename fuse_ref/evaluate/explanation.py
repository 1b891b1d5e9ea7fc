"""What a Runner did or would do: steps, routes and reasons, sizes, casts, times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from math import isnan

from fuse_ref.evaluate.deviations import Estimate
from fuse_ref.evaluate.graph import ROUTES, graph_of, to_dot
from fuse_ref.plan.document import Document, plan_document
from fuse_ref.plan.steps import Plan
from fuse_ref.plan.text import plan_table
from fuse_ref.records import dataclass
from fuse_ref.relations.derive import RuleRun

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
        rules: what each rule derived in the last call, and how.
        estimates: the sums that the last call estimated, with their standard errors.
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
    rules: tuple[RuleRun, ...] = ()
    estimates: tuple[Estimate, ...] = ()

    def __str__(self) -> str:
        lines = [f"engine: {self.backend} ({self.backend_reason}), {self.precision or 'precision of the inputs'}"]
        lines.append(plan_table(self.plan))
        lines.extend(self.notes)
        if self.shapes:
            shown = (f"{name} {' × '.join(map(str, shape)) or 'scalar'}" for name, shape in self.shapes.items())
            lines.append(f"last call: {', '.join(shown)}")
        lines.extend(f"cast: {name} from {given} to {used}" for name, given, used in self.casts)
        lines.extend(_of_rules(self.rules))
        lines.extend(map(str, self.estimates))
        lines.extend(
            f"step {number}: {count} round{'s' * (count != 1)} until nothing changed"
            for number, count in self.iterations.items()
        )
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
            "rules": [
                {"rule": run.rule.text, "tuples": run.tuples, "rounds": run.rounds, "algorithm": run.algorithm}
                for run in self.rules
            ],
            "estimates": [
                {
                    "tensor": item.tensor,
                    "operator": item.operator,
                    "variables": list(item.variables),
                    "terms": item.terms,
                    "samples": item.samples,
                    "standard_error": None if isnan(item.error) else item.error,
                }
                for item in self.estimates
            ],
        }

    def to_dot(self) -> str:
        """The plan as a Graphviz graph: ellipses are tensors, boxes steps in the colour of their route."""
        return to_dot(graph_of(self.plan))

    def to_svg(self) -> str:
        """The same graph as a picture: SVG text, reasons shown where the pointer rests."""
        # Drawing is for people who look at plans, not for runs.
        from fuse_ref.evaluate.drawing import to_svg

        return to_svg(graph_of(self.plan), title=f"plan for {self.backend}")

    def _repr_html_(self) -> str:
        import html  # its tables of entities are for pages alone

        head = "".join(f"<th>{name}</th>" for name in ("#", "step", "route", "computes", "reads", "because", "time"))
        rows = []
        for number, step in enumerate(self.plan.steps, 1):
            time = _time(self.step_seconds[number - 1]) if number <= len(self.step_seconds) else ""
            cells = (str(number), step.kind, step.route, _names(step.writes), _names(step.reads), step.reason, time)
            shown = [f"<td>{html.escape(cell)}</td>" for cell in cells]
            shown[2] = f'<td style="background: {ROUTES[step.route]}; color: #111">{step.route}</td>'
            rows.append(f"<tr>{''.join(shown)}</tr>")
        caption = html.escape(f"{self.backend} ({self.backend_reason})")
        table = f"<table><caption>{caption}</caption><tr>{head}</tr>{''.join(rows)}</table>"
        return f"{table}\n{self.to_svg()}"


def _of_rules(runs: tuple[RuleRun, ...]) -> Iterator[str]:
    """What rules did; the facts of a relation in one line."""
    facts = Counter(run.rule.head for run in runs if run.algorithm == "facts")
    for run in runs:
        if run.algorithm != "facts":
            rounds = f", {run.rounds} rounds" if run.rounds > 1 else ""
            yield f"rule {run.rule.text}: {run.tuples} new tuple{'' if run.tuples == 1 else 's'}{rounds}, {run.algorithm}"
        elif run.rule.head in facts:
            yield f"facts of {run.rule.head}: {facts.pop(run.rule.head)}"


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(name for name in names if "~" not in name)


def _time(seconds: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-6:.2g} µs"
