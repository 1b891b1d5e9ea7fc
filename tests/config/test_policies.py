"""Policies: checked data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fuse_ref.errors import ConfigError
from fuse_ref.policies import LoRAPolicy, QuantizationPolicy, RuntimePolicies, ShardingPolicy
from fuse_ref.weights.store import InMemoryWeightStore


def test_a_mapping_becomes_a_store() -> None:
    policies = RuntimePolicies(weight_store={"W": np.ones(2)})
    assert policies.store.shape("W") == (2,)
    store = InMemoryWeightStore({})
    assert RuntimePolicies(weight_store=store).store is store
    assert list(RuntimePolicies().store) == []


def test_roots_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    policies = RuntimePolicies(allowed_roots=["data", tmp_path / "more"])
    monkeypatch.chdir("/")
    assert policies.roots == (tmp_path / "data", tmp_path / "more")
    assert RuntimePolicies().roots == ()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: RuntimePolicies(weight_store=3), "weight_store must be a weight store or a mapping"),
        (lambda: RuntimePolicies(strict_mmap="yes"), "strict_mmap must be True or False, but 'yes' was given"),
        (lambda: RuntimePolicies(allowed_roots="/data"), "allowed_roots must be a list of folders"),
        (lambda: RuntimePolicies(allowed_roots=3), "allowed_roots must be a list of folders"),
        (lambda: RuntimePolicies(sharding={}), "sharding must be a ShardingPolicy"),
        (lambda: RuntimePolicies(quantization="int8"), "quantization must be a QuantizationPolicy"),
        (lambda: RuntimePolicies(lora="a"), "lora must be a LoRAPolicy"),
        (lambda: QuantizationPolicy("int3"), "mode must be one of 'int8', 'int4', but 'int3' was given"),
        (lambda: QuantizationPolicy("int8", group_size=0), "group_size must be a whole number, at least 1, or None"),
        (lambda: ShardingPolicy({"x": 0}, {}), "mesh['x'] must be a number of devices, but 0 was given"),
        (lambda: ShardingPolicy({"x": 2}, {"d": "y"}), "axes['d'] must be one of 'x', but 'y' was given"),
        (lambda: LoRAPolicy(["a"]), "adapters must be a mapping"),
    ],
)
def test_wrong_values(make, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make()
    assert words in str(caught.value)
    assert caught.value.code == "FUSE205"


def test_policies_are_keys() -> None:
    store = InMemoryWeightStore({})
    make = lambda: RuntimePolicies(  # noqa: E731
        weight_store=store,
        sharding=ShardingPolicy({"x": 2}, {"d": "x"}),
        quantization=QuantizationPolicy("int8", 32, ["W"]),  # type: ignore[arg-type]
        lora=LoRAPolicy({"head": None}),
    )
    assert make() == make()
    assert hash(make()) == hash(make())
    assert make() != RuntimePolicies()
