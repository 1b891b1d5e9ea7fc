"""ExecutionConfig: every field is checked where it is given, and configurations are keys."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, fields

import numpy as np
import pytest

from fuse_ref.config import ExecutionConfig
from fuse_ref.errors import ConfigError
from fuse_ref.plan.passes import NAMES

GOOD: list[tuple[str, object]] = [
    ("mode", "demand"),
    ("route", "reference"),
    ("breaks", "opaque"),
    ("logic", "dense"),
    ("dense_limit", 1),
    ("max_iters", np.int64(3)),
    ("tol", 0),
    ("tol", np.float32(0.5)),
    ("on_divergence", "last"),
    ("projection_strategy", "monte_carlo"),
    ("projection_samples", 5),
    ("projection_samples", {"Y": 5}),
    ("projection_seed", 3),
    ("temperatures", {"Y": 0.0, "Z": lambda step: 1.0}),
    ("precision", "auto"),
    ("device", "cuda:1"),
    ("seed", 2**40),
    ("capacity", {"Reach": 10_000}),
    ("memory_limit", 1 << 30),
    ("time_limit", 0.5),
    ("checked", True),
    ("disabled_passes", NAMES[-1:]),
]
BAD: list[tuple[str, object, str]] = [
    ("mode", "both", "mode must be one of 'auto', 'single', 'fixpoint', 'demand', but 'both' was given"),
    ("mode", None, "but None was given"),
    ("route", "host", "route must be one of"),
    ("breaks", True, "breaks must be one of"),
    ("logic", "packed", "logic must be one of"),
    ("dense_limit", 0, "dense_limit must be a whole number, at least 1, but 0 was given"),
    ("max_iters", 1.5, "max_iters must be a whole number, at least 1, but 1.5 was given"),
    ("max_iters", True, "but True was given"),
    ("tol", -1e-3, "tol must be a finite number, 0 or more, but -0.001 was given"),
    ("tol", float("nan"), "but nan was given"),
    ("on_divergence", "ignore", "on_divergence must be one of 'error', 'last'"),
    ("projection_strategy", "sampled", "projection_strategy must be one of"),
    ("projection_samples", 0, "projection_samples must be a whole number, at least 1"),
    (
        "projection_samples",
        {"Y": "many"},
        "projection_samples must be a whole number, at least 1, but 'many' was given",
    ),
    ("projection_seed", -1, "projection_seed must be a whole number, at least 0"),
    ("temperatures", 0.5, "temperatures must be a mapping"),
    ("temperatures", {"Y": -1}, "temperatures['Y'] must be a finite number, 0 or more, but -1 was given"),
    ("temperatures", {3: 1.0}, "temperatures must be keyed by names of tensors, but 3 was given"),
    ("precision", "float23", "precision must be one of"),
    ("device", 0, "device must be a name such as"),
    ("seed", "now", "seed must be a whole number"),
    ("capacity", -1, "capacity must be a whole number, at least 1, but -1 was given"),
    ("memory_limit", 0, "memory_limit must be a whole number, at least 1"),
    ("time_limit", 0, "time_limit must be a finite number, more than 0, but 0 was given"),
    ("checked", 1, "checked must be True or False, but 1 was given"),
    ("disabled_passes", "sharing", "disabled_passes must be a tuple of names of passes, but 'sharing' was given"),
    ("disabled_passes", ("sharring",), "disabled_passes must be one of"),
]


@pytest.mark.parametrize(("field", "value"), GOOD)
def test_values_that_a_field_takes(field: str, value: object) -> None:
    config = ExecutionConfig(**{field: value})  # type: ignore[arg-type]
    assert getattr(config, field) == value
    assert config != ExecutionConfig()


@pytest.mark.parametrize(("field", "value", "words"), BAD)
def test_values_that_a_field_refuses(field: str, value: object, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ExecutionConfig(**{field: value})  # type: ignore[arg-type]
    assert words in str(caught.value)
    assert caught.value.code == "FUSE200"
    assert isinstance(caught.value, ValueError)


def test_every_field_is_tried() -> None:
    names = {field.name for field in fields(ExecutionConfig)}
    assert {field for field, _ in GOOD} == names
    assert {field for field, *_ in BAD} == names


def test_a_near_word_is_suggested() -> None:
    with pytest.raises(ConfigError, match=r"did you mean 'float32'\?"):
        ExecutionConfig(precision="flaot32")  # type: ignore[arg-type]


def test_configurations_are_frozen_keys() -> None:
    samples = {"Y": 5}
    one = ExecutionConfig(projection_samples=samples, capacity={"B": 2, "A": 1})
    other = ExecutionConfig(projection_samples={"Y": 5}, capacity={"A": 1, "B": 2})
    assert one == other
    assert hash(one) == hash(other)
    samples["Y"] = 6
    assert one == other
    for copied in (copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        assert copied == one
        assert hash(copied) == hash(one)
    with pytest.raises(FrozenInstanceError):
        one.seed = 3  # type: ignore[misc]
    with pytest.raises(TypeError):
        one.capacity["A"] = 3  # type: ignore[index]
