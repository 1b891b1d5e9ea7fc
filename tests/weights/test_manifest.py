"""ManifestWeightStore: what it reads, what it refuses, what it keeps."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import jax
import numpy as np
import pytest
import safetensors.numpy
import torch

import fuse_jax
import fuse_ref
import fuse_torch
from fuse_ref.config import ExecutionConfig
from fuse_ref.errors import ConfigError, ManifestError
from fuse_ref.policies import RuntimePolicies
from fuse_ref.program import Program
from fuse_ref.weights.manifest_store import ManifestWeightStore
from fuse_ref.weights.store import WeightStore
from tests.support.mapping import lies_in

W = np.arange(6, dtype=np.float32).reshape(2, 3)
LAYER = "axis i = 2, j = 3\nparam W[i, j]\nY[i] = W[i, j] X[j] + B[i]"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    np.save(tmp_path / "w.npy", W)
    np.savez(tmp_path / "two.npz", b=np.array([1.0, 2.0], np.float32), c=np.zeros(4))
    safetensors.numpy.save_file({"b": np.array([1.0, 2.0], np.float32)}, tmp_path / "b.safetensors")
    return tmp_path


def written(folder: Path, data: object) -> Path:
    (folder / "manifest.json").write_text(json.dumps(data))
    return folder / "manifest.json"


def refused(*arguments: object, load: str | None = None, **settings: object) -> ManifestError:
    def use() -> None:
        store = ManifestWeightStore(*arguments, **settings)  # type: ignore[arg-type]
        if load is not None:
            store.load(load)

    with pytest.raises(ManifestError) as caught:
        use()
    return caught.value


# Forms -----------------------------------------------------------------------------------------


def test_the_forms_of_a_manifest(folder: Path) -> None:
    entry = {"path": "w.npy", "dtype": "float32", "shape": [2, 3]}
    forms: list[object] = [
        {"W": "w.npy"},
        {"W": Path("w.npy")},
        {"W": entry},
        {"version": 1, "weights": {"W": entry}},
        {"version": 1, "weights": [{"name": "W", **entry}]},
        [{"name": "W", **entry}],
    ]
    for form in forms:
        store = ManifestWeightStore(form, base_path=folder)  # type: ignore[arg-type]
        assert isinstance(store, WeightStore)
        assert list(store) == ["W"]
        assert "W" in store
        assert "V" not in store
        assert len(store) == 1
        assert store.shape("W") == (2, 3)
        assert store.load("W").tolist() == W.tolist()
        if not isinstance(form, dict) or not isinstance(form.get("W"), Path):
            assert ManifestWeightStore(written(folder, form)).load("W").tolist() == W.tolist()
            assert ManifestWeightStore(str(written(folder, form))).load("W").tolist() == W.tolist()


def test_keys_values_shards_and_scale(folder: Path) -> None:
    np.save(folder / "w2.npy", 10 + W)
    manifest = {
        "b": "two.npz:b",
        "b2": {"path": "two.npz", "key": "b"},
        "b3": "b.safetensors:b",
        "one": "b.safetensors",
        "v": {"value": [[1, 2], [3, 4]], "dtype": "int8"},
        "s": {"shards": ["w.npy", {"path": "w2.npy"}]},
        "t": {"shards": ["w.npy", "w2.npy"], "shard_axis": -1, "shape": [2, 6]},
        "h": {"path": "w.npy", "scale": 0.5},
    }
    store = ManifestWeightStore(written(folder, manifest))
    for name in ("b", "b2", "b3", "one"):
        assert store.load(name).tolist() == [1, 2]
    assert store.load("v").tolist() == [[1, 2], [3, 4]]
    assert store.load("v").dtype == np.int8
    assert store.load("s").tolist() == [*W.tolist(), *(10 + W).tolist()]
    assert store.load("t").tolist() == np.hstack([W, 10 + W]).tolist()
    assert store.load("h").tolist() == (W / 2).tolist()
    assert store.load("h").dtype == np.float32
    for name in manifest:
        assert store.shape(name) == store.load(name).shape
    assert isinstance(ManifestWeightStore({"W": "w.npy"}, folder).load("W"), np.memmap)


def test_a_digest(folder: Path) -> None:
    digest = hashlib.sha256((folder / "w.npy").read_bytes()).hexdigest()
    store = ManifestWeightStore({"W": {"path": "w.npy", "sha256": digest.upper()}}, folder)
    assert store.load("W").tolist() == W.tolist()
    wrong = digest[:-1] + ("0" if digest[-1] != "0" else "1")
    error = refused({"W": {"path": "w.npy", "sha256": wrong}}, folder, load="W")
    assert f"the sha256 of w.npy is {digest}, and not {wrong}" in str(error)
    # The file changes after its digest was found: what is loaded stays, what is loaded anew is looked at again.
    assert store.load("W") is store.load("W")
    forgetful = ManifestWeightStore({"W": {"path": "w.npy", "sha256": digest}}, folder, cache_bytes=0)
    forgetful.load("W")
    (folder / "other.npy").write_bytes((folder / "w.npy").read_bytes()[:-4] + b"more")
    (folder / "other.npy").replace(folder / "w.npy")
    with pytest.raises(ManifestError, match="sha256"):
        forgetful.load("W")


# On the engines --------------------------------------------------------------------------------


def test_every_engine(folder: Path) -> None:
    store = ManifestWeightStore(written(folder, {"W": "w.npy", "B": "two.npz:b"}))
    policies = RuntimePolicies(weight_store=store)
    x = np.array([1.0, 0.5, -1.0], np.float32)
    expected = [sum(W[i, j] * x[j] for j in range(3)) + [1.0, 2.0][i] for i in range(2)]
    for backend in ("numpy", "torch", "jax"):
        for precision in ("float32", "float64") if backend != "jax" else ("float32",):
            config = ExecutionConfig(precision=precision)  # type: ignore[arg-type]
            runner = Program(LAYER).compile(backend, policies=policies, config=config)  # type: ignore[arg-type]
            assert np.asarray(runner(X=x)["Y"]).tolist() == expected
    import torch

    module = fuse_torch.FuseModule(LAYER, policies=policies)
    assert module(torch.from_numpy(x) if module.program.inputs else {"X": torch.from_numpy(x)}).tolist() == expected
    function = fuse_jax.compile(LAYER, policies=policies)
    import jax

    assert np.asarray(function(function.init(jax.random.key(0)), X=x)["Y"]).tolist() == expected
    assert fuse_torch.ManifestWeightStore is fuse_jax.ManifestWeightStore is fuse_ref.ManifestWeightStore


def test_training_leaves_files_alone(folder: Path) -> None:
    import torch

    module = fuse_torch.FuseModule(
        LAYER, policies=RuntimePolicies(ManifestWeightStore({"W": "w.npy", "B": "two.npz:b"}, folder))
    )
    with torch.no_grad():
        module.W.zero_()
    assert np.load(folder / "w.npy").tolist() == W.tolist()


# Memory maps under strict_mmap -----------------------------------------------------------------


def test_strict_mmap_takes_the_file_itself(folder: Path) -> None:
    np.save(folder / "b.npy", np.array([1.0, 2.0], np.float32))
    store = ManifestWeightStore({"W": "w.npy", "B": "b.npy"}, folder)
    policies = RuntimePolicies(store, strict_mmap=True)
    x = np.ones(3, np.float32)
    for backend in ("numpy", "torch"):
        runner = Program(LAYER).compile(backend, policies=policies)  # type: ignore[arg-type]
        assert np.asarray(runner(X=x)["Y"]).tolist() == [4, 14]
        used = runner._settled.fixed["W"]  # type: ignore[union-attr]
        memory = used if isinstance(used, np.ndarray) else used.numpy()
        while isinstance(memory, np.ndarray) and not isinstance(memory, np.memmap) and memory.base is not None:
            memory = memory.base  # type: ignore[assignment]
        assert isinstance(memory, np.memmap) or backend == "torch"
    assert isinstance(policies.store.load("W"), np.memmap)


def test_strict_mmap_maps_weights_of_modules_and_functions(folder: Path) -> None:
    np.save(folder / "b.npy", np.array([1.0, 2.0], np.float32))
    policies = RuntimePolicies(ManifestWeightStore({"W": "w.npy", "B": "b.npy"}, folder), strict_mmap=True)
    first, second = fuse_torch.FuseModule(LAYER, policies=policies), fuse_torch.FuseModule(LAYER, policies=policies)
    optimiser = torch.optim.SGD(first.parameters(), lr=1.0)
    first(X=torch.ones(3)).sum().backward()
    optimiser.step()
    with torch.no_grad():
        first.B.zero_()
    assert first.W.tolist() == (W - 1).tolist()  # learned in memory of its own, page by page
    assert second(X=torch.ones(3)).tolist() == [4, 14]
    function = fuse_jax.compile(LAYER, policies=policies)
    params = function.init(jax.random.key(0))
    assert function(params, X=np.ones(3))["Y"].tolist() == [4, 14]
    assert np.load(folder / "w.npy").tolist() == W.tolist()
    addresses = [first.W.data_ptr(), second.B.data_ptr(), params["W"].unsafe_buffer_pointer()]
    for address, name in zip(addresses, ("w.npy", "b.npy", "w.npy"), strict=True):
        assert lies_in(address, folder / name)
    # Without the policy maps are shared by all that load them, so a module has memory of its own.
    own = fuse_torch.FuseModule(
        LAYER, policies=RuntimePolicies(ManifestWeightStore({"W": "w.npy", "B": "b.npy"}, folder))
    )
    assert not lies_in(own.W.data_ptr(), folder / "w.npy")


@pytest.mark.parametrize(
    ("backend", "words"),
    [
        ("numpy", "the run takes it as float64, its file has float32"),
        ("torch", "the run takes it as float64, its file has float32"),
    ],
)
def test_strict_mmap_refuses_casts(folder: Path, backend: str, words: str) -> None:
    policies = RuntimePolicies(ManifestWeightStore({"W": "w.npy"}, folder), strict_mmap=True)
    runner = Program("Y[i] = W[i, j]").compile(
        backend,  # type: ignore[arg-type]
        policies=policies,
        config=ExecutionConfig(precision="float64"),
    )
    with pytest.raises(ManifestError, match=words) as caught:
        runner()
    assert caught.value.code == "FUSE333"


def test_strict_mmap_refuses_what_must_be_copied(folder: Path) -> None:
    np.savez_compressed(folder / "packed.npz", W=W)
    entries = {
        "it is compressed": "packed.npz",
        "it is scaled": {"path": "w.npy", "scale": 2},
        "its shards are put together": {"shards": ["w.npy", "w.npy"]},
    }
    for words, entry in entries.items():
        store = ManifestWeightStore({"W": entry}, folder)
        store.load("W")  # allowed without the policy, and kept
        with pytest.raises(ManifestError, match=words):
            RuntimePolicies(store, strict_mmap=True).store.load("W")
    policies = RuntimePolicies(ManifestWeightStore({"W": "w.npy"}, folder), strict_mmap=True)
    words = "the run takes it as float64, its file has float32"
    with pytest.raises(ManifestError, match=words):
        fuse_torch.FuseModule("Y[i] = W[i, j]", policies=policies, config=ExecutionConfig(precision="float64"))
    with pytest.raises(ManifestError, match=words), jax.enable_x64(True):
        fuse_jax.compile("Y[i] = W[i, j]", policies=policies, config=ExecutionConfig(precision="float64"))
    with pytest.raises(ManifestError, match="the module's tensors lie on meta, in memory of their own"):
        fuse_torch.FuseModule("Y[i] = W[i, j]", policies=policies, config=ExecutionConfig(device="meta"))
    assert RuntimePolicies(ManifestWeightStore({"V": {"value": [1]}}), strict_mmap=True).store.load("V").tolist() == [1]


# What is kept ----------------------------------------------------------------------------------


def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    for name in "abc":
        np.save(tmp_path / f"{name}.npy", np.zeros(100, np.float32))
    store = ManifestWeightStore({name: f"{name}.npy" for name in "abc"}, tmp_path, cache_bytes=800)
    a, b = store.load("a"), store.load("b")
    assert store.cached_bytes == 800
    assert store.load("a") is a
    store.load("c")  # b goes
    assert store.cached_bytes == 800
    assert store.load("a") is a
    assert store.load("b") is not b
    nothing = ManifestWeightStore({"a": "a.npy"}, tmp_path, cache_bytes=0)
    assert nothing.load("a") is not nothing.load("a")
    assert nothing.cached_bytes == 0
    everything = ManifestWeightStore({"a": "a.npy"}, tmp_path)
    assert everything.load("a") is everything.load("a")
    for wrong in (-1, 1.5, "1"):
        with pytest.raises(ConfigError, match="cache_bytes must be"):
            ManifestWeightStore({}, cache_bytes=wrong)  # type: ignore[arg-type]


# Where files may lie ---------------------------------------------------------------------------


def test_files_outside_are_refused(folder: Path) -> None:
    inside = folder / "inside"
    inside.mkdir()
    (inside / "link.npy").symlink_to(folder / "w.npy")
    for path in ("../w.npy", str(folder / "w.npy"), "link.npy"):
        error = refused({"W": path}, inside, load="W")
        assert "weight W" in str(error)
        assert "lies outside the folders" in str(error)
        assert str(error).count(str(inside)) == 1  # each allowed folder once
        policies = RuntimePolicies(ManifestWeightStore({"W": path}, inside), allowed_roots=[folder])
        assert policies.store.load("W").tolist() == W.tolist()
    # A manifest's own folder counts beside base_path.
    (inside / "manifest.json").write_text('{"W": "inside/w.npy"}')
    np.save(inside / "w.npy", W)
    assert ManifestWeightStore(inside / "manifest.json", base_path=folder).load("W").tolist() == W.tolist()


# Manifests that are wrong ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1, 2", "it is no JSON"),
        ("3", "neither an object of weights nor a list"),
        ('"text"', "neither an object of weights nor a list"),
        ('{"version": 2, "weights": {}}', "its version is 2"),
        ('{"weights": {}}', "its version is None"),
        ('{"version": 1, "weights": {}, "more": 1}', "it has the field 'more'"),
        ('{"W": "w.npy", "W": "w.npy"}', "weight W: it is there twice"),
        ('[{"name": "W", "path": "w.npy"}, {"name": "W", "path": "w.npy"}]', "weight W: it is there twice"),
        ('[{"path": "w.npy"}]', "an entry has no name"),
        ('{"": "w.npy"}', "an entry has no name"),
        ('{"W": 3}', "neither a path nor an object but 3"),
        ('{"W": {}}', "it has no source"),
        ('{"W": {"name": "V", "path": "w.npy"}}', "its own name is 'V'"),
        ('{"W": {"path": 3}}', "its path is 3 and names no file"),
        ('{"W": {"path": ""}}', "names no file"),
        ('{"W": {"path": "a\\u0000.npy"}}', "names no file"),
        ('{"W": {"path": "w.npy", "key": 1}}', "its key is 1"),
        ('{"W": {"path": "w.npy", "shard_axis": 0}}', "shard_axis has no meaning beside path"),
        ('{"W": {"value": 1, "sha256": "0"}}', "sha256 has no meaning beside value"),
        ('{"W": {"path": "w.npy", "sha256": "abc"}}', "not 64 hexadecimal digits"),
        ('{"W": {"path": "w.npy", "dtype": "flaot32"}}', "did you mean 'float32'?"),
        ('{"W": {"path": "w.npy", "dtype": ["float32"]}}', "its dtype is ['float32']"),
        ('{"W": {"path": "w.npy", "shape": [-1]}}', "its shape is [-1]"),
        ('{"W": {"path": "w.npy", "shape": [1.5]}}', "its shape is [1.5]"),
        ('{"W": {"path": "w.npy", "shape": [true]}}', "its shape is [True]"),
        ('{"W": {"path": "w.npy", "shape": [99999999999, 99999999999]}}', "no list of sizes"),
        ('{"W": {"path": "w.npy", "shape": "23"}}', "no list of sizes"),
        ('{"W": {"path": "w.npy", "scale": "2"}}', "its scale is '2'"),
        ('{"W": {"path": "w.npy", "scale": NaN}}', "no finite number"),
        ('{"W": {"shards": []}}', "no list of files"),
        ('{"W": {"shards": "w.npy"}}', "no list of files"),
        ('{"W": {"shards": [3]}}', "shard 0 is neither"),
        ('{"W": {"shards": ["w.npy"], "shard_axis": "0"}}', "its shard_axis is '0'"),
        ('{"W": {"value": [[1], [2, 3]]}}', "rows differ in length"),
        ('{"W": {"value": ["a"]}}', "its value is no array of numbers"),
        ('{"W": {"value": [300], "dtype": "int8"}}', "its value is not of dtype int8"),
        ('{"W": {"path": "w.npy", "lora": {"slot": "a"}}}', "lora is not supported yet"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_manifest_that_is_wrong(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "m.json").write_text(text)
    error = refused(tmp_path / "m.json")
    assert words in str(error)
    assert "m.json" in str(error)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("absent.npy", "there is no file absent.npy"),
        ("w.csv", "w.csv is no file of arrays"),
        ("two.npz", "two.npz holds 'b', 'c', and the program does not say which"),
        ("two.npz:d", "but no 'd'"),
        ({"path": "w.npy", "shape": [3, 2]}, "its shape is said to be (3, 2), and the file has (2, 3)"),
        ({"path": "w.npy", "dtype": "float64"}, "its dtype is said to be float64, and the file has float32"),
        ({"shards": ["w.npy", "two.npz:b"]}, "shard 1 is (2,) and shard 0 (2, 3): only axis 0 may differ"),
        ({"shards": ["w.npy", "w.npy"], "shard_axis": 2}, "its shard_axis is 2, and its shards have 2 axes"),
        ({"shards": ["two.npz:b", "two.npz:c"]}, "its shards are of the types float32, float64"),
        ("objects.npy", "it is not an array of numbers but of object"),
        ("big.npy", "its header speaks of"),
        ("folder.npy", "there is no file folder.npy"),
    ],
)
def test_files_that_are_not_as_the_manifest_says(folder: Path, entry: object, words: str) -> None:
    np.save(folder / "objects.npy", np.array([{}], object), allow_pickle=True)
    (folder / "w.csv").write_text("1\n")
    (folder / "folder.npy").mkdir()
    content = (folder / "w.npy").read_bytes()
    (folder / "big.npy").write_bytes(content.replace(b"(2, 3), }", b"(2,9**9)}").replace(b"(2, 3)", b"(9, 9)"))
    error = refused(written(folder, {"W": entry}), load="W")
    assert words in str(error) or (entry == "big.npy" and "big.npy cannot be read" in str(error))
    assert "manifest.json, weight W: " in str(error)
    assert error.code == "FUSE332"


def test_a_name_that_is_not_there(folder: Path) -> None:
    error = refused({"Weight": "w.npy"}, folder, load="Wieght")
    assert "did you mean 'Weight'?" in str(error)
    assert refused(folder / "absent.json").code == "FUSE335"
