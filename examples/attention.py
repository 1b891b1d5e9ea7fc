"""The same weights and inputs through attention.fuse on every engine that is installed.

Run it from anywhere: python examples/attention.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fuse_ref import InMemoryWeightStore, Program, RuntimePolicies

__all__ = ["main"]


def main() -> dict[str, float]:
    """Print and return the largest difference of each engine from NumPy."""
    program = Program.from_file(Path(__file__).with_name("attention.fuse"))
    print(program.plan())
    draw = np.random.default_rng(0)
    weights = {name: draw.normal(size=shape) for name, shape in {"WQ": (8, 16), "WK": (8, 16), "WV": (8, 16)}.items()}
    policies = RuntimePolicies(weight_store=InMemoryWeightStore(weights))
    x = draw.normal(size=(5, 16))
    expected = program.compile("numpy", policies=policies)(X=x)["Out"]
    differences = {}
    for backend in ("torch", "jax"):
        runner = program.compile(backend, policies=policies)
        out = np.asarray(runner(X=x)["Out"])
        differences[runner.backend] = float(np.abs(out - expected).max())
        print(f"{runner.backend}: differs from numpy by at most {differences[runner.backend]:.1e}")
    return differences


if __name__ == "__main__":
    main()
