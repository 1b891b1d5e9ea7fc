"""What contributed to an element of a dense tensor that was made of relations: what was counted, summed or compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal as Word

import numpy as np

from fuse_ref.records import dataclass
from fuse_ref.relations.literals import (
    places_of,
    substituted,
    substituted_value,
    variables,
    variables_of,
    written,
    written_value,
)
from fuse_ref.relations.rules import Atom, Constant, Filter, Literal, Rule, Variable
from fuse_ref.relations.tuples import Tuples
from fuse_ref.relations.world import Aggregate, World

__all__ = ["Contributions", "contributions"]

LISTED = 3


@dataclass(frozen=True, slots=True)
class Contributions:
    """What an element was made of."""

    what: str  # "counts 1000", "the greatest of 12", "the mean of 3"
    listed: tuple[tuple[Word["contribution", "more"], str], ...]


def contributions(world: World, tensor: str, position: tuple[int, ...]) -> Contributions | None:
    """What contributed to the element, the first few written out; None where the tensor was not made of relations."""
    parts = [aggregate for aggregate in world.aggregates if aggregate.tensor == tensor]
    if not parts:
        return None
    listed: list[tuple[float, str]] = []
    total = 0
    values: list[np.ndarray] = []
    for part in parts:
        found = _combinations(world, part, position)
        if found is None:
            continue
        tuples, names, places = found
        numbers = _numbers(world, part, tuples, names, position)
        values.append(numbers)
        total += len(tuples)
        listed += _texts(world, part, tuples, names, places, numbers, position)
    operator = parts[0].operator
    counted = all(part.value is None for part in parts)
    if operator in ("max=", "min="):
        whole = np.concatenate(values) if values else np.zeros(0)
        best = float(whole.max() if operator == "max=" else whole.min()) if len(whole) else 0.0
        shown = [text for number, text in listed if number == best][:LISTED]
        what = f"the {'greatest' if operator == 'max=' else 'least'} of {total}"
        return Contributions(what, tuple(("contribution", text) for text in shown))
    shown = [text for _, text in listed][:LISTED]
    lines: list[tuple[Word["contribution", "more"], str]] = [("contribution", text) for text in shown]
    if total > len(shown):
        lines.append(("more", f"and {total - len(shown)} more"))
    word = {"avg=": "the mean of", "prod=": "the product of"}.get(operator, "counts" if counted else "the sum of")
    return Contributions(f"{word} {total}", tuple(lines))


def _combinations(
    world: World, part: Aggregate, position: tuple[int, ...]
) -> tuple[Tuples, tuple[str, ...], Mapping[str, tuple[str, int]]] | None:
    """The combinations that contribute to an element: one column per variable of the body."""
    bound: dict[str, Constant] = {}
    extra: list[Literal] = []
    for term, value in zip(part.terms, position, strict=True):
        if isinstance(term, Variable):
            if bound.setdefault(term.name, Constant(value)) != Constant(value):
                return None
        else:
            extra.append(Filter("==", term, Constant(value)))
    body = substituted([*part.body, *extra], bound)
    places = places_of((), "", part.body)
    names = tuple(
        dict.fromkeys(name for item in body if isinstance(item, Atom) for name in variables(item) if name in places)
    )
    shape = tuple(world.relations[places[name][0]].shape[places[name][1]] for name in names)
    rule = Rule("contributes~", tuple(Variable(name) for name in names), tuple(body), -1, f"{part.tensor}: its parts")
    found = world.derived([rule], {rule.head: shape})[rule.head]
    return found.sorted(), names, places


def _numbers(
    world: World, part: Aggregate, tuples: Tuples, names: tuple[str, ...], position: tuple[int, ...]
) -> np.ndarray:
    if part.value is None:
        return np.ones(len(tuples))
    columns = dict(zip(names, tuples.columns, strict=True))
    bound = {t.name: Constant(p) for t, p in zip(part.terms, position, strict=True) if isinstance(t, Variable)}
    value = world.numbers.value(substituted_value(part.value, bound), columns)
    return np.broadcast_to(np.asarray(value, np.float64), len(tuples))


def _texts(
    world: World,
    part: Aggregate,
    tuples: Tuples,
    names: tuple[str, ...],
    places: Mapping[str, tuple[str, int]],
    numbers: np.ndarray,
    position: tuple[int, ...],
) -> list[tuple[float, str]]:
    """The first combinations written out with their values; the first best ones for extremes."""
    wanted: np.ndarray = np.arange(min(LISTED, len(tuples)))
    if part.operator in ("max=", "min=") and len(numbers):
        best = numbers.max() if part.operator == "max=" else numbers.min()
        wanted = np.flatnonzero(numbers == best)[:LISTED]
    known = {term.name: value for term, value in zip(part.terms, position, strict=True) if isinstance(term, Variable)}
    found = []
    for row in wanted.tolist():
        bindings = known | {name: int(column[row]) for name, column in zip(names, tuples.columns, strict=True)}
        items = [written(item, world.names, places, bindings) for item in part.body]
        if part.value is not None and variables_of(part.value):
            text = written_value(part.value, world.names, places, None, bindings)
            items.append(f"{text} = {numbers[row]:.6g}")
        found.append((float(numbers[row]), ", ".join(items)))
    return found
