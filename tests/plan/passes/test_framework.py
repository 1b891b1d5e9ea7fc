"""Passes over the plan: what is observed stays, what nothing reads goes, what is disabled does not run."""

from __future__ import annotations

import pytest

from fuse_ref import Program
from fuse_ref.plan import passes
from fuse_ref.plan.build import build_plan
from fuse_ref.plan.estimates import Estimates
from fuse_ref.plan.passes import NAMES, improve, listed, without_unread
from fuse_ref.plan.passes.framework import Block, PlanPass
from fuse_ref.plan.steps import DenseOperation, Saving

TEXT = "A[i] = X[i] + 1\nB[i] = 2 A[i]\nC[i] = B[i] X[i]\nexport B, C"


def test_every_pass_is_called_by_a_name_of_its_own_and_says_what_it_does() -> None:
    names = [item.name for item in listed.PASSES]
    assert tuple(names) == NAMES
    assert len(set(names)) == len(names)
    assert all(item.meaning for item in listed.PASSES)


def test_kept_values_are_what_others_see(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Block] = []

    def look(block: Block) -> tuple[tuple[DenseOperation, ...], tuple[Saving, ...]]:
        seen.append(block)
        return block.operations, (Saving("look", "B", "nothing", 1, 2),)

    monkeypatch.setattr(listed, "PASSES", (PlanPass("look", "looks", look),))
    plan = build_plan(Program(TEXT).ir)
    (block,) = seen
    assert block.kept == {"B", "C"}
    assert block.values["X"].dtype == "float"
    assert {"X", "A"} <= block.uses().keys()
    assert set(block.makers()) >= {"A", "B", "C"}
    assert plan.savings == (Saving("look", "B", "nothing", 1, 2),)
    assert "pass look: B: nothing, saves 1 FLOPs, 2 bytes" in str(plan)
    assert build_plan(Program(TEXT).ir, disabled_passes=("look",)).savings == ()


def test_operations_that_nothing_reads_are_removed() -> None:
    plan = build_plan(Program(TEXT).ir, disabled_passes=passes.NAMES)
    (step,) = [step for step in plan.steps if step.operations]
    assert {operation.output.out for operation in without_unread(step.operations, {"A"})} == {"A"}
    assert without_unread(step.operations, {"B", "C"}) == step.operations
    assert without_unread(step.operations, ()) == ()


def test_improving_twice_changes_nothing_more() -> None:
    plan = build_plan(Program(TEXT).ir)
    assert improve(plan, Estimates({})).steps == plan.steps
