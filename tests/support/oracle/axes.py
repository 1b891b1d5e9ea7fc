"""Axes of the oracle: unions of positions that plain variables join, and the symbols on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from fuse_ref.language import syntax_tree as tree
from tests.support.oracle.program import Definition, Loaded, is_variable, walk
from tests.support.oracle.references import Affine, Read, Symbol

__all__ = ["Axes", "Node", "all_definitions", "bare_variables", "find_axes", "statement_reads"]

# ("position", tensor, place) or ("variable", statement, name)
Node: TypeAlias = tuple[str, str | int, str | int]


@dataclass
class Axes:
    parents: dict[Node, Node] = field(default_factory=dict)
    stepped: set[Node] = field(default_factory=set)
    largest_offset: dict[Node, int] = field(default_factory=dict)  # along stepped axes
    letters: dict[Node, set[str]] = field(default_factory=dict)  # of the variables that read it, without primes
    symbols: dict[Node, dict[str, int]] = field(default_factory=dict)

    def find(self, node: Node) -> Node:
        self.parents.setdefault(node, node)
        while self.parents[node] != node:
            node = self.parents[node]
        return node

    def join(self, a: Node, b: Node) -> None:
        self.parents[self.find(a)] = self.find(b)

    def of(self, tensor: str, place: int) -> Node:
        return self.find(("position", tensor, place))


def all_definitions(loaded: Loaded) -> list[Definition]:
    """Equations and sinks, in text order."""
    return sorted([*loaded.definitions, *(item for _, item in loaded.sinks)], key=lambda item: item.number)


def statement_reads(loaded: Loaded, item: Definition) -> list[Read]:
    """What an equation reads: its body and the gathers of its left-hand side."""
    inner = [read for read in item.target.all_reads() if read is not item.target]
    return [*inner, *([] if item.kind in ("literal", "source") else loaded.reads_in(item.body))]


def bare_variables(loaded: Loaded, body: tree.Expression) -> Iterator[str]:
    """Variables used as values: their positions."""
    for part in walk(body):
        match part:
            case tree.Name(name) if is_variable(name) and not loaded.is_tensor(name) and name not in loaded.constants:
                yield name


def find_axes(loaded: Loaded) -> Axes:
    axes = Axes()
    statements: list[tuple[int, list[Read]]] = [(number, [read]) for number, read, _ in loaded.declared]
    statements += [(item.number, [item.target, *statement_reads(loaded, item)]) for item in all_definitions(loaded)]
    for number, reads in statements:
        for read in reads:
            for place, index in enumerate(read.indices):
                axes.find(("position", read.tensor, place))
                if isinstance(index, Affine) and index.plain is not None:
                    axes.join(("position", read.tensor, place), ("variable", number, index.plain))
    for item in all_definitions(loaded):
        for part in walk(item.body):
            match part:
                case tree.Compare(_, tree.Name(left), tree.Name(right)):
                    bare = set(bare_variables(loaded, part))
                    if {left, right} <= bare:
                        axes.join(("variable", item.number, left), ("variable", item.number, right))
    # All unions are made: now what is known of each.
    for _, reads in statements:
        for read in reads:
            for place, index in enumerate(read.indices):
                root = axes.of(read.tensor, place)
                match index:
                    case Affine(((name, 1),), 0):
                        axes.letters.setdefault(root, set()).add(name.rstrip("'"))
                    case Affine(((_, 1),), offset):
                        axes.stepped.add(root)
                        axes.largest_offset[root] = max(axes.largest_offset.get(root, 0), abs(offset))
                if read.virtual == place:
                    axes.stepped.add(root)
                    axes.largest_offset.setdefault(root, 1)
    _number_symbols(axes, loaded)
    return axes


def _number_symbols(axes: Axes, loaded: Loaded) -> None:
    """Facts and axis tables in text order, argument by argument; then constants in equations."""

    def add(root: Node, name: str) -> None:
        table = axes.symbols.setdefault(root, {})
        table.setdefault(name, len(table))

    def add_read(read: Read) -> None:
        for part in read.all_reads():
            for place, index in enumerate(part.indices):
                if isinstance(index, Symbol):
                    add(axes.of(part.tensor, place), index.name)

    facts = {item.number: item for item in loaded.definitions if item.kind == "fact"}
    for number in sorted({*facts, *(number for number, _, _ in loaded.axis_symbols)}):
        for statement, letter, symbols in loaded.axis_symbols:
            if statement == number:
                for root in [root for root, letters in axes.letters.items() if letter in letters]:
                    for symbol in symbols:
                        add(root, symbol)
        if number in facts:
            add_read(facts[number].target)
    for item in all_definitions(loaded):
        if item.kind == "fact":
            continue
        add_read(item.target)
        for part in walk(item.body):
            compared = loaded.compared_symbol(part)
            if compared is not None:
                add(axes.find(("variable", item.number, compared[0])), compared[1])
            elif not isinstance(part, tree.Name):
                read = loaded.read(part)
                if read is not None:
                    add_read(read)
