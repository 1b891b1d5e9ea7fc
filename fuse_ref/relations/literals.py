"""What stands in rules: their variables, substitution, and their text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias, assert_never

from fuse_ref.relations.rules import (
    Apply,
    Assignment,
    Atom,
    Constant,
    Denial,
    Domain,
    Element,
    Filter,
    Literal,
    Rule,
    Term,
    Value,
    Variable,
)

__all__ = [
    "Names",
    "Places",
    "fact_rule",
    "places_of",
    "quoted",
    "substituted",
    "substituted_value",
    "variables",
    "variables_of",
    "written",
    "written_rule",
    "written_value",
]

Names: TypeAlias = Callable[[str, int], Sequence[str] | None]  # (relation, argument) -> symbols in position order
Places: TypeAlias = Mapping[str, tuple[str, int]]  # variable -> (relation, argument) where it stands

_INFIX = {"add": "+", "subtract": "-", "multiply": "*", "floor_divide": "/", "divide": "/"}


def variables_of(value: Value) -> tuple[str, ...]:
    """The variables of a value, each once, in order of appearance."""
    found: dict[str, None] = {}
    left = [value]
    while left:
        match left.pop():
            case Variable(name):
                found.setdefault(name)
            case Element(_, parts) | Apply(_, parts):
                left.extend(reversed(parts))
            case Constant():
                pass
    return tuple(found)


def variables(literal: Literal) -> tuple[str, ...]:
    """The variables of a literal, each once, in order of appearance."""
    match literal:
        case Atom(_, terms) | Denial(Atom(_, terms)):
            values: Iterable[Value] = terms
        case Filter(_, left, right):
            values = (left, right)
        case Assignment(variable, value):
            values = (variable, value)
        case Domain(variable):
            values = (variable,)
        case _:
            assert_never(literal)
    return tuple(dict.fromkeys(name for value in values for name in variables_of(value)))


# Substitution ---------------------------------------------------------------------------------


def substituted_value(value: Value, bindings: Mapping[str, Constant]) -> Value:
    """`value` with constants for variables."""
    match value:
        case Variable(name):
            return bindings.get(name, value)
        case Constant():
            return value
        case Element(tensor, indices):
            return Element(tensor, tuple(substituted_value(index, bindings) for index in indices))
        case Apply(function, arguments, options):
            return Apply(function, tuple(substituted_value(item, bindings) for item in arguments), options)
        case _:
            assert_never(value)


def _atom(atom: Atom, bindings: Mapping[str, Constant]) -> Atom:
    terms: list[Term] = [bindings.get(term.name, term) if isinstance(term, Variable) else term for term in atom.terms]
    return Atom(atom.relation, tuple(terms), atom.span)


def substituted(body: Iterable[Literal], bindings: Mapping[str, Constant]) -> list[Literal]:
    """The literals with constants for variables.

    A variable that an assignment names stays one, bound by an assignment of its own: the other side may need it.
    """
    body = list(body)
    kept = {
        name: value
        for item in body
        if isinstance(item, Assignment) and (value := bindings.get(name := item.variable.name)) is not None
    }
    bindings = {name: value for name, value in bindings.items() if name not in kept}
    found: list[Literal] = [Assignment(Variable(name), value) for name, value in kept.items()]
    for item in body:
        match item:
            case Atom():
                found.append(_atom(item, bindings))
            case Denial(atom):
                found.append(Denial(_atom(atom, bindings)))
            case Filter(operator, left, right, span):
                found.append(
                    Filter(operator, substituted_value(left, bindings), substituted_value(right, bindings), span)
                )
            case Assignment(variable, given):
                found.append(Assignment(variable, substituted_value(given, bindings)))
            case Domain(Variable(name), length):
                number = bindings.get(name)
                found.append(item if number is None else Filter("<", number, Constant(length)))
            case _:
                assert_never(item)
    return found


# Text -----------------------------------------------------------------------------------------


def places_of(terms: Sequence[Value], relation: str, body: Iterable[Literal]) -> dict[str, tuple[str, int]]:
    """Where each variable of a rule stands as a whole argument: in its body, else in its head."""
    found: dict[str, tuple[str, int]] = {}
    atoms = [item.atom if isinstance(item, Denial) else item for item in body if isinstance(item, Atom | Denial)]
    for name, items in [*((atom.relation, atom.terms) for atom in atoms), (relation, terms)]:
        for argument, term in enumerate(items):
            if isinstance(term, Variable):
                found.setdefault(term.name, (name, argument))
    return found


def _symbol(position: int, place: tuple[str, int] | None, names: Names | None) -> str:
    table = None if place is None or names is None else names(*place)
    return str(position) if table is None or not 0 <= position < len(table) else quoted(table[position])


def quoted(symbol: str) -> str:
    """A symbol as programs write it: a capitalised name as it stands, anything else in quotes."""
    if symbol.isidentifier() and symbol[:1].isupper():
        return symbol
    escaped = symbol.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def written_value(
    value: Value,
    names: Names | None = None,
    places: Places | None = None,
    place: tuple[str, int] | None = None,
    bindings: Mapping[str, int] | None = None,
) -> str:
    """A value as text.

    Args:
        names: tells the symbols of arguments of relations.
        places: the arguments where variables stand.
        place: the argument where the value itself stands.
        bindings: positions of variables, which are then shown in their stead.
    """
    match value:
        case Variable(name):
            if bindings is None or name not in bindings:
                return "_" if name.startswith(("_", "~")) else name.replace("~", "")
            return _symbol(bindings[name], place or (places or {}).get(name), names)
        case Constant(int() as number):
            return _symbol(number, place, names)
        case Constant(number):
            return str(number)
        case Element(tensor, indices):
            inner = (written_value(index, names, places, (tensor, k), bindings) for k, index in enumerate(indices))
            return f"{tensor}[{', '.join(inner)}]" if indices else tensor
        case Apply(function, arguments):
            # What is computed with is a number, not a symbol.
            parts = [
                written_value(item, names if isinstance(item, Element) else None, places, None, bindings)
                for item in arguments
            ]
            if function in _INFIX and len(parts) == 2:
                parts = [
                    f"({text})" if isinstance(item, Apply) and function != "add" else text
                    for item, text in zip(arguments, parts, strict=True)
                ]
                return f"{parts[0]} {_INFIX[function]} {parts[1]}"
            return f"-{parts[0]}" if function == "negate" else f"{function}({', '.join(parts)})"
        case _:
            assert_never(value)


def _written_atom(atom: Atom, names: Names | None, places: Places | None, bindings: Mapping[str, int] | None) -> str:
    inner = (written_value(term, names, places, (atom.relation, k), bindings) for k, term in enumerate(atom.terms))
    return f"{atom.relation}({', '.join(inner)})" if atom.terms else f"{atom.relation}()"


def written(
    literal: Literal,
    names: Names | None = None,
    places: Places | None = None,
    bindings: Mapping[str, int] | None = None,
) -> str:
    """A literal as text."""
    match literal:
        case Atom():
            return _written_atom(literal, names, places, bindings)
        case Denial(atom):
            return f"not {_written_atom(atom, names, places, bindings)}"
        case Filter(operator, left, right):
            # A number beside a variable is a position of the variable's axis.
            sides = [
                written_value(
                    side, names, places, _place(other, places) if isinstance(side, Constant) else None, bindings
                )
                for side, other in ((left, right), (right, left))
            ]
            return f"{sides[0]} {operator} {sides[1]}"
        case Assignment(variable, value):
            place = (places or {}).get(variable.name)
            left_text = written_value(variable, names, places, None, bindings)
            return f"{left_text} == {written_value(value, names, places, place, bindings)}"
        case Domain(variable, length):
            return f"{written_value(variable, names, places, None, bindings)} < {length}"
        case _:
            assert_never(literal)


def _place(value: Value, places: Places | None) -> tuple[str, int] | None:
    return (places or {}).get(value.name) if isinstance(value, Variable) else None


def written_rule(relation: str, terms: Sequence[Value], body: Sequence[Literal], names: Names | None = None) -> str:
    """A rule as text: `Ancestor(x, z) <- Ancestor(x, y), Parent(y, z)`."""
    places = places_of(terms, relation, body)
    inner = ", ".join(written_value(term, names, places, (relation, k)) for k, term in enumerate(terms))
    head = f"{relation}({inner})"
    return f"{head} <- {', '.join(written(item, names, places) for item in body)}" if body else head


def fact_rule(rule: Rule) -> bool:
    """Whether it is a fact: an empty body, and nothing but constants."""
    return not rule.body and all(isinstance(term, Constant) for term in rule.terms)
