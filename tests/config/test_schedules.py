"""make_schedule: what each kind gives, exactly where it ends, and what it refuses."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

import fuse_jax
import fuse_torch
from fuse_ref import ConfigError, ExecutionConfig, make_schedule


def test_constant() -> None:
    for schedule in (make_schedule("constant", 0.25), make_schedule("constant", value=0.25)):
        assert [schedule(k) for k in (0, 1, 10**9)] == [0.25, 0.25, 0.25]


def test_linear() -> None:
    for schedule in (make_schedule("linear", start=1.0, end=0.0, steps=4), make_schedule("linear", 1, 0, 4)):
        assert [schedule(k) for k in range(7)] == [1.0, 0.75, 0.5, 0.25, 0.0, 0.0, 0.0]
    assert [make_schedule("linear", start=0.0, end=0.3, steps=1)(k) for k in (0, 1, 2)] == [0.0, 0.3, 0.3]


@pytest.mark.parametrize("points", [{5: 0.5, 0: 1.0, 10: 0.0}, [(0, 1.0), (5, 0.5), (10, 0.0)]])
def test_piecewise(points: Any) -> None:
    schedule = make_schedule("piecewise", points)
    assert [schedule(k) for k in (0, 4, 5, 9, 10, 99)] == [1.0, 1.0, 0.5, 0.5, 0.0, 0.0]
    assert make_schedule("piecewise", {3: 2.0, 4: 1.0})(0) == 2.0


def test_equal_schedules_make_equal_settings() -> None:
    first, second = (
        ExecutionConfig(temperatures={"Y": make_schedule("linear", start=1.0, end=end, steps=4)}) for end in (0.0, 0.0)
    )
    assert first == second
    assert hash(first) == hash(second)
    assert pickle.loads(pickle.dumps(first)) == copy.deepcopy(first) == first
    assert first != ExecutionConfig(temperatures={"Y": make_schedule("linear", start=1.0, end=0.1, steps=4)})


def test_every_package_has_it() -> None:
    assert fuse_torch.make_schedule is fuse_jax.make_schedule is make_schedule


@pytest.mark.parametrize(
    ("arguments", "named", "words"),
    [
        (("lienar",), {}, r"kind must be one of 'constant', 'linear', 'piecewise', but 'lienar' was given"),
        (("linear",), {"start": 1.0}, r"must be given start, end, steps, but start=1.0 was given"),
        (("constant", 1.0, 2.0), {}, r"must be given value, but 1.0, 2.0 was given"),
        (("constant", -1.0), {}, r"value must be a temperature: a finite number, 0 or more, but -1.0"),
        (("constant", float("nan")), {}, "but nan was given"),
        (("constant", True), {}, "but True was given"),
        (("linear", 1.0, 0.0, 0), {}, "steps must be a whole number, at least 1, but 0"),
        (("linear", 1.0, 0.0, 2.5), {}, "steps must be counted in iterations"),
        (("piecewise", {}), {}, "points must be a mapping"),
        (("piecewise", 3), {}, "points must be a mapping"),
        (("piecewise", {-1: 1.0}), {}, "but -1 was given"),
    ],
)
def test_mistakes(arguments: tuple[Any, ...], named: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make_schedule(*arguments, **named)
