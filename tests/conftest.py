"""One thread for every numeric library, JAX on the CPU: the suite runs on small shared machines.

Set in the environment before any of them is imported. Nothing is imported here, so that the tests of
`fuse_ref` alone run where torch and JAX are missing.
"""

from __future__ import annotations

import os
import sys

import pytest

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")


@pytest.fixture(autouse=True, scope="session")
def _one_torch_thread() -> None:
    """A plugin may have imported torch before the environment was set."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
