"""Strongly connected groups of a directed graph, without recursion."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

__all__ = ["groups"]

Node = TypeVar("Node", bound=Hashable)


def groups(nodes: Sequence[Node], needs: Mapping[Node, Sequence[Node]]) -> list[tuple[Node, ...]]:
    """Tarjan's strongly connected components (SIAM J. Comput. 1, 1972), what is needed first.

    Args:
        nodes: every node; their order decides between independent groups and inside a group.
        needs: for each node the nodes that must come before it; nodes without an entry need none.
    """
    position = {node: i for i, node in enumerate(nodes)}
    index: dict[Node, int] = {}
    low: dict[Node, int] = {}
    on_stack: set[Node] = set()
    stack: list[Node] = []
    found: list[tuple[Node, ...]] = []
    for root in nodes:
        if root in index:
            continue
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        work = [(root, iter(needs.get(root, ())))]
        while work:
            node, rest = work[-1]
            for other in rest:
                if other not in index:
                    index[other] = low[other] = len(index)
                    stack.append(other)
                    on_stack.add(other)
                    work.append((other, iter(needs.get(other, ()))))
                    break
                if other in on_stack:
                    low[node] = min(low[node], index[other])
            else:
                work.pop()
                if work:
                    above = work[-1][0]
                    low[above] = min(low[above], low[node])
                if low[node] == index[node]:
                    members = []
                    while True:
                        member = stack.pop()
                        on_stack.discard(member)
                        members.append(member)
                        if member == node:
                            break
                    found.append(tuple(sorted(members, key=position.__getitem__)))
    return found
