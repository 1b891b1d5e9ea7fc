"""The parser: walks the tables of grammar.py over the tokens of one statement and calls Builder on the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from fuse_ref.language.grammar import Grammar, Reduction
from fuse_ref.language.stop import END
from fuse_ref.language.tokens import Token

__all__ = ["Automaton", "Reading", "Refused"]


class Refused(Exception):
    """No statement goes on with this token."""


class _Reduce(NamedTuple):
    rule: str
    size: int
    call: Callable[[list[Any]], Any] | None  # None: the list itself, or its one value
    single: bool
    spread: tuple[int, ...]


class Automaton:
    """The tables with the builder's methods in their places. One per process; a `Reading` for each statement."""

    def __init__(self, grammar: Grammar, builder: object) -> None:
        self.states = grammar.states
        self.starts = grammar.starts
        self.reductions = tuple(
            _Reduce(row.rule, row.size, _method(builder, row), row.single, row.spread) for row in grammar.reductions
        )


def _method(builder: object, row: Reduction) -> Callable[[list[Any]], Any] | None:
    if not row.method or (row.single and row.size == 1 and not row.spread):
        return None
    method: Callable[[list[Any]], Any] = getattr(builder, row.method)
    return method


class Reading:
    """One statement on its way through the automaton."""

    __slots__ = ("_automaton", "_last", "_states", "_values")

    def __init__(self, automaton: Automaton, start: str) -> None:
        first, self._last = automaton.starts[start]
        self._automaton = automaton
        self._states = [first]
        self._values: list[Any] = []

    def feed(self, token: Token) -> Any:
        """Takes the next token; at END gives what the statement became.

        Raises:
            Refused: the token cannot stand here.
            FuseError: what Builder says about the part of the statement that is complete.
        """
        states, values, rows, reductions = (
            self._states,
            self._values,
            self._automaton.states,
            self._automaton.reductions,
        )
        kind = token.type
        while True:
            aim = rows[states[-1]].get(kind)
            if aim is None:
                raise Refused
            if aim >= 0:
                states.append(aim)
                values.append(token)
                return None
            rule, size, call, single, spread = reductions[-1 - aim]
            items = values[-size:] if size else []
            if size:
                del states[-size:], values[-size:]
            if spread:
                items = _spread(items, spread)
            value = items[0] if single and len(items) == 1 else items if call is None else call(items)
            states.append(rows[states[-1]][rule])
            values.append(value)
            if kind == END and states[-1] == self._last:
                return value

    def accepts(self) -> frozenset[str]:
        """The types of all tokens that can stand here."""
        return frozenset(
            kind for kind in self._automaton.states[self._states[-1]] if kind.isupper() and self._goes_on(kind)
        )

    def _goes_on(self, kind: str) -> bool:
        rows, reductions = self._automaton.states, self._automaton.reductions
        states = self._states.copy()
        while True:
            aim = rows[states[-1]].get(kind)
            if aim is None or aim >= 0:
                return aim is not None
            rule, size = reductions[-1 - aim][:2]
            if size:
                del states[-size:]
            states.append(rows[states[-1]][rule])
            if kind == END and states[-1] == self._last:
                return True


def _spread(items: list[Any], places: tuple[int, ...]) -> list[Any]:
    found: list[Any] = []
    for at, item in enumerate(items):
        if at in places:
            found.extend(item)
        else:
            found.append(item)
    return found
