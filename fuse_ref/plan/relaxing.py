"""Cycles of `max=` and `min=` over relations: shortest paths and their kin.

`D[y] min= Edge(x, y), D[x] + W[x, y]` needs no iteration over the whole of D: an element that became smaller
touches only the tuples that it stands in. That is right where a value grows with the elements it is made of.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from fuse_ref.analysis.lengths import Length
from fuse_ref.ir.operations import row_of
from fuse_ref.plan.dataflow import reads
from fuse_ref.plan.lower import Definition, lower_tensor
from fuse_ref.plan.operations import Aggregate, InnerValue
from fuse_ref.plan.references import Tensors
from fuse_ref.plan.values import WRITE, Builder
from fuse_ref.records import dataclass

__all__ = ["Relaxed", "base_name", "relaxed"]


@dataclass(frozen=True, slots=True)
class Relaxed:
    """A group that runs by what changes."""

    builders: tuple[Builder, ...]  # what is made before: of each tensor its base case, and what its equations need
    relaxations: tuple[Aggregate, ...]


def base_name(tensor: str) -> str:
    """What the elements that base cases give are called."""
    return f"{tensor}~base"


def relaxed(
    group: Collection[str],
    definitions: dict[str, list[tuple[Definition, bool]]],
    tensors: Tensors,
    number: Callable[[Length], int],
) -> Relaxed | None:
    """The group as relaxations; None where it is something else.

    Args:
        group: its tensors.
        definitions: of each, and whether it reads the group.
        number: how many positions a length is taken to be.

    Raises:
        Unsupported: an equation that engines cannot run yet.
    """
    if any(tensors.specs[name].operator not in ("max=", "min=") or tensors.specs[name].boolean for name in group):
        return None
    tensors = replace(tensors, cyclic=frozenset(group))
    builders: list[Builder] = []
    found: list[Aggregate] = []
    for name in group:
        base = [definition for definition, cyclic in definitions[name] if not cyclic]
        builders.append(lower_tensor(name, base, tensors, number, called=base_name(name)))
        for k, (definition, cyclic) in enumerate(definitions[name]):
            if not cyclic:
                continue
            builder = lower_tensor(name, [definition], tensors, number, called=f"{name}~r{k}")
            last = builder.operations.pop()
            if not _fits(last, builder, name, group, tensors):
                return None
            assert isinstance(last, Aggregate)
            builders.append(builder)
            found.append(last)
    return Relaxed(tuple(builders), tuple(found))


def _fits(last: object, builder: Builder, name: str, group: Collection[str], tensors: Tensors) -> bool:
    if not isinstance(last, Aggregate) or last.operator != WRITE[tensors.specs[name].operator]:
        return False
    if last.output.lengths != tensors.shapes[name] or any(set(reads(item)) & set(group) for item in builder.operations):
        return False
    # The elements that change must tell the tuples that they stand in.
    own = {k for k, operand in enumerate(last.operands) if operand.value in group}
    if any(label not in last.columns for operand in last.operands for label in operand.labels):
        return False
    return bool(own) and _grows(last, own)


def _grows(operation: Aggregate, own: set[int]) -> bool:
    """Whether a tuple's value never falls where elements of the group rise."""
    if not operation.inner:
        return len(operation.operands) == 1
    grows = set(own)
    for k, item in enumerate(operation.inner, len(operation.operands)):
        depends = [j for j, a in enumerate(item.arguments) if isinstance(a, InnerValue) and a.number in grows]
        if not depends:
            continue
        row = row_of(item.function)
        match item.function:
            case "add" | "max" | "min":
                pass
            case "subtract" if depends == [0]:
                pass
            case "multiply" | "divide" if len(depends) == 1 and _positive(item.arguments[1 - depends[0]]):
                if item.function == "divide" and depends != [0]:
                    return False
            case _ if row is not None and row.monotone and depends == [0] and len(item.arguments) == 1:
                pass
            case _:
                return False
        grows.add(k)
    return len(operation.operands) + len(operation.inner) - 1 in grows


def _positive(argument: InnerValue | int | float) -> bool:
    return not isinstance(argument, InnerValue) and argument > 0
