"""All figures, one table a topic: `python -m benchmarks [topic …]`, in the order of `TOPICS`.

One thread, CPU time, medians of interleaved repetitions with 95 % confidence intervals; beside each figure
what hand-written code measures against itself (A/A). Missed targets are told, not
raised: times on a shared machine are no test.
"""

from __future__ import annotations

import importlib
import platform
import sys

import numpy as np

from benchmarks.table import print_rows

# The order of the tables.
TOPICS = {
    "modules": "benchmarks.modules",
    "numpy": "benchmarks.numpy_engine",
    "torch": "benchmarks.torch_engine",
    "jax": "benchmarks.jax_engine",
    "contractions": "benchmarks.contractions",
    "memory": "benchmarks.memory",
    "planning": "benchmarks.planning",
    "monte_carlo": "benchmarks.monte_carlo",
    "recurrences": "benchmarks.recurrences",
    "facts": "benchmarks.facts",
    "logic": "benchmarks.logic",
}


def _machine() -> str:
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        blas = "BLAS kernel unknown (threadpoolctl is not installed)"
    else:
        pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
        blas = ", ".join(f"{p['internal_api']} {p.get('version')} {p.get('architecture', '')}".strip() for p in pools)
    return f"Python {platform.python_version()}, NumPy {np.__version__}, {blas or 'no BLAS found'}, 1 thread"


def main(chosen: list[str]) -> int:
    unknown = [name for name in chosen if name not in TOPICS]
    if unknown:
        print(f"unknown topic {', '.join(unknown)}: choose from {', '.join(TOPICS)}", file=sys.stderr)
        return 2
    print(_machine())
    missed = 0
    for name, module_name in TOPICS.items():
        if not chosen or name in chosen:
            module = importlib.import_module(module_name)
            missed += print_rows(module.TITLE, module.rows())
    print(f"\n{'all targets met' if missed == 0 else f'{missed} targets missed'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
