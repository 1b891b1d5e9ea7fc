"""The wheel: builds from a clean copy, holds what it must, and works in an environment of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.boundaries.sources import PACKAGES, ROOT

PROGRAM = "W = [1, 2]\nX = [3, 4]\nY = relu(W[i] X[i])\nexport Y\n"


def run(*command: object, folder: Path) -> subprocess.CompletedProcess[str]:
    words = [str(word) for word in command]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, timeout=900)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from copies of the sources, so that nothing left over in the tree gets in."""
    copy = tmp_path_factory.mktemp("sources")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    result = run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", copy / "dist", folder=copy)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    (path,) = (copy / "dist").glob("*.whl")
    return path


@dataclass(frozen=True, slots=True)
class Environment:
    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def fuse(self) -> Path:
        return self.folder / "bin" / "fuse"

    @property
    def packages(self) -> Path:
        return next((self.folder / "lib").glob("python3*/site-packages"))


def environment(folder: Path, *arguments: object) -> Environment:
    venv.create(folder, with_pip=True)
    made = Environment(folder)
    result = run(made.python, "-m", "pip", "install", "--quiet", *arguments, folder=folder)
    assert result.returncode == 0, result.stderr[-3000:]
    return made


@pytest.fixture(scope="module")
def empty(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Only the wheel and what pip brings for it."""
    return environment(tmp_path_factory.mktemp("empty") / "env", "-c", ROOT / "constraints.txt", wheel)


@pytest.fixture(scope="module")
def with_frameworks(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The wheel, with torch, JAX and the rest borrowed from the environment of the tests."""
    made = environment(tmp_path_factory.mktemp("borrowed") / "env", "--no-deps", wheel)
    (made.packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return made


def test_contents(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        entries = archive.read(next(name for name in names if name.endswith("entry_points.txt"))).decode()
    assert {"fuse_ref/language/fuse.lark", "fuse_ref/language/fuse.json", "fuse_ref/demo/digits.fuse"} <= names
    assert {f"{package}/py.typed" for package in PACKAGES} <= names
    assert {name.partition("/")[0] for name in names} == {
        *PACKAGES,
        next(n for n in names if ".dist-info" in n).partition("/")[0],
    }
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert "[torch_dynamo_backends]\nfuse = fuse_torch.backend:fuse" in entries
    # Every module of the sources, and none that is no longer there.
    modules = {path.relative_to(ROOT).as_posix() for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == modules


def test_the_base_install_is_small(empty: Environment) -> None:
    result = run(empty.python, "-m", "pip", "list", "--format", "json", folder=empty.folder)
    names = {item["name"].lower().replace("_", "-") for item in json.loads(result.stdout)}
    assert names - {"pip", "setuptools", "wheel"} == {"fuse-torch", "numpy", "ml-dtypes", "lark", "opt-einsum", "scipy"}


def test_the_command_line_works_in_an_empty_environment(empty: Environment, tmp_path: Path) -> None:
    program = tmp_path / "p.fuse"
    program.write_text(PROGRAM, encoding="utf-8")
    assert run(empty.fuse, "--version", folder=tmp_path).stdout.startswith("fuse 0.")
    check = run(empty.fuse, "check", program, folder=tmp_path)
    assert (check.returncode, check.stdout) == (0, f"{program}: ok\n"), check.stderr
    assert run(empty.fuse, "run", program, folder=tmp_path).stdout == "Y (scalar, float32) 11.0\n"
    doctor = run(empty.fuse, "doctor", folder=tmp_path)
    assert doctor.returncode == 0
    assert "pip install 'fuse-torch[torch]'" in doctor.stdout
    assert run(empty.fuse, "demo", folder=tmp_path).returncode == 3


def test_programs_run_in_an_empty_environment(empty: Environment, tmp_path: Path) -> None:
    code = (
        "import warnings, fuse_ref\n"
        "warnings.simplefilter('ignore', fuse_ref.FallbackWarning)\n"
        "for backend in ('auto', 'numpy', 'torch', 'jax'):\n"
        f"    runner = fuse_ref.Program({PROGRAM!r}).compile(backend)\n"
        "    print(float(runner()['Y']), runner.backend)\n"
    )
    result = run(empty.python, "-c", code, folder=tmp_path)
    assert result.stdout == "11.0 numpy\n" * 4, result.stderr


def test_fuse_demo_runs_from_the_wheel(with_frameworks: Environment, tmp_path: Path) -> None:
    where = run(with_frameworks.python, "-c", "import fuse_ref, fuse_torch; print(fuse_ref.__file__)", folder=tmp_path)
    assert where.stdout.startswith(str(with_frameworks.packages)), where.stderr
    result = run(with_frameworks.fuse, "demo", "--inner", "aot_eager", folder=tmp_path)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    assert (tmp_path / "runs" / "demo" / "learning_curve.png").is_file()
