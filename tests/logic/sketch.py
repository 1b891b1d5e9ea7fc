"""Logic programs as data, and their text for Fuse and for clingo."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

__all__ = [
    "Aggregate",
    "Atom",
    "Cell",
    "Compare",
    "Either",
    "Given",
    "Literal",
    "Query",
    "Rule",
    "Sketch",
    "Term",
    "Threshold",
    "clingo_cell",
    "fuse_cell",
    "quoted",
]

Cell: TypeAlias = str | int  # a symbol or a position


@dataclass(frozen=True)
class Term:
    """An argument: kind is "variable" (plus `number`), "half", "twice", "symbol", "number" or "any"."""

    kind: str
    name: str = ""
    number: int = 0

    def fuse(self) -> str:
        match self.kind:
            case "variable":
                return self.name + (f"{self.number:+d}" if self.number else "")
            case "half":
                return f"{self.name}/2"
            case "twice":
                return f"2*{self.name}"
            case "symbol":
                return quoted(self.name)
            case "number":
                return str(self.number)
            case _:
                return "_"

    def clingo(self) -> str:
        upper = "V_" + self.name.replace("'", "_p")
        match self.kind:
            case "variable":
                return upper + (f"{self.number:+d}" if self.number else "")
            case "half":
                return f"{upper}/2"
            case "twice":
                return f"2*{upper}"
            case "symbol":
                return clingo_string(self.name)
            case "number":
                return str(self.number)
            case _:
                return "_"


@dataclass(frozen=True)
class Atom:
    relation: str
    terms: tuple[Term, ...]
    denied: bool = False

    def fuse(self) -> str:
        return f"{'not ' * self.denied}{self.relation}({', '.join(term.fuse() for term in self.terms)})"

    def clingo(self) -> str:
        inner = ", ".join(term.clingo() for term in self.terms)
        return f"{'not ' * self.denied}r_{self.relation.lower()}({inner})"


@dataclass(frozen=True)
class Compare:
    operator: str
    left: Term
    right: Term

    def fuse(self) -> str:
        return f"{self.left.fuse()} {self.operator} {self.right.fuse()}"

    def clingo(self) -> str:
        return f"{self.left.clingo()} {self.operator.replace('==', '=')} {self.right.clingo()}"


@dataclass(frozen=True)
class Threshold:
    """An element of a tensor of whole numbers compared with one: `V[t] > 0`."""

    tensor: str
    terms: tuple[Term, ...]
    operator: str
    number: int

    def fuse(self) -> str:
        return f"{_element(self.tensor, self.terms)} {self.operator} {self.number}"


@dataclass(frozen=True)
class Either:
    """Conjunctions of which one must hold; all of them bind the same variables."""

    choices: tuple[tuple[Literal, ...], ...]

    def fuse(self) -> str:
        return "(" + " or ".join(" and ".join(item.fuse() for item in choice) for choice in self.choices) + ")"


Literal: TypeAlias = Atom | Compare | Threshold | Either


@dataclass(frozen=True)
class Rule:
    head: Atom
    body: tuple[Literal, ...]

    def fuse(self) -> str:
        return f"{self.head.fuse()} <- {', '.join(item.fuse() for item in self.body)}"


def _element(tensor: str, terms: tuple[Term, ...]) -> str:
    return f"{tensor}[{', '.join(term.fuse() for term in terms)}]" if terms else tensor


@dataclass(frozen=True)
class Aggregate:
    """`A[x] max= R(x, y), V[y]`: `value` is a tensor's element, a position, or None (a count, for "=")."""

    name: str
    head: tuple[Term, ...]
    operator: str
    body: tuple[Literal, ...]
    value: tuple[str, tuple[Term, ...]] | Term | None

    def fuse(self) -> str:
        parts = [item.fuse() for item in self.body]
        if isinstance(self.value, Term):
            parts.append(self.value.fuse())
        elif self.value is not None:
            parts.append(_element(*self.value))
        return f"{_element(self.name, self.head)} {self.operator} {', '.join(parts)}"


@dataclass(frozen=True)
class Given:
    """A relation that is no result: how it comes in, what its arguments are ("s" symbol, "n" position), its tuples."""

    name: str
    sorts: str
    way: str  # "facts", "input", "indices", "truth", ".tsv", ".csv"
    tuples: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Query:
    relation: str
    terms: tuple[Term, ...]

    def fuse(self) -> str:
        return f"{self.relation}({', '.join(term.fuse() for term in self.terms)})?"


@dataclass(frozen=True)
class Sketch:
    """A program.

    Attributes:
        size: of the one axis of positions.
        given: in text order, before the rules.
        tensors: numeric ones of one argument, whose elements that are not said are 0: name, sort, values.
        rules: with aggregates; in text order.
        sorts: of every relation.
    """

    size: int
    given: tuple[Given, ...]
    tensors: tuple[tuple[str, str, tuple[tuple[Cell, int], ...]], ...]
    rules: tuple[Rule | Aggregate, ...]
    sorts: dict[str, str] = field(compare=False)
    queries: tuple[Query, ...] = ()
    exports: tuple[str, ...] = ()

    def text(self) -> str:
        """The Fuse program."""
        lines = [f"axis t = {self.size}"]
        for item in self.given:
            letters = _letters(item.sorts)
            named = f"{item.name}({', '.join(letters)})"
            if item.way == "facts":
                lines += [f"{item.name}({', '.join(map(fuse_cell, row))})" for row in item.tuples]
                # Read by plain variables, so that constants are on the declared axis.
                lines.append(f"{item.name}0({', '.join(letters)}) <- {named}")
            elif item.way in (".tsv", ".csv"):
                lines.append(f'{named} = "{item.name}{item.way}"')
                lines.append(f"{item.name}0({', '.join(letters)}) <- {named}")
            else:
                lines.append(f"input {named}")
        for name, sort, values in self.tensors:
            if sort == "n":
                lines.append(f"input {name}[t]")
            else:
                lines += [f"{name}[{fuse_cell(cell)}] = {number}" for cell, number in values]
        lines += [rule.fuse() for rule in self.rules]
        lines += [query.fuse() for query in self.queries]
        if self.exports:
            lines.append(f"export {', '.join(self.exports)}")
        return "\n".join(lines)

    def clingo(self) -> str | None:
        """The program for clingo, which knows the relations alone; None where rules look at results that are numbers."""
        made = {rule.name for rule in self.rules if isinstance(rule, Aggregate)}
        parts = [f"pos(0..{self.size - 1})."]
        for item in self.given:
            parts += [f"r_{item.name.lower()}({', '.join(map(clingo_cell, row))})." for row in item.tuples]
        for name, _, values in self.tensors:
            parts += [f"t_{name.lower()}({clingo_cell(cell)}, {number})." for cell, number in values]
        for rule in self.rules:
            if isinstance(rule, Rule):
                if any(item.tensor in made for item in _tests(rule.body)):
                    return None
                head = rule.head
                for body in _flat(rule.body):
                    parts.append(f"{head.clingo()} :- {', '.join(_clingo_body(head, body, self))}.")
        return "\n".join(parts)


def _tests(body: Sequence[Literal]) -> Iterator[Threshold]:
    for item in body:
        if isinstance(item, Threshold):
            yield item
        elif isinstance(item, Either):
            for choice in item.choices:
                yield from _tests(choice)


def _flat(body: Sequence[Literal]) -> Iterator[tuple[Literal, ...]]:
    """The body without `or`."""
    for place, item in enumerate(body):
        if isinstance(item, Either):
            for choice in item.choices:
                yield from _flat((*body[:place], *choice, *body[place + 1 :]))
            return
    yield tuple(body)


def _clingo_body(head: Atom, body: Sequence[Literal], sketch: Sketch) -> list[str]:
    parts: list[str] = []
    for number, item in enumerate(body):
        if isinstance(item, Threshold):
            upper = f"E{number}"
            (term,) = item.terms
            # What is not said is 0.
            known = f"t_{item.tensor.lower()}({term.clingo()}, {upper})"
            parts += [known, f"{upper} {item.operator.replace('==', '=')} {item.number}"]
        else:
            assert not isinstance(item, Either)
            parts.append(item.clingo())
    for sort, term in zip(sketch.sorts[head.relation], head.terms, strict=True):
        if sort == "n":
            parts.append(f"pos({term.clingo()})")
    positions = {t.clingo() for t in _plain(body) if t.kind in ("variable", "half", "twice") and t.name[0] == "t"}
    parts += [f"pos({name})" for name in sorted(positions)]
    return parts


def _plain(body: Sequence[Literal]) -> Iterator[Term]:
    """The variables of the body by themselves."""
    for item in body:
        terms = (
            item.terms
            if isinstance(item, Atom | Threshold)
            else (item.left, item.right)
            if isinstance(item, Compare)
            else ()
        )
        yield from (Term("variable", term.name) for term in terms if term.name and term.kind != "symbol")


def _letters(sorts: str) -> list[str]:
    return [f"t{chr(39) * place}" if sort == "n" else f"x{chr(39) * place}" for place, sort in enumerate(sorts)]


def quoted(symbol: str) -> str:
    """A symbol as Fuse text."""
    if re.fullmatch(r"[A-Z][a-z]+", symbol):
        return symbol
    escaped = symbol.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def clingo_string(symbol: str) -> str:
    escaped = symbol.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def fuse_cell(cell: Cell) -> str:
    return quoted(cell) if isinstance(cell, str) else str(cell)


def clingo_cell(cell: Cell) -> str:
    return clingo_string(cell) if isinstance(cell, str) else str(cell)
