"""When the values of a plan are needed last: their memory may be written over after that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fuse_ref.plan.dataflow import reads
from fuse_ref.plan.dense_logic import following
from fuse_ref.plan.steps import DenseOperation, Step

__all__ = ["every_operation", "last_uses", "rounds_of"]


def rounds_of(step: Step) -> tuple[DenseOperation, ...]:
    """The operations that NumPy repeats for a fixpoint: relaxations have an algorithm of their own."""
    return () if step.relaxations else step.loop


def every_operation(step: Step) -> Iterator[DenseOperation]:
    """The operations of a step, those of a recurrence's steps included."""
    yield from step.operations
    if step.recurrence is not None:
        for inner in step.recurrence.body:
            yield from every_operation(inner)


def last_uses(steps: Sequence[Step]) -> dict[str, int]:
    """Of each value the position of the last operation that reads it, counted through all steps.

    The end of a loop is a position too: what a round of a fixpoint or a step of a recurrence reads from outside, and
    what it hands on, is used until then.
    """
    found: dict[str, int] = {}
    _visit(steps, 0, found)
    return found


def _visit(steps: Sequence[Step], position: int, found: dict[str, int]) -> int:
    for step in steps:
        for operation in step.operations:
            found[operation.output.out] = position
            found.update((name, position) for name in reads(operation))
            position += 1
        made = step.recurrence
        if made is not None:
            position = _visit(made.body, position, found)
            names = {name for carry in made.carries for name in (carry.output.out, carry.own, carry.base, *carry.backs)}
            names.update(name for item in made.slices for name in (item.name, item.value))
            found.update((name, position) for name in (*step.reads, *names))
            position += 1
        loop = rounds_of(step)
        if loop:
            own = {operation.output.out for operation in loop} - {following(name) for name in step.writes}
            end = position + len(loop)
            for operation in loop:
                for name in (operation.output.out, *reads(operation)):
                    found[name] = position if name in own else end
                position += 1
            found.update((name, end) for name in step.writes)
            position = end + 1
    return position
