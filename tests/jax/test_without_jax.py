"""What works, and what is said, where JAX or flax is missing or too old. Each case is a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fuse_jax import versions
from fuse_jax.versions import LEAST_FLAX, LEAST_JAX

ROOT = Path(__file__).resolve().parents[2]

HIDE = """
import sys, warnings
warnings.simplefilter("error")

class Hidden:
    def __init__(self, *names): self.names = names
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name.partition(".")[0])

sys.meta_path.insert(0, Hidden(*HIDDEN))
"""


def run(code: str, *hidden: str) -> str:
    text = HIDE.replace("HIDDEN", repr(hidden)) + code
    result = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, cwd=ROOT, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_without_jax_fuse_jax_says_what_to_install() -> None:
    out = run(
        """
import fuse_jax, fuse_ref
assert fuse_jax.Program is fuse_ref.Program
assert fuse_jax.last_error() is None
said = set()
for use in (
    lambda: fuse_jax.compile("Y[i] = 2 X[i]"),
    lambda: fuse_jax.ENGINE,
    lambda: fuse_jax.FuseFunction,
    lambda: fuse_jax.nnx.FuseModule,
    lambda: fuse_jax.linen.FuseModule,
):
    try:
        use()
    except ImportError as error:
        assert isinstance(error, fuse_jax.FuseError)
        assert error.name == "jax"
        said.add(str(error))
print(*said)
""",
        "jax",
        "jaxlib",
        "flax",
    )
    assert (
        out == 'FUSE275: JAX 0.10.1 or newer is needed, but JAX is not installed\nhelp: pip install "fuse-torch[jax]"'
    )


def test_the_blocker_blocks_and_only_what_it_should() -> None:
    """The test above could pass for nothing if JAX were still there."""
    assert run("import fuse_jax; print(fuse_jax.compile('Y[i] = 2 X[i]')({}, X=[1.0])['Y'])") == "[2.]"
    assert run("try:\n import jax\nexcept ImportError as e: print(e.name)", "jax") == "jax"


def test_without_jax_a_runner_falls_back_to_numpy() -> None:
    out = run(
        """
import fuse_ref
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    runner = fuse_ref.Program("Y[i] = 2 X[i]").compile(backend="jax")
    result = [runner(X=[1.0, 2.0])["Y"], runner(X=[3.0])["Y"]]
print(runner.backend, [w.category.__name__ for w in caught], type(result[0]).__name__, *map(list, result))
""",
        "jax",
        "jaxlib",
    )
    assert out.startswith("numpy ['FallbackWarning'] ndarray")


def test_without_flax_only_the_modules_are_missing() -> None:
    out = run(
        """
import fuse_jax
print(fuse_jax.compile("Y[i] = 2 X[i]")({}, X=[1.0])["Y"])
for name in ("nnx", "linen"):
    try:
        getattr(fuse_jax, name)
    except ImportError as error:
        print(error)
""",
        "flax",
    )
    lines = out.splitlines()
    assert lines[0] == "[2.]"
    assert lines.count("FUSE275: flax 0.12.7 or newer is needed, but flax is not installed") == 2
    assert lines.count('help: pip install "fuse-torch[jax]"') == 2


def test_an_old_jax_is_refused_by_its_number() -> None:
    out = run(
        """
import jax
jax.__version__ = "0.4.38"
import fuse_jax
try:
    fuse_jax.compile("Y[i] = 2 X[i]")
except ImportError as error:
    print(error)
"""
    )
    assert "JAX 0.10.1 or newer is needed, but JAX 0.4.38 is installed" in out


def test_without_jaxlib_jax_counts_as_missing_but_not_without_another_module() -> None:
    code = """
import fuse_jax
try:
    fuse_jax.compile("Y[i] = 2 X[i]")
except ImportError as error:
    print(type(error).__name__, error.name)
"""
    assert run(code, "jaxlib") == "MissingFrameworkError jax"
    assert run(code, "opt_einsum_of_nobody", "ml_dtypes") == "ModuleNotFoundError ml_dtypes"


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("0.10.2", (0, 10, 2)), ("0.11", (0, 11)), ("0.10.3.dev2+g1a", (0, 10, 3)), ("1.0rc1", (1, 0))],
)
def test_versions_are_compared_as_numbers(text: str, numbers: tuple[int, ...]) -> None:
    assert versions._numbers(text) == numbers


def test_the_package_asks_for_the_same_versions() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'"jax>={".".join(map(str, LEAST_JAX))},' in text
    assert f'"flax>={".".join(map(str, LEAST_FLAX))},' in text
