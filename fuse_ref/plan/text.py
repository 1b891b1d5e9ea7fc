"""A plan as a table."""

from __future__ import annotations

from collections.abc import Sequence

from fuse_ref.plan.steps import Plan, Step

__all__ = ["amount", "plan_table"]

_HEAD = ("#", "step", "route", "computes", "reads", "FLOPs", "largest", "because")


def amount(number: int) -> str:
    """A count in few characters: 512, 1.2k, 3.4M, 5.6G."""
    value = float(number)
    for unit in ("", "k", "M", "G", "T", "P"):
        if value < 1000 or unit == "P":
            return f"{number}" if unit == "" else f"{value:.3g}{unit}"
        value /= 1000
    raise AssertionError(number)


def plan_table(plan: Plan) -> str:
    """Steps in order with their routes and reasons, contraction orders, and the sizes that were assumed."""
    rows = [_HEAD, *(_row(number, step) for number, step in enumerate(plan.steps, 1))]
    lines = _aligned(rows)
    for number, step in enumerate(plan.steps, 1):
        for item in step.contractions:
            path = " ".join(f"({a},{b})" for a, b in item.path)
            lines.append(f"  {number}: {item.tensor} = {item.expression}, pairs {path}, {amount(item.flops)} FLOPs")
        for sampled in step.sampled:
            every = " * ".join(map(str, sampled.ranges))
            over = f"{sampled.operator} over {', '.join(sampled.variables)}"
            lines.append(f"  {number}: {sampled.tensor}: {over} from {sampled.number} of {every} terms")
        if step.unsupported:
            lines.append(f"  {number}: cannot run yet: {step.unsupported}")
    lines.extend(
        f"pass {item.name}: {item.tensor}: {item.what}, saves {amount(item.flops)} FLOPs, {amount(item.bytes)} bytes"
        for item in plan.savings
    )
    left_out = _left_out(plan)
    if left_out:
        lines.append(f"not computed, since nothing observes them: {', '.join(left_out)}")
    if plan.sizes:
        lines.append(f"sizes: {', '.join(f'{axis} = {size}' for axis, size in plan.sizes)}")
    if plan.hints and any(step.flops for step in plan.steps):
        lines.append(f"open sizes taken to be {', '.join(f'{axis} = {size}' for axis, size in plan.hints)}")
    return "\n".join(lines)


def _row(number: int, step: Step) -> tuple[str, ...]:
    return (
        str(number),
        step.kind,
        step.route,
        _names(step.writes) or "-",
        _names(step.reads) or "-",
        amount(step.flops) if step.flops else "-",
        amount(step.largest) if step.largest else "-",
        step.reason,
    )


def _names(names: Sequence[str]) -> str:
    shown = [name for name in names if "~" not in name]
    return ", ".join(shown) if len(shown) <= 8 else f"{', '.join(shown[:7])} and {len(shown) - 7} more"


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[k]) for row in rows) for k in range(len(_HEAD))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if k in (0, 5, 6) else cell.ljust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def _left_out(plan: Plan) -> list[str]:
    written = {name for step in plan.steps for name in step.writes}
    # Constants are in the equations already.
    written.update(name for name, _ in plan.program.constants)
    defined = dict.fromkeys(equation.target.tensor for equation in plan.program.equations)
    return [name for name in defined if name not in written]
