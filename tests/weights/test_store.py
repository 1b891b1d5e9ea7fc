"""InMemoryWeightStore."""

from __future__ import annotations

import numpy as np
import pytest

from fuse_ref.errors import DtypeError
from fuse_ref.weights.arrays import framework_of, numpy_array
from fuse_ref.weights.store import InMemoryWeightStore, WeightStore


def test_names_shapes_and_values() -> None:
    store = InMemoryWeightStore({"W": np.ones((2, 3), np.float32), "nn.b": [1, 2]})
    assert isinstance(store, WeightStore)
    assert list(store) == ["W", "nn.b"]
    assert len(store) == 2
    assert "W" in store
    assert "V" not in store
    assert store.shape("nn.b") == (2,)
    assert store.load("W").dtype == np.float32
    assert repr(store) == "InMemoryWeightStore(W[2, 3], nn.b[2])"


def test_later_changes_do_not_matter() -> None:
    array = np.zeros(3)
    store = InMemoryWeightStore({"W": array})
    array += 1
    assert store.load("W").tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="read-only"):
        store.load("W")[0] = 1


@pytest.mark.parametrize("value", ["text", [["a"]], np.array([1j]), [[1, 2], [3]], object()])
def test_what_is_no_array_of_numbers(value: object) -> None:
    with pytest.raises(DtypeError, match="weight W is not an array of numbers") as caught:
        InMemoryWeightStore({"W": value})
    assert caught.value.code == "FUSE312"


def test_arrays_of_torch() -> None:
    import torch

    parameter = torch.nn.Parameter(torch.arange(3.0))
    store = InMemoryWeightStore({"W": parameter, "H": torch.tensor([0.1], dtype=torch.bfloat16)})
    assert store.load("W").tolist() == [0, 1, 2]
    assert store.load("H").dtype == np.float32
    assert store.load("H")[0] == np.float32(0.10009765625)
    with torch.no_grad():
        parameter += 1
    assert store.load("W").tolist() == [0, 1, 2]
    assert framework_of(parameter) == "torch"


def test_arrays_of_jax() -> None:
    import jax.numpy as jnp

    store = InMemoryWeightStore({"W": jnp.arange(3.0), "H": jnp.array([0.1], jnp.bfloat16)})
    assert store.load("W").tolist() == [0, 1, 2]
    assert store.load("H").dtype == np.float32
    assert framework_of(jnp.ones(2)) == "jax"


def test_frameworks_of_other_things() -> None:
    assert framework_of(np.ones(2)) == "numpy"
    for value in ([1.0], 2.0, "text", None):
        assert framework_of(value) is None
    array = np.ones(2)
    assert numpy_array(array) is array
