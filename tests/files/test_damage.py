"""Damaged files of every format end in errors of ours, or in numbers: never in anything else."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import safetensors.numpy

from fuse_ref.errors import FuseError
from fuse_ref.program import Program
from fuse_ref.weights.manifest_store import ManifestWeightStore

ARRAY = np.arange(12, dtype=np.float32).reshape(3, 4)
KEYS = {
    "a.npy": "",
    "a.npz": ":a",
    "c.npz": ":a",
    "a.safetensors": ":a",
    "a.csv": "",
    "a.tsv": "",
    "a.json": ":a",
    "a.jsonl": "",
    "a.parquet": "",
    "a.txt": "",
}
MANIFEST = b'{"version": 1, "weights": {"W": {"path": "a.npy", "dtype": "float32", "shape": [3, 4], "scale": 0.5}}}'


def whole(name: str, folder: Path) -> bytes:
    path = folder / name
    match name:
        case "a.npy":
            np.save(path, ARRAY)
        case "a.npz":
            np.savez(path, a=ARRAY, b=ARRAY)
        case "c.npz":
            np.savez_compressed(path, a=ARRAY)
        case "a.safetensors":
            safetensors.numpy.save_file({"a": ARRAY, "b": ARRAY.astype(np.int8)}, path)
        case "a.parquet":
            pyarrow.parquet.write_table(pyarrow.table({"x": [1, 2], "y": [3, 4]}), path)
        case "a.json":
            path.write_text('{"a": [[1, 2], [3, 4]]}')
        case "a.jsonl":
            path.write_text("[1, 2]\n[3, 4]\n")
        case "a.txt":
            path.write_text("to be or not")
        case _:
            path.write_text('x,y\n1,2\n"3",4\n'.replace(",", "," if name == "a.csv" else "\t"))
    return path.read_bytes()


def damaged(content: bytes, dice: random.Random) -> bytes:
    data = bytearray(content)
    for _ in range(dice.choice([1, 1, 2, 5])):
        place, kind = dice.randrange(len(data) + 1), dice.random()
        if kind < 0.5:
            data[place : place + 1] = bytes([dice.randrange(256)])
        elif kind < 0.7:
            del data[place:]
        elif kind < 0.85:
            data[place:place] = dice.randbytes(dice.choice([1, 4, 8]))
        else:
            del data[place : place + dice.choice([1, 4])]
    return bytes(data)


@pytest.mark.parametrize("name", KEYS)
def test_damaged_files(tmp_path: Path, name: str) -> None:
    content = whole(name, tmp_path)
    dice = random.Random(name)
    messages: list[str] = []
    for _ in range(60):
        (tmp_path / f"z{name}").write_bytes(damaged(content, dice))
        for reference in ("W[i, j]", "W(i, j)"):
            text = f'{reference} = "z{name}{KEYS[name]}"\nY[i] = {reference}'
            try:
                Program(text, path=tmp_path / "p.fuse").compile("numpy")()
            except FuseError as error:
                messages.append(str(error))
    assert len(messages) > 10
    assert all(f"z{name}" in message for message in messages)


def test_a_damaged_manifest(tmp_path: Path) -> None:
    whole("a.npy", tmp_path)
    dice = random.Random(0)
    messages: list[str] = []
    for _ in range(300):
        (tmp_path / "m.json").write_bytes(damaged(MANIFEST, dice))
        try:
            store = ManifestWeightStore(tmp_path / "m.json")
            for weight in store:
                assert store.load(weight).shape == (3, 4)
        except FuseError as error:
            messages.append(str(error))
    assert len(messages) > 200
    assert all("m.json" in message for message in messages)
