"""One thread for every numeric library, JAX on the CPU: the suite runs on small shared machines.

Set in the environment before any of them is imported. Nothing is imported here, so that the tests of
`fuse_ref` alone run where torch and JAX are missing.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Generator

import pytest

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# XLA rewrites programs as ever, but LLVM does less with what comes of it: half of the time of JAX tests is compiling.
# Where rounding is what a test is about, tests.support.xla has the whole of it.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")


@pytest.fixture(autouse=True, scope="session")
def _one_torch_thread() -> None:
    """A plugin may have imported torch before the environment was set."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def _guards_without_timing() -> Generator[None, None, None]:
    """After each compilation torch empties the processor's caches to time its guards, for its log alone: 30 ms."""
    guards = sys.modules.get("torch._dynamo.guards")
    with pytest.MonkeyPatch.context() as patch:
        if guards is not None:
            patch.setattr(guards, "profile_guard_manager", lambda *_: 0.0)
        yield


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What collecting makes lives as long as the process: the collector of garbage need not look at it again and again.

    Modules of torch and JAX and fourteen thousand tests are millions of objects, a tenth of the suite's time.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()
