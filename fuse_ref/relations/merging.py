"""Recursion along edges that it makes itself: positions on a cycle of edges have the same tuples, and are made one.

P(y, w) <- Assign(y, z), P(z, w)              each rule hands the tuples of z on to y, where its other literals
P(y, w) <- Load(y, x), P(x, z), P(z, w)       hold: an edge. Some of these literals are of P again, so that edges
P(z, w) <- Store(y, x), P(y, z), P(x, w)      come as the relation grows.

Rounds of joins hand every tuple on along every edge of a cycle, and find most of what they make there already. With
one position for all on a cycle the same rules have less to read and less to hand on (Fähndrich, Foster, Su and Aiken,
Partial online cycle elimination in inclusion constraint graphs, 1998).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final, Protocol, TypeAlias

import numpy as np

from fuse_ref.records import dataclass
from fuse_ref.relations.graphs import distinct_edges, gathered, on_cycles
from fuse_ref.relations.index import without_repeats
from fuse_ref.relations.keys import BATCH
from fuse_ref.relations.rules import Atom, Filter, Literal, Rule, Variable, body_atoms, literal_variables
from fuse_ref.relations.source import Growing, Window
from fuse_ref.relations.tuples import Tuples, position_type
from fuse_ref.relations.unions import Room

__all__ = ["Merging", "OvergrownError", "Pause", "Run"]

# Asked after each round, with what grows and how often rules have made tuples that were there: whether to stop.
Pause: TypeAlias = Callable[[Mapping[str, Growing], int], bool]

_LEAST: Final = 1 << 16  # tuples made in vain from which on it is worth a look at the edges
_VAIN: Final = 1  # and how many for each that is there
_WIDE: Final = 64  # positions of the axis for each tuple, for all of which numbers are held
_EDGES: Final = 4  # edges for each tuple at which it is not worth it to find cycles
_PAYS: Final = 0.75  # of the edges may be left for merging to pay


class OvergrownError(Exception):
    """There are more edges than it is worth to look at."""


class Run(Protocol):
    """Runs rules, and gives their relations."""

    def __call__(
        self,
        rules: Sequence[Rule],
        known: dict[str, Tuples],
        shapes: Mapping[str, tuple[int, ...]],
        *,
        settled: Mapping[str, int] | None = None,
        pause: Pause | None = None,
        most: int | None = None,
    ) -> Mapping[str, Tuples]:
        """
        Args:
            known: relations beside those that there are; heads among them begin with these tuples. Who runs the
                rules empties it: rounds that grow need the memory.
            shapes: of the heads.
            settled: how many of the heads' known tuples, the first, need not be read again.
            pause: see `Pause`.
            most: tuples, equal ones included, that a rule may make.

        Raises:
            OvergrownError: a rule makes more than `most`.
        """


@dataclass(frozen=True, slots=True)
class _Way:
    """`P(y, w) <- body, P(z, w)`."""

    rule: Rule
    ends: tuple[Variable, Variable]  # y and z
    body: tuple[Literal, ...]
    own: bool  # whether the body reads P


@dataclass(frozen=True, slots=True)
class _State:
    """How far rounds have come.

    Attributes:
        tuples: of the relation.
        settled: how many of them, the first, rules have read.
        edges: sources and targets; those that follow from settled tuples are among them.
        settled_edges: how many of them, the first, rules have read.
        same: (n,) for cycles that are yet to be merged: one position for all on a cycle.
    """

    tuples: Tuples
    settled: int
    edges: Sequence[np.ndarray]
    settled_edges: int
    same: np.ndarray | None


class Merging:
    """Rounds of a stratum whose rules have this shape, and what becomes of them once cycles are found.

    Attributes:
        head: the relation.
        merged: positions that share another's tuples.
        turns: how often cycles were merged.
    """

    def __init__(self, head: str, shape: tuple[int, ...], ways: Sequence[_Way]) -> None:
        self.head, self.shape, self.ways = head, shape, ways
        self.merged = self.turns = 0
        self._edges, self._same = f"{head}~edges", f"{head}~same"
        self._next = _LEAST  # tuples made in vain from which on to look for cycles
        self._found: _State | None = None  # once cycles were found

    @classmethod
    def of(cls, rules: Sequence[Rule], heads: frozenset[str], shapes: Mapping[str, tuple[int, ...]]) -> Merging | None:
        """None where the rules of a stratum have another shape.

        Args:
            rules: those that read relations of the stratum.
        """
        (head, *others) = heads
        if others or len(shapes[head]) != 2:
            return None
        ways = [_way(rule) for rule in rules]
        known = [way for way in ways if way is not None]
        if len(known) < len(ways) or not any(way.own for way in known):
            return None
        return cls(head, shapes[head], known)

    def due(self, vain: int, growing: Mapping[str, Growing]) -> bool:
        """Whether to look for cycles: much has been made in vain, four times as much as when that was so before.

        Args:
            vain: how often rules have made tuples that were there.
            growing: the relation among them.
        """
        if vain <= max(_VAIN * growing[self.head].keys.count, self._next):
            return False
        self._next = 4 * vain
        return True

    def found(self, growing: Growing, run: Run) -> bool:
        """Whether there are cycles that are worth it.

        Args:
            growing: the relation after a round.
        """
        n = self.shape[0]
        settled = growing.count(Window.BOTH)
        if n > max(_WIDE * settled, 1 << 16):
            return False
        tuples = Tuples(growing.packing.columns(growing.keys.keys[:settled]), self.shape)
        rules = [Rule(self._edges, way.ends, way.body, way.rule.equation, way.rule.text) for way in self.ways]
        most = max(_EDGES * settled, _LEAST)
        try:
            edges = run(rules, {self.head: tuples}, {self._edges: (n, n)}, most=most)[self._edges].columns
        except OvergrownError:
            return False
        same = _same(n, edges)
        if same is not None:
            self._found = _State(tuples, settled, edges, len(edges[0]), same)
        return same is not None

    def finished(self, tuples: Tuples, run: Run, room: Room) -> Tuples:
        """All tuples of the relation, once cycles were found.

        Args:
            tuples: that there are by now, in the order in which they were found.
            room: called with the bytes that are about to be held; raises where they are too many.
        """
        found, self._found = self._found, None
        assert found is not None, "cycles were found"
        same = np.arange(self.shape[0])
        states = [replace(found, tuples=tuples)]
        del found
        while (more := states[0].same) is not None:
            self.turns += 1
            same = more[same]
            states.append(self._round(states.pop(), same, run))  # what a state holds goes when it has been read
        self.merged = int(np.count_nonzero(same != np.arange(len(same))))
        return _spread(states[0].tuples, same, room)

    def partial(self, tuples: Tuples, partial: Mapping[str, object]) -> Tuples:
        """What is known of the relation where a limit has stopped it.

        Args:
            tuples: that there were before cycles were merged.
            partial: what a limit left of the rounds since then.
        """
        held = [tuples, *(part for part in (partial.get(self.head),) if isinstance(part, Tuples))]
        columns = [np.concatenate([part.columns[k] for part in held]) for k in range(2)]
        return Tuples.of(columns, self.shape)

    @property
    def text(self) -> str:
        """What was done, for the plan."""
        times = "once" if self.turns == 1 else f"{self.turns} times"
        return f"one position for all on a cycle: cycles merged {times}, {self.merged} positions share another's tuples"

    def _round(self, state: _State, same: np.ndarray, run: Run) -> _State:
        """Rounds with one position of each cycle, up to the end or until there are more cycles to merge."""
        n = len(same)
        known, settled = self._start(state, n)
        del state
        known[self._same] = Tuples([np.arange(n), same], (n, n), ordered=True)
        more: np.ndarray | None = None
        counts = [0, 0]
        self._next = _LEAST

        def pause(growing: Mapping[str, Growing], vain: int) -> bool:
            nonlocal more
            relation, edges = growing[self.head], growing[self._edges]
            counts[:] = relation.count(Window.BOTH), edges.count(Window.BOTH)
            if self.due(vain, growing):
                more = _same(n, edges.packing.columns(edges.keys.keys))
            return more is not None

        shapes = {self.head: self.shape, self._edges: (n, n)}
        found = run(self._rules(), known, shapes, settled=settled, pause=pause)
        return _State(found[self.head], counts[0], found[self._edges].columns, counts[1], more)

    def _start(self, state: _State, n: int) -> tuple[dict[str, Tuples], dict[str, int]]:
        """Tuples and edges between positions that stay, and how many of them, the first, need not be read again.

        These are the tuples that rules have read, where their position has got no others by the merger.
        """
        same = state.same
        assert same is not None, "there are cycles to merge"
        grown = np.zeros(n, np.bool_)
        grown[same[same != np.arange(n)]] = True
        first, second = state.tuples.columns
        first = same[first].astype(first.dtype)
        again = grown[first]
        again[state.settled :] = True
        done = ~again
        settled = int(np.count_nonzero(done))
        more = without_repeats([first[again], second[again]], self.shape, len(first) - settled)
        tuples = [np.concatenate(pair) for pair in zip((first[done], second[done]), more, strict=True)]
        old, new = (
            distinct_edges(n, *(same[column[part]] for column in state.edges))
            for part in (slice(state.settled_edges), slice(state.settled_edges, None))
        )
        held, keys = (part[0] * n + part[1] for part in (old, new))  # both in order
        fresh = np.append(held, -1).take(np.searchsorted(held, keys)) != keys
        edges = [np.concatenate((a, b[fresh])) for a, b in zip(old, new, strict=True)]
        return (
            {self.head: Tuples(tuples, self.shape), self._edges: Tuples(edges, (n, n))},
            {self.head: settled, self._edges: len(old[0])},
        )

    def _rules(self) -> list[Rule]:
        y, z, w = (Variable(f"{name}~") for name in "yzw")
        last = self.ways[-1].rule
        rules = [
            Rule(
                self.head,
                (y, w),
                (Atom(self._edges, (y, z)), Atom(self.head, (z, w))),
                last.equation,
                last.text,
                last.span,
            )
        ]
        for way in self.ways:
            if way.own:
                # What the others give is there: they read nothing that grows.
                body: list[Literal] = []
                for k, literal in enumerate(way.body):
                    if isinstance(literal, Atom) and literal.relation == self.head:
                        body.append(Atom(self._same, (literal.terms[0], Variable(f"{k}~"))))
                        literal = replace(literal, terms=(Variable(f"{k}~"), literal.terms[1]))
                    body.append(literal)
                body += [Atom(self._same, pair) for pair in zip(way.ends, (y, z), strict=True)]
                body.append(Filter("!=", y, z))
                rules.append(Rule(self._edges, (y, z), tuple(body), way.rule.equation, way.rule.text, way.rule.span))
        return rules


def _way(rule: Rule) -> _Way | None:
    match rule.terms:
        case (Variable(y), Variable(w)) if y != w:
            pass
        case _:
            return None
    for place, literal in enumerate(rule.body):
        match literal:
            case Atom(rule.head, (Variable(z), Variable(end))) if end == w and z not in (y, w):
                body = rule.body[:place] + rule.body[place + 1 :]
                names = {name for other in body for name in literal_variables(other)}
                if w not in names and {y, z} <= names:
                    own = any(atom.relation == rule.head for atom in body_atoms(body))
                    return _Way(rule, (Variable(y), Variable(z)), body, own)
            case _:
                pass
    return None


def _same(n: int, edges: Sequence[np.ndarray]) -> np.ndarray | None:
    """(n,) one position for all on a cycle; None where that leaves most edges as they are."""
    sources, targets = edges
    same = on_cycles(n, sources, targets)
    left = distinct_edges(n, same[sources], same[targets])
    return same if len(left[0]) < _PAYS * len(sources) else None


def _spread(tuples: Tuples, same: np.ndarray, room: Room) -> Tuples:
    """The tuples of all positions, from those of the positions that stand for them."""
    kind = position_type(len(same))
    order = np.argsort(same, kind="stable").astype(kind)
    number = np.bincount(same, minlength=len(same))
    first = np.cumsum(number) - number
    total = int(number @ np.bincount(tuples.columns[0], minlength=len(same)))
    room(total * (kind.itemsize + tuples.columns[1].itemsize))
    found = np.empty(total, kind), np.empty(total, tuples.columns[1].dtype)
    written = 0
    for begin in range(0, len(tuples), BATCH):  # some at a time, which keeps what is held beside the result small
        nodes, others = (column[begin : begin + BATCH] for column in tuples.columns)
        times = number[nodes]
        ends = np.cumsum(times)
        low = done = 0
        while low < len(nodes):
            high = max(low + 1, int(np.searchsorted(ends, done + BATCH, "right")))
            place = slice(written, written + int(ends[high - 1]) - done)
            found[0][place] = order[gathered(first[nodes[low:high]], times[low:high])]
            found[1][place] = np.repeat(others[low:high], times[low:high])
            low, done, written = high, int(ends[high - 1]), place.stop
    return Tuples(found, tuples.shape)
