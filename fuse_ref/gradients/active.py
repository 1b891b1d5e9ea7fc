"""Through which tensors a gradient flows, and where it cannot."""

from __future__ import annotations

from collections.abc import Iterable

from fuse_ref.analysis.check import Checked
from fuse_ref.gradients.derivatives import DERIVATIVES
from fuse_ref.ir.nodes import And, Call, Case, Compare, Expr, Not, Or, ProgramIR, Read
from fuse_ref.ir.variables import children
from fuse_ref.mistakes import mistake

__all__ = ["active_tensors", "smooth_reads"]


def smooth_reads(expr: Expr) -> list[Read]:
    """The reads of numbers that the value of `expr` changes smoothly with: none in a condition or an index."""
    found: list[Read] = []
    stack = [expr]
    while stack:
        node = stack.pop()
        match node:
            case Read(boolean=boolean):
                if not boolean:
                    found.append(node)
            case Compare() | And() | Or() | Not():
                pass
            case Case(branches, default):
                stack.extend((default, *(value for _, value in reversed(branches))))
            case Call(function="where", arguments=(_, yes, no)):
                stack.extend((no, yes))
            case Call(function=function) if function in DERIVATIVES and DERIVATIVES[function].none:
                pass
            case _:
                stack.extend(reversed(children(node)))
    return found


def active_tensors(program: ProgramIR, checked: Checked, seeds: Iterable[str], wanted: Iterable[str]) -> frozenset[str]:
    """The tensors that a seed depends on smoothly and that depend so on a wanted tensor.

    Raises:
        GradientError: such tensors are a recurrence, or one of them is a stream.
    """
    flows: dict[str, set[str]] = {}
    for equation in program.equations:
        target = equation.target.tensor
        if checked.dtypes[target] == "float" and not equation.target.boolean:
            sources = {read.tensor for read in smooth_reads(equation.body) if checked.dtypes[read.tensor] == "float"}
            flows.setdefault(target, set()).update(sources)
    below = _reached(seeds, flows)
    users: dict[str, set[str]] = {}
    for target, sources in flows.items():
        for source in sources:
            users.setdefault(source, set()).add(target)
    active = below & _reached(wanted, users)
    for group in checked.dependencies.groups:
        inside = [name for name in group.tensors if name in active]
        if any(program.tensor(name).virtual is not None for name in inside):
            equation = next(program.equations[n] for n in group.equations)
            raise mistake("FUSE270", equation.span, name=inside[0])
    return frozenset(active)


def _reached(start: Iterable[str], edges: dict[str, set[str]]) -> set[str]:
    found = set(start)
    pending = list(found)
    while pending:
        for name in edges.get(pending.pop(), ()):
            if name not in found:
                found.add(name)
                pending.append(name)
    return found
