"""compile(cache_dir=…): plans come back as they were, and nothing damaged is taken for one."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from fuse_ref.errors import ConfigError
from fuse_ref.evaluate import plan_cache as module
from fuse_ref.evaluate.entries import Entries
from fuse_ref.ir.json import encoded
from fuse_ref.plan.json import NotAPlan, plan_from_json, plan_to_json
from fuse_ref.program import Program

TEXT = """input X[b, j]
axis h = 4
param W[h, j]
H[b, h] = relu(W[h, j] X[b, j])
P[b, k.] = softmax(H[b, h] V[h, k])
D[b, k] max= P[b+1, k] - P[b, k]
E = (X[b, j] X[b', j])**2
export P, D, E
"""
INPUTS = {"X": np.arange(6.0, dtype=np.float32).reshape(2, 3), "V": np.ones((4, 5), np.float32)}
PROGRAMS = sorted((Path(__file__).parents[1] / "programs").glob("*.fuse"))


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One item for each plan that is really built."""
    found: list[str] = []
    original = module._keep

    def counted(entries: Entries, key: str, *rest: object) -> None:
        found.append(key)
        original(entries, key, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "_keep", counted)
    return found


def entries(folder: Path) -> list[Path]:
    return sorted((folder / "plans").iterdir())


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_plans_there_and_back(path: Path) -> None:
    program = Program.from_file(path)
    plan = program.plan()
    data = json.loads(json.dumps(plan_to_json(plan, encoded(program.ir)[1])))
    again = plan_from_json(data, program.ir, encoded(program.ir)[1])
    assert again == plan
    assert str(again) == str(plan)
    spans = [(step.span, check.span) for step, check in zip(plan.steps, plan.size_checks, strict=False)]
    assert spans == [(step.span, check.span) for step, check in zip(again.steps, again.size_checks, strict=False)]


@pytest.mark.parametrize("backend", ["numpy", "torch", "jax"])
def test_the_second_time_it_is_read(tmp_path: Path, built: list[str], backend: str) -> None:
    plain = Program(TEXT).compile(backend)  # type: ignore[arg-type]
    first = Program(TEXT).compile(backend, cache_dir=tmp_path)  # type: ignore[arg-type]
    expected = {name: np.asarray(value) for name, value in plain(INPUTS).items()}
    for name, value in first(INPUTS).items():
        np.testing.assert_array_equal(np.asarray(value), expected[name])
    count = len(built)
    assert count >= 1
    second = Program(TEXT).compile(backend, cache_dir=str(tmp_path))  # type: ignore[arg-type]
    for name, value in second(INPUTS).items():
        np.testing.assert_array_equal(np.asarray(value), expected[name])
    assert len(built) == count
    assert second.plan == first.plan


def test_what_decides_a_plan_is_in_its_key(tmp_path: Path, built: list[str]) -> None:
    from fuse_ref.config import ExecutionConfig

    settings: list[dict[str, object]] = [
        {},
        {"sizes": {"b": 2}},
        {"hints": {"b": 512}},
        {"config": ExecutionConfig(mode="single")},
        {"config": ExecutionConfig(checked=True)},
        {"policies": None},  # the same as {}
    ]
    for setting in settings:
        Program(TEXT).compile("numpy", cache_dir=tmp_path, **setting)  # type: ignore[arg-type]
    assert len(built) == len(settings) - 1
    Program(TEXT.replace("relu", "tanh")).compile("numpy", cache_dir=tmp_path)
    # Another layout means the same, but errors show other lines.
    Program("\n" + TEXT).compile("numpy", cache_dir=tmp_path)
    assert len(built) == len(set(built)) == len(settings) + 1


def test_another_version_plans_anew(tmp_path: Path, built: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    Program(TEXT).compile("numpy", cache_dir=tmp_path)
    monkeypatch.setattr(module, "_software", lambda: ["another"])
    Program(TEXT).compile("numpy", cache_dir=tmp_path)
    assert len(built) == 2


@pytest.mark.parametrize("harm", ["empty", "cut", "flipped", "foreign", "other key", "other shape", "deep"])
def test_damaged_entries_are_made_anew(
    tmp_path: Path, built: list[str], harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    expected = Program(TEXT).compile("numpy", cache_dir=tmp_path).plan
    (path,) = entries(tmp_path)
    content = path.read_bytes()
    head, _, body = content.partition(b"\n")
    key = path.stem
    head_of = Entries(tmp_path, module.PLANS)._head
    harmed = {
        "empty": b"",
        "cut": content[: len(content) // 2],
        "flipped": content[:-30] + bytes([content[-30] ^ 1]) + content[-29:],
        "foreign": b"\x80\x04\x95 a pickle, say",
        "other key": content.replace(key.encode(), b"0" * 64),
        "other shape": head_of(key, b'["x"]') + b'\n["x"]',
        "deep": head_of(key, b"[" * 100_000) + b"\n" + b"[" * 100_000,
    }[harm]
    path.write_bytes(harmed)
    with caplog.at_level(logging.WARNING, "fuse.cache"):
        assert Program(TEXT).compile("numpy", cache_dir=tmp_path).plan == expected
    assert "is made anew" in caplog.text
    assert len(built) == 2
    assert path.read_bytes() == content
    assert head.startswith(b"fuse-plan 2 ")
    assert body


def test_wrong_types_are_found() -> None:
    program = Program(TEXT)
    _, sources = encoded(program.ir)
    data = json.loads(json.dumps(plan_to_json(program.plan(), sources)))

    def changed(value: object, old: object, new: object) -> object:
        if type(value) is type(old) and value == old:
            return new
        if isinstance(value, list):
            return [changed(item, old, new) for item in value]
        if isinstance(value, dict):
            return {changed(key, old, new): changed(item, old, new) for key, item in value.items()}
        return value

    assert plan_from_json(data, program.ir, encoded(program.ir)[1]) == program.plan()
    for old, new in (("Map", "Mop"), ("Dense", "Danse"), ("softmax", 3), (128, "128"), (4, 4.0), ("float", None)):
        with pytest.raises(NotAPlan):
            plan_from_json(changed(data, old, new), program.ir, sources)


def test_two_writers(tmp_path: Path) -> None:
    results: list[object] = []

    def work() -> None:
        results.append(Program(TEXT).compile("numpy", cache_dir=tmp_path).plan)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    assert all(result == results[0] for result in results)
    assert len(entries(tmp_path)) == 1  # no temporary file stays


def test_another_process_reads_it(tmp_path: Path, built: list[str]) -> None:
    (tmp_path / "p.fuse").write_text(TEXT)
    code = (
        "import logging, sys; from fuse_ref import Program; "
        "logging.basicConfig(level=logging.INFO, stream=sys.stdout); "
        "Program.from_file('p.fuse').compile('numpy', cache_dir='cache')"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    outputs = [
        subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    ]
    assert "read from" not in outputs[0]
    assert "read from" in outputs[1]


def test_folders(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be used") as caught:
        Program(TEXT).compile("numpy", cache_dir=tmp_path / "file")
    assert caught.value.code == "FUSE223"
    Program(TEXT).compile("numpy", cache_dir=tmp_path / "new" / "folder")
    assert (tmp_path / "new" / "folder").stat().st_mode & 0o077 == 0


def test_a_folder_that_cannot_be_written_costs_only_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "plans").write_text("in the way")
    with caplog.at_level(logging.WARNING, "fuse.cache"):
        assert Program(TEXT).compile("numpy", cache_dir=tmp_path)(INPUTS)["P"].shape == (2, 5)
    assert "is not kept" in caplog.text


def test_errors_show_their_lines(tmp_path: Path) -> None:
    messages = []
    for _ in range(2):
        runner = Program(TEXT).compile("numpy", cache_dir=tmp_path)
        with pytest.raises(Exception, match="axis h") as caught:
            runner(X=np.ones((2, 3)), V=np.ones((3, 5)))
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


def test_functions_and_imports_of_other_files(tmp_path: Path, built: list[str]) -> None:
    library = tmp_path / "layer.fuse"
    library.write_text("fn layer(W[o, i], X[b, i]) = relu(W[o, i] X[b, i])\n")
    text = 'import "layer.fuse"\ninput X[b, i]\nY[b, o] = layer(W[o, i], X[b, i]) + layer(V[o, i], X[b, i])\nexport Y\n'
    arrays = {"X": np.ones((2, 3)), "W": np.ones((4, 3)), "V": np.ones((4, 3))}
    for _ in range(2):
        runner = Program(text, path=tmp_path / "p.fuse").compile("numpy", cache_dir=tmp_path / "cache")
        assert runner(arrays)["Y"].tolist() == [[6.0] * 4] * 2
        with pytest.raises(Exception, match="axis i") as caught:
            runner({**arrays, "V": np.ones((4, 5))})
        assert "FUSE" in str(caught.value)
    count = len(built)
    assert count == len(set(built))
    # The imported file changes only its layout: errors show it as it is now.
    library.write_text("# a comment\n" + library.read_text())
    Program(text, path=tmp_path / "p.fuse").compile("numpy", cache_dir=tmp_path / "cache")
    assert len(built) == count + 1
