"""The demonstration's parts that need no training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fuse_ref import ExecutionConfig, InMemoryWeightStore, Program, RuntimePolicies
from fuse_ref.cli import demo, doctor, main
from fuse_ref.demo import PROGRAM
from fuse_ref.demo.agreement import Compared
from fuse_ref.demo.data import load
from fuse_ref.demo.pictures import confusion, draw_confusion, draw_curve
from fuse_ref.demo.training import Epoch


def test_a_fifth_of_every_class_is_held_out() -> None:
    digits = load(0)
    assert len(digits.train_labels) + len(digits.test_labels) == 1797
    assert len(digits.test_labels) == 360
    train, test = np.bincount(digits.train_labels), np.bincount(digits.test_labels)
    np.testing.assert_allclose(test / (train + test), 0.2, atol=0.01)
    assert digits.train_images.shape[1:] == (8, 8)
    assert digits.train_images.dtype == np.float32
    assert (digits.train_images.min(), digits.train_images.max()) == (0, 1)


def test_the_split_follows_the_seed() -> None:
    first, again, other = load(0), load(0), load(1)
    np.testing.assert_array_equal(first.test_images, again.test_images)
    assert not np.array_equal(first.test_images, other.test_images)


def test_confusion_counts() -> None:
    log_prob = np.log(np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], np.float32))
    np.testing.assert_array_equal(confusion(log_prob, np.array([0, 1, 1])), [[1, 0], [1, 1]])


def test_pictures_are_written(tmp_path: Path) -> None:
    draw_curve((Epoch(1.0, 0.5, 0.4), Epoch(0.1, 0.9, 0.95)), tmp_path / "new" / "curve.png")
    draw_confusion(np.array([[9, 1], [0, 8]]), tmp_path / "new" / "matrix.png")
    for name in ("curve.png", "matrix.png"):
        content = (tmp_path / "new" / name).read_bytes()
        assert content.startswith(b"\x89PNG")
        assert len(content) > 5000


def test_agreement_is_relative_to_the_largest_value() -> None:
    assert Compared("a", "b", 1e-5, 1e-6).agree
    assert not Compared("a", "b", 1e-5, 1e-4).agree
    assert not Compared("a", "b", float("nan"), float("nan")).agree


def test_the_program_has_fixed_parameters_and_an_open_batch() -> None:
    program = Program.from_file(PROGRAM)
    plan = program.plan()
    assert {name: spec.shape for name, spec in program.params.items()}["Filter"] == (24, 3, 3)
    assert program.inputs["Image"].shape == (None, 8, 8)
    assert tuple(program.exports) == ("LogProb", "Loss")
    assert [step.unsupported for step in plan.steps] == [""] * len(plan.steps)


SHAPES = {
    "Filter": (24, 3, 3),
    "FilterBias": (24,),
    "Mix": (64, 24, 4, 4),
    "MixBias": (64,),
    "Class": (10, 64),
    "ClassBias": (10,),
}


def convolved(image: np.ndarray, filters: np.ndarray) -> np.ndarray:
    """A convolution that keeps the size, in plain loops; (x, y), (c, 3, 3) -> (c, x, y)."""
    height, width = image.shape
    result = np.zeros((len(filters), height, width))
    for c, x, y in np.ndindex(result.shape):
        for dx, dy in np.ndindex(3, 3):
            row, column = x + dx - 1, y + dy - 1
            if 0 <= row < height and 0 <= column < width:
                result[c, x, y] += filters[c, dx, dy] * image[row, column]
    return result


def test_the_network_is_the_one_described() -> None:
    """Plain loops and NumPy give what the program gives, for two batches."""
    program = Program.from_file(PROGRAM)
    draw = np.random.default_rng(0)
    weights = {name: draw.normal(size=shape) / 4 for name, shape in SHAPES.items()}
    assert list(program.params) == list(SHAPES)
    policies = RuntimePolicies(weight_store=InMemoryWeightStore(weights))
    runner = program.compile("numpy", policies=policies, config=ExecutionConfig(precision="float64"))
    for batch in (2, 3):
        images, labels = draw.random((batch, 8, 8)), draw.integers(0, 10, batch)
        expected = np.stack([expected_log_prob(image, weights) for image in images])
        outputs = runner(Image=images, Label=labels)
        np.testing.assert_allclose(outputs["LogProb"], expected, rtol=1e-10)
        np.testing.assert_allclose(outputs["Loss"], -expected[np.arange(batch), labels].mean(), rtol=1e-10)


def expected_log_prob(image: np.ndarray, w: dict[str, np.ndarray]) -> np.ndarray:
    feature = np.maximum(convolved(image, w["Filter"]) + w["FilterBias"][:, None, None], 0)
    pooled = feature.reshape(24, 4, 2, 4, 2).max(axis=(2, 4))
    hidden = np.maximum(w["Mix"].reshape(64, -1) @ pooled.ravel() + w["MixBias"], 0)
    logit = w["Class"] @ hidden + w["ClassBias"]
    return logit - np.log(np.exp(logit - logit.max()).sum()) - logit.max()


@pytest.mark.parametrize(("text", "seeds"), [("0", (0,)), ("0,1,2", (0, 1, 2)), ("3, 5", (3, 5))])
def test_seeds(text: str, seeds: tuple[int, ...]) -> None:
    assert demo.seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "0,,1", "-1"])
def test_wrong_seeds_are_a_usage_error(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", f"--seeds={text}"]) == 2
    assert "whole numbers" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["0", "-3", "many", ""])
def test_wrong_epochs_are_a_usage_error(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", f"--epochs={text}"]) == 2
    assert "at least 1" in capsys.readouterr().err


def test_without_a_compiler_the_way_out_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    assert main(["demo"]) == 3
    assert "install g++ or clang++, or try fuse demo --inner aot_eager" in capsys.readouterr().err
