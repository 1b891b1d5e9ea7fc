"""How torch sees a plan with rules: which given relations enter as handles, and whose sizes stand for theirs.

A relation's tuples say nothing of how long its axes are, and a handle is opened outside of graphs. So the sizes
that a plan takes from a given relation are taken from a tensor on the same axis where there is one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fuse_ref.analysis.lengths import Extent, Length
from fuse_ref.evaluate.logic import relations_of
from fuse_ref.ir.nodes import ProgramIR
from fuse_ref.plan.steps import Plan
from fuse_ref.source import Span

__all__ = ["View", "extents_of", "view_of"]

_LEAVES: Final = (str, int, float, type(None), Span, ProgramIR)


@dataclass(frozen=True, slots=True)
class View:
    """A plan as torch runs it.

    Attributes:
        original: as it was planned.
        plan: with other tensors' sizes in place of those of `handles`, where there are such.
        handles: given relations that enter as they are given, in the plan's order.
    """

    original: Plan
    plan: Plan
    handles: tuple[str, ...]

    def checked(self, plan: Plan) -> Plan:
        """`plan`, a part of this one, with the givens and checks of a call whose handles are closed."""
        closed = set(self.handles)
        return dataclasses.replace(
            plan,
            givens=tuple(name for name in plan.givens if name not in closed),
            size_checks=tuple(
                check
                for check in plan.size_checks
                if check.tensor not in closed and not _tensors(check) & closed and not _trivial(check)
            ),
            range_checks=tuple(check for check in plan.range_checks if not _tensors(check) & closed),
        )


def view_of(plan: Plan) -> View:
    """How torch sees `plan`."""
    relations = relations_of(plan)
    handles = tuple(name for name in plan.givens if name in relations)
    if not handles:
        return View(plan, plan, ())
    aliases = _aliases(plan, frozenset(handles))
    if not aliases:
        return View(plan, plan, handles)
    parts = {
        name: _substituted(getattr(plan, name), aliases) for name in ("steps", "shapes", "size_checks", "range_checks")
    }
    return View(plan, dataclasses.replace(plan, **parts), handles)


def _aliases(plan: Plan, handles: frozenset[str]) -> dict[Extent, Length]:
    """Sizes of handles that others have too."""
    aliases: dict[Extent, Length] = {}
    others = {*plan.givens, *plan.parameters, *plan.weights, *plan.sources} - handles
    for check in plan.size_checks:
        expected = check.expected
        if check.relation != "==" or check.tensor not in others:
            continue
        if isinstance(expected, Extent) and expected.tensor in handles:
            aliases.setdefault(expected, Extent(check.tensor, check.position))
    for check in plan.size_checks:
        own = Extent(check.tensor, check.position)
        if check.relation == "==" and check.tensor in handles and own not in aliases:
            found = _substituted(check.expected, aliases)
            if own not in extents_of(found):
                aliases[own] = found
    return aliases


def _substituted(value: Any, aliases: Mapping[Extent, Length]) -> Any:
    """`value`, a part of a plan, with sizes replaced."""
    if isinstance(value, Extent):
        return aliases.get(value, value)
    if isinstance(value, tuple):
        found = tuple([_substituted(item, aliases) for item in value])
        return value if all(a is b for a, b in zip(found, value, strict=True)) else found
    if isinstance(value, _LEAVES):
        return value
    changed = {}
    for item in dataclasses.fields(value):
        old = getattr(value, item.name)
        new = _substituted(old, aliases)
        if new is not old:
            changed[item.name] = new
    return dataclasses.replace(value, **changed) if changed else value


def extents_of(value: Any) -> set[Extent]:
    """The sizes of given tensors that stand in a part of a plan."""
    return set(_extents(value))


def _extents(value: Any) -> Iterator[Extent]:
    if isinstance(value, Extent):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _extents(item)
    elif not isinstance(value, _LEAVES):
        for item in dataclasses.fields(value):
            yield from _extents(getattr(value, item.name))


def _tensors(check: Any) -> set[str]:
    return {extent.tensor for extent in extents_of(check)}


def _trivial(check: Any) -> bool:
    return bool(check.expected == Extent(check.tensor, check.position))
