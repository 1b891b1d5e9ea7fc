"""What the demonstration keeps between runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fuse_ref.cli.demo import cache_folder
from fuse_ref.demo.kept import compiled_code_in, seconds_of_first_run


def test_the_first_run_is_remembered(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    assert seconds_of_first_run(folder, "inductor", 40.0) is None
    assert seconds_of_first_run(folder, "inductor", 10.0) == 40.0
    assert seconds_of_first_run(folder, "aot_eager", 5.0) is None
    assert seconds_of_first_run(folder, "inductor", 9.0) == 40.0
    for damage in ("", "[1]", '{"inductor": "long"}'):
        (folder / "demo.json").write_text(damage)
        assert seconds_of_first_run(folder, "inductor", 3.0) is None
        assert seconds_of_first_run(folder, "inductor", 2.0) == 3.0


def test_where_compiled_code_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    with compiled_code_in(tmp_path):
        assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "inductor")
    assert "TORCHINDUCTOR_CACHE_DIR" not in os.environ
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "/elsewhere")
    with compiled_code_in(tmp_path):
        assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == "/elsewhere"
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == "/elsewhere"


def test_the_default_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert cache_folder() == Path("/caches/fuse")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "fuse"
