"""The programs and scripts of examples/."""

from __future__ import annotations

import importlib.util
import itertools
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from fuse_ref import Program
from fuse_ref.demo import PROGRAM
from tests.boundaries.sources import ROOT

EXAMPLES = ROOT / "examples"
PROGRAMS = sorted(EXAMPLES.glob("*.fuse"))
ALONE = {"perceptron", "digits"}  # `fuse run` and `fuse demo` run them


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.name)
def test_every_program_has_a_plan_that_runs_and_a_script(path: Path) -> None:
    assert all(not step.unsupported for step in Program.from_file(path).plan().steps)
    assert path.with_suffix(".py").exists() or path.stem in ALONE


@pytest.mark.parametrize("path", sorted(EXAMPLES.iterdir()), ids=lambda path: path.name)
def test_examples_are_short(path: Path) -> None:
    if path.suffix in (".py", ".fuse"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 40


def test_the_digits_are_the_demo_s() -> None:
    assert (EXAMPLES / "digits.fuse").read_text(encoding="utf-8") == PROGRAM.read_text(encoding="utf-8")


def test_the_engines_agree_on_attention(capsys: pytest.CaptureFixture[str]) -> None:
    differences = script("attention").main()
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


def test_the_transformer_learns_characters() -> None:
    before, after = script("transformer").main(steps=60)
    assert 4.4 < before < 5.2  # near log 96, the loss of a guess
    assert after < 3.2


def test_the_kernel_machine_judges() -> None:
    assert script("kernel").main(steps=40) > 0.92


def test_the_graph_network_infers_labels() -> None:
    assert script("gnn").main(steps=60) > 0.8


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_the_digits_are_learned_with_numpy_alone(optimiser: str) -> None:
    assert script("mlp").main(epochs=6, optimiser=optimiser) > 0.82


def test_the_experts_share_the_work() -> None:
    right, load = script("experts").main(steps=80)
    assert right > 0.9
    assert min(load) > 0.05
    assert sum(load) == pytest.approx(2, abs=0.03)  # two for each digit


def test_the_autoencoder_keeps_what_an_image_is() -> None:
    before, after, back = script("vae").main(steps=150)
    assert after < before - 10
    assert back.shape == (297, 64)
    assert float(back.min()) >= 0
    assert float(back.max()) <= 1


def test_beliefs_clean_a_picture() -> None:
    before, after = script("denoise").main(steps=6, images=24)
    assert after > before + 0.005


def test_tucker_invents_the_groups() -> None:
    share, groups = script("tucker").main()
    assert share == 1.0
    assert groups in ([1] * 6 + [0] * 6, [0] * 6 + [1] * 6)
    assert isinstance(script("tucker").relation(), torch.Tensor)


def test_the_bayesian_network_by_counting_worlds() -> None:
    """The sum over all 32 worlds, one by one."""
    b, e = {1: 0.001}, {1: 0.002}
    alarm = {(0, 0): 0.001, (0, 1): 0.29, (1, 0): 0.94, (1, 1): 0.95}
    john, mary = {0: 0.05, 1: 0.90}, {0: 0.01, 1: 0.70}

    def of(share: float, value: int) -> float:
        return share if value else 1 - share

    def burglary(evidence: dict[str, int]) -> float:
        total = {0: 0.0, 1: 0.0}
        for burgled, shaken, rang, j, m in itertools.product((0, 1), repeat=5):
            if evidence.get("j", j) == j and evidence.get("m", m) == m:
                probability = of(b[1], burgled) * of(e[1], shaken) * of(alarm[burgled, shaken], rang)
                total[burgled] += probability * of(john[rang], j) * of(mary[rang], m)
        return total[1] / (total[0] + total[1])

    expected = {
        "nothing known": burglary({}),
        "John called": burglary({"j": 1}),
        "both called": burglary({"j": 1, "m": 1}),
    }
    assert script("bayes").main() == pytest.approx(expected, rel=1e-12)
    assert expected["both called"] == pytest.approx(0.284, abs=5e-4)


def test_borders_of_south_america(capsys: pytest.CaptureFixture[str]) -> None:
    found = script("borders").main()
    assert {name: set(rows) for name, rows in found.items()} == {
        "Landlocked": {"Bolivia", "Paraguay"},
        "Shadowed": {"Bolivia", "Paraguay", "Uruguay", "French Guiana", "Guyana", "Suriname"},
        "Far": {"French Guiana", "Guyana", "Suriname", "Venezuela"},
    }
    assert "not Coast(Peru)   Coast(Peru) holds" in capsys.readouterr().out


def test_what_the_standard_library_says_of_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    library = script("library")
    found = library.main("json/*.py")
    given = library.facts("json/*.py")
    assert set(found["Uses"].rows) == closure(given["Imports"])
    below = closure(given["Inherits"]) | {(c, c) for c, _ in given["Defines"]}
    has = {(c, f) for c, b in below for d, f in given["Defines"] if d == b}
    next_to = {(f, g) for f, n in given["Calls"] for g, m in given["Named"] if m == n}
    reached = {(c, f) for c, f in has if (f, "__init__") in given["Named"]}
    while more := {(c, g) for c, f in reached for h, g in next_to if h == f and (c, g) in has} - reached:
        reached |= more
    assert set(found["Reaches"].rows) == reached
    assert set(found["Inherited"].rows) == reached - given["Defines"]


def closure(pairs: set[tuple[str, str]]) -> set[tuple[str, str]]:
    found = set(pairs)
    while more := {(a, d) for a, b in found for c, d in pairs if b == c} - found:
        found |= more
    return found
