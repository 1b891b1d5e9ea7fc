"""A random program as a structure that can be made smaller: statements of nodes, each a piece of text with holes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import numpy as np

__all__ = ["Given", "Node", "Sketch", "Sort", "Statement", "leaf", "value"]

# What a node may stand for: a node is only ever replaced by one of its own sort.
Sort: TypeAlias = Literal["value", "truth", "index"]


@dataclass(frozen=True, slots=True)
class Node:
    sort: Sort
    template: str  # with one "{}" per part; braces of the language are doubled
    parts: tuple[Node, ...] = ()

    def text(self) -> str:
        return self.template.format(*(part.text() for part in self.parts))

    def walk(self, path: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], Node]]:
        """Every node with its path from this one, outer ones first."""
        yield path, self
        for place, part in enumerate(self.parts):
            yield from part.walk((*path, place))

    def replaced(self, path: tuple[int, ...], new: Node) -> Node:
        if not path:
            return new
        place, *rest = path
        parts = list(self.parts)
        parts[place] = parts[place].replaced(tuple(rest), new)
        return replace(self, parts=tuple(parts))

    def size(self) -> int:
        return 1 + sum(part.size() for part in self.parts)


def leaf(sort: Sort, text: str) -> Node:
    return Node(sort, text.replace("{", "{{").replace("}", "}}"))


def value(template: str, *parts: Node) -> Node:
    return Node("value", template, parts)


@dataclass(frozen=True, slots=True)
class Statement:
    """One equation; a body of None is a line of its own, such as a declaration."""

    target: str  # with its indices; or the whole line
    tensor: str = ""  # the name that it defines
    operator: str = "="
    body: Node | None = None

    def text(self) -> str:
        return self.target if self.body is None else f"{self.target} {self.operator} {self.body.text()}"


@dataclass(frozen=True, slots=True)
class Given:
    axes: str  # letters of `Sketch.sizes`
    kind: Literal["float", "relation", "classes"] = "float"
    low: float = -1.0
    high: float = 1.0
    classes: int = 2  # positions are drawn below it


@dataclass(frozen=True, slots=True)
class Sketch:
    seed: int
    statements: tuple[Statement, ...]
    exports: tuple[str, ...]
    given: dict[str, Given] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)

    def text(self) -> str:
        lines = [statement.text() for statement in self.statements]
        return "\n".join([*lines, f"export {', '.join(self.exports)}"])

    def values(self, call: int) -> dict[str, np.ndarray]:
        """New numbers for every tensor that a call gives; float32 numbers, so that both precisions compute alike."""
        drawn: dict[str, np.ndarray] = {}
        for place, (name, item) in enumerate(self.given.items()):
            rng = np.random.default_rng([self.seed, call, place])
            shape = tuple(self.sizes[letter] for letter in item.axes)
            match item.kind:
                case "float":
                    drawn[name] = rng.uniform(item.low, item.high, shape).astype(np.float32).astype(np.float64)
                case "relation":
                    drawn[name] = rng.uniform(size=shape) < 0.5
                case "classes":
                    drawn[name] = rng.integers(0, item.classes, shape)
        return drawn
