"""The programs and scripts of examples/."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from fuse_ref import Program
from fuse_ref.demo import PROGRAM
from tests.boundaries.sources import ROOT

EXAMPLES = ROOT / "examples"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.fuse")), ids=lambda path: path.name)
def test_every_program_has_a_plan_that_runs(path: Path) -> None:
    assert all(not step.unsupported for step in Program.from_file(path).plan().steps)


def test_the_digits_are_the_demo_s() -> None:
    assert (EXAMPLES / "digits.fuse").read_text(encoding="utf-8") == PROGRAM.read_text(encoding="utf-8")


def test_the_engines_agree_on_attention(capsys: pytest.CaptureFixture[str]) -> None:
    spec = importlib.util.spec_from_file_location("attention", EXAMPLES / "attention.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    differences = script.main()
    assert set(differences) == {"torch", "jax"}
    assert max(differences.values()) < 1e-5
    assert "Out" in capsys.readouterr().out


def test_attention_attends_to_what_came_before() -> None:
    runner = Program.from_file(EXAMPLES / "attention.fuse").compile("numpy")
    x = np.random.default_rng(0).normal(size=(6, 16)).astype(np.float32)
    changed = x.copy()
    changed[4:] += 1
    before, after = runner(X=x)["Out"], runner(X=changed)["Out"]
    np.testing.assert_allclose(before[:4], after[:4], rtol=1e-5, atol=1e-6)
    assert np.abs(before[4:] - after[4:]).max() > 1e-2
