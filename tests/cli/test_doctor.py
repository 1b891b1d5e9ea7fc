"""`fuse doctor`."""

from __future__ import annotations

import importlib.metadata
import json
import os
from collections.abc import Callable

import pytest

from fuse_ref.cli import doctor


@pytest.fixture
def versions(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str | None]], None]:
    """Pretend that packages have other versions, or are missing (None)."""
    real = importlib.metadata.version

    def pretend(changes: dict[str, str | None]) -> None:
        def version(name: str) -> str:
            if name not in changes:
                return real(name)
            if (found := changes[name]) is None:
                raise importlib.metadata.PackageNotFoundError(name)
            return found

        monkeypatch.setattr(importlib.metadata, "version", version)

    return pretend


def found() -> dict[str, doctor.Finding]:
    return {finding.what: finding for finding in doctor.examine()}


def test_a_full_installation_is_well(fuse) -> None:
    result = fuse("doctor")
    assert result.code == 0
    assert "missing" not in result.out
    for what in (
        "numpy",
        "torch",
        "jax",
        "flax",
        'torch.compile backend "fuse"',
        "C++ compiler",
        "cores",
        "numpy's BLAS",
    ):
        assert f"\n{what} " in result.out


def test_json(fuse) -> None:
    findings = {finding["what"]: finding for finding in json.loads(fuse("doctor", "--json").out)}
    assert findings["torch"]["found"] == importlib.metadata.version("torch")
    assert findings["torch"]["verdict"] == "ok"
    assert findings['torch.compile backend "fuse"']["found"] == "fuse_torch.backend:fuse"


def test_missing_parts_come_with_the_line_to_install_them(versions) -> None:
    versions({"torch": None, "flax": None, "tqdm": None})
    findings = found()
    assert findings["torch"].verdict == "missing"
    assert findings["torch"].advice == "for FuseModule and torch.compile: pip install 'fuse-torch[torch]'"
    assert findings["flax"].advice.endswith("pip install 'fuse-torch[jax]'")
    assert findings["tqdm"].advice.endswith("pip install 'fuse-torch[demo]'")
    assert findings["jax"].verdict == "ok"


def test_versions_out_of_range_are_told(versions) -> None:
    versions({"torch": "2.4.1+cpu", "jax": "0.99.0"})
    findings = found()
    assert findings["torch"].verdict == "old"
    assert "torch<2.14,>=2.13" in findings["torch"].advice or "torch>=2.13,<2.14" in findings["torch"].advice
    assert findings["jax"].verdict == "new"


def test_a_broken_base_is_3_and_missing_extras_are_not(fuse, versions) -> None:
    versions({"torch": None, "jax": None})
    assert fuse("doctor").code == 0
    versions({"numpy": "1.20.0"})
    assert fuse("doctor").code == 3


@pytest.mark.parametrize(
    ("version", "wanted", "verdict"),
    [
        ("2.13.0+cpu", ">=2.13,<2.14", "ok"),
        ("2.13", ">=2.13.0,<2.14", "ok"),
        ("2.14.0", "<2.14,>=2.13", "new"),
        ("2.9", ">=2.13,<2.14", "old"),
        ("10.0", ">=9,<11", "ok"),
        ("1.0", "", "ok"),
        ("0.10.2.dev1", ">=0.10.1,<0.11", "ok"),
    ],
)
def test_ranges(version: str, wanted: str, verdict: str) -> None:
    assert doctor.fits(version, wanted) == verdict


def test_a_machine_without_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    assert found()["C++ compiler"].verdict == "missing"


def test_a_package_that_is_only_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_: ())
    assert found()['torch.compile backend "fuse"'].verdict == "missing"


def test_threads_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "OMP_NUM_THREADS", "7")
    assert found()["OMP_NUM_THREADS"].found == "7"
