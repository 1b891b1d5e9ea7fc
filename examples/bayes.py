"""Ask bayes.fuse how probable a burglary is, given who called. Needs NumPy alone."""

from __future__ import annotations

from pathlib import Path

from fuse_ref import ExecutionConfig, Program

CONFIG = ExecutionConfig(precision="float64")
UNKNOWN, CALLED, SILENT = (1.0, 1.0), (0.0, 1.0), (1.0, 0.0)


def main() -> dict[str, float]:
    """Situation -> probability of a burglary."""
    runner = Program.from_file(Path(__file__).with_suffix(".fuse")).compile("numpy", config=CONFIG)
    cases = {"nothing known": (UNKNOWN, UNKNOWN), "John called": (CALLED, UNKNOWN), "both called": (CALLED, CALLED)}
    return {what: float(runner(SawJ=j, SawM=m)["Burglary"][1]) for what, (j, m) in cases.items()}


if __name__ == "__main__":
    for situation, probability in main().items():
        print(f"{situation}: {probability:.4f}")
