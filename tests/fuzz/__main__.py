"""`python -m tests.fuzz --programs 20000 --seed 1 --jobs 2`: random programs by every engine.

Every program goes through the oracle, NumPy and torch in both precisions, its gradients against differences;
one of `--compile N` also through compiled torch and JAX, with JAX's gradients. `--compile 1` does so for all.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

__all__ = ["main"]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--programs", type=int, default=20_000, help="how many")
    parser.add_argument("--seed", type=int, default=1, help="the first one; give the last one printed to go on")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--compile", type=int, default=10, metavar="N", help="by torch.compile and JAX: one of N")
    parser.add_argument("--log", type=Path, default=None, help="file that disagreements are added to")
    options = parser.parse_args()
    # Imported once the environment is set, which children inherit.
    from tests.fuzz.campaign import run

    logging.getLogger("torch._dynamo").setLevel(logging.ERROR)
    return 1 if run(options.seed, options.programs, options.jobs, options.compile, options.log) else 0


if __name__ == "__main__":
    sys.exit(main())
