"""Everything but the frameworks' own parts works where neither torch nor JAX is installed."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

import pytest

from tests.boundaries.sources import ROOT

BLOCK = """
import sys

class Missing:
    def __init__(self, names):
        self.names = names

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None

sys.meta_path.insert(0, Missing(NAMES))
"""

EVERYTHING = ("torch", "jax", "jaxlib", "flax", "optax", "scipy", "sklearn", "matplotlib", "tqdm", "threadpoolctl")


def run_without(names: tuple[str, ...], code: str) -> subprocess.CompletedProcess[str]:
    """Run `code` in an interpreter in which the packages `names` cannot be imported."""
    text = BLOCK.replace("NAMES", repr(names)) + textwrap.dedent(code)
    command = [sys.executable, "-W", "error", "-c", text]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)


def test_the_block_works() -> None:
    result = run_without(("torch",), "import torch")
    assert "No module named 'torch'" in result.stderr


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_a_missing_framework_means_numpy_and_one_warning(backend: str) -> None:
    result = run_without(
        EVERYTHING,
        f"""
        import json, warnings
        import numpy as np
        import fuse_ref

        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            runner = fuse_ref.Program("Y[i] = relu(W[i, j] X[j])").compile({backend!r})
            first = runner(W=np.eye(2), X=np.array([1.0, -1.0]))["Y"]
            second = runner(W=2 * np.eye(2), X=np.array([3.0, 4.0]))["Y"]
        print(json.dumps([runner.backend, first.tolist(), second.tolist(), [w.category.__name__ for w in seen]]))
        """,
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == ["numpy", [1.0, 0.0], [6.0, 8.0], ["FallbackWarning"]]


def test_the_command_line_works_alone() -> None:
    result = run_without(
        EVERYTHING,
        """
        from fuse_ref.cli import main

        assert main(["--version"]) == 0
        for command in ("check", "run", "explain"):
            assert main([command, "examples/perceptron.fuse"]) == 0, command
        assert main(["doctor"]) == 0
        assert main(["demo"]) == 3
        """,
    )
    assert result.returncode == 0, result.stderr
    assert "missing  for FuseModule and torch.compile" not in result.stderr
    assert "fuse demo needs torch, jax, scikit-learn, matplotlib, tqdm: pip install 'fuse-torch[demo]'" in result.stderr


def test_fuse_jax_says_what_to_install() -> None:
    result = run_without(("jax", "jaxlib", "flax"), "import fuse_jax\nfuse_jax.compile('Y[i] = X[i]')")
    assert result.returncode != 0
    assert 'pip install "fuse-torch[jax]"' in result.stderr


def test_fuse_torch_says_what_to_install() -> None:
    result = run_without(("torch",), "import fuse_torch")
    assert result.returncode != 0
    assert "torch" in result.stderr.splitlines()[-1]
