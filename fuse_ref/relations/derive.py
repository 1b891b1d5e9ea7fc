"""The tuples that rules derive from what is known: least fixpoint, stratum by stratum.

Within a stratum the evaluation is semi-naive: a rule that reads relations of its own stratum is worked off once
for each of these atoms, which then reads only what the last round found (Bancilhon, "Naive evaluation of
recursively defined relations", 1986).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from fuse_ref.analysis.lengths import Length
from fuse_ref.errors import FuseError, LimitError
from fuse_ref.mistakes import mistake
from fuse_ref.relations.closure import special
from fuse_ref.relations.counting import copied, count_tuples
from fuse_ref.relations.derived import Derived, Limits, RuleRun
from fuse_ref.relations.join import Join
from fuse_ref.relations.merging import Merging, OvergrownError, Pause
from fuse_ref.relations.order import plan
from fuse_ref.relations.rules import Atom, Rule, with_names
from fuse_ref.relations.setting import Setting
from fuse_ref.relations.source import Growing, Source, Still, Window
from fuse_ref.relations.strata import Stratum, strata
from fuse_ref.relations.tuples import Tuples
from fuse_ref.relations.values import Functions, Numbers

__all__ = ["Derived", "Limits", "RuleRun", "derive"]


def derive(
    rules: Sequence[Rule],
    known: Mapping[str, Tuples],
    dense: Mapping[str, np.ndarray],
    shapes: Mapping[str, tuple[int, ...]],
    length: Callable[[Length], int],
    limits: Limits | None = None,
    functions: Functions | None = None,
    counted: Mapping[str, Sequence[int]] | None = None,
) -> Derived:
    """Everything that `rules` derive.

    Args:
        rules: of one step, in text order; facts among them. Their heads are in no order.
        known: the relations that the rules read; one that they define too begins with these tuples.
        dense: the tensors that `Element` reads.
        shapes: of every head.
        length: the number that a length of the plan is in this call.
        limits: of memory and time.
        functions: what an `Apply` gives that is no arithmetic of whole numbers: (name, arguments, options).
        counted: heads, read by no rule, of which it is enough how many tuples have which positions in these columns.

    Raises:
        LimitError: the rules would take more than `limits`; it names the rule that grew last, and its `partial`
            has what was derived until then, by relation.
        KeyboardInterrupt: the user's; it has such a `partial` too, and a note that counts its tuples.
    """
    step = _Step(rules, known, shapes, Numbers(dense, length, functions), limits or Limits(), counted or {})
    try:
        for stratum in strata(rules):
            step.run(stratum)
    except KeyboardInterrupt as error:
        # What was derived is kept where a limit keeps it too; who only sees the traceback reads how far it came.
        held = step.partial()
        vars(error)["partial"] = held
        error.add_note("derived until then: " + ", ".join(f"{name}: {len(held[name])} tuples" for name in held))
        raise
    return Derived(
        {name: step.found[name] for name in shapes if name in step.found},
        tuple(RuleRun(rule, step.made[k], step.rounds[k], step.algorithms[k]) for k, rule in enumerate(rules)),
        step.counts,
    )


# A plan is made anew when a relation has this many times the tuples that it had, or so many times fewer.
_CHANGE: Final = 4
_CHECKS: Final = 16  # checks of the memory limit in which what blocks may add is added up, and not what is held


class _Step:
    def __init__(
        self,
        rules: Sequence[Rule],
        known: Mapping[str, Tuples],
        shapes: Mapping[str, tuple[int, ...]],
        numbers: Numbers,
        limits: Limits,
        counted: Mapping[str, Sequence[int]],
    ) -> None:
        self.counted = counted
        self.counts: dict[str, np.ndarray] = {}
        self.rules = [with_names(rule) for rule in rules]
        self.shapes = shapes
        self.numbers = numbers
        self.limits = limits
        self.known = dict(known)  # those that begin a head until they do
        self.began = time.monotonic()
        self.checks = 0
        self.held = 0  # bytes, at most, as long as no index is made
        self.sources: dict[str, Source] = {name: Still(tuples) for name, tuples in known.items()}
        self.found: dict[str, Tuples] = {}
        self.made = [0] * len(rules)
        self.rounds = [0] * len(rules)
        self.algorithms = [""] * len(rules)
        self.joins: dict[tuple[int, int | None], tuple[tuple[int, ...], Join]] = {}
        self.once: dict[tuple[int, int | None], bool] = {}  # `Plan.once` of each rule and atom
        self.growing: dict[str, Growing] = {}
        self.vain = 0  # how often rules of the stratum made a tuple that was there
        self.settled: Mapping[str, int] = {}  # how many of the heads' known tuples, the first, rules have read
        self.pause: Pause | None = None  # who decides after each round whether to go on
        self.most: int | None = None  # tuples, equal ones included, that a rule may make

    def run(self, stratum: Stratum) -> None:
        """Derives the relations of a stratum; those that it needs have been derived."""
        if stratum.recursive and not any(head in self.known for head in stratum.heads) and self._special(stratum):
            return
        if not stratum.recursive and self._counts(stratum):
            return
        self.growing = {head: Growing(self.shapes[head]) for head in stratum.heads}
        for head, growing in self.growing.items():
            if head in self.known:
                del self.sources[head]
                growing.begin(self.known.pop(head), self.settled.get(head, 0))
        del head, growing  # who merges cycles lets go of them
        self.vain = 0
        self._facts([k for k in stratum.rules if not self.rules[k].body])
        self.sources.update(self.growing)
        atoms = {k: self._own_atoms(k, stratum) for k in stratum.rules if self.rules[k].body}
        # Per relation: how often rules are yet to add to it, rounds of one rule and atom counting once.
        left = Counter(self.rules[k].head for k, own in atoms.items() for _ in own or (0,))
        for k, own in atoms.items():
            if not own:
                self.rounds[k] = 1
                self._work(k, None, last=left[self.rules[k].head] == 1)
                left[self.rules[k].head] -= 1
        readers: dict[str, list[tuple[int, int]]] = {head: [] for head in stratum.heads}
        for k, own in atoms.items():
            for place in own:
                atom = self.rules[k].body[place]
                assert isinstance(atom, Atom)
                readers[atom.relation].append((k, place))
        recursive = [k for k, own in atoms.items() if own]
        merging = Merging.of([self.rules[k] for k in recursive], stratum.heads, self.shapes)
        changed = list(stratum.heads)
        while changed := [head for head in changed if self.growing[head].advance()]:
            # Only rules that read what the last round found; there may be many others.
            works = sorted(work for head in changed for work in readers[head])
            for k, place in works:
                self._work(k, place, last=left[self.rules[k].head] == 1)
            for k in {k for k, _ in works}:
                self.rounds[k] += 1
            changed = list(dict.fromkeys((*changed, *(self.rules[k].head for k, _ in works))))
            if self.pause is not None and self.pause(self.growing, self.vain):
                break
            if merging is not None and merging.due(self.vain, self.growing) and self._merged(merging, recursive):
                return
        for head, growing in self.growing.items():
            self.found[head] = growing.finished()
            self.sources[head] = Still(self.found[head])
        self.growing = {}

    def _merged(self, merging: Merging, numbers: Sequence[int]) -> bool:
        """Whether rounds with one position for all on a cycle have found the rest of a relation."""
        turns = 0

        def run(
            rules: Sequence[Rule],
            known: dict[str, Tuples],
            shapes: Mapping[str, tuple[int, ...]],
            *,
            settled: Mapping[str, int] | None = None,
            pause: Pause | None = None,
            most: int | None = None,
        ) -> Mapping[str, Tuples]:
            nonlocal turns
            step = _Step(rules, {**self.known, **self.found, **known}, shapes, self.numbers, self.limits, {})
            known.clear()
            step.began, step.settled, step.pause, step.most = self.began, settled or {}, pause, most
            for stratum in strata(rules):
                step.run(stratum)
            turns += max(step.rounds)
            return step.found

        head = merging.head
        try:
            if not merging.found(self.growing[head], run):
                return False
        except LimitError:
            return False  # rounds may need less
        self.found[head] = before = self.growing[head].finished()
        self.growing = {}
        del self.sources[head]
        self.joins.clear()
        try:
            found = merging.finished(before, run, lambda needed: self._check(self.rules[numbers[-1]], needed))
        except LimitError as error:
            error.partial = self.partial() | {head: merging.partial(before, error.partial)}
            raise
        self.found[head] = found
        self.sources[head] = Still(found)
        self.made[numbers[-1]] += len(found) - len(before)
        for k in numbers:
            self.rounds[k] += turns
            self.algorithms[k] = "; later ".join(text for text in (self.algorithms[k], merging.text) if text)
        return True

    def _counts(self, stratum: Stratum) -> bool:
        """Whether the tuples of the only rule of a stratum were counted, which is enough."""
        (head, *_), (number, *others) = stratum.heads, stratum.rules
        rule = self.rules[number]
        if others or head not in self.counted or head in self.known or not rule.body:
            return False
        windows = [Window.ALL] * len(rule.body)
        made = plan(rule, windows, self.sources, self.shapes[head], self.numbers)
        columns = self.counted[head]
        found = count_tuples(
            made, rule, columns, self.shapes[head], self.sources, self.numbers, lambda: self._check(rule, 0)
        )
        if found is None:
            return False
        self.counts[head], how = found
        self.rounds[number] = 1
        self.made[number] = int(self.counts[head].sum())
        self.algorithms[number] = f"join: {made.text}; {how}"
        return True

    def _special(self, stratum: Stratum) -> bool:
        """Whether an algorithm made for the shape of the rules has derived the relations of a stratum."""
        rules = [self.rules[k] for k in stratum.rules]
        recursive = [k for k in stratum.rules if self._own_atoms(k, stratum)]
        known = {**self.known, **self.found}

        def solve(
            parts: Sequence[Rule], more: Mapping[str, Tuples], shapes: Mapping[str, tuple[int, ...]]
        ) -> Mapping[str, Tuples]:
            numbers = self.numbers
            return derive(
                parts, {**known, **more}, numbers.dense, shapes, numbers.length, self.limits, numbers.functions
            ).relations

        def room(needed: int) -> None:
            self._check(self.rules[recursive[-1]], needed)

        shapes = {head: self.shapes[head] for head in stratum.heads}
        try:
            found = special(rules, Setting(known, shapes, solve, room))
        except LimitError as error:
            error.partial = self.found | {head: Tuples.empty(shape) for head, shape in shapes.items()}
            raise
        if found is None:
            return False
        self.found.update(found.relations)
        self.sources.update((head, Still(tuples)) for head, tuples in found.relations.items())
        for k in stratum.rules:
            self.rounds[k] = 1
            self.algorithms[k] = found.algorithm
        for head, tuples in found.relations.items():
            # Which rule a tuple came by is known of a rule that copies; the last recursive one stands for the others.
            own = [k for k in stratum.rules if self.rules[k].head == head]
            last = max(own, key=lambda k: (k in recursive, k))
            bases = [k for k in own if k not in recursive]
            if len(bases) == 1 and last in recursive:
                self.made[bases[0]] = copied(self.rules[bases[0]], self.shapes[head], self.sources)
            self.made[last] = len(tuples) - sum(self.made[k] for k in bases if k != last)
        return True

    def _own_atoms(self, number: int, stratum: Stratum) -> list[int]:
        """The places in the body of atoms of the stratum's own relations."""
        return [
            place
            for place, literal in enumerate(self.rules[number].body)
            if isinstance(literal, Atom) and literal.relation in stratum.heads
        ]

    def _facts(self, numbers: Sequence[int]) -> None:
        seen: dict[tuple[object, ...], None] = {}
        rows: dict[str, list[list[int]]] = {}
        for k in numbers:
            rule = self.rules[k]
            self.algorithms[k] = "facts"
            self.rounds[k] = 1
            row = [int(self.numbers.value(term, {})) for term in rule.terms]
            fits = all(0 <= position < size for position, size in zip(row, self.shapes[rule.head], strict=True))
            if fits and (rule.head, *row) not in seen:
                seen[rule.head, *row] = None
                rows.setdefault(rule.head, []).append(row)
                self.made[k] = 1
        for head, found in rows.items():
            columns = np.array(found, np.int64).reshape(len(found), len(self.shapes[head])).T
            growing = self.growing[head]
            growing.keys.add(growing.packing.pack(list(columns), len(found)))

    def _work(self, number: int, place: int | None, *, last: bool) -> None:
        """One rule, with what the last round found for the atom at `place`.

        Args:
            last: no other rule adds to the relation from now on.
        """
        rule = self.rules[number]
        windows = [self._window(literal, k, place) for k, literal in enumerate(rule.body)]
        sizes = []
        for literal, window in zip(rule.body, windows, strict=True):
            if isinstance(literal, Atom):
                count = self.sources[literal.relation].count(window)
                if not count:
                    return
                sizes.append(count)
        join = self._join(number, place, windows, tuple(sizes))
        growing = self.growing[rule.head]

        keys = growing.keys
        once = last and self.once.setdefault((number, place), join.plan.once)
        # Tuples that no other rule finds and that this one finds but once are not looked for again.
        check = once and keys.entered
        how = "no tuple comes twice" if once else f"tuples told apart by {keys.form}"
        self.algorithms[number] = f"{'join' if place is None else 'semi-naive'}: {join.plan.text}; {how}"

        def emit(columns: list[np.ndarray], count: int) -> None:
            self._check(rule, keys.bytes_with(count, entered=not once) - keys.nbytes)
            packed = growing.packing.pack(columns, count)
            if check:
                packed = packed.take(np.flatnonzero(~keys.contains(packed)))
            fresh = keys.append(packed) if once else keys.add(packed)
            self.made[number] += fresh
            self.vain += count - fresh
            if self.most is not None and self.made[number] + self.vain > self.most:
                raise OvergrownError

        join.run(emit)

    def _window(self, literal: object, k: int, place: int | None) -> Window:
        if not isinstance(literal, Atom) or place is None or literal.relation not in self.growing:
            return Window.ALL
        if k == place:
            return Window.NEW
        return Window.BOTH if k < place else Window.OLD

    def _join(self, number: int, place: int | None, windows: Sequence[Window], sizes: tuple[int, ...]) -> Join:
        planned = self.joins.get((number, place))
        if planned is None or any(
            not before <= _CHANGE * now or not now <= _CHANGE * before
            for before, now in zip(planned[0], sizes, strict=True)
        ):
            rule = self.rules[number]
            shape = self.shapes[rule.head]
            made = plan(rule, windows, self.sources, shape, self.numbers)
            if planned is not None and planned[1].plan == made:
                planned = sizes, planned[1]
            else:
                planned = sizes, Join(made, rule.terms, shape, self.sources, self.numbers)
            self.joins[number, place] = planned
        return planned[1]

    def _check(self, rule: Rule, more: int) -> None:
        """Whether the limits allow `more` bytes."""
        limits = self.limits
        spent = time.monotonic() - self.began
        if limits.seconds is not None and spent > limits.seconds:
            raise self._stopped(
                mistake("FUSE263", rule.span, head=rule.head, rule=rule.text, spent=spent, limit=limits.seconds)
            )
        if limits.memory is None:
            return
        if self.checks % _CHECKS == 0:
            self.held = sum(tuples.nbytes for tuples in (*self.known.values(), *self.found.values()))
            self.held += sum(source.nbytes for source in self.sources.values())
        self.checks += 1
        self.held += more
        if self.held > limits.memory:
            self.held = sum(tuples.nbytes for tuples in (*self.known.values(), *self.found.values()))
            self.held += sum(source.nbytes for source in self.sources.values()) + more
        if self.held > limits.memory:
            count = self.growing[rule.head].keys.count if rule.head in self.growing else 0
            raise self._stopped(
                mistake(
                    "FUSE262",
                    rule.span,
                    head=rule.head,
                    rule=rule.text,
                    held=self.held,
                    limit=limits.memory,
                    count=count,
                )
            )

    def _stopped(self, error: FuseError) -> FuseError:
        assert isinstance(error, LimitError)
        error.partial = self.partial()
        return error

    def partial(self) -> dict[str, Tuples]:
        """What has been derived so far."""
        return self.found | {head: growing.tuples() for head, growing in self.growing.items()}
