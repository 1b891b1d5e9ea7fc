"""Axes: positions that plain variables join are one axis, with one size and one symbol table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import TypeAlias

from fuse_ref.errors import FuseError
from fuse_ref.ir.index import Affine, Gather, Index, Quotient, SliceIndex, Symbol, Virtual
from fuse_ref.ir.nodes import (
    ArrayLiteral,
    Axis,
    Compare,
    DeclaredAxis,
    Equation,
    Expr,
    Position,
    Query,
    Read,
    Sink,
    SizeOrigin,
    SymbolValue,
)
from fuse_ref.ir.variables import children
from fuse_ref.mistakes import mistake
from fuse_ref.records import dataclass
from fuse_ref.source import Span

__all__ = ["Axes", "build_axes"]

# A tensor's position ("W", 0), or a variable of a statement ("i", statement, 0).
Place: TypeAlias = tuple[str, int] | tuple[str, int, int]


@dataclass
class _Group:
    """What is known of one union of places."""

    letters: Counter[str] = field(default_factory=Counter)
    origins: list[SizeOrigin] = field(default_factory=list)
    stepped: bool = False
    least: int = 0
    least_place: tuple[int, Span | None] = (0, None)  # (position written, where)
    symbols: dict[str, Span | None] = field(default_factory=dict)
    table: DeclaredAxis | None = None
    number: tuple[str, int, int, Span | None] | None = None  # tensor, argument, position read, where


_Lookup: TypeAlias = Callable[[Place], _Group]


@dataclass(frozen=True, slots=True)
class Axes:
    axes: tuple[Axis, ...]
    of: Mapping[tuple[str, int], str]  # (tensor, position) -> name of its axis


def _letter(variable: str) -> str | None:
    """The letter that `axis` declarations know a variable by; None for nameless ones."""
    return None if variable[0] in "_:" else variable.rstrip("'")


class _Union:
    def __init__(self) -> None:
        self._parent: dict[Place, Place] = {}

    def root(self, place: Place) -> Place:
        parent = self._parent.setdefault(place, place)
        while parent != self._parent[parent]:
            self._parent[place] = parent = self._parent[parent]
            place = parent
        return parent

    def join(self, first: Place, second: Place) -> None:
        a, b = self.root(first), self.root(second)
        if a != b:
            self._parent[b] = a


@dataclass(frozen=True, slots=True)
class _Occurrence:
    tensor: str  # "" for an array literal
    position: int
    index: Index
    statement: int
    span: Span | None


def _occurrences(expr: Expr, statement: int) -> Iterator[_Occurrence | tuple[Compare, int] | tuple[SymbolValue, int]]:
    """Every index of `expr` in reading order, with comparisons and symbols in between."""
    stack: list[Expr] = [expr]
    while stack:
        node = stack.pop()
        match node:
            case Read(tensor, indices, _, span):
                for position, index in enumerate(indices):
                    yield _Occurrence(tensor, position, index, statement, span)
                stack.extend(i.read for i in reversed(indices) if isinstance(i, Gather))
            case ArrayLiteral(indices=indices):
                for position, index in enumerate(indices):
                    yield _Occurrence("", position, index, statement, None)
            case SymbolValue():
                yield node, statement
            case _:
                if isinstance(node, Compare):
                    yield node, statement
                stack.extend(reversed(children(node)))


def build_axes(
    tensors: Sequence[tuple[str, int]],
    declared_letters: Mapping[str, tuple[str, ...]],
    declared: Sequence[DeclaredAxis],
    statements: Sequence[Equation | Sink | Query],
    errors: list[FuseError],
    order: Callable[[Span], int],
) -> Axes:
    """The axes of a program.

    Args:
        tensors: (name, number of axes) in the program's order.
        declared_letters: variables of `input` and `param` lines, by tensor.
        declared: the `axis` lines.
        statements: everything that reads or writes, in text order.
        errors: conflicts are appended.
        order: where a statement stands in the program, whichever file it comes from.
    """
    union = _Union()
    occurrences: list[_Occurrence] = []
    symbol_sides: list[tuple[SymbolValue, int]] = []
    compared: list[Place] = []
    for number, statement in enumerate(statements):
        for expr in _parts(statement):
            for item in _occurrences(expr, number):
                if isinstance(item, _Occurrence):
                    occurrences.append(item)
                elif isinstance(item[0], SymbolValue):
                    symbol_sides.append((item[0], number))
                elif isinstance(item[0].left, Position) and isinstance(item[0].right, Position):
                    sides: tuple[Place, Place] = (
                        _variable_place(item[0].left.variable, number),
                        _variable_place(item[0].right.variable, number),
                    )
                    union.join(*sides)
                    compared.extend(sides)
    for item in occurrences:
        variable = _plain_variable(item.index)
        if variable is not None and item.tensor:
            union.join((item.tensor, item.position), _variable_place(variable, item.statement))
    groups: dict[Place, _Group] = {}

    def group(place: Place) -> _Group:
        return groups.setdefault(union.root(place), _Group())

    for name, rank in tensors:
        for position in range(rank):
            letters = declared_letters.get(name, ())
            found = group((name, position))
            if position < len(letters) and (letter := _letter(letters[position])) is not None:
                found.letters[letter] += 1
    for item in occurrences:
        if item.tensor:
            _note(group((item.tensor, item.position)), item)
    for place in compared:
        # `axis j` speaks of `j` in `i <= j` too; it gives the axis no name, since it stands at no tensor.
        if (letter := _letter(str(place[0]))) is not None:
            group(place).letters[letter] += 0
    for number, statement in enumerate(statements):
        if isinstance(statement, Equation):
            _literal_sizes(statement, number, group)
    _declared_sizes(declared, groups.values())
    _symbols(declared, statements, occurrences, symbol_sides, group, groups.values(), order)
    return _finish(tensors, union, groups, errors)


def _parts(statement: Equation | Sink | Query) -> tuple[Expr, ...]:
    match statement:
        case Equation(target=target, body=body):
            return (target, body)
        case Sink(body=body):
            return (body,)
        case Query(target=target):
            return (target,)


def _plain_variable(index: Index) -> str | None:
    match index:
        case Affine():
            return index.variable
        case Virtual(variable, 0):
            return variable
        case _:
            return None


def _variable_place(variable: str, statement: int) -> Place:
    return (variable, statement, 0)


def _note(found: _Group, item: _Occurrence) -> None:
    """Letters, steps and constant positions that one reference tells about its axis."""
    match item.index:
        case Affine(terms, offset) as index:
            if index.variable is not None:
                if (letter := _letter(index.variable)) is not None:
                    found.letters[letter] += 1
            elif not terms:
                if found.number is None:
                    found.number = (item.tensor, item.position, offset, item.span)
            elif len(terms) == 1 and terms[0][1] == 1:
                found.stepped = True
        case Virtual(variable, offset):
            found.stepped = True
            if offset == 0 and (letter := _letter(variable)) is not None:
                found.letters[letter] += 1
        case Quotient() | SliceIndex():
            pass
        case _:
            pass


def _literal_sizes(statement: Equation, number: int, group: _Lookup) -> None:
    target, body = statement.target, statement.body
    if statement.kind == "literal" and isinstance(body, ArrayLiteral):
        for position, size in enumerate(body.shape):
            reason = f"{target.tensor} (line {statement.span.line})"
            group((target.tensor, position)).origins.append(SizeOrigin(size, reason, statement.span))
    for position, index in enumerate(target.indices):
        if isinstance(index, Affine) and index.is_constant and index.offset >= 0:
            found = group((target.tensor, position))
            if index.offset + 1 > found.least:
                found.least = index.offset + 1
                found.least_place = (index.offset, target.span)
    for item in _occurrences(body, number):
        if isinstance(item, _Occurrence) and not item.tensor:
            variable = _plain_variable(item.index)
            literal = _literal_of(body, item.index)
            if variable is not None and literal is not None:
                reason = f"the literal in line {statement.span.line}"
                found = group(_variable_place(variable, item.statement))
                found.origins.append(SizeOrigin(literal, reason, statement.span))


def _literal_of(body: Expr, index: Index) -> int | None:
    """The size that an array literal inside `body` has along `index`."""
    stack = [body]
    while stack:
        node = stack.pop()
        if isinstance(node, ArrayLiteral) and index in node.indices:
            return node.shape[node.indices.index(index)]
        stack.extend(children(node))
    return None


def _declared_sizes(declared: Sequence[DeclaredAxis], groups: Iterable[_Group]) -> None:
    for item in declared:
        for found in groups:
            if item.letter.rstrip("'") not in found.letters:
                continue
            if item.size is not None:
                line = "" if item.span is None else f" (line {item.span.line})"
                reason = f"axis {item.letter} = {item.size}{line}"
                found.origins.insert(0, SizeOrigin(item.size, reason, item.span))
            elif found.table is None:
                found.table = item


def _symbols(
    declared: Sequence[DeclaredAxis],
    statements: Sequence[Equation | Sink | Query],
    occurrences: Sequence[_Occurrence],
    symbol_sides: Sequence[tuple[SymbolValue, int]],
    group: _Lookup,
    groups: Iterable[_Group],
    order: Callable[[Span], int],
) -> None:
    """Numbers the symbols: facts and axis tables in text order, then constants in equations."""
    of_tables: list[tuple[int, DeclaredAxis]] = [
        (-1 if item.span is None else order(item.span), item) for item in declared if item.symbols is not None
    ]
    of_facts: list[tuple[int, _Occurrence]] = []
    of_equations: list[tuple[int, int, _Occurrence | tuple[SymbolValue, int]]] = []
    for count, item in enumerate(occurrences):
        if not item.tensor or not isinstance(item.index, Symbol):
            continue
        statement = statements[item.statement]
        if isinstance(statement, Equation) and statement.kind == "fact":
            of_facts.append((order(statement.span), item))
        elif not isinstance(statement, Query):
            of_equations.append((item.statement, count, item))
    for side, number in symbol_sides:
        if not isinstance(statements[number], Query):
            of_equations.append((number, len(occurrences), (side, number)))
    first: list[tuple[int, int, DeclaredAxis | _Occurrence]] = [(s, i, t) for i, (s, t) in enumerate(of_tables)]
    first += [(s, len(of_tables) + i, t) for i, (s, t) in enumerate(of_facts)]
    for _, _, entry in sorted(first, key=lambda row: row[:2]):
        if isinstance(entry, DeclaredAxis):
            for found in groups:
                if found.table is entry:
                    found.symbols.update((s, entry.span) for s in entry.symbols or () if s not in found.symbols)
        else:
            _add_symbol(group((entry.tensor, entry.position)), entry.index, entry.span)
    for _, _, use in sorted(of_equations, key=lambda row: row[:2]):
        if isinstance(use, _Occurrence):
            _add_symbol(group((use.tensor, use.position)), use.index, use.span)
        else:
            side, number = use
            _add_symbol(group(_variable_place(side.variable, number)), Symbol(side.name), side.span)


def _add_symbol(found: _Group, index: Index, span: Span | None) -> None:
    if isinstance(index, Symbol):
        found.symbols.setdefault(index.name, span)


def _finish(
    tensors: Sequence[tuple[str, int]], union: _Union, groups: Mapping[Place, _Group], errors: list[FuseError]
) -> Axes:
    names: dict[Place, str] = {}
    axes: list[Axis] = []
    taken: Counter[str] = Counter()
    of: dict[tuple[str, int], str] = {}
    for name, rank in tensors:
        for position in range(rank):
            root = union.root((name, position))
            if root not in names:
                found = groups[root]
                letter = found.letters.most_common(1)[0][0] if found.letters else f"{name}.{position}"
                taken[letter] += 1
                names[root] = letter if taken[letter] == 1 else f"{letter}#{taken[letter]}"
                axes.append(_axis(names[root], found, errors))
            of[name, position] = names[root]
    return Axes(tuple(axes), of)


def _axis(name: str, found: _Group, errors: list[FuseError]) -> Axis:
    origins = found.origins
    size = origins[0].size if origins else None
    # Along a stepped axis each tensor has its own length, but all declarations of it say one number.
    compared = [origin for origin in origins if origin.reason.startswith("axis ")] if found.stepped else origins
    for origin in compared[1:]:
        if origin.size != size:
            errors.append(
                mistake(
                    "FUSE111",
                    origin.span,
                    axis=name,
                    first=size,
                    second=origin.size,
                    first_place=compared[0].reason,
                    second_place=origin.reason,
                )
            )
            break
    symbols = tuple(found.symbols)
    if size is None and found.table is not None:
        size = len(found.table.symbols or ())
        origins = [SizeOrigin(size, f"the table of axis {found.table.letter}", found.table.span)]
    place = origins[0].reason if origins else ""
    if found.table is not None:
        table = found.table.symbols or ()
        line = "" if found.table.span is None else str(found.table.span.line)
        for symbol in symbols:
            if symbol not in table:
                text = ", ".join(table)
                errors.append(
                    mistake("FUSE114", found.symbols[symbol], axis=name, symbols=text, line=line, symbol=symbol)
                )
    if symbols and found.number is not None:
        tensor, argument, number, span = found.number
        first = found.symbols[symbols[0]]
        line = "?" if first is None else str(first.line)
        errors.append(
            mistake("FUSE112", span, name=tensor, position=argument + 1, symbol=symbols[0], line=line, number=number)
        )
    if size is not None and len(symbols) > size:
        what = f"{symbols[size]!r} is symbol number {size + 1}"
        errors.append(mistake("FUSE113", found.symbols[symbols[size]], axis=name, size=size, place=place, what=what))
    elif size is not None and found.least > size and not found.stepped:
        written, span = found.least_place
        what = f"position {written} is written"
        errors.append(mistake("FUSE113", span, axis=name, size=size, place=place, what=what))
    least = max(found.least, len(symbols))
    letters = tuple(sorted(found.letters))
    return Axis(name, size, least, symbols or None, letters, found.stepped, tuple(origins))
