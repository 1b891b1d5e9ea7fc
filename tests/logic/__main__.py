"""`python -m tests.logic --programs 2000 --seed 1 --jobs 2`: random logic programs by every way there is.

Each goes through Python sets, clingo, the oracle where it has neither symbols nor files, and Fuse on NumPy as a whole
and on demand; one of `--engines N` through torch and JAX too. What disagrees is shown as a small program.
"""

from __future__ import annotations

import argparse
import functools
import logging
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

__all__ = ["main"]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.logic", description=__doc__)
    parser.add_argument("--programs", type=int, default=2_000, help="how many")
    parser.add_argument("--seed", type=int, default=1, help="the first one; give the last one printed to go on")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--engines", type=int, default=10, metavar="N", help="by torch and JAX: one of N; 0: none")
    options = parser.parse_args()
    logging.getLogger("torch._dynamo").setLevel(logging.ERROR)
    started, wrong, number = time.monotonic(), 0, 0
    for number, found in enumerate(_all(options.seed, options.programs, options.jobs, options.engines), start=1):
        if found:
            wrong += 1
            print(f"== seed {options.seed + number - 1}\n{found}\n", flush=True)
        if number % 100 == 0 or number == options.programs:
            rate = number / (time.monotonic() - started)
            print(
                f"{number} of {options.programs} (to seed {options.seed + number - 1}): {wrong} disagree; {rate:.1f} a second",
                flush=True,
            )
    return 1 if wrong else 0


def _all(first: int, count: int, jobs: int, engines: int) -> Iterator[str]:
    # Imported once the environment is set, which children inherit.
    from tests.logic.compare import examined

    look = functools.partial(examined, engines=engines)
    seeds = range(first, first + count)
    if jobs == 1:
        yield from map(look, seeds)
        return
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"), max_tasks_per_child=500) as pool:
        yield from pool.map(look, seeds, chunksize=10)


if __name__ == "__main__":
    sys.exit(main())
