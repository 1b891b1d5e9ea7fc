"""The order of steps: what is needed comes first, and routes change as seldom as possible."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from fuse_ref.plan.steps import Step

__all__ = ["schedule"]


def schedule(steps: Sequence[Step]) -> list[Step]:
    """The steps in an order in which every read is written before; ties keep the given order."""
    # Logic that depends on inputs alone may wait for logic that needs numbers: then there is one call for both.
    found = [_order(steps, route) for route in ("", "dense")]
    return min(found, key=_changes)


def _changes(steps: Sequence[Step]) -> int:
    """How often the route changes."""
    return sum(one.route != other.route for one, other in itertools.pairwise(steps))


def _order(steps: Sequence[Step], route: str) -> list[Step]:
    """The order that begins with steps of `route` where some are ready."""
    makers = {name: i for i, step in enumerate(steps) for name in step.writes}
    waits = [
        {makers[name] for name in step.reads if name in makers and makers[name] != i} for i, step in enumerate(steps)
    ]
    followers: list[list[int]] = [[] for _ in steps]
    for i, needed in enumerate(waits):
        for j in needed:
            followers[j].append(i)
    missing = [len(needed) for needed in waits]
    ready = [i for i, count in enumerate(missing) if count == 0]
    order: list[Step] = []
    while ready:
        same = [i for i in ready if steps[i].route == route]
        # Answers and files written wait until nothing else goes on: they end the program.
        last = [i for i in ready if steps[i].kind in ("Answer", "Store")]
        going = [i for i in same if i not in last] or [i for i in ready if i not in last] or last
        chosen = min(going, key=lambda i: (steps[i].route != route, _rank(steps[i]), i))
        ready.remove(chosen)
        order.append(steps[chosen])
        route = steps[chosen].route
        for follower in followers[chosen]:
            missing[follower] -= 1
            if missing[follower] == 0:
                ready.append(follower)
        ready.sort()
    assert len(order) == len(steps), "steps need each other"
    return order


def _rank(step: Step) -> int:
    """When nothing of the route at hand is ready: files first, then logic that depends on inputs alone."""
    if step.kind == "Load":
        return 0
    return 1 if step.route == "logical" else 2
