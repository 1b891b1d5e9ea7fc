"""Derivations: why a fact holds, or does not, as a tree that reads from the fact down to what was given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias

from fuse_ref.records import dataclass

__all__ = ["Derivation", "Node", "NodeKind"]

# derived: by a rule. fact: of the program, or given. denial, comparison: a condition of a rule that holds. sum: an
# element of a dense tensor, over what contributed to it. more: what is not listed. absent: a fact that does not
# hold. failed: a rule that does not give it. missing: the condition at which it fails.
NodeKind: TypeAlias = Literal[
    "derived", "fact", "denial", "comparison", "sum", "contribution", "more", "absent", "failed", "missing", "holds"
]

MOST_LINES = 400  # of the printed tree
MOST_DEPTH = 60


@dataclass(frozen=True, slots=True)
class Node:
    """One line of a derivation."""

    kind: NodeKind
    text: str  # "Ancestor(Alice, Carol)", "not Enemy(Alice, Bob)", "Age[Alice] > 3"
    note: str  # "fact", "no tuple fits", "4 > 3"; "" where there is nothing to say
    rule: str  # that gives it, as the program has it; "" elsewhere
    because: tuple[int, ...]  # places of other nodes in `nodes`
    relation: str = ""
    position: tuple[int, ...] = ()

    @property
    def line(self) -> str:
        note = f"   by {self.rule}" if self.rule else f"   {self.note}" if self.note else ""
        return self.text + note


@dataclass(frozen=True, slots=True)
class Derivation:
    """Why a fact holds, or why it does not.

    Attributes:
        fact: what was asked about: "Ancestor(Alice, Carol)".
        holds: whether it does.
        nodes: of the tree, the first one its root. A fact that is used twice is one node.
        height: the rules one above the other from the root down; 0 for what was given.
        size: the nodes of the tree with every fact as often as it is used.
    """

    fact: str
    holds: bool
    nodes: tuple[Node, ...]
    height: int
    size: int
    title: str = ""  # a line above the printed tree

    def __bool__(self) -> bool:
        return self.holds

    def __len__(self) -> int:
        return len(self.nodes)

    @property
    def facts(self) -> tuple[str, ...]:
        """What was given and is used, each once, in the tree's order."""
        return tuple(node.text for node in self.nodes if node.kind == "fact")

    @property
    def rules(self) -> tuple[str, ...]:
        """The rules that are used, each once, in the tree's order."""
        return tuple(dict.fromkeys(node.rule for node in self.nodes if node.rule))

    def __str__(self) -> str:
        return "\n".join(([self.title] if self.title else []) + list(_lines(self.nodes)))

    def __repr__(self) -> str:
        return f"<Derivation of {self.fact}: {'holds' if self.holds else 'does not hold'}, {len(self.nodes)} nodes>"

    def to_dict(self) -> dict[str, object]:
        """Plain data: the nodes in one list, `because` telling their places in it, so that deep trees stay flat."""
        return {
            "fact": self.fact,
            "holds": self.holds,
            "height": self.height,
            "size": self.size,
            "nodes": [
                {
                    "kind": node.kind,
                    "text": node.text,
                    "note": node.note,
                    "rule": node.rule,
                    "because": list(node.because),
                    "relation": node.relation,
                    "position": list(node.position),
                }
                for node in self.nodes
            ],
        }


def _lines(nodes: Sequence[Node]) -> Iterator[str]:
    """The tree drawn with lines; what is too deep or too long is only counted."""
    shown: set[int] = set()
    left: list[tuple[int, str, str, int]] = [(0, "", "", 0)]  # node, what stands before it and before its own, depth
    count = 0
    while left:
        place, before, below, depth = left.pop()
        node = nodes[place]
        if count == MOST_LINES:
            yield f"{before}… {len(nodes) - len(shown)} more facts and conditions: to_dict() has all"
            return
        count += 1
        if place in shown and node.because:
            yield f"{before}{node.text}   shown above"
            continue
        shown.add(place)
        yield before + node.line
        if depth == MOST_DEPTH and node.because:
            yield f"{below}└─ … goes on below: to_dict() has all"
            continue
        for k, child in reversed(list(enumerate(node.because))):
            last = k == len(node.because) - 1
            left.append((child, below + ("└─ " if last else "├─ "), below + ("   " if last else "│  "), depth + 1))
