"""Rules as dense operations on truth values, for engines that run logic natively: `logic="dense"`.

A rule is a contraction: the combinations that make its body true are counted, and where there are any the head
holds. A group of relations that need each other becomes one step whose operations compute a round: every relation
of the group from what all of them were before, beginning with nothing. The least fixpoint is where no round adds.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from fuse_ref.analysis.lengths import Fixed
from fuse_ref.ir.index import Affine
from fuse_ref.ir.nodes import And, Equation, Expr, Project, Read
from fuse_ref.plan.dataflow import reads
from fuse_ref.plan.operations import Aggregate, DenseOperation
from fuse_ref.plan.steps import Plan, Route, Step

__all__ = ["doubled", "following", "loop_steps", "sizes_of_plan"]


def following(name: str) -> str:
    """What a round calls the value that it makes of `name`."""
    return f"{name}~next"


def loop_steps(step: Step, operations: Sequence[DenseOperation], route: Route = "dense") -> list[Step]:
    """A Fixpoint step whose `loop` is one round, after a dense step with what is the same in every round.

    Args:
        step: with the tensors of the group as `writes`.
        operations: for each of them, what computes it from all of them; each ends in an output of its name.
        route: of the fixpoint.
    """
    heads = set(step.writes)
    changing = set(heads)
    still: list[DenseOperation] = []
    round_: list[DenseOperation] = []
    for operation in operations:
        name = operation.output.out
        if name in heads:
            operation = replace(operation, output=replace(operation.output, out=following(name)))
        if name in heads or changing.intersection(reads(operation)):
            changing.add(name)
            round_.append(operation)
        else:
            still.append(operation)
    made = {operation.output.out for operation in round_}
    needed = {name for operation in round_ for name in _needs(operation)} - made - heads
    own = {operation.output.out for operation in still}
    steps: list[Step] = []
    if still:
        kept = tuple(operation.output.out for operation in still if operation.output.out in needed)
        given = {name for operation in still for name in _needs(operation)} - own
        reason = f"the same in every round of {', '.join(step.writes)}"
        steps.append(
            Step("Dense", (), tuple(sorted(given)), kept, "dense", reason, operations=tuple(still), span=step.span)
        )
    steps.append(replace(step, reads=tuple(sorted(needed)), route=route, loop=tuple(round_)))
    return steps


def _needs(operation: DenseOperation) -> tuple[str, ...]:
    """The values and the relation that an operation reads."""
    return (*reads(operation), operation.relation) if isinstance(operation, Aggregate) else reads(operation)


def sizes_of_plan(plan: Plan) -> dict[str, tuple[int, ...]]:
    """The shapes of weights and sources, which a plan was made with."""
    found: dict[str, tuple[int, ...]] = {}
    for name in (*plan.sources, *plan.weights):
        sizes = [length.value for length in plan.shape(name) if isinstance(length, Fixed)]
        if len(sizes) == len(plan.shape(name)):
            found[name] = tuple(sizes)
    return found


# Fewer rounds -----------------------------------------------------------------------------------


def doubled(equations: Sequence[Equation]) -> list[Equation]:
    """The equations of a group, a transitive closure by doubling.

    `P(x, y) <- B(x, y)` and `P(x, z) <- P(x, y), B(y, z)` have the least fixpoint of `P(x, z) <- P(x, y), P(y, z)`,
    which a chain of n needs log n rounds for.
    """
    found = list(equations)
    if len(found) != 2 or len({item.target.tensor for item in found}) != 1:
        return found
    for base, step in (found, found[::-1]):
        name = base.target.tensor
        body = _body(base.body)
        ends = _variables(base.target.indices)
        if not isinstance(body, Read) or body.tensor == name or len(ends) != 2 or _variables(body.indices) != ends:
            continue
        conjuncts = _body(step.body)
        if not isinstance(conjuncts, And) or len(conjuncts.operands) != 2:
            continue
        target = _variables(step.target.indices)
        by_tensor: Mapping[str, Read] = {item.tensor: item for item in conjuncts.operands if isinstance(item, Read)}
        if set(by_tensor) != {name, body.tensor}:
            continue
        own, other = by_tensor[name], by_tensor[body.tensor]
        one, two = _variables(own.indices), _variables(other.indices)
        if len(one) != 2 or len(two) != 2 or len(target) != 2:
            continue
        chained = (one[1] == two[0] and (one[0], two[1]) == target) or (two[1] == one[0] and (two[0], one[1]) == target)
        if chained and len({*one, *two}) == 3:
            again = replace(other, tensor=name)
            bodies = tuple(again if item is other else item for item in conjuncts.operands)
            whole = _rebuilt(step.body, And(bodies))
            found[found.index(step)] = replace(step, body=whole)
            return found
    return found


def _body(expr: Expr) -> Expr:
    while isinstance(expr, Project) and expr.operator == "any":
        expr = expr.body
    return expr


def _rebuilt(expr: Expr, inner: Expr) -> Expr:
    if isinstance(expr, Project) and expr.operator == "any":
        return replace(expr, body=_rebuilt(expr.body, inner))
    return inner


def _variables(indices: Collection[object]) -> tuple[str, ...]:
    """The variables of plain indices; () where one is not plain."""
    names = [index.variable for index in indices if isinstance(index, Affine) and index.variable is not None]
    return tuple(names) if len(names) == len(indices) else ()
