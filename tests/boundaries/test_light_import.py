"""`import fuse_ref` is light: it loads no framework, and works where there is none."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.boundaries.sources import ROOT

HEAVY = ("torch", "jax", "jaxlib", "flax", "optax", "scipy", "sklearn", "matplotlib", "tqdm", "fuse_torch", "fuse_jax")


def loaded_by(statement: str) -> set[str]:
    """The heavy packages in memory after `statement` ran in a fresh interpreter."""
    code = f"import json, sys\n{statement}\nprint(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return set(json.loads(result.stdout.splitlines()[-1]))


def test_importing_fuse_ref_loads_no_framework() -> None:
    assert loaded_by("import fuse_ref") == set()


def test_a_numpy_run_loads_no_framework() -> None:
    program = "Y[i] = relu(W[i, j] X[j])"
    run = (
        "import numpy as np, fuse_ref\n"
        f"runner = fuse_ref.Program({program!r}).compile()\n"
        "assert runner(W=np.eye(2, dtype='float32'), X=np.ones(2, dtype='float32'))['Y'].tolist() == [1.0, 1.0]"
    )
    assert loaded_by(run) == set()


def test_the_command_line_loads_no_framework() -> None:
    assert loaded_by("import fuse_ref.cli") == set()


def test_the_check_sees_a_package_that_is_loaded() -> None:
    assert loaded_by("import fuse_ref, scipy") == {"scipy"}
