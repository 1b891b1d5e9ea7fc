"""What a run tells of its rules, and what is left of one that the user stops."""

from __future__ import annotations

import numpy as np
import pytest

from fuse_ref.relations import derive as module
from fuse_ref.relations.derive import derive
from fuse_ref.relations.join import Join
from fuse_ref.relations.rules import Atom, Filter, Rule, Variable
from fuse_ref.relations.tuples import Tuples

X, Y, Z = (Variable(name) for name in "xyz")
BASE = Rule("P", (X, Y), (Atom("E", (X, Y)),), -1, "base")
BACK = Rule("P", (X, Y), (Atom("E", (Y, X)),), -1, "back")
SOME = Rule("P", (X, Y), (Atom("E", (X, Y)), Filter("!=", X, Y)), -1, "some")
STEP = Rule("P", (X, Z), (Atom("P", (X, Y)), Atom("E", (Y, Z))), -1, "step")
CHAIN = {"E": Tuples([np.arange(9), np.arange(1, 10)], (10, 10))}


@pytest.mark.parametrize(
    ("rules", "made"),
    [([BASE, STEP], [9, 36]), ([STEP, BASE], [36, 9]), ([SOME, STEP], [0, 45])],
)
def test_tuples_of_a_rule_that_copies_are_its_own(rules: list[Rule], made: list[int]) -> None:
    found = derive(rules, CHAIN, {}, {"P": (10, 10)}, lambda _: 10)
    assert "closure" in found.runs[0].algorithm
    assert [run.tuples for run in found.runs] == made
    assert len(found.relations["P"]) == 45


def test_turned_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    found = derive([BACK, STEP], CHAIN, {}, {"P": (10, 10)}, lambda _: 10)
    assert found.runs[0].tuples == 9
    monkeypatch.setattr(module, "special", lambda stratum, setting: None)
    assert derive([BACK, STEP], CHAIN, {}, {"P": (10, 10)}, lambda _: 10).relations == found.relations


def test_an_interrupt_keeps_what_was_derived(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "special", lambda stratum, setting: None)
    run, calls = Join.run, []

    def stopped(self: Join, emit: object) -> None:
        calls.append(0)
        if len(calls) == 4:
            raise KeyboardInterrupt
        run(self, emit)  # type: ignore[arg-type]

    monkeypatch.setattr(Join, "run", stopped)
    with pytest.raises(KeyboardInterrupt) as caught:
        derive([BASE, STEP], CHAIN, {}, {"P": (10, 10)}, lambda _: 10)
    partial = caught.value.partial["P"]  # type: ignore[attr-defined]
    assert len(partial) == 9 + 8 + 7
    assert caught.value.__notes__ == ["derived until then: P: 24 tuples"]
