"""compile(cache_dir=…) on JAX: compiled code of one process runs in the next, and nothing else is taken for it."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fuse_jax import kept as module
from fuse_ref import register_function
from fuse_ref.config import ExecutionConfig
from fuse_ref.errors import FuseError
from fuse_ref.evaluate.entries import Entries
from fuse_ref.program import Program

TEXT = """input X[b, j]
axis j = 3, h = 4
param W[h, j] ~ normal(0, 1)
H[b, h] = gelu(W[h, j] X[b, j])
P[b, h.] = softmax(H[b, h])
Same[b, j] = X[b, j]
export P, Same
"""
SMALL = "input X[i, j]\nY[i, j] = 2 X[i, j]\nZ[j] = X[i, j]\nexport Y, Z\n"


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One item for each time that XLA really compiles."""
    found: list[str] = []
    original = module.KeptCode._write

    def counted(self: module.KeptCode, key: str, values: Any) -> None:
        found.append(key)
        original(self, key, values)

    monkeypatch.setattr(module.KeptCode, "_write", counted)
    return found


def runner_of(folder: Path | None, text: str = TEXT, **settings: Any) -> Any:
    config = ExecutionConfig(**{"precision": "float32", **settings})
    return Program(text).compile("jax", config=config, cache_dir=folder)


def equal(one: dict[str, jax.Array], other: dict[str, jax.Array]) -> None:
    assert list(one) == list(other)
    for name, value in one.items():
        assert isinstance(value, jax.Array)
        assert (value.shape, value.dtype, value.weak_type) == (
            other[name].shape,
            other[name].dtype,
            other[name].weak_type,
        )
        np.testing.assert_array_equal(np.asarray(value), np.asarray(other[name]))


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_the_second_time_nothing_is_compiled(tmp_path: Path, compiled: list[str], precision: str) -> None:
    with jax.enable_x64(precision == "float64"):
        plain, first, second = (runner_of(folder, precision=precision) for folder in (None, tmp_path, tmp_path))
        sizes = (3, 5, 1, 0)
        for seed, size in enumerate(sizes):
            values = np.random.default_rng(seed).normal(size=(size, 3)).astype(precision)
            expected = plain(X=values)
            equal(first(X=values), expected)
            equal(second(X=values), expected)
            equal(second(X=values), expected)
        assert len(compiled) == len(set(compiled)) == len(sizes)


def test_a_fixpoint_is_kept_with_its_settings(tmp_path: Path, compiled: list[str]) -> None:
    program = Program("R[i] = 0.5 A[i, j] R[j] + 1\nexport R")
    values = {"A": np.ones((1, 1), np.float32)}
    found = []
    for settings in ({}, {"tol": 0.1}, {"max_iters": 3, "on_divergence": "last"}, {}, {"tol": 0.1}):
        runner = program.compile("jax", cache_dir=tmp_path, config=ExecutionConfig(**settings))
        found.append(float(runner(values)["R"][0]))
    assert found[0] == found[3] == pytest.approx(2, abs=1e-5)
    assert (found[1], found[2]) == (found[4], 1.75)
    assert len(compiled) == 3
    heated = ExecutionConfig(temperatures={"Z": lambda k: 0.5})
    text = "Z[i] = 0.1 sig(Z[i] + A[i])\nexport Z"
    Program(text).compile("jax", cache_dir=tmp_path, config=heated)(A=np.ones(2))
    assert len(compiled) == 3  # what a schedule says in each round is in the code: that is not kept


def test_results_are_arrays_like_any_other(tmp_path: Path) -> None:
    values = np.ones((2, 3), np.float32)
    runner_of(tmp_path)(X=values)
    made = runner_of(tmp_path)(X=values)
    weight = jax.grad(lambda p: (jax.jit(jnp.sin)(p) * p).sum())(made["P"])
    assert weight.shape == (2, 4)
    values[:] = 7  # results share no memory with inputs
    np.testing.assert_array_equal(np.asarray(made["Same"]), np.ones((2, 3)))
    assert float(made["P"].sum()) == pytest.approx(2)


def test_transformations_go_by_jit(tmp_path: Path) -> None:
    values = jnp.arange(6.0, dtype=jnp.float32).reshape(2, 3)
    runner_of(tmp_path)(X=values)
    runner = runner_of(tmp_path)

    def total(x: jax.Array) -> jax.Array:
        return (runner.run(X=x)["P"] ** 2).sum()

    total(values)
    plain = runner_of(None)
    wanted = jax.grad(lambda x: (plain.run(X=x)["P"] ** 2).sum())(values)
    np.testing.assert_allclose(jax.grad(total)(values), wanted, rtol=1e-6)
    np.testing.assert_allclose(jax.jit(total)(values), total(values), rtol=1e-6)


def test_settings_of_jax_count(tmp_path: Path, compiled: list[str]) -> None:
    values = np.ones((2, 3), np.float32)
    for _ in range(2):
        runner = runner_of(tmp_path)
        runner(X=values)
        with jax.default_matmul_precision("float32"):
            runner(X=values)
        runner(X=values)
    assert len(compiled) == len(set(compiled)) == 2
    runner = runner_of(tmp_path, "input X[i]\nY[i] = log(X[i])\nexport Y\n")
    assert np.isnan(runner(X=np.asarray([-1], np.float32))["Y"]).all()
    with jax.debug_nans(True), pytest.raises((FloatingPointError, FuseError)):
        runner(X=np.asarray([-1], np.float32))
    before = {name: getattr(jax.config, name, None) for name in jax.config.values}
    runner_of(tmp_path)(X=values)
    assert {name: getattr(jax.config, name, None) for name in jax.config.values} == before


def entry(folder: Path) -> Path:
    (path,) = (folder / "xla").iterdir()
    return path


@pytest.mark.parametrize(
    "harm", ["empty", "cut", "flipped", "foreign", "no code", "other code", "no head", "other head", "more results"]
)
def test_damaged_entries_are_compiled_anew(
    tmp_path: Path, compiled: list[str], harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    values = np.ones((2, 3), np.float32)
    expected = runner_of(tmp_path, SMALL)(X=values)
    path = entry(tmp_path)
    content = path.read_bytes()
    head, line, code = content.split(b"\n", 2)
    results = json.loads(line)
    assert results == [[[2, 3], "float32"], [[3], "float32"]]

    def whole(*parts: bytes) -> bytes:
        """An entry that was written like that, with a checksum that fits."""
        body = b"\n".join(parts)
        return Entries(tmp_path, module.CODE)._head(path.stem, body) + b"\n" + body

    assert whole(line, code) == content
    path.write_bytes(
        {
            "empty": b"",
            "cut": content[:-100],
            "flipped": content[:-100] + bytes([content[-100] ^ 1]) + content[-99:],
            "foreign": b"\x7fELF" + content,
            "no code": whole(line, b""),
            "other code": whole(line, b"machine code of another world"),
            "no head": whole(b"{}", code),
            "other head": whole(json.dumps([[[2, 5], "float32"], results[1]]).encode(), code),
            "more results": whole(json.dumps([*results, results[0]]).encode(), code),
        }[harm]
    )
    with caplog.at_level(logging.WARNING, "fuse"):
        equal(runner_of(tmp_path, SMALL)(X=values), expected)
    assert "is made anew" in caplog.text
    assert len(compiled) == 2
    equal(runner_of(tmp_path, SMALL)(X=values), expected)
    assert len(compiled) == 2
    assert head.startswith(b"fuse-xla 1 ")


def test_what_decides_the_code_is_in_its_key(
    tmp_path: Path, compiled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.ones((2, 3), np.float32)

    def run(text: str = TEXT) -> int:
        runner_of(tmp_path, text)(X=values)
        return len(compiled)

    assert (run(), run()) == (1, 1)
    assert run(TEXT.replace("gelu", "relu")) == 2
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")  # not read again: only the key sees it
    assert run() == 3
    monkeypatch.delenv("XLA_FLAGS")
    for name in ("_software", "_machine"):
        with monkeypatch.context() as changed:
            changed.setattr(module, name, lambda *_: ["another"])
            assert run() == (4 if name == "_software" else 5)
    assert run() == 5


def test_what_calls_other_code_is_not_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    register_function("kept_code_halved", numpy=lambda x: x / 2)
    with caplog.at_level(logging.INFO, "fuse"):
        found = runner_of(tmp_path, "input X[i]\nY[i] = kept_code_halved(X[i])\nexport Y\n")(
            X=np.asarray([2, 4], np.float32)
        )
    assert found["Y"].tolist() == [1, 2]
    assert "kept_code_halved is a registered function" in caplog.text
    with caplog.at_level(logging.INFO, "fuse"):
        text = "input X[i, j]\nY[i, j] = tucker_dense(X[i, j], 1, 0.5)\nexport Y\n"
        runner_of(tmp_path, text)(X=np.ones((2, 3), np.float32))
    assert "it calls code that is not its own" in caplog.text
    with pytest.raises(FuseError, match="FUSE207"):
        runner_of(tmp_path, "input X[i]\nY[i] = log(X[i])\nexport Y\n", checked=True)(X=np.asarray([0], np.float32))
    assert not (tmp_path / "xla").exists()


def test_programs_without_inputs(tmp_path: Path, compiled: list[str]) -> None:
    for _ in range(2):
        assert runner_of(tmp_path, "axis i = 3\nY[i] = 2 i + 1\nexport Y\n")()["Y"].tolist() == [1, 3, 5]
    assert len(compiled) == 1


def test_another_process_does_not_compile(tmp_path: Path) -> None:
    (tmp_path / "p.fuse").write_text(TEXT)
    code = (
        "import numpy as np, fuse_jax.kept as kept; from fuse_ref import Program\n"
        "calls, write = [], kept.KeptCode._write\n"
        "kept.KeptCode._write = lambda *a: (calls.append(a), write(*a))\n"
        "runner = Program.from_file('p.fuse').compile('jax', cache_dir='cache')\n"
        "print(runner(X=np.ones((2, 3), np.float32))['P'].sum().item(), len(calls))"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def started() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    for count in ("1", "0"):
        process = started()
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        assert float(output.split()[0]) == pytest.approx(2)
        assert output.split()[1] == count
    assert len(list((tmp_path / "cache" / "xla").iterdir())) == 1
