"""Weight policies of modules under `torch.compile(backend="fuse")`: stores, manifests, folders, strict_mmap."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch
from torch.testing import assert_close

from fuse_torch import (
    ExecutionConfig,
    FuseModule,
    InMemoryWeightStore,
    ManifestError,
    ManifestWeightStore,
    RuntimePolicies,
)
from tests.support.mapping import lies_in

TEXT = """axis d = 4, o = 3
input X[b, d]
param W[o, d]
param B[o]
H[b, o] = relu(W[o, d] X[b, d] + B[o])
Y[b] = H[b, o] F[o] S[o]
"""
W = np.arange(12).reshape(3, 4) / 8 - 0.5
B, F, S = np.array([1.0, -1.0, 2.0]), np.array([2.0, 0.5, 1.0]), np.array([1.0, 3.0, 5.0])


@pytest.fixture(autouse=True)
def _fresh_dynamo() -> None:
    torch.compiler.reset()


def made(
    policies: RuntimePolicies, precision: str = "float32", **settings: Any
) -> tuple[FuseModule, Callable[..., Any]]:
    config = ExecutionConfig(precision=precision)  # type: ignore[arg-type]
    module = FuseModule(TEXT, policies=policies, config=config)
    return module, torch.compile(module, backend="fuse", options={"fuse.inner": "aot_eager"}, fullgraph=True)


def check(module: FuseModule, run: Callable[..., Any], w: np.ndarray = W, b: np.ndarray = B) -> None:
    """Values and gradients by hand, for new values and sizes."""
    dtype = module.W.dtype
    for batch in (2, 3, 1, 0):
        x = torch.randn(batch, 4, dtype=dtype)
        module.zero_grad()
        result = run(x)
        result.sum().backward()
        weight, bias = (torch.tensor(array, dtype=dtype, requires_grad=True) for array in (w, b))
        expected = torch.relu(x @ weight.T + bias) @ torch.tensor(F * S, dtype=dtype)
        expected.sum().backward()
        assert result.dtype == dtype
        assert_close(result, expected)
        assert_close(module.W.grad, weight.grad)
        assert_close(module.B.grad, bias.grad)


def written(folder: Path, dtype: str, scale: float = 1.0) -> ManifestWeightStore:
    """W in two shards, B in a .safetensors file, F by its numbers, S as a file of a smaller scale."""
    kind = np.dtype(dtype)
    np.save(folder / "w0.npy", (scale * W[:1]).astype(kind))
    np.savez(folder / "w1.npz", rest=(scale * W[1:]).astype(kind))
    safetensors.numpy.save_file({"bias": (scale * B).astype(kind)}, folder / "b.safetensors")
    np.save(folder / "s.npy", (S * 8).astype(kind))
    entries = {
        "W": {"shards": ["w0.npy", "w1.npz:rest"], "shape": [3, 4]},
        "B": {"path": "b.safetensors", "key": "bias", "dtype": dtype},
        "F": {"value": F.tolist()},
        "S": {"path": "s.npy", "scale": 0.125},
    }
    return ManifestWeightStore({"version": 1, "weights": entries}, folder)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_manifests(tmp_path: Path, precision: str) -> None:
    module, run = made(RuntimePolicies(written(tmp_path, precision)), precision)
    assert [name for name, _ in module.named_parameters()] == ["W", "B"]
    assert {"F", "S"} <= set(module.state_dict())
    check(module, run)
    # Other numbers in the files: a new module has them, the old one keeps its own.
    other, other_run = made(RuntimePolicies(written(tmp_path, precision, scale=2.0)), precision)
    check(other, other_run, 2 * W, 2 * B)
    check(module, run)
    # Training changes the module and not the files.
    with torch.no_grad():
        module.W.zero_()
    check(module, run, 0 * W)
    check(*made(RuntimePolicies(written(tmp_path, precision)), precision))


def test_stores_in_memory_and_initial_values() -> None:
    store = InMemoryWeightStore({"W": W, "F": F, "S": S})
    module, run = made(RuntimePolicies(weight_store=store))
    check(module, run, W, module.B.detach().numpy())
    assert store.load("W").tolist() == W.tolist()


def test_allowed_roots(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    for name, array in (("w", W), ("b", B), ("f", F), ("s", S)):
        np.save(tmp_path / f"{name}.npy", array.astype(np.float32))
    store = ManifestWeightStore({name: f"../{name.lower()}.npy" for name in "WBFS"}, inside)
    with pytest.raises(ManifestError, match="lies outside the folders"):
        made(RuntimePolicies(store))
    check(*made(RuntimePolicies(store, allowed_roots=[tmp_path])))


def test_strict_mmap(tmp_path: Path) -> None:
    for name, array in (("w", W), ("b", B), ("f", F), ("s", S)):
        np.save(tmp_path / f"{name}.npy", array.astype(np.float32))
    store = ManifestWeightStore({name: f"{name.lower()}.npy" for name in "WBFS"}, tmp_path)
    module, run = made(RuntimePolicies(store, strict_mmap=True))
    for name, tensor in module.state_dict().items():
        assert lies_in(tensor.data_ptr(), tmp_path / f"{name.lower()}.npy")
    check(module, run)
    with torch.no_grad():
        module.W.mul_(2)
        module.F.mul_(1)  # a page of the map becomes the module's own
    check(module, run, 2 * W)
    assert np.load(tmp_path / "w.npy").tolist() == W.tolist()
    check(*made(RuntimePolicies(store, strict_mmap=True)))
    with pytest.raises(
        ManifestError, match="weight W: strict_mmap=True forbids a copy, and the run takes it as float64"
    ):
        made(RuntimePolicies(store, strict_mmap=True), "float64")
    with pytest.raises(
        ManifestError, match="weight W: strict_mmap=True forbids a copy, and its shards are put together"
    ):
        made(RuntimePolicies(written(tmp_path, "float32"), strict_mmap=True))
