"""Strata: the groups of relations that need each other, in an order in which what is needed comes first."""

from __future__ import annotations

from collections.abc import Sequence

from fuse_ref.records import dataclass
from fuse_ref.relations.rules import Atom, Denial, Rule

__all__ = ["Stratum", "strata"]


@dataclass(frozen=True, slots=True)
class Stratum:
    """Rules of relations that need each other."""

    heads: frozenset[str]
    rules: tuple[int, ...]  # their numbers, ascending
    recursive: bool


def strata(rules: Sequence[Rule]) -> list[Stratum]:
    """The strata of `rules`, each after those that it needs.

    Strongly connected components after Tarjan, "Depth-first search and linear graph algorithms" (1972), without
    recursion: programs may have long chains of relations.
    """
    by_head: dict[str, list[int]] = {}
    for number, rule in enumerate(rules):
        by_head.setdefault(rule.head, []).append(number)
    needs = {head: _needs(rules, numbers, by_head.keys()) for head, numbers in by_head.items()}
    found: list[Stratum] = []
    order: dict[str, int] = {}  # when a relation was first met
    low: dict[str, int] = {}
    done: set[str] = set()
    path: list[str] = []
    for root in by_head:
        if root in order:
            continue
        order[root] = low[root] = len(order)
        path.append(root)
        work = [(root, iter(needs[root]))]
        while work:
            name, rest = work[-1]
            for other in rest:
                if other not in order:
                    order[other] = low[other] = len(order)
                    path.append(other)
                    work.append((other, iter(needs[other])))
                    break
                if other not in done:
                    low[name] = min(low[name], order[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[name])
                if low[name] == order[name]:
                    heads = frozenset(_popped(path, name))
                    done |= heads
                    numbers = tuple(sorted(number for head in heads for number in by_head[head]))
                    found.append(Stratum(heads, numbers, len(heads) > 1 or name in needs[name]))
    return found


def _popped(path: list[str], name: str) -> list[str]:
    found = [path.pop()]
    while found[-1] != name:
        found.append(path.pop())
    return found


def _needs(rules: Sequence[Rule], numbers: Sequence[int], heads: object) -> list[str]:
    names: dict[str, None] = {}
    for number in numbers:
        for item in rules[number].body:
            atom = item.atom if isinstance(item, Denial) else item
            if isinstance(atom, Atom) and atom.relation in heads:  # type: ignore[operator]
                names[atom.relation] = None
    return list(names)
